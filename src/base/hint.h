// SPDX-License-Identifier: MIT
/* hint.h - what a condition nearly always is, for short ways that consist of many: each of them gets a hint of its
 * own, for compilers spread one hint for all unevenly, and then jump where they could go straight on. */
#ifndef WF_BASE_HINT_H
#define WF_BASE_HINT_H

#include <stddef.h>
#include <stdint.h>

#define WF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define WF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* A function on the way from the end of an idle worker's sleep to the fiber that was woken. Those lie together, on few
 * pages: after a sleep they are in no cache, and what counts is how many lines and pages there are. */
#define WF_WAKING __attribute__((hot))

/* Begins with a cache line. Where a function of some twenty instructions lies otherwise depends on whatever was compiled
 * before it, and its time with that: an item put and got takes 10 ns, or 11.5. */
#define WF_AT_LINE __attribute__((aligned(64)))

/* What holds here, and the compiler can't see: a caller that is inline need not ask again. */
#define WF_HOLDS(condition) ((condition) ? (void)0 : __builtin_unreachable())

/* The compiler computes addresses in the object anew from here on, instead of keeping one in a register of its own
 * over a call. */
#define WF_FORGET(pointer) __asm__("" : "+r"(pointer))

/* The compiler reads a variable in memory anew, instead of keeping in a register what it has just read there: to look at it
 * and to count it are one instruction each then. */
#define WF_FORGET_AT(variable) __asm__("" : "+m"(variable))

/* The same pointer for a variable that is used on this side of the next switch only. A switch takes all registers: what is
 * used on both sides lies in memory, and is loaded anew at each use. */
static inline __attribute__((always_inline)) void *wf_shortly(void *pointer)
{
    WF_FORGET(pointer);
    return pointer;
}

/* Fetches the line of `at`. A hint: any address will do. Not __builtin_prefetch, which gcc takes for nothing: of a
 * function that does no more than that it leaves out the calls. */
static inline void wf_fetch(const void *at)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetcht0 %0" ::"m"(*(const char *)at));
#else
    __builtin_prefetch(at);
    __asm__ __volatile__("");
#endif
}

/* The same for a line that is about to be written, and that another processor has written last. */
static inline void wf_fetch_own(const void *at)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" ::"m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
    __asm__ __volatile__("");
#endif
}

/* wf_fetch for `count` lines, the first of which has `first`. */
static inline void wf_fetch_lines(const void *first, unsigned count)
{
    enum { LINE_BYTES = 64 };
    for (unsigned i = 0; i < count; i++) {
        wf_fetch((const char *)first + (size_t)i * LINE_BYTES);
    }
}

/* Of things in a row, `one` and then `other`, the one that is some STEPS further on than `from`, if all are equally far
 * from each other: links alone would be followed at the pace of the memory. */
static inline void wf_fetch_further(uintptr_t from, uintptr_t one, uintptr_t other)
{
    enum { STEPS = 20 };
    wf_fetch((const void *)(from + STEPS * (other - one)));
}

#endif

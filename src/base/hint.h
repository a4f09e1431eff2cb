// SPDX-License-Identifier: MIT
/* hint.h - what a condition nearly always is, for short ways that consist of many: each of them gets a hint of its
 * own, for compilers spread one hint for all unevenly, and then jump where they could go straight on. */
#ifndef WF_BASE_HINT_H
#define WF_BASE_HINT_H

#define WF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define WF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* What holds here, and the compiler can't see: a caller that is inline need not ask again. */
#define WF_HOLDS(condition) ((condition) ? (void)0 : __builtin_unreachable())

/* The compiler computes addresses in the object anew from here on, instead of keeping one in a register of its own
 * over a call. */
#define WF_FORGET(pointer) __asm__("" : "+r"(pointer))

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

/* Fetches the line of `at` to be written: alone the later store, or locked operation, would fetch it once to look and
 * once more to write, where another processor has it. A hint: any address will do. */
static inline void wf_fetch_to_write(const void *at)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" ::"m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
    __asm__ __volatile__("");
#endif
}

#endif

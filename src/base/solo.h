// SPDX-License-Identifier: MIT
/* solo.h - operations on shared words that are locked only where there are others.
 *
 * What: the locks of the library, the words of tasks, their references and the counts of calls on descriptors change by
 *       the operations here. The worker of a runtime that has no other makes them by plain loads and stores. Another
 *       thread that comes, a guest, stops that; the worker makes locked ones for a while then, and goes on without
 *       once no guest has come for so long. Where a runtime has several workers, all are locked.
 * When: where a locked operation is dear: 5 to 8 ns on some processors, where this is 2, but 2 on others, which do
 *       other work meanwhile. It is measured when the first worker begins.
 * How:  the worker marks itself as within, looks whether it is alone, and changes the word. A guest takes the name
 *       away, has a heavy fence made on the other's processor, and waits until the mark is gone. Either the fence
 *       comes before the look, which then finds the name gone; or after the mark, which is then seen. What was done
 *       by plain stores is there to see after that. Guests are counted while they make an operation, and the worker
 *       takes its name back only when there are none.
 * Rule: a word that is changed by one of these is changed by nothing else, but by the running task's worker. The
 *       store that gives a lock back is no change in this sense, nor is a locked mark on a held one: a swap goes
 *       from a free word only.
 * Not:  in a signal handler, which might come between the mark and the change, or fork there; nor in a child's fork
 *       handler that the program has registered before its first call.
 * Source: Kawachiya, Koseki and Onodera, "Lock reservation", OOPSLA 2002; Dice, Huang and Yang, "Asymmetric Dekker
 *       synchronization", 2001. tests/model/solo.pml.
 */
#ifndef WF_BASE_SOLO_H
#define WF_BASE_SOLO_H

#include "base/clobber.h"
#include "base/fence.h"
#include "base/hint.h"

/* wf_solo.thread, where it is no thread pointer: */
enum {
    WF_SOLO_NOBODY = 0,   /* no worker */
    WF_SOLO_CROWD = 1,    /* several workers */
    WF_SOLO_PAUSED = 2,   /* one, and there are guests */
    WF_SOLO_STOPPING = 3, /* a guest waits for the worker */
};

/* Known by its layout to solo_x86_64.S. */
struct wf_solo {
    /* The name of who is alone. Stored (seq_cst) under the lock in solo.c, or by the only thread of a process;
     * loaded (acquire) by all before each operation, and again by guests that have been counted (seq_cst). */
    _Alignas(64) _Atomic(uintptr_t) thread;
    /* The worker that is alone, or has guests; 0: there is none. Stored under the lock; loaded by anybody to see
     * whether it is the caller (relaxed). */
    _Atomic(uintptr_t) worker;
    /* Operations until it tries to be alone again. Stored by the guest that stops it, then by the worker (relaxed). On a
     * line of its own: the first is read by all. */
    _Alignas(64) wf_au32 left;
    /* Whose name it is stores 1 (relaxed) before an operation, and 0 (release) after it; a guest loads (acquire). */
    wf_au8 is_within;
};

extern __attribute__((visibility("hidden"))) struct wf_solo wf_solo;

/* What tells threads apart. Asked anew each time: a fiber may have moved. */
static inline uintptr_t wf_solo_self(void)
{
    uintptr_t self;
#if defined(__x86_64__)
    __asm__ __volatile__("movq %%fs:0, %0" : "=r"(self));
#else
    __asm__ __volatile__("mrs %0, tpidr_el0" : "=r"(self));
#endif
    return self;
}

/* The calling thread becomes a worker, and ceases to be one. Where nobody has asked for it, the first that might be alone
 * finds out whether it is worth it: some microseconds. */
void wf_solo_join(void);
void wf_solo_part(void);

/* There will be several workers. */
void wf_solo_end(void);

/* For tests: as if that had been found out. Before there are workers. */
void wf_solo_find(bool is_worth_it);

/* There will be one. If this is the only thread of its process, it may be alone although there were several once. */
void wf_solo_renew(void);

/* ---- operations: as their like in atomic.h, sequentially consistent where they are locked ---- */

/* Where there is no crowd: returns what the word was. The change has been made if that is `expected`. */
uint32_t wf_solo_swap32(wf_au32 *word, uint32_t expected, uint32_t value);
uint64_t wf_solo_swap64(wf_au64 *word, uint64_t expected, uint64_t value);

/* The same as a call that leaves the caller's registers alone (solo_x86_64.S); `seen` is what is expected, and
 * becomes what the word was. Sanitizers would not see what assembly does. */
#if defined(__x86_64__) && !WF_TSAN_BUILD && !WF_ASAN_BUILD
#define WF_SOLO_CALL(name, word, seen, value)                                                  \
    __asm__ __volatile__ __inline__("call " name                                               \
                                    : "+a"(seen)                                               \
                                    : "D"(word), "S"(value)                                    \
                                    : "memory", "cc", "rcx", "xmm0", "xmm1", "xmm2", "xmm3",   \
                                      "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                                      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" WF_CLOBBER_MORE)
#define WF_SOLO_SWAP32(word, seen, value) WF_SOLO_CALL("wf_solo_far32", word, seen, value)
#define WF_SOLO_SWAP64(word, seen, value) WF_SOLO_CALL("wf_solo_far64", word, seen, value)
#else
#define WF_SOLO_SWAP32(word, seen, value) ((seen) = wf_solo_swap32(word, seen, value))
#define WF_SOLO_SWAP64(word, seen, value) ((seen) = wf_solo_swap64(word, seen, value))
#endif

static inline __attribute__((always_inline)) bool wf_solo_is_crowd(void)
{
    return WF_LIKELY(wf_is_acq(&wf_solo.thread, WF_SOLO_CROWD));
}

static inline __attribute__((always_inline)) bool wf_solo_cas32(wf_au32 *word, uint32_t *expected,
                                                                uint32_t value)
{
    if (wf_solo_is_crowd()) {
        return wf_cas_sc(word, expected, value);
    }
    uint32_t seen = *expected;
    WF_SOLO_SWAP32(word, seen, value);
    bool is_same = seen == *expected;
    *expected = seen;
    return is_same;
}

static inline __attribute__((always_inline)) bool wf_solo_cas64(wf_au64 *word, uint64_t *expected,
                                                                uint64_t value)
{
    if (wf_solo_is_crowd()) {
        return wf_cas_sc(word, expected, value);
    }
    uint64_t seen = *expected;
    WF_SOLO_SWAP64(word, seen, value);
    bool is_same = seen == *expected;
    *expected = seen;
    return is_same;
}

/* These return what the word was. */
static inline __attribute__((always_inline)) uint32_t wf_solo_add32(wf_au32 *word, uint32_t more)
{
    uint32_t seen = wf_load_rlx(word);
    while (!wf_solo_cas32(word, &seen, seen + more)) {
    }
    return seen;
}

static inline uint32_t wf_solo_or32(wf_au32 *word, uint32_t bits)
{
    uint32_t seen = wf_load_rlx(word);
    while (!wf_solo_cas32(word, &seen, seen | bits)) {
    }
    return seen;
}

static inline uint32_t wf_solo_and32(wf_au32 *word, uint32_t bits)
{
    uint32_t seen = wf_load_rlx(word);
    while (!wf_solo_cas32(word, &seen, seen & bits)) {
    }
    return seen;
}

static inline uint64_t wf_solo_add64(wf_au64 *word, uint64_t more)
{
    uint64_t seen = wf_load_rlx(word);
    while (!wf_solo_cas64(word, &seen, seen + more)) {
    }
    return seen;
}

static inline uint64_t wf_solo_or64(wf_au64 *word, uint64_t bits)
{
    uint64_t seen = wf_load_rlx(word);
    while (!wf_solo_cas64(word, &seen, seen | bits)) {
    }
    return seen;
}

static inline uint64_t wf_solo_and64(wf_au64 *word, uint64_t bits)
{
    uint64_t seen = wf_load_rlx(word);
    while (!wf_solo_cas64(word, &seen, seen & bits)) {
    }
    return seen;
}

#endif

// SPDX-License-Identifier: MIT
/* futex.h - sleeping on a 32-bit word. */
#ifndef WF_BASE_FUTEX_H
#define WF_BASE_FUTEX_H

#include "base/atomic.h"

/* Sleeps while *word == value, until woken, a signal, or `deadline_ns` (absolute, CLOCK_MONOTONIC;
 * INT64_MAX waits for ever). May return for no reason: callers loop. */
void wf_futex_wait(wf_au32 *word, uint32_t value, int64_t deadline_ns);

/* The thread sanitizer keeps a signal back until the thread calls into the C library; a thread that
 * only makes system calls of its own calls this after each that may have been interrupted. */
void wf_let_signals_in(void);

/* How long such a thread may sleep at once, of `delay_ns`: a signal that is kept back just before the sleep does
 * not end it. */
static inline int64_t wf_nap_most(int64_t delay_ns)
{
    const int64_t most_ns = 20 * 1000 * 1000;
    return WF_TSAN_BUILD && delay_ns > most_ns ? most_ns : delay_ns;
}

/* For whoever has found for the `tried`th time that somebody else must go on first: lets others run, by a yield, after
 * a few of them by a short sleep: each yield gives away a whole slice, and Linux lets who has made a hundred of them amid
 * others wait for 0.28 s (6.18). No cancellation point. */
void wf_let_others(int tried);

/* Wakes at most `count` sleepers. The word's memory may already be gone: a wake is then spurious. */
void wf_futex_wake(wf_au32 *word, int count);

#endif

// SPDX-License-Identifier: MIT
/* bitlock.h - a short lock in the two lowest bits of a word; the other thirty belong to its user.
 *
 * What: a mutex, semaphore or event keeps its state in those thirty bits. While nobody has to wait, one
 *       CAS of the whole word does an operation; else the lock is taken, and given back together with
 *       the new state in one store. Whoever has seen the new state knows that its maker has left the
 *       word, so the object may go at once: no waiter ever has to take the lock only to be sure of that.
 * Rule: the state changes by wf_bitunlock, or by a CAS from a word whose lock bits are both clear.
 * Never held across a suspension. Spins, then sleeps, as lock.h.
 */
#ifndef WF_BASE_BITLOCK_H
#define WF_BASE_BITLOCK_H

#include "base/solo.h"

#define WF_BITLOCK_HELD UINT32_C(1)
#define WF_BITLOCK_SLEEPERS UINT32_C(2) /* somebody sleeps until it is given back */
#define WF_BITLOCK_MASK UINT32_C(3)

uint32_t wf_bitlock_contended(wf_au32 *word);
void wf_bitunlock_contended(wf_au32 *word);

/* Takes the lock; returns the state, lock bits clear. word: any thread, CAS (acq_rel). */
static inline __attribute__((always_inline)) uint32_t wf_bitlock(wf_au32 *word)
{
    uint32_t seen = wf_load_rlx(word) & ~WF_BITLOCK_MASK;
    if (__builtin_expect(!wf_solo_cas32(word, &seen, seen | WF_BITLOCK_HELD), 0)) {
        return wf_bitlock_contended(word);
    }
    return seen;
}

/* Stores the state and gives the lock back (release, with the next wf_bitlock or load of the state). As in
 * lock.h a sleeper's mark may be overwritten: sleepers look again by themselves. */
static inline __attribute__((always_inline)) void wf_bitunlock(wf_au32 *word, uint32_t state)
{
    bool has_sleepers = (wf_load_rlx(word) & WF_BITLOCK_SLEEPERS) != 0;
    wf_store_rel(word, state); /* the last touch */
    if (__builtin_expect(has_sleepers, 0)) {
        wf_bitunlock_contended(word);
    }
}

#endif

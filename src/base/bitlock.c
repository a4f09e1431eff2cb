// SPDX-License-Identifier: MIT
/* bitlock.c - the slow half of the lock in a word. */
#include "base/bitlock.h"

#include "base/clock.h"
#include "base/futex.h"
#include "base/lock.h"

/* Takes it if it is free. `mark`: WF_BITLOCK_SLEEPERS from somebody who has slept: others may still. */
static bool take(wf_au32 *word, uint32_t mark, uint32_t *state)
{
    uint32_t seen = wf_load_rlx(word);
    while ((seen & WF_BITLOCK_HELD) == 0) {
        *state = seen & ~WF_BITLOCK_MASK;
        if (wf_solo_cas32(word, &seen, seen | WF_BITLOCK_HELD | mark)) {
            return true;
        }
    }
    return false;
}

/* Sleeps until somebody gives it back, if it is still held. The mark is locked whoever makes it, as in lock.c. */
static void sleep_once(wf_au32 *word)
{
    uint32_t seen = wf_load_rlx(word);
    while ((seen & WF_BITLOCK_HELD) != 0) {
        uint32_t marked = seen | WF_BITLOCK_SLEEPERS;
        if (seen == marked || wf_cas_weak_acqrel(word, &seen, marked)) {
            wf_futex_wait(word, marked, wf_monotonic_ns() + WF_LOCK_NAP_NS);
            return;
        }
    }
}

uint32_t wf_bitlock_contended(wf_au32 *word)
{
    uint32_t state;
    int pauses = wf_lock_pauses();
    for (int i = 0; i < WF_LOCK_TRIES; i++) {
        wf_lock_back_off(pauses, i);
        if (take(word, 0, &state)) {
            return state;
        }
    }
    while (!take(word, WF_BITLOCK_SLEEPERS, &state)) {
        sleep_once(word);
    }
    return state;
}

void wf_bitunlock_contended(wf_au32 *word)
{
    wf_futex_wake(word, 1);
}

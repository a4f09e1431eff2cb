// SPDX-License-Identifier: MIT
/* lock.c - the slow half of the short lock. */
#include "base/lock.h"

#include "base/clock.h"
#include "base/futex.h"

/* Takes it, as one that others may sleep for, or marks that somebody does; false then. The mark is locked whoever makes
 * it (solo.h): the owner's store, which gives the lock back, may come at any moment. */
static bool take_or_mark(struct wf_lock *lock)
{
    uint32_t seen = wf_load_rlx(&lock->value);
    for (;;) {
        if (seen == 0) {
            if (wf_solo_cas32(&lock->value, &seen, 2U)) {
                return true;
            }
        } else if (seen == 2 || wf_cas_acqrel(&lock->value, &seen, 2U)) {
            return false;
        }
    }
}

/* A thread that found another lock held so shortly before does so again and again. */
enum { HOT_NS = 10000 };

static _Thread_local int64_t contended_ns;
static _Thread_local uint32_t contended_times;

uint32_t wf_lock_contentions(void)
{
    return contended_times;
}

int wf_lock_pauses(void)
{
    int64_t now_ns = wf_monotonic_ns();
    bool is_hot = now_ns - contended_ns < HOT_NS;
    contended_ns = now_ns;
    contended_times++;
    return is_hot ? WF_LOCK_PAUSES_HOT : WF_LOCK_PAUSES;
}

void wf_lock_contended(struct wf_lock *lock)
{
    int pauses = wf_lock_pauses();
    for (int i = 0; i < WF_LOCK_TRIES; i++) {
        wf_lock_back_off(pauses, i);
        if (wf_trylock(lock)) {
            return;
        }
    }
    /* From here on the value says 2, so that the owner knows that it must wake somebody. */
    while (!take_or_mark(lock)) {
        wf_futex_wait(&lock->value, 2, wf_monotonic_ns() + WF_LOCK_NAP_NS);
    }
}

void wf_unlock_contended(struct wf_lock *lock)
{
    wf_store_rel(&lock->value, 0U); /* nobody else changes it: it is marked already */
    wf_futex_wake(&lock->value, 1);
}

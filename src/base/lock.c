// SPDX-License-Identifier: MIT
/* lock.c - the slow half of the short lock. */
#include "base/lock.h"

#include "base/clock.h"
#include "base/futex.h"

void wf_lock_contended(struct wf_lock *lock)
{
    for (int spun = 0; spun < WF_LOCK_SPINS; spun += wf_lock_back_off(spun)) {
        if (spun > 0 && wf_trylock(lock)) {
            return;
        }
    }
    /* From here on the value says 2, so that the owner knows that it must wake somebody. */
    while (wf_swap_acq(&lock->value, 2U) != 0) {
        wf_futex_wait(&lock->value, 2, wf_monotonic_ns() + WF_LOCK_NAP_NS);
    }
}

void wf_unlock_contended(struct wf_lock *lock)
{
    wf_store_rel(&lock->value, 0U); /* nobody else changes it: it is marked already */
    wf_futex_wake(&lock->value, 1);
}

// SPDX-License-Identifier: MIT
/* lock.c - the slow half of the short lock. */
#include "base/lock.h"

#include "base/futex.h"

enum { SPINS = 60 }; /* about a microsecond of pauses: longer than any section it guards */

void wf_lock_contended(struct wf_lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        wf_relax();
        if (wf_trylock(lock)) {
            return;
        }
    }
    /* From here on the value says 2, so that the owner knows that it must wake somebody. */
    while (wf_swap_acq(&lock->value, 2U) != 0) {
        wf_futex_wait(&lock->value, 2, INT64_MAX);
    }
}

void wf_unlock_contended(struct wf_lock *lock)
{
    wf_futex_wake(&lock->value, 1);
}

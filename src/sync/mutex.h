// SPDX-License-Identifier: MIT
/* mutex.h - the inside of a mutex, for conditions and reports. */
#ifndef WF_SYNC_MUTEX_H
#define WF_SYNC_MUTEX_H

#include <weft/mutex.h>

#include "sync/waiters.h"

struct wf_mutex {
    wf_au32 word;   /* WF_MUTEX_* above the bit lock: any thread, CAS or under the lock (acq_rel) */
    uint32_t flags; /* WEFT_MUTEX_*: set before anybody else sees it */
    /* Token of the task that has it, 0 for nobody or an unowned one. The new owner stores it, or who
     * hands it over; who gives it back clears it first, so that nobody finds his own token in a mutex
     * that he does not have. Anybody loads: relaxed, a hint but to the task itself. */
    wf_au64 owner;
    struct wf_list waiters; /* under the bit lock */
};

enum {
    WF_MUTEX_HELD = 4,
    WF_MUTEX_QUEUED = 8, /* somebody is linked: the lock is needed */
    /* Simulation with seed 0: given to a waiter that has not run yet. It does not count as locked, but
     * nobody else gets it. */
    WF_MUTEX_HANDED = 16,
    WF_MUTEX_LEAVING = 32, /* one of those who are: the rest of the word is their number */
};

_Static_assert(sizeof(struct wf_mutex) <= sizeof(weft_mutex), "weft_mutex is too small");

static inline struct wf_mutex *wf_mutex_inside(const weft_mutex *mutex)
{
    return (struct wf_mutex *)(uintptr_t)mutex;
}

/* Locks it if nobody has it or waits for it: one CAS. */
static inline bool wf_mutex_take_free(struct wf_mutex *mutex, const weft_task *self)
{
    uint32_t seen = 0;
    if (!wf_solo_cas32(&mutex->word, &seen, (uint32_t)WF_MUTEX_HELD)) {
        return false;
    }
    if (WF_LIKELY((mutex->flags & WEFT_MUTEX_UNOWNED) == 0)) {
        wf_store_rlx(&mutex->owner, wf_task_token(self));
    }
    return true;
}

/* Locks it in a wait that the caller has begun. 0; -EDEADLK; -ECANCELED, not locked, when somebody else
 * has decided the wait. `site`: as for wf_door_park_from. */
int wf_mutex_wait(struct wf_mutex *mutex, struct wf_wait *wait, const void *site);

/* What weft_mutex_unlock does. */
int wf_mutex_give(struct wf_mutex *mutex);

/* Locked, and not by somebody else as far as one can know? */
bool wf_mutex_is_mine(struct wf_mutex *mutex, const weft_task *self);

/* Token of the owner of a weft_mutex, 0 if not known. Any thread. */
static inline uint64_t wf_mutex_owner(const void *mutex)
{
    return wf_load_rlx(&wf_mutex_inside(mutex)->owner);
}

#endif

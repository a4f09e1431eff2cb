// SPDX-License-Identifier: MIT
/* sem.c - a count in the word; who finds too few waits in a list with the number that he needs.
 *
 * Permits change hands at the release: the waiter that comes to has them already. A waiter that needs
 * more than there are keeps those behind it waiting, unless it has been cancelled.
 *
 * Simulation with seed 0 does as an event loop: a waiter that has its permits but has not run still counts
 * as one (`resuming`), so newcomers wait behind it, and when it runs it passes on what is left.
 */
#include <string.h>

#include <weft/sem.h>

#include "sync/waiters.h"

struct wf_sem {
    wf_au32
        word; /* free permits, QUEUED, the bit lock: any thread, CAS or under the lock (acq_rel) */
    uint32_t bound;         /* 0: WEFT_SEM_MAX. Set before anybody else sees it */
    struct wf_list waiters; /* of struct asker, under the bit lock */
    uint32_t resuming;      /* under the bit lock */
    uint32_t leaving;       /* under the bit lock */
};

enum {
    QUEUED = 4, /* somebody is linked, resuming or leaving: the lock is needed */
    COUNT_SHIFT = 3,
};

/* Of whoever waits. */
struct asker {
    struct wf_waiter waiter;
    uint32_t need;
};

_Static_assert(sizeof(struct wf_sem) <= sizeof(weft_sem), "weft_sem is too small");

static struct wf_sem *inside(const weft_sem *sem)
{
    return (struct wf_sem *)(uintptr_t)sem;
}

static uint32_t bound_of(const struct wf_sem *sem)
{
    return sem->bound == 0 ? WEFT_SEM_MAX : sem->bound;
}

int weft_sem_init(weft_sem *sem, uint32_t permits, uint32_t bound)
{
    uint32_t most = bound == 0 ? WEFT_SEM_MAX : bound;
    if (sem == NULL || permits > most || most > WEFT_SEM_MAX) {
        return -EINVAL;
    }
    memset(sem, 0, sizeof *sem);
    sem->reserved[0] = (uint64_t)permits << COUNT_SHIFT;
    inside(sem)->bound = bound;
    return 0;
}

/* ---- under the lock ---- */

static uint32_t state_of(const struct wf_sem *sem, uint32_t count)
{
    bool is_queued = sem->resuming > 0 || sem->leaving > 0 || !wf_waiters_is_empty(&sem->waiters);
    return count << COUNT_SHIFT | (is_queued ? (uint32_t)QUEUED : 0);
}

/* Gives permits to up to `most` of those who wait; what is left of `count`. */
static uint32_t grant(struct wf_sem *sem, uint32_t count, uint32_t most, struct wf_later *later)
{
    struct wf_waiter *at;
    while (count > 0 && most > 0 && (at = wf_waiters_first(&sem->waiters)) != NULL) {
        uint32_t need = WF_CONTAINER(at, struct asker, waiter)->need;
        bool has_turns = wf_has_turns(at->wait->task);
        if (need > count) {
            if (wf_wait_is_open(at->wait)) {
                break;
            }
            wf_waiters_set_aside(at, &sem->leaving);
        } else if (wf_waiters_grant(at, WF_GRANTED, &sem->leaving, later)) {
            count -= need;
            most--;
            sem->resuming += has_turns ? 1U : 0U;
        }
    }
    return count;
}

/* Takes them if nobody comes first, else queues `asker` unless it is NULL. */
static int enter(struct wf_sem *sem, uint32_t permits, struct asker *asker)
{
    uint32_t count = wf_bitlock(&sem->word) >> COUNT_SHIFT;
    bool is_free = count >= permits && sem->resuming == 0 &&
                   !wf_waiters_has_open(&sem->waiters, &sem->leaving);
    if (is_free) {
        count -= permits;
    } else if (asker != NULL) {
        wf_waiters_add(&sem->waiters, &asker->waiter);
    }
    wf_bitunlock(&sem->word, state_of(sem, count));
    return is_free ? 0 : -EAGAIN;
}

/* The waiter's wait is over. Whoever it kept waiting may go on. */
static void leave(struct wf_sem *sem, struct asker *asker, bool is_resuming)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t count = wf_bitlock(&sem->word) >> COUNT_SHIFT;
    wf_waiters_remove(&asker->waiter, &sem->leaving);
    sem->resuming -= is_resuming ? 1U : 0U;
    count = grant(sem, count, UINT32_MAX, &later);
    wf_bitunlock(&sem->word, state_of(sem, count));
    wf_later_run(&later);
}

/* ---- acquiring ---- */

/* Takes them while nobody waits. False: look under the lock. */
static bool take_free(struct wf_sem *sem, uint32_t permits)
{
    uint32_t seen = wf_load_rlx(&sem->word);
    while ((seen & (QUEUED | WF_BITLOCK_MASK)) == 0 && seen >> COUNT_SHIFT >= permits) {
        if (wf_solo_cas32(&sem->word, &seen, seen - (permits << COUNT_SHIFT))) {
            return true;
        }
    }
    return false;
}

static __attribute__((noinline)) int acquire_slowly(struct wf_sem *sem, weft_task *self,
                                                    uint32_t permits)
{
    struct wf_wait wait;
    struct asker asker = {.waiter = {.wait = &wait}, .need = permits};
    wf_wait_begin(&wait, self, WF_WAIT_SEM);
    wait.target = sem;
    wait.waiter = &asker.waiter;
    if (enter(sem, permits, &asker) == 0) {
        return 0;
    }
    enum wf_verdict verdict = wf_door_park_from(&wait, WF_GO_SITE);
    bool is_resuming = verdict == WF_GRANTED && wf_has_turns(self);
    if (verdict != WF_GRANTED || wait.was_early || is_resuming) {
        leave(sem, &asker, is_resuming);
    }
    return wf_go_return(verdict == WF_GRANTED ? 0 : -ECANCELED, WF_GO_SITE);
}

static bool can_ever_be(const weft_sem *sem, uint32_t permits)
{
    return sem != NULL && permits > 0 && permits <= bound_of(inside(sem));
}

/* After the door. */
static __attribute__((noinline)) int acquire_entered(struct wf_sem *sem, weft_task *self,
                                                     uint32_t permits)
{
    return take_free(sem, permits) ? 0 : acquire_slowly(sem, self, permits);
}

static __attribute__((noinline)) int acquire_anew(weft_sem *sem, uint32_t permits)
{
    int rc = 0;
    weft_task *self =
        wf_sync_enter(can_ever_be(sem, permits) ? sem : NULL, "weft_sem_acquire", &rc);
    return self != NULL ? acquire_entered(inside(sem), self, permits) : rc;
}

/* All that is rare is the last act, so that there is no frame. No more are free than there can ever be. */
WF_AT_LINE int weft_sem_acquire(weft_sem *sem, uint32_t permits)
{
    if (WF_UNLIKELY(sem == NULL) || WF_UNLIKELY(permits == 0)) {
        return acquire_anew(sem, permits);
    }
    struct wf_sem *s = inside(sem);
    uint32_t seen = wf_load_rlx(&s->word);
    if (WF_UNLIKELY((seen & (QUEUED | WF_BITLOCK_MASK)) != 0) ||
        WF_UNLIKELY(seen >> COUNT_SHIFT < permits)) {
        return acquire_anew(sem, permits);
    }
    weft_task *self = wf_door_enter_here(wf_here_quick());
    if (WF_UNLIKELY(self == NULL)) {
        return acquire_anew(sem, permits);
    }
    uint32_t left = seen - (permits << COUNT_SHIFT);
    return WF_LIKELY(wf_solo_cas32(&s->word, &seen, left)) ? 0 : acquire_entered(s, self, permits);
}

int weft_sem_try_acquire(weft_sem *sem, uint32_t permits)
{
    if (!can_ever_be(sem, permits)) {
        return -EINVAL;
    }
    struct wf_sem *s = inside(sem);
    return take_free(s, permits) ? 0 : enter(s, permits, NULL);
}

/* ---- releasing ---- */

static __attribute__((noinline)) int release_slowly(struct wf_sem *sem, uint32_t permits)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t count = wf_bitlock(&sem->word) >> COUNT_SHIFT;
    int rc = permits > bound_of(sem) - count ? -EOVERFLOW : 0;
    if (rc == 0) {
        count = grant(sem, count + permits, permits, &later);
    }
    wf_bitunlock(&sem->word, state_of(sem, count));
    wf_later_run(&later);
    return rc;
}

int weft_sem_release(weft_sem *sem, uint32_t permits)
{
    if (sem == NULL || permits == 0) {
        return -EINVAL;
    }
    struct wf_sem *s = inside(sem);
    uint32_t seen = wf_load_rlx(&s->word);
    while ((seen & (QUEUED | WF_BITLOCK_MASK)) == 0) {
        if (permits > bound_of(s) - (seen >> COUNT_SHIFT)) {
            return -EOVERFLOW;
        }
        if (wf_solo_cas32(&s->word, &seen, seen + (permits << COUNT_SHIFT))) {
            return 0;
        }
    }
    return release_slowly(s, permits);
}

uint32_t weft_sem_value(const weft_sem *sem)
{
    return sem == NULL ? 0 : wf_load_acq(&inside(sem)->word) >> COUNT_SHIFT;
}

int weft_sem_destroy(weft_sem *sem)
{
    if (sem == NULL) {
        return -EINVAL;
    }
    struct wf_sem *s = inside(sem);
    uint32_t busy = QUEUED | WF_BITLOCK_MASK;
    bool is_free = (wf_load_acq(&s->word) & busy) == 0;
    return is_free ? 0 : wf_waiters_refuse(__func__, sem, &s->word, &s->waiters);
}

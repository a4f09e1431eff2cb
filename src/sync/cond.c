// SPDX-License-Identifier: MIT
/* cond.c - two waits: for the news, and then for the mutex.
 *
 * The first is as any other. The second has been promised to end with the mutex locked, so a request does
 * not end it; a request that comes while it lasts is noted, and delivered once the mutex is held. One that
 * came before stays undelivered, as after any grant. Whoever returns -ECANCELED wakes another in his place:
 * the news may have been for him.
 *
 * Simulation with seed 0: as in asyncio, a request does end the second wait, which begins anew at the end
 * of the mutex's queue.
 */
#include <string.h>

#include <weft/cond.h>

#include "sync/mutex.h"

struct wf_cond {
    weft_mutex *mutex;      /* set before anybody else sees it */
    struct wf_list waiters; /* under the bit lock */
    wf_au32
        word; /* QUEUED above the bit lock: any thread, under the lock (acq_rel); looked at without */
    uint32_t leaving; /* under the bit lock */
};

enum {
    QUEUED = 4, /* somebody is linked or leaving */
};

_Static_assert(sizeof(struct wf_cond) <= sizeof(weft_cond), "weft_cond is too small");

static struct wf_cond *inside(const weft_cond *cond)
{
    return (struct wf_cond *)(uintptr_t)cond;
}

int weft_cond_init(weft_cond *cond, weft_mutex *mutex)
{
    if (cond == NULL || mutex == NULL) {
        return -EINVAL;
    }
    memset(cond, 0, sizeof *cond);
    cond->mutex = mutex;
    return 0;
}

static uint32_t state_of(const struct wf_cond *cond)
{
    bool is_empty = cond->leaving == 0 && wf_waiters_is_empty(&cond->waiters);
    return is_empty ? 0 : (uint32_t)QUEUED;
}

/* ---- notifying ---- */

static void notify(struct wf_cond *cond, size_t count)
{
    if (wf_load_acq(&cond->word) == 0) {
        return;
    }
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_bitlock(&cond->word);
    (void)wf_waiters_grant_some(&cond->waiters, count, WF_GRANTED, &cond->leaving, &later);
    wf_bitunlock(&cond->word, state_of(cond));
    wf_later_run(&later);
}

int weft_cond_notify(weft_cond *cond, size_t count)
{
    if (cond == NULL || cond->mutex == NULL) {
        return -EINVAL;
    }
    if (!weft_mutex_is_locked(cond->mutex)) {
        wf_misuse(-EPERM, "weft_cond_notify", cond, "", 0, "its mutex is not locked");
        return -EPERM;
    }
    notify(inside(cond), count);
    return 0;
}

int weft_cond_notify_all(weft_cond *cond)
{
    return weft_cond_notify(cond, SIZE_MAX);
}

/* ---- waiting ---- */

/* Waits for the news, without the mutex. Linked before the mutex is given up: no notification of the next
 * owner is missed. */
static enum wf_verdict wait_for_news(struct wf_cond *cond, weft_task *self, const void *site)
{
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_take(seat, self, WF_WAIT_COND, cond);
    (void)wf_bitlock(&cond->word);
    wf_waiters_add(&cond->waiters, &seat->waiter);
    wf_bitunlock(&cond->word, QUEUED);
    (void)wf_mutex_give(wf_mutex_inside(cond->mutex));
    enum wf_verdict verdict = wf_door_park_from(&seat->wait, site);
    if (verdict != WF_GRANTED || seat->wait.was_early) {
        (void)wf_bitlock(&cond->word);
        wf_waiters_remove(&seat->waiter, &cond->leaving);
        wf_bitunlock(&cond->word, state_of(cond));
    }
    return verdict;
}

/* The wait for the mutex. */
struct regain {
    struct wf_wait wait;
    uint32_t undelivered; /* as it began */
    bool is_told; /* a request came while it lasted. Written while WF_BUSY, as wait.handed_on is */
};

/* Takes no request; one that is new is noted. */
static bool note_request(struct wf_wait *wait, struct wf_later *later)
{
    struct regain *regain = WF_CONTAINER(wait, struct regain, wait);
    if (wait->taken > regain->undelivered) {
        regain->is_told = true;
        if (wf_has_turns(wait->task)) {
            (void)wf_wait_claim(wait, WF_CLOSED, later);
        }
    }
    return false;
}

/* Delivers what has been noted, if it has not been taken back. */
static bool deliver(const struct regain *regain, weft_task *self)
{
    if (!regain->is_told || !wf_state_observe(&self->word)) {
        return false;
    }
    wf_bump_own(&wf_here()->counters.delivered, 1);
    return true;
}

/* Locks the mutex, whatever comes. True: a request that came meanwhile was delivered. */
static bool lock_again(struct wf_mutex *mutex, weft_task *self)
{
    bool is_cancelled = false;
    int rc = wf_mutex_take_free(mutex, self) ? 0 : -ECANCELED;
    while (rc != 0) {
        struct regain regain = {.is_told = false};
        wf_wait_begin(&regain.wait, self, WF_WAIT_MUTEX);
        regain.wait.hand_on = note_request;
        regain.undelivered = wf_word_undelivered(wf_load_acq(&self->word));
        rc = wf_mutex_wait(mutex, &regain.wait, NULL);
        is_cancelled = deliver(&regain, self) || is_cancelled;
    }
    return is_cancelled;
}

int weft_cond_wait(weft_cond *cond)
{
    int rc = 0;
    bool is_ready = cond != NULL && cond->mutex != NULL;
    weft_task *self = wf_sync_enter(is_ready ? cond : NULL, __func__, &rc);
    if (self == NULL) {
        return rc;
    }
    struct wf_mutex *mutex = wf_mutex_inside(cond->mutex);
    if (!wf_mutex_is_mine(mutex, self)) {
        wf_misuse(-EPERM, __func__, cond, "but by", wf_mutex_owner(mutex),
                  "its mutex is not locked by the caller");
        return -EPERM;
    }
    bool is_cancelled = wait_for_news(inside(cond), self, WF_GO_SITE) != WF_GRANTED;
    is_cancelled = lock_again(mutex, self) || is_cancelled;
    if (is_cancelled) {
        notify(inside(cond), 1);
    }
    return wf_go_return(is_cancelled ? -ECANCELED : 0, WF_GO_SITE);
}

int weft_cond_destroy(weft_cond *cond)
{
    if (cond == NULL) {
        return -EINVAL;
    }
    struct wf_cond *c = inside(cond);
    bool is_free = wf_load_acq(&c->word) == 0;
    return is_free ? 0 : wf_waiters_refuse(__func__, cond, &c->word, &c->waiters);
}

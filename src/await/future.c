// SPDX-License-Identifier: MIT
/* future.c - a lock, a result, a list of waiters. */
#include <errno.h>
#include <string.h>

#include <weft/future.h>

#include "await/door.h"
#include "await/future.h"

/* Zeroed memory is a pending future: an unlinked list head counts as empty. */
struct wf_future {
    struct wf_lock lock;
    wf_au32 state;   /* weft_state: stored (release) under lock, loaded (acquire) by anybody */
    intptr_t result; /* before state leaves WEFT_PENDING */
    struct wf_list waiters; /* under lock */
};

_Static_assert(sizeof(struct wf_future) <= sizeof(weft_future), "weft_future is too small");

static struct wf_future *inside(const weft_future *future)
{
    return (struct wf_future *)(uintptr_t)future;
}

int weft_future_init(weft_future *future)
{
    if (future == NULL) {
        return -EINVAL;
    }
    memset(future, 0, sizeof *future);
    return 0;
}

/* Nearly always: one task waits, and has parked. Grants its wait: the task, to be queued once the lock has been given
 * back. NULL: nothing has been done. */
static inline weft_task *grant_only(struct wf_future *f, const struct wf_worker *worker)
{
    struct wf_list *link = f->waiters.next;
    if (worker == NULL || link == NULL || link == &f->waiters || link != f->waiters.prev) {
        return NULL;
    }
    wf_sent_fetch(worker, link);
    const struct wf_waiter *waiter = WF_CONTAINER(link, struct wf_waiter, link);
    if (waiter->notify != NULL) {
        return NULL;
    }
    weft_task *task = waiter->wait->task;
    if (!wf_state_grant_parked(&task->word, wf_load_rlx(&waiter->wait->epoch))) {
        return NULL;
    }
    wf_list_remove(link);
    return task;
}

/* The completed future may go as soon as its waiters run, which is after the lock: see wf_future's
 * waiter below. */
static int complete(weft_future *future, weft_state state, intptr_t result)
{
    struct wf_future *f = inside(future);
    struct wf_worker *worker = wf_here();
    worker = wf_running_on(worker) != NULL ? worker : NULL;
    struct wf_later later;
    wf_later_init(&later);
    weft_task *woken = NULL;
    wf_lock(&f->lock);
    bool is_first = wf_load_rlx(&f->state) == WEFT_PENDING;
    const struct wf_list *first = f->waiters.next;
    if (is_first) {
        f->result = result;
        wf_store_rel(&f->state, (uint32_t)state);
        woken = grant_only(f, worker);
        if (woken == NULL && first != NULL) {
            wf_waiter_grant_all(&f->waiters, WF_GRANTED, &later);
        }
    }
    wf_unlock(&f->lock);
    if (woken != NULL) {
        wf_sched_send(worker, woken, future, first);
    } else {
        wf_later_run(&later);
    }
    return is_first ? 0 : -EALREADY;
}

int weft_future_set(weft_future *future, intptr_t value)
{
    return future == NULL || weft_is_error(value) ? -EINVAL : complete(future, WEFT_OK, value);
}

int weft_future_fail(weft_future *future, int error)
{
    return future == NULL || !weft_is_error(error) ? -EINVAL : complete(future, WEFT_ERROR, error);
}

int weft_future_cancel(weft_future *future)
{
    if (future == NULL) {
        return -EINVAL;
    }
    return complete(future, WEFT_CANCELLED, -ECANCELED) == 0 ? 1 : 0;
}

weft_state weft_future_state(const weft_future *future)
{
    return future == NULL ? WEFT_PENDING : (weft_state)wf_load_acq(&inside(future)->state);
}

int weft_future_result(const weft_future *future, intptr_t *result)
{
    if (future == NULL || result == NULL) {
        return -EINVAL;
    }
    if (weft_future_state(future) == WEFT_PENDING) {
        return -EAGAIN;
    }
    *result = inside(future)->result;
    return 0;
}

bool wf_future_watch(weft_future *future, struct wf_waiter *waiter)
{
    struct wf_future *f = inside(future);
    wf_lock(&f->lock);
    bool is_pending = wf_load_rlx(&f->state) == WEFT_PENDING;
    if (is_pending) {
        if (f->waiters.next == NULL) {
            wf_list_init(&f->waiters);
        }
        wf_list_push(&f->waiters, &waiter->link);
    }
    wf_unlock(&f->lock);
    return is_pending;
}

void wf_future_unwatch(weft_future *future, struct wf_waiter *waiter)
{
    struct wf_future *f = inside(future);
    wf_lock(&f->lock);
    wf_list_remove(&waiter->link);
    wf_unlock(&f->lock);
}

bool wf_future_is_over(weft_future *future)
{
    struct wf_future *f = inside(future);
    if (wf_load_acq(&f->state) == WEFT_PENDING) {
        return false;
    }
    wf_lock(&f->lock);
    wf_unlock(&f->lock);
    return true;
}

int weft_future_await(weft_future *future, intptr_t *result)
{
    int rc = 0;
    weft_task *self = wf_door_running(wf_here());
    if (__builtin_expect(self == NULL || future == NULL, 0)) {
        return wf_fiber_worker(&rc) == NULL ? rc : -EINVAL;
    }
    rc = wf_door_enter_quickly(self, __func__);
    if (rc < 0) {
        return rc;
    }
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_take(seat, self, WF_WAIT_FUTURE, future);
    /* By the lock even when it is complete: the future may go once this returns, and a setter may still
     * hold the lock. */
    bool waits = wf_future_watch(future, &seat->waiter);
    if (waits) {
        enum wf_verdict verdict = wf_door_park_here(&seat->wait, WF_GO_SITE);
        if (verdict != WF_GRANTED || seat->wait.was_early) {
            /* and out of a setter's lock, before the future may go */
            wf_future_unwatch(future, &seat->waiter);
        }
        rc = verdict == WF_GRANTED ? 0 : -ECANCELED;
    }
    if (rc == 0 && result != NULL) {
        *result = inside(future)->result;
    }
    return waits ? wf_go_return(rc, WF_GO_SITE) : rc;
}

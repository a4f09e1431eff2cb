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

/* One task waits, and has parked: grants its wait. NULL: somebody else waits; nothing has been done. */
static inline weft_task *grant_only(struct wf_future *f, const struct wf_worker *worker,
                                    struct wf_list *link)
{
    if (WF_UNLIKELY(link != f->waiters.prev)) {
        return NULL;
    }
    wf_sent_fetch(worker, link);
    const struct wf_waiter *waiter = WF_CONTAINER(link, struct wf_waiter, link);
    if (WF_UNLIKELY(waiter->notify != NULL)) {
        return NULL;
    }
    weft_task *task = waiter->wait->task;
    WF_HOLDS(task != NULL);
    if (WF_UNLIKELY(!wf_state_grant_parked(&task->word, wf_load_rlx(&waiter->wait->epoch)))) {
        return NULL;
    }
    wf_list_remove(link);
    return task;
}

/* The completed future may go as soon as its waiters run, which is after the lock: see wf_future's
 * waiter below. */
static __attribute__((noinline)) int complete_slowly(struct wf_future *f, weft_state state,
                                                     intptr_t result)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&f->lock);
    bool is_first = wf_load_rlx(&f->state) == WEFT_PENDING;
    if (is_first) {
        f->result = result;
        wf_store_rel(&f->state, (uint32_t)state);
        if (f->waiters.next != NULL) {
            wf_waiter_grant_all(&f->waiters, WF_GRANTED, &later);
        }
    }
    wf_unlock(&f->lock);
    wf_later_run(&later);
    return is_first ? 0 : -EALREADY;
}

/* The same for who has found that it is not as nearly always. Under the lock. */
static __attribute__((noinline)) int unlock_and_complete(struct wf_future *f, weft_state state,
                                                         intptr_t result)
{
    wf_unlock(&f->lock);
    return complete_slowly(f, state, result);
}

/* Completed, and one task granted, NULL for none, under a lock that is marked. */
static __attribute__((noinline)) int unlock_and_wake(struct wf_future *f, weft_task *woken)
{
    wf_unlock(&f->lock);
    return woken != NULL ? wf_sched_wake_slowly(woken) : 0;
}

/* Nearly always: on a fiber, and one task waits, or none. Without a frame: what is rare is its last act. */
static int complete(struct wf_future *f, weft_state state, intptr_t result)
{
    struct wf_worker *worker = wf_here_quick();
    if (WF_UNLIKELY(wf_load_rlx(&worker->running) == &wf_no_task) ||
        WF_UNLIKELY(!wf_lock_quickly(&f->lock))) {
        return complete_slowly(f, state, result);
    }
    struct wf_list *first = f->waiters.next;
    bool has_waiters = first != NULL && first != &f->waiters;
    weft_task *woken = NULL;
    if (WF_UNLIKELY(wf_load_rlx(&f->state) != WEFT_PENDING) ||
        (WF_LIKELY(has_waiters) && (woken = grant_only(f, worker, first)) == NULL)) {
        return unlock_and_complete(f, state, result);
    }
    f->result = result;
    wf_store_rel(&f->state, (uint32_t)state);
    if (WF_UNLIKELY(!wf_unlock_quickly(&f->lock))) {
        return unlock_and_wake(f, woken);
    }
    return woken != NULL ? wf_sched_send(worker, woken, f, first) : 0;
}

int weft_future_set(weft_future *future, intptr_t value)
{
    return future == NULL || weft_is_error(value) ? -EINVAL
                                                  : complete(inside(future), WEFT_OK, value);
}

int weft_future_fail(weft_future *future, int error)
{
    return future == NULL || !weft_is_error(error) ? -EINVAL
                                                   : complete(inside(future), WEFT_ERROR, error);
}

int weft_future_cancel(weft_future *future)
{
    if (future == NULL) {
        return -EINVAL;
    }
    return complete(inside(future), WEFT_CANCELLED, -ECANCELED) == 0 ? 1 : 0;
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

static inline __attribute__((always_inline)) bool watch(struct wf_future *f,
                                                        struct wf_waiter *waiter)
{
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

bool wf_future_watch(weft_future *future, struct wf_waiter *waiter)
{
    return watch(inside(future), waiter);
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

/* In a call that has entered. */
static __attribute__((noinline)) int await_entered(weft_task *self, weft_future *future,
                                                   intptr_t *result)
{
    struct wf_seat *seat = wf_seat_own(self);
    struct wf_seat *at = wf_shortly(seat);
    weft_future *awaited = wf_shortly(future);
    wf_seat_take(at, self, WF_WAIT_FUTURE, awaited);
    /* By the lock even when it is complete: the future may go once this returns, and a setter may still
     * hold the lock. */
    bool waits = watch(inside(awaited), &at->waiter);
    if (waits) {
        enum wf_verdict verdict = wf_door_park_here(&seat->wait, self, WF_GO_SITE);
        if (WF_UNLIKELY(verdict != WF_GRANTED) || WF_UNLIKELY(seat->wait.was_early)) {
            /* and out of a setter's lock, before the future may go */
            wf_future_unwatch(future, &seat->waiter);
        }
        if (WF_UNLIKELY(verdict != WF_GRANTED)) {
            return -ECANCELED;
        }
    }
    if (result != NULL) {
        *result = inside(future)->result;
    }
    return waits ? wf_go_return(0, WF_GO_SITE) : 0;
}

static __attribute__((noinline)) int await_slowly(weft_future *future, intptr_t *result,
                                                  const char *call)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || future == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_enter(self, call);
    return rc == 0 ? await_entered(self, future, result) : rc;
}

int weft_future_await(weft_future *future, intptr_t *result)
{
    weft_task *self = WF_LIKELY(future != NULL) ? wf_door_enter_here(wf_here_quick()) : NULL;
    return WF_LIKELY(self != NULL) ? await_entered(self, future, result)
                                   : await_slowly(future, result, __func__);
}

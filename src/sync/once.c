// SPDX-License-Identifier: MIT
/* once.c - the first runs the function, the others wait; an error makes the next one the first.
 *
 * The function runs on its caller's fiber without any lock, so it may await, be cancelled, take its time.
 */
#include <weft/once.h>

#include "sync/once.h"
#include "sync/waiters.h"

struct wf_once {
    wf_au32
        word; /* DONE, RUNNING, QUEUED above the bit lock: any thread, under the lock (acq_rel) */
    uint32_t leaving; /* under the bit lock */
    /* Token of whoever is at it: that task, or who makes it the next, stores under the lock. Anybody
     * loads: relaxed, a hint but to the task itself. */
    wf_au64 owner;
    struct wf_list waiters; /* of struct follower, under the bit lock */
};

enum {
    DONE = 4,
    RUNNING = 8,
    QUEUED = 16, /* somebody is linked or leaving */
};

struct follower {
    struct wf_waiter waiter;
    bool is_next; /* granted: it is the first now. Else it has been done. Under the lock */
};

_Static_assert(sizeof(struct wf_once) <= sizeof(weft_once), "weft_once is too small");

static struct wf_once *inside(const weft_once *once)
{
    return (struct wf_once *)(uintptr_t)once;
}

static uint32_t with_queue(const struct wf_once *once, uint32_t state)
{
    bool is_empty = once->leaving == 0 && wf_waiters_is_empty(&once->waiters);
    return is_empty ? state : state | (uint32_t)QUEUED;
}

/* 0: done. 1: the caller is to do it. -EDEADLK. -EAGAIN: linked. */
static int enter(struct wf_once *once, uint64_t token, struct follower *follower)
{
    uint32_t state = wf_bitlock(&once->word) & (DONE | RUNNING);
    int rc = 0;
    if (state == 0) {
        wf_store_rlx(&once->owner, token);
        state = RUNNING;
        rc = 1;
    } else if (state == RUNNING && wf_load_rlx(&once->owner) == token) {
        rc = -EDEADLK;
    } else if (state == RUNNING) {
        wf_waiters_add(&once->waiters, &follower->waiter);
        rc = -EAGAIN;
    }
    wf_bitunlock(&once->word, with_queue(once, state));
    return rc;
}

/* Makes the first that can the next to do it; the new state. Under the lock. */
static uint32_t hand_over(struct wf_once *once, struct wf_later *later)
{
    struct wf_waiter *at;
    while ((at = wf_waiters_first(&once->waiters)) != NULL) {
        uint64_t token = wf_task_token(at->wait->task);
        WF_CONTAINER(at, struct follower, waiter)->is_next = true;
        if (wf_waiters_grant(at, WF_GRANTED, &once->leaving, later)) {
            wf_store_rlx(&once->owner, token);
            return RUNNING;
        }
    }
    return 0;
}

static int run(struct wf_once *once, int (*fn)(void *arg), void *arg)
{
    struct wf_later later;
    int rc = fn(arg);
    wf_later_init(&later);
    (void)wf_bitlock(&once->word);
    wf_store_rlx(&once->owner, UINT64_C(0));
    uint32_t state = DONE;
    if (rc < 0) {
        state = hand_over(once, &later);
    } else {
        (void)wf_waiters_grant_some(&once->waiters, SIZE_MAX, WF_GRANTED, &once->leaving, &later);
    }
    wf_bitunlock(&once->word, with_queue(once, state));
    wf_later_run(&later);
    return rc < 0 ? rc : 0;
}

static void list_runner(const struct wf_wait *wait, wf_each *each, void *arg)
{
    each(wf_once_owner(wait->target), arg);
}

/* As enter, but for -EAGAIN, which has become -ECANCELED or one of the others. */
static int come(struct wf_once *once, weft_task *self)
{
    struct wf_wait wait;
    struct follower follower = {.waiter = {.wait = &wait}};
    wf_wait_begin(&wait, self, WF_WAIT_ONCE);
    wait.target = once;
    wait.waiter = &follower.waiter;
    wait.list = list_runner;
    int rc = enter(once, wf_task_token(self), &follower);
    if (rc != -EAGAIN) {
        return rc;
    }
    enum wf_verdict verdict = wf_door_park(&wait);
    if (verdict != WF_GRANTED || wait.was_early) {
        uint32_t state = wf_bitlock(&once->word) & (DONE | RUNNING);
        wf_waiters_remove(&follower.waiter, &once->leaving);
        wf_bitunlock(&once->word, with_queue(once, state));
    }
    return verdict != WF_GRANTED ? -ECANCELED : follower.is_next ? 1 : 0;
}

int weft_once_run(weft_once *once, int (*fn)(void *arg), void *arg)
{
    int rc = 0;
    weft_task *self = wf_sync_enter(fn != NULL ? once : NULL, __func__, &rc);
    if (self == NULL) {
        return rc;
    }
    struct wf_once *o = inside(once);
    if (wf_load_acq(&o->word) == DONE) {
        return 0;
    }
    rc = come(o, self);
    if (rc == -EDEADLK) {
        wf_misuse(rc, __func__, once, "", 0, "from within its function");
    }
    return rc == 1 ? run(o, fn, arg) : rc;
}

bool weft_once_is_done(const weft_once *once)
{
    return once != NULL && (wf_load_acq(&inside(once)->word) & DONE) != 0;
}

uint64_t wf_once_owner(const void *once)
{
    return wf_load_rlx(&inside(once)->owner);
}

// SPDX-License-Identifier: MIT
/* join.c - waiting for one task, with the request handed on or kept. */
#include <errno.h>

#include <weft/task.h>

#include "await/cycle.h"
#include "await/door.h"
#include "base/futex.h"

/* A request to the joiner goes to the task that it joins; one that has ended refuses, and the request
 * stays for the joiner's next await point. */
static bool hand_to_task(struct wf_wait *wait, struct wf_later *later)
{
    weft_task *target = (weft_task *)(uintptr_t)wait->target;
    return wf_cancel(target, 1, wf_cancel_cause(wait->task), later) == 1;
}

static void list_joined(const struct wf_wait *wait, wf_each *each, void *arg)
{
    each(wf_task_token(wait->target), arg);
}

/* A request went on to the task while it was to be run inside, which somebody else was faster to start
 * (inside.c). */
static bool take_handed(weft_task *self)
{
    return __builtin_expect((wf_load_acq(&self->word) & WF_HANDED) != 0, 0) &&
           (wf_solo_and64(&self->word, ~WF_HANDED) & WF_HANDED) != 0;
}

/* The task has ended: what the plain join returns. */
static __attribute__((noinline)) int tell(weft_task *self, weft_task *task, bool was_handed)
{
    if (!was_handed || wf_word_life(wf_load_acq(&task->word)) != WF_CANCELLED) {
        return 0;
    }
    wf_state_set(&self->word, WF_TOLD);
    return -ECANCELED;
}

/* The wait has begun, and may have been decided: nobody will park in it. */
static __attribute__((noinline)) int refuse_cycle(weft_task *self, weft_task *task,
                                                  struct wf_waiter *waiter, bool was_handed)
{
    wf_task_unwatch(task, waiter);
    if (was_handed) {
        wf_state_rearm(&self->word); /* it goes back to the joiner */
    }
    return -EDEADLK;
}

/* The wait is over, and was decided early, or a request went on to the task. */
static __attribute__((noinline)) int come_back(weft_task *self, weft_task *task)
{
    struct wf_seat *seat = wf_task_seat(self);
    if (seat->wait.was_early) {
        wf_task_unwatch(task, &seat->waiter); /* the finisher may still hold the lock */
    }
    return tell(self, task, seat->wait.handed_on);
}

static inline __attribute__((always_inline)) int wait_plainly(weft_task *self, weft_task *task,
                                                              bool was_handed, const void *site)
{
    struct wf_seat *at = wf_seat_own(self);
    weft_task *joined = wf_shortly(task);
    wf_seat_begin(at, self, WF_WAIT_JOIN, joined);
    at->wait.hand_on = hand_to_task;
    at->wait.list = list_joined;
    at->wait.handed_on = was_handed; /* kept there: over a switch it would lie in the frame, too */
    wf_cycle_join(self, joined);
    if (wf_task_watch_here(joined, &at->waiter)) {
        if (wf_cycle_closes(self, joined)) {
            return refuse_cycle(self, task, &at->waiter, at->wait.handed_on);
        }
        (void)wf_door_park_here(&at->wait, self, site);
    }
    weft_task *again = wf_shortly(self);
    const struct wf_wait *wait = &wf_task_seat(again)->wait;
    wf_cycle_leave_join(again);
    return WF_UNLIKELY(wait->handed_on || wait->was_early) ? come_back(self, task) : 0;
}

static void grant_in_turn(struct wf_waiter *waiter, struct wf_later *later)
{
    (void)wf_wait_claim(waiter->wait, WF_GRANTED, later);
}

static int wait_shielded(weft_task *self, weft_task *task)
{
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_begin(seat, self, WF_WAIT_JOIN, task);
    seat->wait.list = list_joined;
    seat->waiter.is_queued = wf_has_turns(self);
    seat->waiter.notify = seat->waiter.is_queued ? grant_in_turn : NULL;
    if (!wf_task_watch(task, &seat->waiter)) {
        return 0;
    }
    enum wf_verdict verdict = wf_door_park(&seat->wait);
    if (verdict != WF_GRANTED || seat->wait.was_early) {
        wf_task_unwatch(task, &seat->waiter);
        wf_door_forget(self, &seat->waiter);
    }
    if (verdict != WF_GRANTED && wf_word_has_ended(wf_load_acq(&task->word))) {
        wf_state_set(&task->word, WF_SEEN); /* it failed in the moment in which we were cancelled */
    }
    return verdict == WF_GRANTED ? 0 : -ECANCELED;
}

/* What weft_drop does: nearly always the last handle of a task of this runtime. */
static inline void drop_joined(weft_task *task)
{
    struct wf_worker *worker = wf_here();
    bool is_near = wf_runtime_of(task) == worker->runtime;
    if (WF_UNLIKELY(!is_near || !wf_task_drop_ended(task, &worker->tasks))) {
        weft_drop(task);
    }
}

/* The task has ended. */
static inline int join_ended(weft_task *self, weft_task *task, intptr_t *result, bool drops,
                             bool was_handed)
{
    int rc = WF_UNLIKELY(was_handed) ? tell(self, task, true) : 0;
    wf_task_look(task, result);
    if (drops) {
        drop_joined(task);
    }
    return rc;
}

static __attribute__((noinline)) int join_waiting(weft_task *self, weft_task *task,
                                                  intptr_t *result, bool drops, bool was_handed)
{
    int rc = wait_plainly(self, task, was_handed, WF_GO_SITE);
    if (WF_UNLIKELY(rc == -EDEADLK)) {
        return rc;
    }
    weft_task *ended = wf_shortly(task);
    wf_task_look(ended, result);
    if (drops) {
        drop_joined(ended);
    }
    return wf_go_return(rc, WF_GO_SITE);
}

/* Its budget has been spent. */
static inline __attribute__((always_inline)) int join_spent(weft_task *self, weft_task *task,
                                                            intptr_t *result, bool drops,
                                                            bool was_handed)
{
    if (WF_UNLIKELY(task == self)) {
        return -EDEADLK;
    }
    return wf_word_has_ended(wf_load_acq(&task->word))
               ? join_ended(self, task, result, drops, was_handed)
               : join_waiting(self, task, result, drops, was_handed);
}

/* Without a frame: which way it goes is seen first. */
int wf_join_passed(weft_task *self, weft_task *task, intptr_t *result, bool drops)
{
    return join_spent(self, task, result, drops, false);
}

int wf_join_plainly(weft_task *self, weft_task *task, intptr_t *result, bool drops,
                    const char *call)
{
    if (wf_door_is_shut(self)) {
        return -EPERM;
    }
    wf_door_spend_here(self, call);
    bool was_handed = take_handed(self);
    wf_door_hand_on_first(self);
    return join_spent(self, task, result, drops, was_handed);
}

static int join_shielded(weft_task *self, weft_task *task, intptr_t *result, const char *call)
{
    int rc = wf_door_enter(self, call);
    if (rc == 0 && task == self) {
        return -EDEADLK;
    }
    if (rc == 0 && !wf_word_has_ended(wf_load_acq(&task->word))) {
        rc = wait_shielded(self, task);
    }
    if (rc == 0) {
        wf_task_look(task, result);
    }
    return rc;
}

int wf_join(weft_task *task, intptr_t *result, bool is_shielded, const char *call)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || task == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    return is_shielded ? join_shielded(self, task, result, call)
                       : wf_join_plainly(self, task, result, false, call);
}

int weft_join_shielded(weft_task *task, intptr_t *result)
{
    return wf_join(task, result, true, __func__);
}

/* ---- plain threads ---- */

struct thread_waiter {
    struct wf_waiter waiter;
    wf_au32 done; /* finisher stores (release) under the task's lock, the thread loads (acquire) */
};

static void wake_thread(struct wf_waiter *waiter, struct wf_later *later)
{
    (void)later;
    struct thread_waiter *thread = WF_CONTAINER(waiter, struct thread_waiter, waiter);
    wf_store_rel(&thread->done, 1U);
    wf_futex_wake(&thread->done, 1);
}

int weft_thread_join(weft_task *task, int64_t delay_ns, intptr_t *result)
{
    if (task == NULL) {
        return -EINVAL;
    }
    if (wf_runtime_is_forked(wf_runtime_of(task))) {
        return -ECHILD;
    }
    if (wf_here() != NULL) {
        return -EDEADLK;
    }
    int64_t deadline_ns = wf_deadline_after(wf_monotonic_ns(), delay_ns);
    struct thread_waiter thread = {.waiter.notify = wake_thread};
    bool timed_out = false;
    if (wf_task_watch(task, &thread.waiter)) {
        while (wf_load_acq(&thread.done) == 0 && !timed_out) {
            wf_futex_wait(&thread.done, 0, deadline_ns);
            timed_out = deadline_ns != WF_FOREVER && wf_monotonic_ns() >= deadline_ns;
        }
        /* Also when done: the finisher has left this frame once it has left the lock. */
        wf_task_unwatch(task, &thread.waiter);
    }
    if (!wf_word_has_ended(wf_load_acq(&task->word))) {
        return -ETIMEDOUT;
    }
    wf_task_look(task, result);
    return 0;
}

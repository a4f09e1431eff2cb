// SPDX-License-Identifier: MIT
/* several.c - waiting for several tasks: gather (requests are handed on to them) and wait (private).
 *
 * One waiter per task; each finisher counts down and, when the condition holds, claims the one wait.
 * The caller may have to wait again (a gather that was cancelled waits for all), so a finisher may
 * come with a claim that no longer matters: it loses, or costs one more look. Before the call returns
 * every waiter is done with, or has been unlinked under its task's lock, so no finisher is in the frame any more.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/gather.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "await/cycle.h"
#include "await/door.h"

enum { INLINE_WAITERS = 16, NOBODY_FAILED = -1 };

struct member {
    struct wf_waiter waiter;
    struct several *all;
    int64_t index;
    /* Nobody is at it any more, nor will be: whoever tells of the end stores (release) as its last touch of the call's frame,
     * the task loads (acquire). */
    wf_au8 is_done;
};

struct several {
    struct wf_wait wait;
    struct wf_edges edges; /* the tasks; published while it gathers */
    weft_wait_when when;   /* WEFT_WAIT_FIRST_ERROR here counts a cancelled task as gather asks */
    bool cancelled_is_error;
    /* Set by the canceller under the waiting task's lock (release), read by finishers and the task. */
    wf_au32 must_see_all;
    bool had_failed;   /* before the first request was handed on: under that lock */
    wf_ai64 remaining; /* finishers subtract (seq_cst) before they read the wait's epoch */
    wf_ai64 failed;    /* index of the first error: finishers and the first canceller, CAS */
    struct member *members;
    struct member inline_members[INLINE_WAITERS];
};

static bool is_over(const struct several *all)
{
    if (wf_load_sc(&all->remaining) == 0) {
        return true;
    }
    if (wf_load_acq(&all->must_see_all) != 0) {
        return false;
    }
    switch (all->when) {
    case WEFT_WAIT_FIRST_DONE:
        return wf_load_sc(&all->remaining) < (int64_t)all->edges.count;
    case WEFT_WAIT_FIRST_ERROR:
        return wf_load_sc(&all->failed) != NOBODY_FAILED;
    case WEFT_WAIT_ALL:
        break;
    }
    return false;
}

static void note_failed(struct several *all, int64_t index)
{
    int64_t nobody = NOBODY_FAILED;
    (void)wf_cas_sc(&all->failed, &nobody, index);
}

static bool has_failed(const struct several *all, size_t index)
{
    enum wf_life life = wf_word_life(wf_load_acq(&all->edges.tasks[index]->word));
    return life == WF_ERROR || (life == WF_CANCELLED && all->cancelled_is_error);
}

static bool is_error(const struct several *all, int64_t index)
{
    return wf_word_life(wf_load_acq(&all->edges.tasks[index]->word)) == WF_ERROR;
}

/* Of those that have failed the one whose finisher comes first, as far as turns tell; else an error. */
static int64_t first_failed_of(const struct several *all)
{
    int64_t first = NOBODY_FAILED;
    uint64_t first_turn = 0;
    for (int64_t i = 0; i < (int64_t)all->edges.count; i++) {
        uint64_t turn = all->members[i].waiter.turn - 1; /* without one it is the last */
        if (!has_failed(all, (size_t)i)) {
            continue;
        }
        if (first == NOBODY_FAILED || turn < first_turn ||
            (turn == first_turn && is_error(all, i) && !is_error(all, first))) {
            first = i;
            first_turn = turn;
        }
    }
    return first;
}

/* Of a gather: what is noted here is decided, before its finisher comes and after (hand_to_all). */
static bool is_decided(const struct wf_edges *edges, bool is_thorough)
{
    struct several *all = WF_CONTAINER(edges, struct several, edges);
    bool may_be = all->when == WEFT_WAIT_FIRST_ERROR && wf_load_acq(&all->must_see_all) == 0;
    int64_t failed = is_thorough && may_be ? first_failed_of(all) : NOBODY_FAILED;
    if (failed != NOBODY_FAILED) {
        note_failed(all, failed);
    }
    return is_over(all);
}

static void count_down(struct several *all, struct member *member)
{
    if (has_failed(all, (size_t)member->index)) {
        note_failed(all, member->index);
    }
    (void)wf_sub_sc(&all->remaining, 1);
}

/* A task has ended; under its lock. */
static void on_end(struct wf_waiter *waiter, struct wf_later *later)
{
    struct member *member = WF_CONTAINER(waiter, struct member, waiter);
    struct several *all = member->all;
    count_down(all, member);
    wf_fence_after_rmw(); /* pairs with wait_once: it stores the epoch, then reads the counts */
    if (is_over(all)) {
        (void)wf_wait_claim(&all->wait, WF_GRANTED, later);
    }
    wf_store_rel(&member->is_done, (uint8_t)1);
}

/* An error that is on its way: its task has ended, its finisher has yet to come. It is the first one before
 * any that the request makes. */
static bool note_first_error(struct several *all)
{
    int64_t failed = first_failed_of(all);
    if (failed != NOBODY_FAILED && is_error(all, failed)) {
        note_failed(all, failed);
    }
    return wf_load_sc(&all->failed) != NOBODY_FAILED;
}

/* A request to the gathering task: every unfinished task gets it. A gather that is decided takes none: its
 * task has only to go on, and keeps the request. */
static bool hand_to_all(struct wf_wait *wait, struct wf_later *later)
{
    struct several *all = WF_CONTAINER(wait, struct several, wait);
    int cause = wf_cancel_cause(wait->task);
    bool any = false;
    if (is_over(all)) {
        return false;
    }
    if (wf_load_acq(&all->must_see_all) == 0 && all->when == WEFT_WAIT_FIRST_ERROR) {
        all->had_failed = note_first_error(all);
    }
    for (size_t i = 0; i < all->edges.count; i++) {
        any = wf_cancel(all->edges.tasks[i], 1, cause, later) == 1 || any;
    }
    if (any) {
        wf_store_rel(&all->must_see_all, 1U);
    }
    return any;
}

static int link_all(struct several *all)
{
    all->members = all->inline_members;
    if (all->edges.count > INLINE_WAITERS) {
        all->members = malloc(all->edges.count * sizeof(struct member));
        if (all->members == NULL) {
            return -ENOMEM;
        }
        all->wait.memory = all->members;
    }
    const bool is_queued = wf_has_turns(all->wait.task);
    for (size_t i = 0; i < all->edges.count; i++) {
        struct member *member = &all->members[i];
        member->waiter =
            (struct wf_waiter){.wait = &all->wait, .notify = on_end, .is_queued = is_queued};
        wf_list_init(&member->waiter.link);
        member->all = all;
        member->index = (int64_t)i;
        wf_store_rlx(&member->is_done, (uint8_t)0);
        if (wf_task_watch_here(all->edges.tasks[i], &member->waiter)) {
            continue;
        }
        if (is_queued && all->wait.reason == WF_WAIT_TASKS) {
            wf_sim_push(wf_runtime_of(all->wait.task)->sim, WF_TURN_NOTICE,
                        (uintptr_t)&member->waiter);
        } else {
            count_down(all, member);
            wf_store_rlx(&member->is_done, (uint8_t)1);
        }
    }
    return 0;
}

static void unlink_all(struct several *all)
{
    for (size_t i = 0; i < all->edges.count; i++) {
        struct member *member = &all->members[i];
        if (WF_LIKELY(wf_load_acq(&member->is_done) != 0)) {
            continue;
        }
        wf_task_unwatch(all->edges.tasks[i], &member->waiter);
        wf_door_forget(all->wait.task, &member->waiter);
    }
    if (all->members != all->inline_members) {
        free(all->members);
    }
}

static enum wf_verdict wait_once(struct several *all, int64_t deadline_ns)
{
    wf_wait_again(&all->wait);
    wf_fence_full(); /* pairs with on_end */
    if (is_over(all)) {
        return WF_GRANTED;
    }
    struct wf_alarm alarm;
    if (deadline_ns != WF_FOREVER) {
        wf_alarm_set(&alarm, &all->wait, deadline_ns, WF_TIMED_OUT);
    }
    enum wf_verdict verdict = wf_door_park(&all->wait);
    if (deadline_ns != WF_FOREVER) {
        wf_alarm_clear(&alarm);
    }
    return verdict;
}

static void list_unfinished(const struct wf_wait *wait, wf_each *each, void *arg)
{
    const struct several *all = WF_CONTAINER(wait, struct several, wait);
    for (size_t i = 0; i < all->edges.count; i++) {
        if (!wf_word_has_ended(wf_load_acq(&all->edges.tasks[i]->word))) {
            each(wf_task_token(all->edges.tasks[i]), arg);
        }
    }
}

static void prepare(struct several *all, weft_task *const *tasks, size_t count, weft_wait_when when,
                    weft_task *self)
{
    all->edges = (struct wf_edges){.tasks = tasks, .count = count, .is_decided = is_decided};
    all->when = when;
    all->cancelled_is_error = false;
    all->had_failed = false;
    wf_store_rlx(&all->must_see_all, 0U);
    wf_store_rlx(&all->remaining, (int64_t)count);
    wf_store_rlx(&all->failed, (int64_t)NOBODY_FAILED);
    wf_wait_begin(&all->wait, self, WF_WAIT_TASKS);
    all->wait.list = list_unfinished;
}

static int check(weft_task *const *tasks, size_t count, const weft_task *self)
{
    if (tasks == NULL && count > 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (tasks[i] == NULL || tasks[i] == self) {
            return tasks[i] == NULL ? -EINVAL : -EDEADLK;
        }
    }
    return 0;
}

/* ---- gather ---- */

/* A task that has not ended yet may fail unseen: the gather that reported another error has told. */
static void collect(struct several *all, intptr_t *results)
{
    for (size_t i = 0; i < all->edges.count; i++) {
        weft_task *task = all->edges.tasks[i];
        if (wf_word_has_ended(wf_load_acq(&task->word))) {
            wf_task_look(task, results != NULL ? &results[i] : NULL);
        } else {
            bool is_guest = wf_task_visit(task);
            wf_state_set(&task->word, WF_SEEN);
            wf_task_leave(task, is_guest);
        }
    }
}

/* Waits until it is decided, unless it is at once. */
static int see_all(struct several *all)
{
    weft_task *self = all->wait.task;
    if (is_over(all)) {
        return 0;
    }
    if (wf_cycle_gather(self, &all->edges)) {
        return -EDEADLK;
    }
    while (!is_over(all)) {
        wf_door_hand_on_first(self);
        (void)wait_once(all, WF_FOREVER);
    }
    wf_cycle_leave(self);
    return 0;
}

int weft_gather(weft_task *const *tasks, size_t count, intptr_t *results, weft_gather_mode mode,
                size_t *first_failed)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    weft_task *self = wf_self_on(worker);
    rc = mode > WEFT_GATHER_COLLECT ? -EINVAL
         : wf_door_is_shut(self)    ? -EPERM
                                    : check(tasks, count, self);
    if (rc < 0) {
        return rc;
    }
    wf_door_spend(self, __func__);
    bool first_error = mode == WEFT_GATHER_FIRST_ERROR;
    struct several all;
    prepare(&all, tasks, count, first_error ? WEFT_WAIT_FIRST_ERROR : WEFT_WAIT_ALL, self);
    all.cancelled_is_error = true;
    all.wait.hand_on = hand_to_all;
    all.wait.reason = WF_WAIT_GATHER;
    rc = link_all(&all);
    if (rc < 0) {
        return rc;
    }
    rc = see_all(&all);
    unlink_all(&all);
    if (rc < 0) {
        return rc;
    }
    collect(&all, results);
    int64_t failed = first_error ? wf_load_sc(&all.failed) : NOBODY_FAILED;
    if (first_failed != NULL) {
        *first_failed = failed == NOBODY_FAILED ? count : (size_t)failed;
    }
    /* An error that was on its way before the request came still wins. */
    if (all.wait.handed_on && !(first_error && all.had_failed)) {
        wf_state_set(&self->word, WF_TOLD);
        return -ECANCELED;
    }
    return 0;
}

/* ---- wait ---- */

int weft_wait(weft_task *const *tasks, size_t count, weft_wait_when when, int64_t delay_ns,
              size_t *done)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    weft_task *self = wf_self_on(worker);
    rc = count == 0 || when > WEFT_WAIT_FIRST_ERROR ? -EINVAL : check(tasks, count, NULL);
    if (rc == 0) {
        rc = wf_door_observe(self, __func__);
    }
    if (rc < 0) {
        return rc;
    }
    int64_t deadline_ns = wf_deadline_after(weft_now(), delay_ns);
    struct several all;
    prepare(&all, tasks, count, when, self);
    rc = link_all(&all);
    if (rc < 0) {
        return rc;
    }
    if (!wf_has_turns(self) && (is_over(&all) || delay_ns <= 0)) {
        rc = wf_door_yield(self); /* it always suspends once */
    } else {
        enum wf_verdict verdict = wait_once(&all, deadline_ns);
        rc = verdict == WF_TOLD_OFF ? -ECANCELED : 0;
    }
    unlink_all(&all);
    if (done != NULL && rc == 0) {
        *done = 0;
        for (size_t i = 0; i < count; i++) {
            *done += wf_word_has_ended(wf_load_acq(&tasks[i]->word)) ? 1U : 0U;
        }
    }
    return rc;
}

/* ---- one task, or one call, under a limit ---- */

/* A limit that has passed: an unfinished task is cancelled; the wait for its end is private. */
static int end_now(weft_task *task, intptr_t *result, const char *call)
{
    if (wf_cancel_now(task, WEFT_CAUSE_TIMEOUT) != 1) {
        return wf_join(task, result, false, call);
    }
    intptr_t outcome = 0;
    int rc = wf_join(task, result != NULL ? &outcome : NULL, true, call);
    if (rc < 0) {
        return rc;
    }
    if (weft_task_state(task) == WEFT_CANCELLED) {
        return -ETIMEDOUT;
    }
    if (result != NULL) {
        *result = outcome;
    }
    return 0;
}

int weft_wait_for(weft_task *task, int64_t delay_ns, intptr_t *result)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || task == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    if (task == self) {
        return -EDEADLK;
    }
    if (wf_door_is_shut(self)) {
        return -EPERM; /* before anybody is cancelled */
    }
    if (delay_ns <= 0) {
        return end_now(task, result, __func__);
    }
    weft_timeout limit;
    rc = weft_timeout_enter(&limit, delay_ns);
    if (rc < 0) {
        return rc;
    }
    rc = wf_join(task, result, false, __func__);
    /* A task that ended cancelled leaves the scope like a call that did: its end may have come first. */
    bool is_cancelled = rc == 0 && weft_task_state(task) == WEFT_CANCELLED;
    intptr_t left = weft_timeout_leave(&limit, is_cancelled ? -ECANCELED : rc);
    return is_cancelled && left == -ECANCELED ? 0 : (int)left;
}

/* No time is left: one trip through the queue, and in turns as many as a task takes that is cancelled
 * before it starts. */
static int call_never(weft_task *self, weft_fn *fn, void *arg)
{
    weft_task *task;
    int rc = wf_door_observe(self, "weft_call_for");
    if (rc == 0 && wf_has_turns(self) && weft_spawn(&task, fn, arg) == 0) {
        rc = end_now(task, NULL, NULL);
        weft_detach(task); /* it has ended, or will without having started */
        return rc;
    }
    rc = rc == 0 ? wf_door_yield(self) : rc;
    return rc < 0 ? rc : -ETIMEDOUT;
}

int weft_call_for(weft_fn *fn, void *arg, int64_t delay_ns, intptr_t *result)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || fn == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    if (delay_ns <= 0) {
        return call_never(wf_self_on(worker), fn, arg);
    }
    weft_timeout limit;
    rc = weft_timeout_enter(&limit, delay_ns);
    if (rc < 0) {
        return rc;
    }
    intptr_t outcome = fn(arg);
    intptr_t left = weft_timeout_leave(&limit, outcome);
    if (left == -ETIMEDOUT && outcome == -ECANCELED) {
        return -ETIMEDOUT;
    }
    if (outcome == -ECANCELED) {
        return -ECANCELED;
    }
    if (result != NULL) {
        *result = outcome;
    }
    return 0;
}

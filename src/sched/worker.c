// SPDX-License-Identifier: MIT
/* worker.c - the life of a worker: take a task, run it, leave it, find the next.
 *
 * Whoever leaves a fiber picks the next one itself, on the stack it is about to leave, and switches
 * straight to it; the arriving side then publishes the one that was left (nobody stands on its stack
 * any more). Only what is rare runs on the worker's own stack, the host: timers, the poller, messages
 * from other threads, stealing, sleeping. A task that ends hands its stack to the next new task
 * without a switch.
 */
#include "sched/loop.h"

#include <errno.h>

#include "sched/gain.h"
#include "sched/go.h"
#include "sched/park.h"
#include "sched/ready.h"
#include "sched/simulate.h"
#include "task/cancel.h"
#include "task/end.h"

/* What a joiner and the library may put on a stack besides what a child that runs inside was promised. */
enum { INSIDE_BYTES = 8 * 1024 };

static void fiber_main(void *unused);

struct wf_worker *wf_fiber_worker(int *error)
{
    struct wf_worker *worker = wf_here();
    if (worker == NULL || worker->fiber == worker->host) {
        *error = -EPERM;
        return NULL;
    }
    if (wf_runtime_is_forked(worker->runtime)) {
        *error = -ECHILD;
        return NULL;
    }
    return worker;
}

int wf_runtime_resolve(weft_runtime **runtime)
{
    if (*runtime != NULL) {
        return wf_runtime_is_forked(*runtime) ? -ECHILD : 0;
    }
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    *runtime = worker != NULL ? worker->runtime : NULL;
    return rc;
}

struct wf_worker wf_no_worker = {.running = &wf_no_task};

/* ---- switching ---- */

__attribute__((noinline)) void wf_go_park_slowly(struct wf_worker *worker, weft_task *task)
{
    struct wf_wait *wait = wf_load_rlx(&task->wait); /* as in wf_go_arrive_parked */
    struct wf_later later;
    switch (wf_state_park(&task->word, wf_load_rlx(&wait->epoch), wait->hand_on != NULL)) {
    case WF_PARK_DONE:
        return;
    case WF_PARK_REQUEUE:
        wait->was_early = true;
        wf_ready_push_woken(worker, task);
        return;
    case WF_PARK_KICK:
        wf_later_init(&later);
        wf_kick_push(&later, task);
        wf_sched_flush(&later);
        return;
    }
}

__attribute__((noinline)) void wf_go_arrive_otherwise(struct wf_worker *worker, enum wf_leave leave)
{
    if (leave == WF_LEAVE_END) {
        wf_fiber_give(&worker->stacks, worker->left);
        return;
    }
    wf_bump_own(&worker->counters.yields, 1);
    if (leave == WF_LEAVE_SOON) {
        wf_ready_push_soon(worker, worker->left->task);
    } else {
        wf_ready_push_yielded(worker, worker->left->task);
    }
}

/* A task that is pinned runs no children inside: they may park, and go on anywhere. */
static void give_fiber(const struct wf_worker *worker, weft_task *task, struct wf_fiber *fiber)
{
    if (__builtin_expect((wf_task_flags(task) & WF_TASK_PINNED) != 0, 0)) {
        wf_fiber_set_no_room(fiber);
    } else {
        wf_fiber_set_floor(fiber, worker->runtime->options.stack_bytes + INSIDE_BYTES);
    }
    fiber->task = task;
}

/* The stack that was asked for; 0: any. */
static inline size_t stack_wanted(const weft_task *task)
{
    bool may_be = (wf_task_flags(task) & WF_TASK_APART) != 0;
    const struct wf_extra *extra = may_be ? wf_task_side(task)->extra : NULL;
    return extra != NULL ? extra->stack_bytes : 0;
}

/* A fiber for a new task, the host if there is no stack: it is buried then. */
static __attribute__((noinline)) struct wf_fiber *fiber_new(struct wf_worker *worker,
                                                            weft_task *task)
{
    size_t stack = stack_wanted(task);
    stack = stack != 0 ? stack : worker->runtime->options.stack_bytes;
    struct wf_fiber *fiber = wf_fiber_take(&worker->stacks, stack);
    if (fiber == NULL) {
        worker->to_bury = task;
        worker->bury_error = -ENOMEM;
        return worker->host;
    }
    give_fiber(worker, task, fiber);
    wf_fiber_prepare(fiber, fiber_main, NULL);
    return fiber;
}

/* The next task from this worker's own places; none if it is time for the host to look around. */
static struct wf_pick take_next(struct wf_worker *worker)
{
    const struct wf_pick nothing = {NULL, false};
    if (worker->until_poll > 0) {
        worker->until_poll--;
    }
    if (worker->until_poll == 0) {
        return nothing;
    }
    return wf_ready_take(worker);
}

/* Where to go for a pick: the host if there is none, or as above. */
static inline struct wf_fiber *fiber_for(struct wf_worker *worker, struct wf_pick pick)
{
    if (WF_UNLIKELY(pick.task == NULL)) {
        return worker->host;
    }
    return pick.is_new ? fiber_new(worker, pick.task) : wf_load_rlx(&pick.task->fiber);
}

__attribute__((noinline)) struct wf_fiber *wf_go_find_other(struct wf_worker *worker)
{
    return fiber_for(worker, take_next(worker));
}

__attribute__((noinline)) struct wf_worker *wf_go_yield_otherwise(struct wf_worker *worker)
{
    wf_held_check(worker);
    if (worker->until_poll > 1 && wf_ready_is_empty(worker)) {
        worker->until_poll--; /* nobody to yield to: a turn of its own */
        wf_bump_own(&worker->turns, 1);
        wf_bump_own(&worker->counters.yields, 1);
        return worker;
    }
    bool is_plain =
        worker->sim == NULL && (wf_task_flags(wf_self_on(worker)) & WF_TASK_PINNED) == 0;
    wf_sched_leave(worker, is_plain ? WF_LEAVE_YIELD : WF_LEAVE_YIELD_SLOWLY);
    return wf_here();
}

void wf_sched_leave(struct wf_worker *worker, enum wf_leave leave)
{
    wf_go(worker, wf_go_find(worker), leave, NULL);
}

void wf_sched_yield(struct wf_worker *worker)
{
    const weft_task *self = wf_self_on(worker);
    if ((wf_task_flags(self) & WF_TASK_PINNED) != 0) {
        (void)wf_go_yield_otherwise(worker);
    } else {
        (void)wf_go_yield(worker, self, NULL);
    }
}

/* ---- running tasks ---- */

void wf_task_die_of_scopes(const weft_task *task)
{
    char who[160];
    unsigned kind =
        task->scope != NULL ? task->scope->kind : 0; /* first: the frame it lies in is gone */
    (void)wf_task_describe(task, who, sizeof who);
    if ((wf_task_flags(task) & WF_TASK_WALKS) != 0) {
        wf_die("%s ended with completions still open: they lie in a dead frame", who);
    }
    static const char *const kinds[] = {"scope", "timeout", "watch", "shield", "group"};
    wf_die("%s ended with a %s still open: its trigger would fire into a dead frame", who,
           kinds[kind <= WF_SCOPE_GROUP ? kind : 0]);
}

void wf_task_end_on(struct wf_worker *worker, weft_task *task, intptr_t raw)
{
    struct wf_later later;
    wf_later_init(&later);
    bool is_main = (wf_task_flags(task) & WF_TASK_MAIN) != 0;
    weft_runtime *runtime = worker->runtime;
    wf_task_finish(task, raw, &worker->tasks, &later);
    wf_sched_flush(&later);
    /* release: whoever sums the counters and finds all finished sees what they did */
    wf_bump_own_rel(&worker->counters.finished);
    if (is_main && runtime->sim != NULL) {
        wf_sim_main_ended(runtime->sim);
    } else if (is_main) {
        wf_lifecycle_close(runtime);
    }
}

/* What follows ends the task that runs, and returns who goes on at once: its joiner, as if taken from the slot. NULL: whoever is
 * next. */

/* The joiner is to be queued; NULL: there is none. */
static __attribute__((noinline)) weft_task *wake_slowly(struct wf_worker *worker, weft_task *woken)
{
    if (woken != NULL && wf_runtime_of(woken) == worker->runtime) {
        (void)wf_sched_wake(worker, woken, 0);
    } else if (woken != NULL) {
        (void)wf_sched_wake_slowly(woken);
    }
    return NULL;
}

/* It would be put into the slot, and taken out of it as the next act of this worker: by wf_sched_wake, then wf_go_take. So it
 * does not go there, and what both count is counted. Others in the lanes are told of as ever. */
static inline weft_task *end_and_wake(struct wf_worker *worker, weft_task *woken)
{
    wf_bump_own_rel(&worker->counters.finished); /* release: as in wf_task_end_on */
    if (WF_UNLIKELY(wf_load_rlx(&worker->slot) != 0) ||
        WF_UNLIKELY(wf_runtime_of(woken) != worker->runtime) ||
        WF_UNLIKELY((wf_task_flags(woken) & WF_TASK_PINNED) != 0) ||
        WF_UNLIKELY(worker->slot_streak >= WF_SLOT_STREAK) ||
        WF_UNLIKELY(worker->until_poll <= 1)) {
        return wake_slowly(worker, woken);
    }
    wf_bump_own(&worker->counters.wakes, 1);
    worker->slot_streak++;
    worker->until_poll--;
    bool is_only = WF_LIKELY(wf_sched_has_none(worker)) || !wf_sched_needs(worker->runtime);
    return WF_LIKELY(is_only) ? woken : wf_sched_tell(worker, woken);
}

/* The rest of the short ways where nothing has been done yet, ... */
static __attribute__((noinline)) weft_task *end_slowly(struct wf_worker *worker, weft_task *task,
                                                       intptr_t raw)
{
    wf_task_check_scopes(task);
    wf_task_end_on(worker, task, raw);
    return NULL;
}

/* ... where others are to be told, too, ... */
static __attribute__((noinline)) weft_task *leave_to_others(struct wf_worker *worker,
                                                            weft_task *task, intptr_t raw)
{
    wf_unlock(&task->lock);
    return end_slowly(worker, task, raw);
}

/* ... where somebody else counts references of the task, or the last one is the run's, ... */
static __attribute__((noinline)) weft_task *end_counted(struct wf_worker *worker, weft_task *task,
                                                        weft_task *woken)
{
    wf_task_let_go(task, &worker->tasks);
    wf_bump_own_rel(&worker->counters.finished); /* release: as in wf_task_end_on */
    return wake_slowly(worker, woken);
}

/* ... where its lock is marked, ... */
static __attribute__((noinline)) weft_task *end_marked(struct wf_worker *worker, weft_task *task,
                                                       weft_task *woken)
{
    wf_unlock(&task->lock);
    return end_counted(worker, task, woken);
}

/* ... and where the joiner has not parked yet, or was decided. */
static __attribute__((noinline)) weft_task *end_early(struct wf_worker *worker, weft_task *task,
                                                      struct wf_waiter *waiter)
{
    struct wf_wait *wait = waiter->wait;
    weft_task *woken = wait->task; /* read first, as in wf_wait_decide */
    wf_list_remove(&waiter->link);
    bool is_ready =
        wf_state_wake(&woken->word, wf_load_rlx(&wait->epoch), WF_GRANTED) == WF_WAKE_READY;
    return end_marked(worker, task, is_ready ? woken : NULL);
}

/* The same for most tasks that were awaited before they ended, by one task. Without a frame, for who has waited for long has
 * its stack in no cache: what is rare is the last act of each way. */
static __attribute__((noinline)) weft_task *end_awaited(struct wf_worker *worker, weft_task *task,
                                                        intptr_t raw)
{
    if (WF_UNLIKELY(!wf_lock_quickly(&task->lock))) {
        return end_slowly(worker, task, raw);
    }
    struct wf_waiter *waiter = wf_task_only_waiter(task);
    task->raw = raw;
    if (WF_UNLIKELY(waiter == NULL) ||
        WF_UNLIKELY(!wf_state_finish_plainly(&task->word, raw == -ECANCELED))) {
        return leave_to_others(worker, task, raw);
    }
    struct wf_wait *wait = waiter->wait;
    weft_task *woken = wait->task;
    if (WF_UNLIKELY(!wf_state_grant_parked(&woken->word, wf_load_rlx(&wait->epoch)))) {
        return end_early(worker, task, waiter);
    }
    wf_list_remove(&waiter->link); /* nobody else runs the joiner yet */
    if (WF_UNLIKELY(!wf_unlock_quickly(&task->lock))) {
        return end_marked(worker, task, woken);
    }
    uint64_t refs = wf_load_rlx(&task->refs);
    if (WF_UNLIKELY((refs & (WF_OWNERS_MASK | WF_HOLDS_MASK)) == WF_HOLD_ONE) ||
        WF_UNLIKELY(!wf_solo_cas64(&task->refs, &refs, refs - WF_HOLD_ONE))) {
        return end_counted(worker, task, woken);
    }
    return end_and_wake(worker, woken);
}

/* ... and for most that nobody awaits yet, or ever. */
static __attribute__((noinline)) weft_task *end_alone(struct wf_worker *worker, weft_task *task,
                                                      intptr_t raw)
{
    uint64_t before;
    task->raw = raw;
    if (WF_UNLIKELY(!wf_state_finish(&task->word, false, raw == -ECANCELED, false, &before))) {
        return end_slowly(worker, task, raw);
    }
    if (wf_task_unhold_and(task, (before & WF_DETACHED) != 0 ? WF_OWNER_ONE : 0) == 0) {
        wf_task_release(task, &worker->tasks);
    }
    wf_bump_own_rel(&worker->counters.finished); /* release: as in wf_task_end_on */
    if (wf_sched_needs(worker->runtime)) {
        struct wf_later nothing;
        wf_later_init(&nothing);
        wf_sched_flush(&nothing); /* looks whether somebody is to be woken */
    }
    return NULL;
}

static inline weft_task *end(struct wf_worker *worker, weft_task *task, intptr_t raw)
{
    uint64_t word = wf_load_acq(&task->word); /* a hint but for TOLD, which is the task's own */
    if (WF_UNLIKELY(worker->sim != NULL) || WF_UNLIKELY(wf_task_has_scope(task)) ||
        WF_UNLIKELY(!wf_task_ends_plainly(task, raw, word))) {
        return end_slowly(worker, task, raw);
    }
    return (word & WF_JOINED) != 0 ? end_awaited(worker, task, raw) : end_alone(worker, task, raw);
}

/* Whether the stack of the fiber that runs, whose task has ended, will do for a picked task as it is. */
static bool fits_this_stack(const struct wf_worker *worker, struct wf_pick pick)
{
    return pick.task != NULL && pick.is_new && stack_wanted(pick.task) == 0 &&
           worker->fiber->promise_bytes == worker->runtime->options.stack_bytes;
}

/* Where to go from that fiber when no started task is at hand: a new one that its stack will do for stays on it. */
static __attribute__((noinline)) struct wf_fiber *find_heir(struct wf_worker *worker,
                                                            struct wf_fiber *self)
{
    struct wf_pick pick = take_next(worker);
    if (!fits_this_stack(worker, pick)) {
        return fiber_for(worker, pick);
    }
    give_fiber(worker, pick.task, self);
    return self;
}

static void fiber_main(void *unused)
{
    (void)unused;
    wf_go_arrive(wf_here(), WF_LEAVE_PARK);
    for (;;) {
        struct wf_worker *worker = wf_here();
        weft_task *task = worker->fiber->task;
        weft_fn *fn = wf_load_rlx(&task->fn);
        wf_store_rlx(&task->fiber, worker->fiber);
        intptr_t raw = fn(task->arg);
        worker = wf_here(); /* it may have moved */
        weft_task *next = end(worker, task, raw);
        struct wf_fiber *self = worker->fiber;
        self->task = NULL;
        if (next == NULL) {
            next = wf_go_take(worker);
        }
        struct wf_fiber *to = next != NULL ? wf_load_rlx(&next->fiber) : find_heir(worker, self);
        wf_go_begin_turn(worker, to);
        if (next != NULL || to != self) {
            worker->leave = WF_LEAVE_END;
            worker->left = self;
            worker->left_site = NULL;
            wf_fiber_switch_final(self, to);
        }
    }
}

/* ---- the host ---- */

void wf_worker_bury(struct wf_worker *worker)
{
    weft_task *task = worker->to_bury;
    if (task == NULL) {
        return;
    }
    worker->to_bury = NULL;
    wf_task_add_flags(task, WF_TASK_NEVER_RAN);
    wf_task_end_on(worker, task, worker->bury_error);
}

/* Has nobody anything to take? Who has been woken as a searcher looks nonetheless, and who is sent messages in a row, perhaps by
 * a plain thread, waits for the next one. */
static inline bool is_alone(struct wf_worker *worker)
{
    return worker->runtime->worker_count == 1 || (!worker->is_searching && worker->mail_ns == 0 &&
                                                  wf_idle_is_last_awake(&worker->runtime->idle));
}

WF_WAKING static struct wf_pick next_anywhere(struct wf_worker *worker)
{
    struct wf_pick pick;
    const struct wf_pick nothing = {NULL, false};
    bool has_lingered = false;
    for (;;) {
        if (worker->to_bury != NULL) {
            wf_stop_searching(worker); /* user code may run */
            wf_worker_bury(worker);
        }
        if (worker->gain.since_ns != 0) {
            wf_gain_settle(worker);
        }
        wf_look_around(worker);
        if (wf_lifecycle_is_over(worker->runtime)) {
            return nothing;
        }
        pick = wf_ready_take(worker);
        bool has_others = !is_alone(worker);
        if (pick.task == NULL && worker->to_bury == NULL && has_others) {
            if (wf_poll_ring(worker)) {
                continue; /* before searching: what is queued there must not wait for that */
            }
            if (wf_await_mail(worker)) {
                continue;
            }
            pick = wf_search(worker);
        }
        if (pick.task != NULL) {
            wf_stop_searching(worker);
            return pick;
        }
        if (worker->to_bury != NULL) {
            continue;
        }
        if (!wf_lifecycle_idle(worker)) {
            return nothing;
        }
        if (!wf_ready_is_empty(worker) || wf_worker_trim(worker)) {
            continue;
        }
        /* Once before each sleep; what is queued in the ring does not wait for it. */
        has_lingered = !has_lingered && has_others && wf_linger(worker);
        pick = (struct wf_pick){.task = has_lingered ? NULL : wf_worker_sleep(worker)};
        if (pick.task != NULL) {
            return pick;
        }
    }
}

WF_WAKING void wf_worker_turn(struct wf_worker *worker, struct wf_pick pick)
{
    struct wf_fiber *fiber = fiber_for(worker, pick);
    if (fiber == worker->host) {
        return;
    }
    worker->leave = WF_LEAVE_NOTHING;
    worker->left_site = NULL;
    wf_go_begin_turn(worker, fiber);
    wf_fiber_switch(worker->host, fiber);
    wf_store_rlx(&worker->running, &wf_no_task);
    wf_go_arrive(worker, WF_LEAVE_PARK);
}

WF_WAKING void wf_worker_run(struct wf_worker *worker)
{
    for (;;) {
        struct wf_pick pick = next_anywhere(worker);
        if (pick.task == NULL) {
            wf_stop_searching(worker);
            return;
        }
        wf_worker_turn(worker, pick);
    }
}

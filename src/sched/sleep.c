// SPDX-License-Identifier: MIT
/* sleep.c - a worker that has found nothing to do, and whoever wakes it.
 *
 * What: it gives memory back, joins the sleepers, looks at all queues once more, and sleeps until its next timer; one of
 *       the sleepers minds the timers of workers that are stuck, one the next look at free stacks.
 * Threads: the worker's own; wakers are any. Why no task is stranded: docs/architecture.md, "Idle workers". How it sleeps:
 *       park.c.
 */
#include "poll/uring.h"
#include "queue/inbox.h"
#include "sched/lean.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "sched/squeeze.h"

enum { SOON_NS = 1000000 };

/* So long a sleeper's timers wait for others that follow: a sleep and its end cost as much as a hundred timers do.
 * The kernel takes 50 us more for that itself, but with a ring's alarms. */
enum { GATHER_NS = 150000, GATHER_MORE_NS = 40000 };

/* ---- sleeping ---- */

static void look_again(weft_runtime *runtime)
{
    if (wf_ready_anywhere(runtime)) {
        wf_sched_notify(runtime); /* perhaps this very worker */
    }
}

/* The kernel makes no heavy fences any more. Spawns take the long way from here on, which has a fence of its
 * own; what one that has not heard of it queues just now is found at the next look, soon. */
static __attribute__((cold)) int64_t begin_full_fences(weft_runtime *runtime, int64_t deadline_ns)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        wf_store_rlx(&runtime->workers[i].is_open, (uint8_t)0);
    }
    int64_t soon_ns = wf_monotonic_ns() + SOON_NS;
    return deadline_ns < soon_ns ? deadline_ns : soon_ns;
}

/* The next timer of workers that are stuck in one task. One of those that sleep stands in for them; for others
 * there is none. */
static __attribute__((cold)) int64_t stand_in(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    uint32_t nobody = 0;
    int64_t next_ns = WF_FOREVER;
    if (!wf_cas_acqrel(&runtime->stand_in, &nobody, worker->index + 1)) {
        return next_ns;
    }
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        struct wf_worker *other = &runtime->workers[i];
        int64_t other_ns = wf_wheel_next(&other->wheel);
        if (wf_load_rlx(&other->is_stuck) != 0 && other_ns < next_ns) {
            next_ns = other_ns;
        }
    }
    return next_ns;
}

static void stand_down(struct wf_worker *worker)
{
    if (wf_load_rlx(&worker->runtime->stand_in) == worker->index + 1) {
        wf_store_rel(&worker->runtime->stand_in, 0U);
    }
}

/* When to wake up without being woken. */
static int64_t sleep_deadline(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    int64_t window_ns = GATHER_NS + (worker->ring != NULL ? GATHER_MORE_NS : 0);
    struct wf_wheel_plan plan = wf_lean_plan(worker, window_ns);
    int64_t next_ns = plan.next_ns;
    worker->following_ns = plan.following_ns;
    if (__builtin_expect(wf_load_rlx(&runtime->stuck_count) != 0, 0)) {
        int64_t other_ns = stand_in(worker);
        next_ns = other_ns < next_ns ? other_ns : next_ns;
    }
    return wf_lifecycle_deadline(runtime, next_ns);
}

/* One of those that sleep wakes up when free stacks are to be looked at. */
static int64_t until_trim(struct wf_worker *worker, int64_t deadline_ns)
{
    weft_runtime *runtime = worker->runtime;
    int64_t trim_ns = wf_stacks_trim_ns(&runtime->stacks);
    if (trim_ns == WF_FOREVER) {
        return deadline_ns;
    }
    int64_t soon_ns = wf_monotonic_ns() + SOON_NS; /* it is due? Then somebody else is at it */
    trim_ns = trim_ns > soon_ns ? trim_ns : soon_ns;
    if (trim_ns >= deadline_ns || wf_swap_acqrel(&runtime->has_trimmer, 1U) != 0) {
        return deadline_ns;
    }
    worker->is_trimmer = true;
    return trim_ns;
}

/* Among the sleepers. `is_last`: no other worker is awake. True: somebody has woken it. */
static bool sleep_now(struct wf_worker *worker, bool is_last, struct wf_later *later)
{
    weft_runtime *runtime = worker->runtime;
    int64_t deadline_ns = until_trim(worker, sleep_deadline(worker));
    /* Pairs with wf_idle_needs: either it sees this worker asleep, or the work is seen here. */
    if (!wf_idle_settle(&runtime->idle, is_last)) {
        deadline_ns = begin_full_fences(runtime, deadline_ns);
    }
    look_again(runtime);
    bool is_woken = wf_park(worker, deadline_ns, later);
    wf_lean_end(worker);
    stand_down(worker);
    if (worker->is_trimmer) {
        worker->is_trimmer = false;
        wf_store_rel(&runtime->has_trimmer, 0U);
    }
    return is_woken;
}

/* May a timer be due? The ring has asked the clock when it woke up. */
static bool may_be_due(struct wf_worker *worker)
{
    int64_t next_ns = wf_wheel_next(&worker->wheel);
    return next_ns != WF_FOREVER && (worker->ring == NULL || next_ns <= worker->ring->looked_ns);
}

/* The only task that the sleep's events have made ready; NULL if there are others, or it may not run here. */
static weft_task *only_task(const struct wf_worker *worker, const struct wf_later *later)
{
    uintptr_t entry = later->ready;
    if (entry == 0 || entry != later->ready_tail || (entry & WF_READY_KINDS) != 0 ||
        later->kicks != NULL || later->delivered != 0) {
        return NULL;
    }
    weft_task *task = (weft_task *)entry;
    bool is_free =
        wf_runtime_of(task) == worker->runtime && (wf_task_flags(task) & WF_TASK_PINNED) == 0;
    return is_free ? task : NULL;
}

/* Queues what the sleep's events have made ready. A single task need not be queued while there is nothing else to look
 * at: it has the next turn. The worker's own queues are empty, or it would not have slept; who wanted something of it
 * before it left the sleepers has picked it, or woken it, or is about to and has left the message; and what comes from then
 * on finds it at a task, and waits for the end of that turn. */
static WF_WAKING weft_task *take_events(struct wf_worker *worker, bool is_woken,
                                        struct wf_later *later)
{
    bool has_more = is_woken || worker->is_searching || !wf_inbox_is_empty(&worker->inbox) ||
                    may_be_due(worker) || wf_lean_bits(worker->runtime) != 0;
    weft_task *task = has_more ? NULL : only_task(worker, later);
    if (task == NULL) {
        wf_sched_flush(later);
        return NULL;
    }
    wf_bump_own(&worker->counters.wakes, 1);
    worker->slot_streak = 0;
    return task;
}

WF_WAKING weft_task *wf_worker_sleep(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_swap_sc(&worker->is_drowsy, (uint8_t)1);
    wf_fence_after_rmw(); /* pairs with send_home */
    bool is_last = wf_idle_sleep(&runtime->idle, worker->index, worker->is_searching);
    /* After going to the sleepers: who sends something from now on finds us there. */
    bool has_mail = !wf_inbox_is_empty(&worker->inbox) ||
                    (worker->ring != NULL && wf_uring_has_mail(worker->ring));
    bool is_woken = true;
    if (!has_mail && !wf_lifecycle_must_leave(runtime)) {
        is_woken = sleep_now(worker, is_last, &later);
    } else {
        /* Who queued something may have relied on this worker as a searcher. */
        wf_sched_notify(runtime);
        wf_submit(worker);
    }
    wf_store_rlx(&worker->is_drowsy, (uint8_t)0);
    worker->is_searching = wf_idle_wake_up(&runtime->idle, worker->index);
    worker->gain.is_futile = worker->is_searching;
    if (worker->is_searching) {
        wf_squeeze_judge(worker);
    }
    wf_watchdog_wake(runtime);
    worker->until_poll = worker->stretch;
    worker->paced_ns = 0;
    return take_events(worker, is_woken, &later);
}

/* As a sleeper does, but for the sleep: who queues something from now on wakes somebody else. */
static void leave_searchers(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (!worker->is_searching) {
        return;
    }
    worker->is_searching = false;
    if (wf_idle_stop_searching(&runtime->idle)) {
        if (wf_idle_settle(&runtime->idle, false)) {
            look_again(runtime);
        } else {
            (void)begin_full_fences(runtime, WF_FOREVER);
            wf_sched_notify(runtime);
        }
    }
}

bool wf_worker_trim(struct wf_worker *worker)
{
    struct wf_stacks *stacks = &worker->runtime->stacks;
    int64_t now_ns;
    if (wf_stacks_trim_ns(stacks) == WF_FOREVER ||
        wf_stacks_trim_ns(stacks) > (now_ns = wf_monotonic_ns())) {
        return false;
    }
    leave_searchers(worker); /* it takes longer than a wake-up */
    if (!wf_stacks_trim(stacks, now_ns, 0)) {
        return false;
    }
    worker->until_poll = 0; /* as after a sleep: something may have happened outside */
    return true;
}

/* ---- waking ---- */

void wf_sched_wake_from(weft_runtime *runtime, uint32_t waker)
{
    int worker = wf_idle_pick(&runtime->idle);
    if (worker != WF_NOBODY) {
        wf_store_rlx(&runtime->waker, waker);
        wf_unpark(&runtime->workers[worker]);
    }
}

void wf_sched_rouse(weft_runtime *runtime, uint32_t worker)
{
    if (wf_idle_rouse(&runtime->idle, worker)) {
        wf_unpark(&runtime->workers[worker]);
    }
}

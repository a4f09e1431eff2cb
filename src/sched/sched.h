// SPDX-License-Identifier: MIT
/* sched.h - what the rooms above ask of the scheduler. */
#ifndef WF_SCHED_SCHED_H
#define WF_SCHED_SCHED_H

#include "sched/entry.h"
#include "sched/runtime.h"

/* The calling worker if it runs a fiber whose runtime is alive in this process; else NULL, with
 * *error -EPERM or -ECHILD. */
struct wf_worker *wf_fiber_worker(int *error);

/* NULL becomes the calling fiber's runtime. 0, -EPERM or -ECHILD. */
int wf_runtime_resolve(weft_runtime **runtime);

enum {
    WF_BUDGET = 128
}; /* ready waits in a row before a forced yield; Tokio's figure, not tuned */

/* Makes every task in later->ready ready, after kicking later->kicks. Any thread; no locks held. */
void wf_sched_flush(struct wf_later *later);

/* Queues a NEW task. `worker` NULL: from a plain thread. Never fails: where a deque can't grow, the
 * inject stack links through the task itself. */
void wf_sched_submit(weft_runtime *runtime, struct wf_worker *worker, weft_task *task);

/* Names the task and the scope, and aborts (worker.c). */
void wf_task_die_of_scopes(const weft_task *task);

/* Suspends the running fiber. `leave` says what becomes of it. Returns when it runs again, perhaps on
 * another worker. */
void wf_sched_leave(struct wf_worker *worker, enum wf_leave leave);

/* The running task is about to run a child inside and has done so often enough: lets others in if there is
 * need. May switch. */
void wf_sched_pause(struct wf_worker *worker);

/* A task that runs on this worker, or was claimed and must not run, ends with `raw`. Runs user code, never
 * switches. */
void wf_task_end_on(struct wf_worker *worker, weft_task *task, intptr_t raw);

/* Aborts if the task, which is about to end, has a scope open. */
static inline void wf_task_check_scopes(const weft_task *task)
{
    if (WF_UNLIKELY(wf_task_has_scope(task)) ||
        WF_UNLIKELY((wf_task_flags(task) & WF_TASK_WALKS) != 0)) {
        wf_task_die_of_scopes(task);
    }
}

/* The same for a trip through the ready queue; returns at once if nobody else is ready. */
void wf_sched_yield(struct wf_worker *worker);

/* Wakes one particular worker if it sleeps: something of its own has changed (its wheel, its inbox). */
void wf_sched_rouse(weft_runtime *runtime, uint32_t worker);

/* Wakes one that sleeps, unless somebody searches already. `waker`: for squeeze.h; 0: never mind. */
void wf_sched_wake_from(weft_runtime *runtime, uint32_t waker);

static inline void wf_sched_wake_one(weft_runtime *runtime)
{
    wf_sched_wake_from(runtime, 0);
}

/* Something has been queued: is somebody to be woken for it? */
static inline bool wf_sched_needs(weft_runtime *runtime)
{
    return __builtin_expect(
        wf_idle_needs(&runtime->idle, wf_load_rlx(&runtime->idle.is_asymmetric) != 0), 0);
}

/* Something has been queued: wakes somebody if there is need. */
static inline void wf_sched_notify(weft_runtime *runtime)
{
    if (wf_sched_needs(runtime)) {
        wf_sched_wake_one(runtime);
    }
}

/* On a fiber: queues a task of its runtime whose wait has just been decided. Returns `answer`, so that it can be the last act
 * of a call. */
int wf_sched_wake(struct wf_worker *worker, weft_task *task, int answer);

/* On a fiber, where wf_sched_wake_quickly has done nothing. Returns 0, so that it can be the last act of a call. */
int wf_sched_wake_slowly(weft_task *task);

/* Is nothing in the worker's own lanes? The owner asks: false also if what was woken has all gone just now. */
static inline __attribute__((always_inline)) bool wf_sched_has_none(struct wf_worker *worker)
{
    return !worker->has_woken && wf_deque_is_empty(&worker->deque);
}

/* On a fiber: one task that has just been granted its wait runs next on this worker, if it is of the same runtime
 * and nothing else is ready here: nearly every wake-up. With more in the lanes another worker may be needed.
 * False: nothing has been done. */
static inline bool wf_sched_wake_quickly(struct wf_worker *worker, weft_task *task)
{
    bool is_plain = wf_load_rlx(&worker->slot) == 0 && worker->sim == NULL &&
                    wf_runtime_of(task) == worker->runtime &&
                    (wf_task_flags(task) & WF_TASK_PINNED) == 0 && wf_sched_has_none(worker);
    if (__builtin_expect(is_plain, 1)) {
        wf_bump_own(&worker->counters.wakes, 1);
        wf_store_rel(&worker->slot, wf_entry_started(task)); /* nobody else fills it */
    }
    return is_plain;
}

/* Something lies in the lanes, and was published before: wakes somebody if there is need. Returns `answer`, so that it can be the
 * last act of a call. */
weft_task *wf_sched_tell(struct wf_worker *worker, weft_task *answer);

/* ---- what was sent ---- */

/* Between two pinned tasks a message is a handful of lines that change their processor, one after the other, each found through
 * the one before. Who sends again and again fetches them together: a round trip of two queues 990 ns without, 710 with it. */

/* It is sent to `to` again: before that is touched. Once for each time that somebody waited there: whoever does not any more
 * keeps what is his. */
static inline __attribute__((always_inline)) void wf_sent_fetch_all(struct wf_worker *worker,
                                                                    const void *to)
{
    if (WF_UNLIKELY(worker->sent.to == to)) {
        wf_fetch_own(worker->sent.task);
        wf_fetch_own(worker->sent.link);
        worker->sent.to = NULL;
    }
}

/* Whoever waits by `link` is about to be granted: is it the same task as before? */
static inline void wf_sent_fetch(const struct wf_worker *worker, const struct wf_list *link)
{
    if (WF_UNLIKELY(worker->sent.link == link)) {
        wf_fetch_own(worker->sent.task);
    }
}

/* wf_sched_wake_slowly, and notes how to get there: what it waited for, and by which link. Returns 0. */
int wf_sched_send_slowly(weft_task *task, const void *to, const struct wf_list *link);

/* On a fiber: queues a task whose wait has just been granted. Returns 0. */
static inline __attribute__((always_inline)) int wf_sched_send(struct wf_worker *worker,
                                                               weft_task *task, const void *to,
                                                               const struct wf_list *link)
{
    if (WF_LIKELY(wf_sched_wake_quickly(worker, task))) {
        return 0;
    }
    return wf_sched_send_slowly(task, to, link);
}

/* ---- spawning (spawn.c) ---- */

/* Checks and applies options and makes the record, which nobody sees yet; one owner, for a handle or
 * a group. 0 or a negative errno. */
int wf_spawn_prepare(weft_runtime *runtime, struct wf_worker *worker, const char *site, weft_fn *fn,
                     void *arg, const weft_spawn_options *options, weft_task **out);

/* One more that has been spawned: after it is NEW, before it is queued. */
static inline void wf_spawn_count(weft_runtime *runtime, struct wf_worker *worker)
{
    if (worker != NULL) {
        wf_bump_own_rel(&worker->counters.spawned);
    } else {
        (void)wf_add_acqrel(&runtime->registry.outside_spawned, 1U);
    }
}

/* From here on it is NEW: counted, in snapshots, cancellable. wf_sched_submit comes next. NEW before it is
 * counted: a round of closing that counts it finds it too. Counted before it is queued: closing ends when as
 * many have finished as were spawned. */
static inline void wf_spawn_publish(weft_runtime *runtime, struct wf_worker *worker,
                                    weft_task *task)
{
    bool is_linked = worker == NULL || (wf_task_flags(task) & WF_TASK_PINNED) != 0;
    wf_state_spawn(&task->word, is_linked);
    wf_spawn_count(runtime, worker);
}

/* Undoes wf_spawn_prepare for a task that was not published; its arg stays the caller's. */
void wf_spawn_abandon(struct wf_worker *worker, weft_task *task);

/* ---- plain threads ---- */

/* Between the two the runtime's memory stays. A plain thread (or another runtime's worker) begins while
 * it still knows that the runtime lives: it has a handle, or a task that can't have ended. */
static inline void wf_visit_begin(weft_runtime *runtime)
{
    (void)wf_add_sc(&runtime->visitors, 1);
}

static inline void wf_visit_end(weft_runtime *runtime)
{
    (void)wf_sub_sc(&runtime->visitors, 1);
}

#endif

// SPDX-License-Identifier: MIT
/* lifecycle.c - how a runtime comes to its end.
 *
 *   RUNNING   --main ends, or stop-->   CLOSING    no new tasks; every task is cancelled once
 *   CLOSING   --all have finished-->    DRAINED    workers leave, memory goes
 *   CLOSING   --grace is over------->   ABANDONED  weft_run only: workers leave, memory stays
 *
 * All have finished when as many tasks have finished as were spawned, and no submit is inside that was accepted
 * and has not counted its task yet (is_sealed). The counters are per worker: a
 * worker that goes idle while closing adds them up, finished ones first, after a full fence. Of the
 * workers that finish the last tasks one comes last to its fence, and sees everything.
 */
#include <sched.h>
#include <stdlib.h>

#include <weft/task.h>

#include "base/futex.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "sched/report.h"
#include "task/cancel.h"
#include "task/end.h"

static uint64_t sum_finished(weft_runtime *runtime)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        sum += wf_load_acq(&runtime->workers[i].counters.finished);
    }
    return sum;
}

static uint64_t sum_spawned(weft_runtime *runtime)
{
    uint64_t sum = wf_load_acq(&runtime->registry.outside_spawned);
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        sum += wf_load_acq(&runtime->workers[i].counters.spawned);
    }
    return sum;
}

static bool all_have_finished(weft_runtime *runtime)
{
    if (wf_load_acq(&runtime->is_sealed) == 0) {
        return false; /* whoever seals it wakes all workers */
    }
    wf_fence_full();
    uint64_t finished = sum_finished(runtime);
    return finished == sum_spawned(runtime);
}

/* ---- closing ---- */

static bool is_unfinished(weft_task *task)
{
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    return life == WF_NEW || life == WF_RUN || life == WF_PARKED;
}

static void cancel_once(weft_task *task, struct wf_later *later)
{
    if ((wf_or_acqrel(&task->marks, (uint8_t)WF_MARK_SHUT) & WF_MARK_SHUT) == 0) {
        (void)wf_cancel(task, 1, WEFT_CAUSE_SHUTDOWN, later);
    }
}

/* Cancels every unfinished task that has not been cancelled by closing before. */
static void cancel_round(weft_runtime *runtime)
{
    struct wf_worker *worker = wf_here();
    struct wf_roll roll;
    wf_registry_roll(&runtime->registry, is_unfinished, &roll);
    struct wf_later later;
    wf_later_init(&later);
    for (size_t i = 0; i < roll.count; i++) {
        cancel_once(roll.tasks[i], &later);
        wf_kick_all(&later); /* one after the other: whom it is handed on to before the next */
    }
    wf_sched_flush(&later);
    bool is_ours = worker != NULL && worker->runtime == runtime;
    for (size_t i = 0; i < roll.count; i++) {
        wf_task_let_go(roll.tasks[i], is_ours ? &worker->tasks : NULL);
    }
    free(roll.tasks);
    if (roll.is_partial) {
        wf_store_rel(&runtime->round_spawned, UINT64_MAX);
    }
}

static void unpark_all(weft_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        (void)wf_idle_rouse(&runtime->idle, i);
        wf_unpark(&runtime->workers[i]);
    }
}

void wf_lifecycle_close(weft_runtime *runtime)
{
    uint32_t expected = WF_RUNNING;
    int64_t grace = runtime->options.shutdown_grace_ns;
    int64_t deadline = grace > 0 ? wf_deadline_after(wf_runtime_now(runtime), grace) : WF_FOREVER;
    wf_store_rel(&runtime->grace_deadline_ns, deadline);
    if (!wf_cas_sc(&runtime->phase, &expected, (uint32_t)WF_CLOSING)) {
        return;
    }
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        wf_store_rlx(&runtime->workers[i].is_open, (uint8_t)0);
    }
    while (wf_load_sc(&runtime->visitors) > 0) {
        sched_yield(); /* a submit that saw RUNNING is about to return */
    }
    wf_store_rel(&runtime->is_sealed, (uint8_t)1);
    wf_store_rel(&runtime->round_spawned, sum_spawned(runtime));
    cancel_round(runtime);
    unpark_all(runtime); /* so that somebody finds that nothing is left */
}

bool wf_lifecycle_must_leave(weft_runtime *runtime)
{
    return wf_load_acq(&runtime->phase) >= WF_DRAINED;
}

int64_t wf_lifecycle_deadline(weft_runtime *runtime, int64_t next_ns)
{
    if (wf_load_acq(&runtime->phase) != WF_CLOSING || runtime->main == NULL) {
        return next_ns;
    }
    int64_t grace_ns = wf_load_acq(&runtime->grace_deadline_ns);
    return grace_ns < next_ns ? grace_ns : next_ns;
}

void wf_lifecycle_leave(weft_runtime *runtime, enum wf_phase phase)
{
    wf_store_sc(&runtime->phase, (uint32_t)phase);
    wf_futex_wake(&runtime->phase, INT32_MAX);
    unpark_all(runtime);
}

WF_WAKING bool wf_lifecycle_is_over(weft_runtime *runtime)
{
    uint32_t phase = wf_load_acq(&runtime->phase);
    if (phase != WF_CLOSING) {
        return phase >= WF_DRAINED;
    }
    int64_t grace_ns = wf_load_acq(&runtime->grace_deadline_ns);
    if (runtime->main == NULL || grace_ns == WF_FOREVER || wf_runtime_now(runtime) < grace_ns) {
        return false;
    }
    if (wf_swap_acqrel(&runtime->stopping, 1U) != 0) {
        return false; /* another worker reports, and then ends it */
    }
    wf_report_left(runtime, WEFT_DIAG_LEFT_AT_SHUTDOWN);
    wf_lifecycle_leave(runtime, WF_ABANDONED);
    return true;
}

/* While closing. False: leave. */
static bool close_idle(weft_runtime *runtime)
{
    if (all_have_finished(runtime)) {
        wf_lifecycle_leave(runtime, WF_DRAINED);
        return false;
    }
    uint64_t spawned = sum_spawned(runtime);
    if (wf_load_acq(&runtime->round_spawned) != spawned) {
        wf_store_rel(&runtime->round_spawned, spawned);
        cancel_round(runtime); /* spawned while closing began */
    }
    return !wf_lifecycle_is_over(runtime);
}

bool wf_lifecycle_idle(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    uint32_t phase = wf_load_acq(&runtime->phase);
    if (phase >= WF_DRAINED || (phase == WF_CLOSING && !close_idle(runtime))) {
        return false;
    }
    return true;
}

// SPDX-License-Identifier: MIT
/* start.c - the public calls that start and stop a runtime. */
#include "sched/start.h"

#include <errno.h>

#include "base/futex.h"
#include "base/futex.h"
#include "sched/blocking.h"
#include "sched/loop.h"
#include "sched/probe.h"
#include "sched/report.h"
#include "sched/signals.h"
#include "task/end.h"

/* What weft_run returns: main's outcome; -EINTR where the interrupt alone cancelled it. */
static intptr_t take_outcome(weft_runtime *runtime)
{
    weft_task *main_task = runtime->main;
    uint64_t word = wf_load_acq(&main_task->word);
    if (!wf_word_has_ended(word)) {
        return -EDEADLK;
    }
    intptr_t outcome;
    wf_task_look(main_task, &outcome);
    uint32_t interrupts = wf_load_acq(&runtime->was_interrupted);
    if (interrupts > 1 || (interrupts == 1 && outcome == -ECANCELED && wf_word_count(word) <= 1)) {
        outcome = -EINTR;
    }
    struct wf_later later;
    wf_later_init(&later);
    wf_task_drop(main_task, NULL, &later);
    return outcome;
}

/* Runtimes that were abandoned with live stacks: nobody uses the list, but memory that is kept on
 * purpose stays reachable for leak checkers. */
static _Atomic(weft_runtime *) abandoned;

static void keep(weft_runtime *runtime)
{
    runtime->next_abandoned = wf_load_acq(&abandoned);
    while (!wf_cas_weak_acqrel(&abandoned, &runtime->next_abandoned, runtime)) {
    }
}

static intptr_t finish_run(weft_runtime *runtime)
{
    bool is_drained = wf_load_acq(&runtime->phase) == WF_DRAINED;
    if (!is_drained && !runtime->is_deadlocked) {
        wf_sigint_stop(runtime);
        wf_watchdog_stop(runtime);
        for (uint32_t i = 1; i < runtime->worker_count && runtime->sim == NULL; i++) {
            (void)pthread_detach(runtime->workers[i].thread);
        }
        keep(runtime);
        /* Leftover tasks still own their stacks; their workers leave when they can. */
        return wf_load_acq(&runtime->was_interrupted) != 0 ? -EINTR : -EBUSY;
    }
    wf_threads_join(runtime, 1, runtime->worker_count);
    wf_sigint_stop(runtime);
    intptr_t outcome = take_outcome(runtime);
    outcome = runtime->is_deadlocked ? -EDEADLK : outcome;
    wf_overflow_stop();
    wf_runtime_free(runtime);
    return outcome;
}

/* Not yet queued. With it comes the interrupt that cancels it. */
static int spawn_main(weft_runtime *runtime, weft_fn *fn, void *arg)
{
    weft_task *task = NULL;
    int rc = wf_spawn_prepare(runtime, &runtime->workers[0], "main", fn, arg, NULL, &task);
    if (rc < 0) {
        return rc;
    }
    wf_task_add_flags(task, WF_TASK_MAIN);
    runtime->main = task;
    wf_spawn_publish(runtime, &runtime->workers[0], task); /* before an interrupt may ask it */
    return runtime->options.sigint && runtime->sim == NULL ? wf_sigint_start(runtime) : 0;
}

intptr_t wf_run_probed(weft_fn *fn, void *arg, const weft_options *options, struct wf_probe *probe)
{
    if (fn == NULL) {
        return -EINVAL;
    }
    if (wf_here() != NULL) {
        return -EPERM;
    }
    weft_runtime *runtime;
    int rc = wf_runtime_create(options, &runtime);
    if (rc < 0) {
        return rc;
    }
    rc = spawn_main(runtime, fn, arg);
    rc = rc == 0 ? wf_worker_settle(&runtime->workers[0]) : rc;
    if (rc == 0) {
        rc = wf_threads_start(runtime, 1);
        if (rc < 0) {
            wf_worker_unsettle(&runtime->workers[0]);
        }
    }
    if (rc < 0) {
        wf_runtime_free(runtime);
        return rc;
    }
    runtime->probe = probe;
    wf_sched_submit(runtime, &runtime->workers[0], runtime->main);
    wf_worker_serve(&runtime->workers[0]);
    return finish_run(runtime);
}

intptr_t weft_run(weft_fn *fn, void *arg, const weft_options *options)
{
    return wf_run_probed(fn, arg, options, NULL);
}

int weft_runtime_start(weft_runtime **runtime, const weft_options *options)
{
    if (runtime == NULL || (options != NULL && options->simulate)) {
        return -EINVAL;
    }
    weft_runtime *made;
    int rc = wf_runtime_create(options, &made);
    if (rc < 0) {
        return rc;
    }
    rc = wf_threads_start(made, 0);
    if (rc < 0) {
        wf_runtime_free(made);
        return rc;
    }
    *runtime = made;
    return 0;
}

/* False: the grace is over, and some have not ended. */
static bool await_drained(weft_runtime *runtime)
{
    uint32_t phase;
    while ((phase = wf_load_acq(&runtime->phase)) < WF_DRAINED) {
        int64_t grace_ns = wf_load_acq(&runtime->grace_deadline_ns);
        if (wf_monotonic_ns() >= grace_ns) {
            return false;
        }
        wf_futex_wait(&runtime->phase, phase, grace_ns);
    }
    return true;
}

int weft_runtime_stop(weft_runtime *runtime)
{
    if (runtime == NULL) {
        return -EINVAL;
    }
    if (wf_runtime_is_forked(runtime)) {
        return -ECHILD;
    }
    struct wf_worker *worker = wf_here();
    if ((worker != NULL && worker->runtime == runtime) || wf_pool_is_here(runtime)) {
        return -EDEADLK; /* it would wait for the caller */
    }
    if (runtime->main != NULL) {
        return -EINVAL; /* weft_run ends it */
    }
    if (wf_swap_acqrel(&runtime->stopping, 1U) != 0) {
        return -EALREADY;
    }
    wf_lifecycle_close(runtime);
    if (!await_drained(runtime)) {
        wf_report_left(runtime, WEFT_DIAG_LEFT_AT_SHUTDOWN);
        wf_store_rel(&runtime->stopping, 0U);
        return -EBUSY;
    }
    wf_threads_join(runtime, 0, runtime->worker_count);
    wf_overflow_stop();
    wf_runtime_free(runtime);
    return 0;
}

weft_runtime *weft_runtime_current(void)
{
    int error;
    struct wf_worker *worker = wf_fiber_worker(&error);
    return worker != NULL ? worker->runtime : NULL;
}

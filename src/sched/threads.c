// SPDX-License-Identifier: MIT
/* threads.c - the threads of the workers: how each becomes its worker, and how they are started together.
 *
 * Why this way: what may fail on a new thread is done first (wf_worker_settle), and whoever starts them waits until all have
 *       told how it went. So a runtime has all of its workers, or there is none.
 * Threads: each worker's own; unsettled and settle_error in runtime.h are between them and the one that starts them.
 */
#include <sched.h>

#include "base/futex.h"
#include "poll/uring.h"
#include "sched/loop.h"
#include "sched/report.h"
#include "sched/simulate.h"
#include "sched/start.h"

static void pin_worker(const struct wf_worker *worker)
{
    cpu_set_t allowed;
    cpu_set_t one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    int nth = (int)worker->index % CPU_COUNT(&allowed);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
    }
}

void wf_worker_unsettle(struct wf_worker *worker)
{
    if (worker->ring != NULL) {
        wf_uring_leave(worker->ring);
    }
    wf_overflow_leave_thread(&worker->overflow);
    wf_fiber_unadopt(worker->host);
}

int wf_worker_settle(struct wf_worker *worker)
{
    wf_fiber_adopt(worker->host);
    int rc = wf_overflow_enter_thread(&worker->overflow);
    if (rc == 0 && worker->ring != NULL) {
        rc = wf_uring_enable(worker->ring);
    }
    if (rc < 0) {
        wf_worker_unsettle(worker);
    }
    return rc;
}

void wf_worker_serve(struct wf_worker *worker)
{
    cpu_set_t former;
    bool is_pinned =
        worker->runtime->options.pin && sched_getaffinity(0, sizeof former, &former) == 0;
    if (is_pinned) {
        pin_worker(worker);
    }
    /* A call on the pool of another runtime may run this one: what it sees is not for the tasks here. */
    weft_context *lent = wf_here_lent();
    wf_here_lend(NULL);
    wf_here_set(worker);
    wf_solo_join();
    wf_bias_begin_thread(&worker->runtime->registry.bias, &worker->tasks.owner);
    if (worker->sim != NULL) {
        wf_sim_run(worker->sim);
    } else {
        wf_worker_run(worker);
    }
    wf_solo_part();
    wf_bias_end_thread();
    wf_here_set(NULL);
    wf_here_lend(lent);
    if (is_pinned) {
        (void)sched_setaffinity(0, sizeof former, &former);
    }
    wf_worker_unsettle(worker);
}

static void tell_settled(weft_runtime *runtime, int rc)
{
    if (rc < 0) {
        wf_store_rlx(&runtime->settle_error, rc);
    }
    if (wf_sub_acqrel(&runtime->unsettled, 1U) == 1) { /* takes the error along */
        wf_futex_wake(&runtime->unsettled, 1);
    }
}

static void *thread_main(void *arg)
{
    struct wf_worker *worker = arg;
    int rc = wf_worker_settle(worker);
    tell_settled(worker->runtime, rc);
    if (rc == 0) {
        wf_worker_serve(worker);
    }
    return NULL;
}

void wf_threads_join(weft_runtime *runtime, uint32_t first, uint32_t end)
{
    end = runtime->sim != NULL ? first : end; /* all its workers are the caller */
    for (uint32_t i = first; i < end; i++) {
        (void)pthread_join(runtime->workers[i].thread, NULL);
    }
}

/* Waits until all that were made run, or have failed to. */
static int await_settled(weft_runtime *runtime)
{
    uint32_t left;
    while ((left = wf_load_acq(&runtime->unsettled)) > 0) {
        wf_futex_wait(&runtime->unsettled, left, INT64_MAX);
    }
    return wf_load_rlx(&runtime->settle_error);
}

int wf_threads_start(weft_runtime *runtime, uint32_t first)
{
    int rc = wf_overflow_start(&wf_report_overflow_hooks);
    if (rc < 0 || runtime->sim != NULL) {
        return rc;
    }
    uint32_t made = first;
    while (made < runtime->worker_count && rc == 0) {
        struct wf_worker *worker = &runtime->workers[made];
        (void)wf_add_acqrel(&runtime->unsettled, 1U);
        rc = -pthread_create(&worker->thread, NULL, thread_main, worker);
        made += rc == 0 ? 1 : 0;
    }
    if (rc < 0) {
        (void)wf_sub_acqrel(&runtime->unsettled, 1U); /* that one has no thread */
    }
    int settled = await_settled(runtime);
    rc = rc == 0 ? settled : rc;
    rc = rc == 0 ? wf_watchdog_start(runtime) : rc;
    if (rc < 0) {
        wf_lifecycle_leave(runtime, WF_DRAINED);
        wf_threads_join(runtime, first, made);
        wf_overflow_stop();
    }
    return rc;
}

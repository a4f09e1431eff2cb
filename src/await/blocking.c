// SPDX-License-Identifier: MIT
/* blocking.c - weft_blocking.
 *
 * Borrowed arg: the job lies on the fiber's stack, so the wait may end only when the pool is done with
 * it. Its wait hands requests on, to the job: one that is queued takes the request and is withdrawn, one
 * that runs refuses, and the request stays undelivered for the next await point.
 * Owned arg: the wait is an ordinary one that a request ends at once. The job is on the heap.
 */
#include "await/blocking.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/blocking.h>
#include <weft/time.h>

#include "task/context.h"

/* ---- borrowed ---- */

struct borrowed {
    struct wf_pool *pool;
    struct wf_job job;
};

static bool hand_to_job(struct wf_wait *wait, struct wf_later *later)
{
    struct borrowed *call = (struct borrowed *)(uintptr_t)wait->target;
    if (!wf_pool_withdraw(call->pool, &call->job, later)) {
        return false;
    }
    later->delivered++;
    return true;
}

int wf_blocking_borrow(weft_task *self, weft_fn *fn, void *arg, intptr_t *result)
{
    struct wf_wait wait;
    struct borrowed call = {.pool = wf_pool_of(wf_runtime_of(self)),
                            .job = {.fn = fn, .arg = arg, .wait = &wait, .context = self->context}};
    if (call.pool == NULL) {
        return -ENOMEM;
    }
    wf_wait_begin(&wait, self, WF_WAIT_BLOCKING);
    wait.hand_on = hand_to_job;
    wait.target = &call;
    int rc = wf_pool_submit(call.pool, &call.job);
    if (rc < 0) {
        return rc;
    }
    (void)wf_door_park(&wait);
    if (call.job.state == WF_JOB_WITHDRAWN) {
        wf_state_set(&self->word, WF_TOLD);
        return -ECANCELED;
    }
    *result = call.job.result;
    return 0;
}

/* ---- owned ---- */

static void free_job(struct wf_job *job)
{
    wf_context_drop(job->context);
    free(job);
}

/* The request has won over the job's end, or came first. */
static int leave_behind(struct wf_pool *pool, struct wf_job *job)
{
    enum wf_job_state state = wf_pool_abandon(pool, job);
    if (state == WF_JOB_RUNNING) {
        return -ECANCELED; /* the job is the pool's now */
    }
    if (state == WF_JOB_WITHDRAWN) {
        job->drop_arg(job->arg);
    }
    free_job(job);
    return -ECANCELED;
}

int wf_blocking_give(weft_task *self, weft_fn *fn, void *arg, void (*drop_arg)(void *),
                     intptr_t *result)
{
    struct wf_wait wait;
    struct wf_pool *pool = wf_pool_of(wf_runtime_of(self));
    struct wf_job *job = pool != NULL ? calloc(1, sizeof *job) : NULL;
    if (job == NULL) {
        return -ENOMEM;
    }
    job->fn = fn;
    job->arg = arg;
    job->drop_arg = drop_arg;
    job->wait = &wait;
    job->context = wf_context_retain(self->context);
    wf_wait_begin(&wait, self, WF_WAIT_BLOCKING);
    int rc = wf_pool_submit(pool, job);
    if (rc < 0) {
        free_job(job);
        return rc;
    }
    if (wf_door_park(&wait) != WF_GRANTED) {
        return leave_behind(pool, job);
    }
    *result = job->result;
    free_job(job);
    return 0;
}

/* ---- the call ---- */

/* As long as a simulated call is queued: a time drawn from the seed. */
static int wait_in_line(weft_task *self, struct wf_sim *sim)
{
    struct wf_wait wait;
    struct wf_alarm alarm;
    if (wf_sim_is_strict(sim)) {
        return 0;
    }
    uint64_t bound = (uint64_t)wf_sim_faults(sim)->late_ns + 1;
    int64_t delay_ns = (int64_t)wf_sim_draw(sim, bound);
    wf_wait_begin(&wait, self, WF_WAIT_BLOCKING);
    wf_alarm_set(&alarm, &wait, wf_deadline_after(weft_now(), delay_ns), WF_GRANTED);
    enum wf_verdict verdict = wf_door_park(&wait);
    wf_alarm_clear(&alarm);
    return verdict == WF_GRANTED ? 0 : -ECANCELED;
}

/* A simulation has no threads: once it is its turn the call takes no time. What it calls finds no fiber
 * meanwhile, and only borrowed values, as on a thread of the pool. */
static int run_inline(weft_task *self, weft_fn *fn, void *arg, void (*drop_arg)(void *),
                      intptr_t *result)
{
    int rc = wait_in_line(self, wf_runtime_of(self)->sim);
    struct wf_worker *worker = wf_here();
    struct wf_fiber *fiber = worker->fiber;
    worker->fiber = worker->host;
    wf_store_rlx(&worker->running, &wf_no_task);
    wf_here_lend(self->context);
    if (rc == 0) {
        *result = fn(arg);
    }
    if (drop_arg != NULL) {
        drop_arg(arg);
    }
    wf_here_lend(NULL);
    worker->fiber = fiber;
    wf_store_rlx(&worker->running, self);
    return rc;
}

int weft_blocking(weft_fn *fn, void *arg, void (*drop_arg)(void *), intptr_t *result)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || fn == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    bool is_simulated = worker->runtime->options.simulate;
    intptr_t nowhere = 0;
    result = result != NULL ? result : &nowhere;
    rc = wf_door_enter(self, __func__);
    if (rc < 0) {
        if (drop_arg != NULL) {
            drop_arg(arg); /* whoever is told -ECANCELED has given arg away */
        }
        return rc;
    }
    if (is_simulated) {
        return run_inline(self, fn, arg, drop_arg, result);
    }
    return drop_arg != NULL ? wf_blocking_give(self, fn, arg, drop_arg, result)
                            : wf_blocking_borrow(self, fn, arg, result);
}

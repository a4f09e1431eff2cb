// SPDX-License-Identifier: MIT
/* stats.c - adding up what the workers counted. */
#include <errno.h>
#include <string.h>

#include <weft/stats.h>

#include "sched/blocking.h"
#include "sched/sched.h"

static void add_worker(weft_stats_t *sum, struct wf_worker *worker)
{
    struct wf_counters *c = &worker->counters;
    sum->tasks_spawned += wf_load_acq(&c->spawned);
    sum->tasks_finished += wf_load_acq(&c->finished);
    sum->steals += wf_load_rlx(&c->steals);
    sum->tasks_stolen += wf_load_rlx(&c->stolen);
    sum->parks += wf_load_rlx(&c->parks);
    sum->yields += wf_load_rlx(&c->yields);
    sum->wakes += wf_load_rlx(&c->wakes);
    sum->cancel_requests += wf_load_rlx(&c->requests);
    sum->cancels_delivered += wf_load_rlx(&c->delivered);
    sum->cancels_swallowed += wf_load_rlx(&c->swallowed);
    sum->timers_armed += wf_load_rlx(&c->armed);
    sum->timers_fired += wf_load_rlx(&c->fired);
    sum->worker_sleeps += wf_load_rlx(&c->sleeps);
    sum->worker_wakes += wf_load_rlx(&c->woken);
    sum->polls += wf_load_rlx(&c->polls);
    sum->io_events += wf_load_rlx(&c->events);
    sum->io_held += wf_load_rlx(&c->held);
    sum->group_errors += wf_load_rlx(&c->group_errors);
}

static void add_shared(weft_stats_t *sum, weft_runtime *runtime)
{
    sum->workers = runtime->worker_count;
    sum->tasks_spawned += wf_load_acq(&runtime->registry.outside_spawned);
    sum->cancel_requests += wf_load_rlx(&runtime->outside_requests);
    sum->hogs = wf_load_rlx(&runtime->hogs);
    wf_lock(&runtime->attach_lock);
    struct wf_pool *pool = runtime->pool;
    wf_unlock(&runtime->attach_lock);
    wf_pool_count(pool, &sum->blocking_threads, &sum->blocking_calls);
    struct wf_stack_stats stacks;
    wf_stacks_stats(&runtime->stacks, &stacks);
    sum->stacks_in_use = stacks.in_use;
    sum->stacks_cached = stacks.cached + stacks.dirty;
    sum->stacks_unguarded = stacks.guarded_by_canary;
}

int weft_stats(weft_runtime *runtime, weft_stats_t *out)
{
    if (out == NULL || (out->size != 0 && out->size > sizeof *out)) {
        return -EINVAL;
    }
    int rc = wf_runtime_resolve(&runtime);
    if (rc < 0) {
        return rc;
    }
    size_t size = out->size != 0 ? out->size : sizeof *out;
    weft_stats_t sum = {.size = size};
    /* Finished before spawned, so that there are never more of the former. */
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        add_worker(&sum, &runtime->workers[i]);
    }
    add_shared(&sum, runtime);
    memcpy(out, &sum, size);
    return 0;
}

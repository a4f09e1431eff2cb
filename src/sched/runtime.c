// SPDX-License-Identifier: MIT
/* runtime.c - making a runtime with its workers and their rings, and freeing it. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "fiber/hooks.h"
#include "poll/uring.h"
#include "sched/blocking.h"
#include "sched/gain.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "sched/probe.h"
#include "sched/report.h"
#include "sched/simulate.h"
#include "sched/start.h"

/* ---- workers ---- */

static void close_worker(struct wf_worker *worker)
{
    wf_uring_destroy(worker->ring);
    wf_stack_cache_close(&worker->stacks);
    wf_deque_destroy(&worker->deque);
    wf_deque_destroy(&worker->woken);
    wf_wheel_destroy(&worker->wheel);
}

static int open_worker(weft_runtime *runtime, uint32_t index)
{
    struct wf_worker *worker = &runtime->workers[index];
    memset(worker, 0, sizeof *worker);
    worker->runtime = runtime;
    worker->index = index;
    worker->host = &worker->own_host;
    worker->fiber = worker->host;
    wf_store_rlx(&worker->running, &wf_no_task);
    worker->random = UINT64_C(0x9e3779b97f4a7c15) * (index + 1);
    worker->until_poll = 1;
    worker->stretch = WF_POLL_TURNS;
    wf_gain_init(&worker->gain);
    wf_linger_init(worker);
    worker->is_alone = runtime->idle.worker_count == 1;
    bool is_open = !runtime->options.simulate && wf_load_rlx(&runtime->idle.is_asymmetric) != 0;
    wf_store_rlx(&worker->is_open, is_open ? 1U : 0U);
    ck_stack_init(&worker->inbox);
    int rc = wf_deque_init(&worker->deque);
    rc = rc == 0 ? wf_deque_init(&worker->woken) : rc;
    if (rc < 0) {
        wf_deque_destroy(&worker->deque);
        return rc;
    }
    wf_wheel_init(&worker->wheel, wf_runtime_now(runtime), runtime->options.simulate);
    wf_task_cache_init(&worker->tasks, &runtime->registry);
    wf_stack_cache_open(&worker->stacks, &runtime->stacks);
    return 0;
}

static int open_workers(weft_runtime *runtime, uint32_t count)
{
    size_t bytes = count * sizeof(struct wf_worker);
    runtime->workers = aligned_alloc(_Alignof(struct wf_worker), bytes);
    if (runtime->workers == NULL) {
        return -ENOMEM;
    }
    wf_store_rlx(&runtime->watch_ns, WF_FOREVER);
    int rc = wf_idle_init(&runtime->idle, count);
    while (rc == 0 && runtime->worker_count < count) {
        rc = open_worker(runtime, runtime->worker_count);
        runtime->worker_count += rc == 0 ? 1U : 0U;
    }
    return rc;
}

/* ---- rings ---- */

/* On its own thread the owner is awake: it looks at the next turn. On another one it may be busy, and then looks
 * when it looks around anyway. */
static void rouse_owner(struct wf_uring *ring)
{
    struct wf_worker *worker = ring->owner;
    if (wf_here() == worker) {
        worker->until_poll = 1;
        worker->since_poll = WF_POLL_TURNS;
    } else {
        wf_sched_rouse(worker->runtime, worker->index);
    }
}

static void close_rings(weft_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        wf_uring_destroy(runtime->workers[i].ring);
        runtime->workers[i].ring = NULL;
    }
}

/* All workers have one, or none. */
static int open_rings(weft_runtime *runtime)
{
    int rc = 0;
    for (uint32_t i = 0; i < runtime->worker_count && rc == 0; i++) {
        struct wf_worker *worker = &runtime->workers[i];
        rc = wf_uring_create(&worker->ring);
        if (rc == 0) {
            worker->ring->rouse_any = rouse_owner;
            worker->ring->owner = worker;
        }
    }
    if (rc < 0) {
        close_rings(runtime);
    }
    return rc;
}

static int open_io(weft_runtime *runtime)
{
    bool is_demanded;
    weft_io_backend io = wf_options_io(&runtime->options, &is_demanded);
    int rc = wf_epoll_create(&runtime->poller);
    /* valgrind lets one thread run at a time, and does not know that a ring's call sleeps. */
    if (rc < 0 || io == WEFT_IO_EPOLL || (io == WEFT_IO_AUTO && wf_hook_on_valgrind())) {
        return rc;
    }
    rc = open_rings(runtime);
    if (rc < 0 && !is_demanded) {
        if (io == WEFT_IO_URING) {
            wf_say("WEFT_IO=uring: no io_uring (error %d), epoll instead", -rc);
        }
        rc = 0;
    }
    return rc;
}

/* ---- for the registry, which knows no workers ---- */

static const struct wf_worker *worker_here(const struct wf_registry *registry)
{
    const struct wf_worker *worker = wf_here();
    return worker != NULL && &worker->runtime->registry == registry ? worker : NULL;
}

static struct wf_bias_owner *others_home(struct wf_registry *registry, const weft_task *task)
{
    weft_runtime *runtime = WF_CONTAINER(registry, weft_runtime, registry);
    struct wf_worker *home = &runtime->workers[wf_load_rlx(&((weft_task *)(uintptr_t)task)->home)];
    return home != worker_here(registry) ? &home->tasks.owner : NULL;
}

static bool is_alone(const struct wf_registry *registry)
{
    const struct wf_worker *worker = worker_here(registry);
    return worker != NULL && worker->is_alone;
}

/* ---- making ---- */

/* Without workers. NULL: no memory. */
static weft_runtime *make_empty(const weft_options *options)
{
    weft_runtime *runtime = aligned_alloc(_Alignof(weft_runtime), sizeof *runtime);
    if (runtime == NULL) {
        return NULL;
    }
    memset(runtime, 0, sizeof *runtime);
    runtime->options = *options;
    if (runtime->options.stack_bytes == 0) {
        runtime->options.stack_bytes = WF_STACK_DEFAULT;
    }
    runtime->fork_epoch = wf_fork_epoch();
    runtime->clock.is_virtual = options->simulate;
    wf_registry_init(&runtime->registry);
    runtime->registry.report = wf_report;
    runtime->registry.others_home = others_home;
    runtime->registry.is_alone = is_alone;
    wf_stacks_init(&runtime->stacks);
    ck_stack_init(&runtime->inject);
    return runtime;
}

int wf_runtime_create(const weft_options *options, weft_runtime **out)
{
    static const weft_options defaults = {.size = sizeof(weft_options)};
    options = options != NULL ? options : &defaults;
    int rc = wf_options_check(options);
    if (rc < 0) {
        return rc;
    }
    weft_runtime *runtime = make_empty(options);
    if (runtime == NULL) {
        return -ENOMEM;
    }
    uint32_t workers = wf_options_workers(options);
    if (workers > 1 && !options->simulate) {
        wf_solo_end();
    } else if (wf_here() == NULL) { /* else the new worker might be alone beside the calling one */
        wf_solo_renew();
    }
    rc = open_workers(runtime, workers);
    if (rc == 0 && !options->simulate) {
        wf_bias_begin(&runtime->registry.bias);
    }
    if (rc == 0) {
        rc = options->simulate ? wf_sim_create(runtime) : open_io(runtime);
    }
    if (rc < 0) {
        wf_runtime_free(runtime);
        return rc;
    }
    *out = runtime;
    return 0;
}

/* ---- the end ---- */

void wf_runtime_free(weft_runtime *runtime)
{
    wf_watchdog_stop(runtime);
    wf_pool_destroy(runtime->pool);
    while (wf_load_sc(&runtime->visitors) > 0) {
        sched_yield(); /* a plain thread is about to leave */
    }
    for (uint32_t i = 0; i < WF_ATTACH_COUNT; i++) {
        if (runtime->attachments[i].destroy != NULL) {
            runtime->attachments[i].destroy(runtime->attachments[i].data);
        }
    }
    if (runtime->probe != NULL) {
        runtime->probe->going(runtime->probe, runtime);
    }
    wf_report_unseen(runtime);
    wf_sim_destroy(runtime->sim);
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        close_worker(&runtime->workers[i]);
    }
    free(runtime->workers);
    if (runtime->poller != NULL) {
        wf_poller_destroy(runtime->poller);
    }
    wf_idle_destroy(&runtime->idle);
    wf_stacks_destroy(&runtime->stacks);
    wf_registry_destroy(&runtime->registry);
    free(runtime);
}

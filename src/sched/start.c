// SPDX-License-Identifier: MIT
/* start.c - making a runtime, its threads, and the public calls that start and stop one. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpus.h"
#include "base/futex.h"
#include "base/sized.h"
#include "fiber/hooks.h"
#include "poll/uring.h"
#include "sched/blocking.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "sched/probe.h"
#include "sched/report.h"
#include "sched/signals.h"
#include "sched/simulate.h"
#include "task/end.h"

enum { WORKERS_MAX = 1024, SIMULATED_WORKERS = 4 };

static int check_options(const weft_options *options)
{
    if (!wf_size_is_known(options->size, sizeof *options)) {
        return -EINVAL; /* fields that this version does not know */
    }
    if (options->workers < 0 || options->workers > WORKERS_MAX ||
        options->stack_bytes > WF_STACK_MAX || options->shutdown_grace_ns < 0 ||
        options->io < WEFT_IO_AUTO || options->io > WEFT_IO_URING) {
        return -EINVAL;
    }
    return 0;
}

/* What the environment says goes first; then what the program asks for; AUTO if neither wants any. */
static weft_io_backend choose_io(const weft_options *options, bool *is_demanded)
{
    static const struct {
        const char *name;
        weft_io_backend io;
    } names[] = {{"auto", WEFT_IO_AUTO}, {"epoll", WEFT_IO_EPOLL}, {"uring", WEFT_IO_URING}};
    const char *text = getenv("WEFT_IO");
    *is_demanded = options->io == WEFT_IO_URING;
    if (text == NULL || text[0] == '\0') {
        return options->io;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            *is_demanded = false;
            return names[i].io != WEFT_IO_AUTO ? names[i].io : options->io;
        }
    }
    wf_say("WEFT_IO=%s is none of auto, epoll, uring: ignored", text);
    return options->io;
}

static uint32_t choose_workers(const weft_options *options)
{
    if (options->simulate && options->seed == 0) {
        return 1;
    }
    if (options->workers > 0) {
        return (uint32_t)options->workers;
    }
    if (options->simulate) {
        return SIMULATED_WORKERS; /* the same on every machine */
    }
    const char *text = getenv("WEFT_WORKERS");
    if (text != NULL && text[0] != '\0') {
        char *end;
        long count = strtol(text, &end, 10);
        if (*end == '\0' && count >= 1 && count <= WORKERS_MAX) {
            return (uint32_t)count;
        }
        wf_say("WEFT_WORKERS=%s is not a number from 1 to %d: ignored", text, WORKERS_MAX);
    }
    int allowed = wf_cpus_allowed();
    return (uint32_t)(allowed < WORKERS_MAX ? allowed : WORKERS_MAX);
}

static void close_worker(struct wf_worker *worker)
{
    wf_uring_destroy(worker->ring);
    wf_stack_cache_close(&worker->stacks);
    wf_deque_destroy(&worker->deque);
    wf_deque_destroy(&worker->woken);
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
    worker->linger_ns = WF_LINGER_NS;
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

static void free_runtime(weft_runtime *runtime)
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

static int open_workers(weft_runtime *runtime, uint32_t count)
{
    size_t bytes = count * sizeof(struct wf_worker);
    runtime->workers = aligned_alloc(_Alignof(struct wf_worker), bytes);
    if (runtime->workers == NULL) {
        return -ENOMEM;
    }
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
    weft_io_backend io = choose_io(&runtime->options, &is_demanded);
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

/* For the registry, which knows no workers. */
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

static int create(const weft_options *options, weft_runtime **out)
{
    static const weft_options defaults = {.size = sizeof(weft_options)};
    options = options != NULL ? options : &defaults;
    int rc = check_options(options);
    if (rc < 0) {
        return rc;
    }
    weft_runtime *runtime = aligned_alloc(_Alignof(weft_runtime), sizeof *runtime);
    if (runtime == NULL) {
        return -ENOMEM;
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
    uint32_t workers = choose_workers(options);
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
        free_runtime(runtime);
        return rc;
    }
    *out = runtime;
    return 0;
}

/* ---- threads ---- */

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

/* Takes back what `settle` has done, on the same thread. */
static void unsettle(struct wf_worker *worker)
{
    if (worker->ring != NULL) {
        wf_uring_leave(worker->ring);
    }
    wf_overflow_leave_thread(&worker->overflow);
    wf_fiber_unadopt(worker->host);
}

/* What only the worker's own thread can do for it, and what may fail. */
static int settle(struct wf_worker *worker)
{
    wf_fiber_adopt(worker->host);
    int rc = wf_overflow_enter_thread(&worker->overflow);
    if (rc == 0 && worker->ring != NULL) {
        rc = wf_uring_enable(worker->ring);
    }
    if (rc < 0) {
        unsettle(worker);
    }
    return rc;
}

/* The calling thread, which has settled, becomes the worker for as long as the runtime lives. */
static void serve(struct wf_worker *worker)
{
    cpu_set_t former;
    bool is_pinned =
        worker->runtime->options.pin && sched_getaffinity(0, sizeof former, &former) == 0;
    if (is_pinned) {
        pin_worker(worker);
    }
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
    if (is_pinned) {
        (void)sched_setaffinity(0, sizeof former, &former);
    }
    unsettle(worker);
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
    int rc = settle(worker);
    tell_settled(worker->runtime, rc);
    if (rc == 0) {
        serve(worker);
    }
    return NULL;
}

static void join_threads(weft_runtime *runtime, uint32_t first, uint32_t end)
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

static int start_threads(weft_runtime *runtime, uint32_t first)
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
        join_threads(runtime, first, made);
        wf_overflow_stop();
    }
    return rc;
}

/* ---- the public calls ---- */

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
    join_threads(runtime, 1, runtime->worker_count);
    wf_sigint_stop(runtime);
    intptr_t outcome = take_outcome(runtime);
    outcome = runtime->is_deadlocked ? -EDEADLK : outcome;
    wf_overflow_stop();
    free_runtime(runtime);
    return outcome;
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
    int rc = create(options, &runtime);
    if (rc < 0) {
        return rc;
    }
    weft_task *task = NULL;
    rc = wf_spawn_prepare(runtime, &runtime->workers[0], "main", fn, arg, NULL, &task);
    if (rc == 0) {
        wf_task_add_flags(task, WF_TASK_MAIN);
        runtime->main = task;
        wf_spawn_publish(runtime, &runtime->workers[0], task); /* before an interrupt may ask it */
        rc = runtime->options.sigint && runtime->sim == NULL ? wf_sigint_start(runtime) : 0;
    }
    rc = rc == 0 ? settle(&runtime->workers[0]) : rc;
    if (rc == 0) {
        rc = start_threads(runtime, 1);
        if (rc < 0) {
            unsettle(&runtime->workers[0]);
        }
    }
    if (rc < 0) {
        free_runtime(runtime);
        return rc;
    }
    runtime->probe = probe;
    wf_sched_submit(runtime, &runtime->workers[0], task);
    serve(&runtime->workers[0]);
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
    int rc = create(options, &made);
    if (rc < 0) {
        return rc;
    }
    rc = start_threads(made, 0);
    if (rc < 0) {
        free_runtime(made);
        return rc;
    }
    *runtime = made;
    return 0;
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
    for (;;) {
        uint32_t phase = wf_load_acq(&runtime->phase);
        if (phase >= WF_DRAINED) {
            break;
        }
        int64_t grace_ns = wf_load_acq(&runtime->grace_deadline_ns);
        if (wf_monotonic_ns() >= grace_ns) {
            wf_report_left(runtime, WEFT_DIAG_LEFT_AT_SHUTDOWN);
            wf_store_rel(&runtime->stopping, 0U);
            return -EBUSY;
        }
        wf_futex_wait(&runtime->phase, phase, grace_ns);
    }
    join_threads(runtime, 0, runtime->worker_count);
    wf_overflow_stop();
    free_runtime(runtime);
    return 0;
}

weft_runtime *weft_runtime_current(void)
{
    int error;
    struct wf_worker *worker = wf_fiber_worker(&error);
    return worker != NULL ? worker->runtime : NULL;
}

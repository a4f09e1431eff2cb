/* SPDX-License-Identifier: MIT */
/* test_wakeups.c - plain threads grant what fibers are just about to wait for.
 *
 * A wake-up that gets lost between "nothing to do" and "asleep" hangs the test, and the time limit
 * says so. The main shapes: a fiber that parks while its future is set; a worker that goes to sleep
 * while a task is submitted; a runtime that ends while the thread that woke it is still on its way. */
#include <unistd.h>

#include <weft/future.h>
#include <weft/stats.h>
#include <weft/time.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(450) * WEFT_MS)

/* ---- one fiber, one thread, a chain of futures ---- */

/* They take turns on pairs of futures: the fiber sets `to_thread`, the thread polls it and sets
 * `to_fiber`. Each side makes a fresh pair for the next round before it answers. */
struct turn {
    weft_future to_fiber;
    atomic_bool to_thread;
};

enum { TURNS = 1 << 16 };

struct duel {
    struct turn *turns;
    atomic_long played;
    atomic_bool is_over;
    uint64_t seed;
};

static void *play_thread(void *arg)
{
    struct duel *duel = arg;
    uint64_t random = duel->seed | 1;

    for (long i = 0; i < TURNS; i++) {
        long spins = 0;

        while (!atomic_load(&duel->turns[i].to_thread)) {
            if (atomic_load(&duel->is_over)) {
                return NULL;
            }
            if (++spins > 200) {
                sched_yield();
            }
        }
        dither(&random);
        wt_check(weft_future_set(&duel->turns[i].to_fiber, i) == 0);
    }
    return NULL;
}

static intptr_t play_fiber(void *arg)
{
    struct duel *duel = arg;
    int64_t end = wf_monotonic_ns() + BUDGET_NS;
    uint64_t random = duel->seed * 3 | 1;

    for (long i = 0; i < TURNS && wf_monotonic_ns() < end; i++) {
        intptr_t value = -1;

        atomic_store(&duel->turns[i].to_thread, true);
        if (draw(&random) % 4 == 0) {
            dither(&random);
        }
        wt_check(weft_future_await(&duel->turns[i].to_fiber, &value) == 0);
        wt_check(value == i);
        atomic_store(&duel->played, i + 1);
    }
    atomic_store(&duel->is_over, true);
    return 0;
}

static void run_duel(int workers)
{
    const weft_options options = {.workers = workers};
    struct duel duel = {.seed = wt_seed()};
    pthread_t thread;

    duel.turns = calloc(TURNS, sizeof duel.turns[0]);
    cr_assert_not_null(duel.turns);
    cr_assert_eq(pthread_create(&thread, NULL, play_thread, &duel), 0);
    cr_assert_eq(weft_run(play_fiber, &duel, &options), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    wt_assert_clean();
    fprintf(stderr, "%d workers: %ld turns\n", workers, atomic_load(&duel.played));
    cr_assert_gt(atomic_load(&duel.played), 0);
    free(duel.turns);
}

Test(wakeups, futures_one_worker, .timeout = 20)
{
    run_duel(1);
}

Test(wakeups, futures_two_workers, .timeout = 20)
{
    run_duel(2);
}

Test(wakeups, futures_eight_workers, .timeout = 20)
{
    run_duel(8);
}

/* ---- submitting to a runtime that is about to sleep ---- */

static intptr_t add_one(void *arg)
{
    atomic_fetch_add((atomic_long *)arg, 1);
    return 0;
}

static intptr_t stay_short(void *arg)
{
    return weft_yield() == 0 ? add_one(arg) : -EINTR;
}

static void run_submits(int workers)
{
    const weft_options options = {.workers = workers};
    uint64_t random = wt_seed() | 1;
    int64_t end = wf_monotonic_ns() + BUDGET_NS;
    weft_runtime *runtime;
    atomic_long ran;
    long submitted = 0;

    atomic_init(&ran, 0);
    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    while (wf_monotonic_ns() < end) {
        weft_fn *fn = draw(&random) % 2 == 0 ? add_one : stay_short;
        long batch = 1 + (long)(draw(&random) % 3);
        weft_task *task;
        intptr_t result;

        for (long i = 1; i < batch; i++) {
            cr_assert_eq(weft_runtime_submit(runtime, NULL, fn, &ran, NULL), 0);
        }
        cr_assert_eq(weft_runtime_submit(runtime, &task, fn, &ran, NULL), 0);
        submitted += batch;
        cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
        cr_assert_eq(result, 0);
        weft_drop(task);
        dither(&random);
    }
    while (atomic_load(&ran) < submitted) { /* the time limit is the patience */
        sched_yield();
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    cr_assert_eq(atomic_load(&ran), submitted);
    fprintf(stderr, "%d workers: %ld tasks\n", workers, submitted);
}

Test(wakeups, submits_one_worker, .timeout = 20)
{
    run_submits(1);
}

Test(wakeups, submits_two_workers, .timeout = 20)
{
    run_submits(2);
}

Test(wakeups, submits_eight_workers, .timeout = 20)
{
    run_submits(8);
}

/* ---- many fibers park on one future each and on a shared one; several threads set ---- */

enum { CROWD = 200, SETTERS = 3 };

struct crowd {
    weft_future own[CROWD];
    weft_future shared;
    atomic_int next;
    atomic_int woken;
};

struct seat {
    struct crowd *crowd;
    int index;
};

static intptr_t sit(void *arg)
{
    const struct seat *seat = arg;
    intptr_t value = -1;

    wt_check(weft_future_await(&seat->crowd->own[seat->index], &value) == 0);
    wt_check(value == seat->index);
    wt_check(weft_future_await(&seat->crowd->shared, &value) == 0);
    wt_check(value == CROWD);
    atomic_fetch_add(&seat->crowd->woken, 1);
    return 0;
}

static void *set_some(void *arg)
{
    struct crowd *crowd = arg;

    for (;;) {
        int i = atomic_fetch_add(&crowd->next, 1);

        if (i >= CROWD) {
            break;
        }
        wt_check(weft_future_set(&crowd->own[i], i) == 0);
        wt_check(weft_future_set(&crowd->own[i], i) == -EALREADY);
    }
    (void)weft_future_set(&crowd->shared, CROWD); /* the first of them wins */
    return NULL;
}

static intptr_t seat_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct seat seats[CROWD];
    weft_task *tasks[CROWD];

    for (int i = 0; i < CROWD; i++) {
        seats[i] = (struct seat){crowd, i};
        wt_check(weft_spawn(&tasks[i], sit, &seats[i]) == 0);
    }
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

static void run_crowds(int workers)
{
    const weft_options options = {.workers = workers};
    int64_t end = wf_monotonic_ns() + BUDGET_NS / 2;
    int rounds = 0;

    for (; wf_monotonic_ns() < end; rounds++) {
        static struct crowd crowd;
        pthread_t setters[SETTERS];

        memset(&crowd, 0, sizeof crowd);
        for (int i = 0; i < SETTERS; i++) {
            cr_assert_eq(pthread_create(&setters[i], NULL, set_some, &crowd), 0);
        }
        cr_assert_eq(weft_run(seat_crowd, &crowd, &options), 0);
        for (int i = 0; i < SETTERS; i++) {
            cr_assert_eq(pthread_join(setters[i], NULL), 0);
        }
        wt_assert_clean();
        cr_assert_eq(atomic_load(&crowd.woken), CROWD);
    }
    fprintf(stderr, "%d workers: %d rounds\n", workers, rounds);
}

Test(wakeups, crowds_two_workers, .timeout = 20)
{
    run_crowds(2);
}

Test(wakeups, crowds_eight_workers, .timeout = 20)
{
    run_crowds(8);
}

/* ---- main ends as soon as it is woken, and its runtime with it ---- */

static intptr_t await_once(void *arg)
{
    intptr_t value = -1;
    int rc = weft_future_await(arg, &value);

    return rc < 0 ? rc : value;
}

static void *set_once(void *arg)
{
    wt_check(weft_future_set(arg, 42) == 0);
    return NULL;
}

/* The setter may still be inside weft_future_set when weft_run returns on the other thread. */
Test(wakeups, the_runtime_may_end_under_its_waker, .timeout = 20)
{
    int64_t end = wf_monotonic_ns() + BUDGET_NS;
    int runs = 0;

    (void)wt_seed();
    for (; wf_monotonic_ns() < end; runs++) {
        const weft_options options = {.workers = 1 + runs % 2};
        weft_future future = WEFT_FUTURE_INIT;
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, set_once, &future), 0);
        cr_assert_eq(weft_run(await_once, &future, &options), 42);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    wt_assert_clean();
    fprintf(stderr, "%d runs\n", runs);
}

/* ---- the same with a waker that is held up anywhere on its way ---- */

/* A timer interrupts the waker some microseconds later and keeps it while the runtime ends. So
 * what it touches after it has queued the fiber, it touches too late, unless the runtime waits for it. */
static struct {
    _Atomic(weft_future *) asked; /* the fiber is about to await it */
    atomic_bool has_ended;        /* the run whose future is asked for */
    atomic_bool is_over;
    atomic_int held; /* times that the waker was held up */
} slow;

/* Until the run has ended, or can't because it waits for us. */
static void hold_up(int signal)
{
    const struct timespec pause = {.tv_nsec = 500 * 1000};
    int error = errno;

    (void)signal;
    for (int i = 0; i < 16 && !atomic_load(&slow.has_ended); i++) {
        nanosleep(&pause, NULL);
    }
    errno = error;
    atomic_fetch_add(&slow.held, 1);
}

static void set_soon_interrupted(weft_future *future, timer_t timer, uint64_t *random)
{
    struct itimerspec soon = {.it_value.tv_nsec = 1 + (long)(draw(random) % 60000)};

    for (uint64_t i = draw(random) % 8; i > 0; i--) { /* the fiber parks first, mostly */
        sched_yield();
    }
    wt_check(timer_settime(timer, 0, &soon, NULL) == 0);
    wt_check(weft_future_set(future, 42) == 0);
}

static void *wake_slowly(void *arg)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    uint64_t random = as_seed(arg);
    timer_t timer;

    event._sigev_un._tid = gettid();
    if (!wt_check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)) {
        abort();
    }
    while (!atomic_load(&slow.is_over)) {
        weft_future *future = atomic_exchange(&slow.asked, NULL);

        if (future != NULL) {
            set_soon_interrupted(future, timer, &random);
        }
    }
    wt_check(timer_delete(timer) == 0);
    return NULL;
}

static intptr_t yield_on(void *arg)
{
    int rc = 0;

    (void)arg;
    while (rc == 0) {
        rc = weft_yield();
    }
    return rc;
}

/* A task that goes on keeps a worker awake, which finds the fiber before the waker has called anybody. */
static intptr_t ask_and_await(void *arg)
{
    wt_check(weft_spawn(NULL, yield_on, NULL) == 0);
    atomic_store(&slow.asked, (weft_future *)arg);
    return await_once(arg);
}

Test(wakeups, the_runtime_may_end_under_a_waker_that_is_held_up, .timeout = 20)
{
    const struct sigaction action = {.sa_handler = hold_up, .sa_flags = SA_RESTART};
    int64_t end = wf_monotonic_ns() + 3 * BUDGET_NS;
    pthread_t waker;
    int runs = 0;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_create(&waker, NULL, wake_slowly, as_arg(wt_seed())), 0);
    for (; wf_monotonic_ns() < end; runs++) {
        const weft_options options = {.workers = 1 + runs % 2};
        weft_future future = WEFT_FUTURE_INIT;

        atomic_store(&slow.has_ended, false);
        cr_assert_eq(weft_run(ask_and_await, &future, &options), 42);
        atomic_store(&slow.has_ended, true);
    }
    atomic_store(&slow.is_over, true);
    cr_assert_eq(pthread_join(waker, NULL), 0);
    wt_assert_clean();
    fprintf(stderr, "%d runs, held up %d times\n", runs, atomic_load(&slow.held));
    cr_assert(runs > 0 && atomic_load(&slow.held) > 0);
}

/* ---- an idle runtime sleeps ---- */

static intptr_t count_sleep(void *arg)
{
    weft_stats_t stats = {.size = sizeof stats};

    (void)arg;
    wt_check(weft_sleep(20 * WEFT_MS) == 0);
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.worker_sleeps > 0);
    return 0;
}

Test(wakeups, idle_workers_use_no_processor, .timeout = 20)
{
    const weft_options options = {.workers = 8};
    struct timespec before, then;
    double used_s;

    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before), 0);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(weft_run(count_sleep, NULL, &options), 0);
    }
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &then), 0);
    used_s = (double)(then.tv_sec - before.tv_sec) + (double)(then.tv_nsec - before.tv_nsec) / 1e9;
    wt_assert_clean();
    cr_assert_lt(used_s, 0.1 * WT_TIME_SCALE, "%.3f s of processor time in 0.2 s of sleep", used_s);
}

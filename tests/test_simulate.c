// SPDX-License-Identifier: MIT
/* test_simulate.c - seeds: the same seed gives the same run, other seeds other ones; workers that are none. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <weft/testing.h>

#include "sched/simulate.h"
#include "simulate_test.h"

/* ---- a program that does a bit of everything, and the bytes it leaves ---- */

struct trace {
    char text[16 << 10];
    size_t length;
};

static void note(struct trace *trace, const char *what, int64_t number)
{
    int n = snprintf(trace->text + trace->length, sizeof trace->text - trace->length,
                     "%s %" PRId64 " at %" PRId64 " on %u\n", what, number, weft_now(),
                     wf_here()->index);
    trace->length += (size_t)n;
    wt_check(trace->length < sizeof trace->text);
}

struct part {
    struct trace *trace;
    weft_future *future;
    int number;
    int fds[2];
};

static intptr_t compute(void *arg)
{
    struct part *part = arg;
    note(part->trace, "blocking", part->number);
    return part->number;
}

static intptr_t sleeper(void *arg)
{
    struct part *part = arg;
    for (int i = 0; i < 3; i++) {
        int rc = weft_sleep((int64_t)weft_sim_random(2) * WEFT_MS);
        note(part->trace, "slept", rc);
        if (rc < 0) {
            return rc;
        }
    }
    intptr_t value = 0;
    int rc = weft_blocking(compute, part, NULL, &value);
    note(part->trace, "computed", rc < 0 ? rc : value);
    return rc < 0 ? rc : value;
}

static intptr_t future_waiter(void *arg)
{
    struct part *part = arg;
    intptr_t value = 0;
    int rc = weft_future_await(part->future, &value);
    note(part->trace, "future", rc < 0 ? rc : value);
    return 0;
}

static intptr_t pipe_reader(void *arg)
{
    struct part *part = arg;
    char bytes[64];
    ssize_t n;
    do {
        n = weft_read(part->fds[0], bytes, sizeof bytes);
        note(part->trace, "read", n);
    } while (n > 0);
    return n;
}

static intptr_t pipe_writer(void *arg)
{
    struct part *part = arg;
    char bytes[256] = "";
    for (int i = 0; i < 3; i++) {
        note(part->trace, "wrote", weft_write(part->fds[1], bytes, sizeof bytes));
    }
    return weft_close(part->fds[1]);
}

static void canceller(void *arg)
{
    (void)weft_cancel(arg);
}

static intptr_t mixture(void *arg)
{
    static weft_fn *const kinds[] = {sleeper, future_waiter, sleeper, pipe_reader, pipe_writer};
    struct trace *trace = arg;
    struct part parts[10];
    weft_task *victim = NULL;
    weft_future future;
    weft_group group;
    int fds[2][2];
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_sim_pipe(fds[0]) == 0 && weft_sim_pipe(fds[1]) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 10; i++) {
        const int *pipe = fds[i / 5];
        parts[i] = (struct part){trace, &future, i, {pipe[0], pipe[1]}};
        wt_check(weft_group_spawn(&group, i == 0 ? &victim : NULL, kinds[i % 5], &parts[i], NULL) ==
                 0);
    }
    wt_check(weft_sim_after((int64_t)weft_sim_random(3) * WEFT_MS, canceller, victim) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_future_set(&future, 42) == 0);
    note(trace, "closed", weft_group_close(&group, 0));
    weft_drop(victim);
    return 0;
}

Test(simulate, the_same_seed_gives_the_same_bytes, .timeout = 60)
{
    static struct trace traces[2];
    static char first[16 << 10];
    int repeated = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (int i = 0; i < 2; i++) {
            traces[i].length = 0;
            cr_assert_eq(run_seed(mixture, &traces[i], seed), 0, "seed %" PRIu64, seed);
        }
        cr_assert_eq(traces[0].length, traces[1].length, "seed %" PRIu64, seed);
        cr_assert_eq(memcmp(traces[0].text, traces[1].text, traces[0].length), 0, "seed %" PRIu64,
                     seed);
        repeated += seed > 0 && strcmp(first, traces[0].text) == 0;
        memcpy(first, traces[0].text, sizeof first);
    }
    cr_assert(repeated == 0, "%d seeds did as the one before", repeated);
    wt_assert_clean();
}

/* ---- orders ---- */

enum { RUNNERS = 5 };

struct order {
    int next;
    int runners[RUNNERS];
    bool sleeps;
};

static struct order order;

static intptr_t come(void *arg)
{
    int number = (int)(intptr_t)arg;
    if (order.sleeps) {
        wt_check(weft_sleep_until(WEFT_S) == 0);
        wt_check(weft_now() == WEFT_S);
    }
    order.runners[order.next++] = number;
    return 0;
}

static intptr_t race(void *arg)
{
    weft_group group;
    order = (struct order){.sleeps = *(const bool *)arg};
    wt_check(weft_group_open(&group, 0) == 0);
    for (intptr_t i = 0; i < RUNNERS; i++) {
        wt_check(weft_group_spawn(&group, NULL, come, (void *)i, NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
    return order.next;
}

static int order_number(void)
{
    int number = 0;
    for (int i = 0; i < RUNNERS; i++) {
        number = number * RUNNERS + order.runners[i];
    }
    return number;
}

static void expect_many_orders(bool sleeps)
{
    static bool is_known[RUNNERS * RUNNERS * RUNNERS * RUNNERS * RUNNERS];
    int different = 0;
    memset(is_known, 0, sizeof is_known);
    for (uint64_t seed = 1; seed <= 3 * SEEDS; seed++) {
        cr_assert_eq(run_seed(race, &sleeps, seed), RUNNERS);
        different += !is_known[order_number()];
        is_known[order_number()] = true;
    }
    cr_assert(different > 100, "%d of 120 orders in 600 seeds", different);
    cr_assert_eq(run_seed(race, &sleeps, 0), RUNNERS);
    for (int i = 0; i < RUNNERS; i++) {
        cr_assert_eq(order.runners[i], i);
    }
    wt_assert_clean();
}

Test(simulate, seeds_give_different_orders)
{
    expect_many_orders(false);
}

Test(simulate, timers_at_one_instant_come_in_any_order)
{
    expect_many_orders(true);
}

/* ---- logical workers ---- */

static intptr_t count_workers(void *arg)
{
    int *runs = arg;
    for (int i = 0; i < 50; i++) {
        wt_check(weft_yield() == 0);
        runs[wf_here()->index]++;
    }
    return 0;
}

Test(simulate, every_logical_worker_runs_tasks)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        int runs[4] = {0};
        cr_assert_eq(run_seed(count_workers, runs, seed), 0);
        for (int i = 0; i < 4; i++) {
            cr_assert(runs[i] > 0, "seed %" PRIu64 ": worker %d ran nothing", seed, i);
        }
    }
    int runs[4] = {0};
    cr_assert_eq(run_seed(count_workers, runs, 0), 0);
    cr_assert_eq(runs[0], 50);
    wt_assert_clean();
}

static intptr_t stay(void *arg)
{
    uint32_t home = wf_here()->index;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        wt_check((i % 2 == 0 ? weft_yield() : weft_sleep(i)) == 0);
        wt_check(wf_here()->index == home);
    }
    return (intptr_t)home;
}

static intptr_t spawn_pinned(void *arg)
{
    const weft_spawn_options pinned = {.pinned = true};
    int *homes = arg;
    for (int i = 0; i < 4; i++) {
        weft_task *task;
        intptr_t home = 0;
        wt_check(weft_spawn_with(&task, stay, NULL, &pinned) == 0);
        wt_check(weft_await(task, &home) == 0);
        homes[home]++;
    }
    return 0;
}

Test(simulate, pinned_tasks_stay)
{
    int homes[4] = {0};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_seed(spawn_pinned, homes, seed), 0);
    }
    wt_assert_clean();
    for (int i = 0; i < 4; i++) {
        cr_assert(homes[i] > 0, "worker %d had none", i);
    }
}

/* ---- a plain thread beside a simulation ---- */

static weft_future from_thread = WEFT_FUTURE_INIT;
static atomic_int thread_may_set, thread_has_set;

static intptr_t wait_for_thread(void *arg)
{
    (void)arg;
    return weft_future_await(&from_thread, NULL);
}

static void *set_from_thread(void *arg)
{
    while (atomic_load(&thread_may_set) == 0) {
        sched_yield();
    }
    wt_check(weft_future_set(&from_thread, 0) == 0);
    atomic_store(&thread_has_set, 1);
    return arg;
}

static intptr_t wake_pinned(void *arg)
{
    const weft_spawn_options pinned = {.pinned = true};
    weft_task *task;
    intptr_t result = -1;

    (void)arg;
    wt_check(weft_spawn_with(&task, wait_for_thread, NULL, &pinned) == 0);
    for (int i = 0; i < 10; i++) {
        wt_check(weft_yield() == 0);
    }
    atomic_store(&thread_may_set, 1);
    while (atomic_load(&thread_has_set) == 0) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_await(task, &result) == 0 && result == 0);
    return 0;
}

Test(simulate, a_plain_thread_wakes_a_pinned_task)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};
        pthread_t thread;

        weft_future_init(&from_thread);
        atomic_store(&thread_may_set, 0);
        atomic_store(&thread_has_set, 0);
        cr_assert_eq(pthread_create(&thread, NULL, set_from_thread, NULL), 0);
        cr_assert_eq(weft_run(wake_pinned, NULL, &options), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        wt_assert_clean();
    }
}

/* ---- what may happen in either order does ---- */

static intptr_t set_in_1_ms(void *arg)
{
    int rc = weft_sleep(WEFT_MS);
    return rc < 0 ? rc : weft_future_set(arg, 1);
}

/* The limit of a wait and the timer whose task grants it: 0, or -ETIMEDOUT. */
static intptr_t grant_at_the_limit(void *arg)
{
    weft_task *task;
    weft_future future;
    weft_timeout limit;
    (void)arg;
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_spawn(&task, set_in_1_ms, &future) == 0);
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    intptr_t rc = weft_timeout_leave(&limit, weft_future_await(&future, NULL));
    wt_check(weft_await(task, NULL) == 0);
    return rc;
}

/* Both timers are the task's own. */
static intptr_t sleep_to_the_limit(void *arg)
{
    weft_timeout limit;
    (void)arg;
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    return weft_timeout_leave(&limit, weft_sleep(WEFT_MS));
}

static void assert_both_outcomes(weft_fn *fn)
{
    int granted = 0;
    int timed_out = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const weft_options options = {.simulate = true, .seed = seed, .workers = 1};
        intptr_t rc = weft_run(fn, NULL, &options);
        granted += rc == 0;
        timed_out += rc == -ETIMEDOUT;
    }
    cr_assert_eq(granted + timed_out, SEEDS);
    cr_assert(granted > 0 && timed_out > 0, "%d granted, %d timed out", granted, timed_out);
    wt_assert_clean();
}

Test(simulate, of_timers_with_one_deadline_any_comes_first)
{
    assert_both_outcomes(grant_at_the_limit);
    assert_both_outcomes(sleep_to_the_limit);
}

/* An environment that asks for a poller that is not there changes nothing where there is none. */
Test(simulate, the_environment_decides_nothing)
{
    cr_assert_eq(setenv("WEFT_IO", "uring", 1), 0);
    cr_assert_eq(setenv("WEFT_WORKERS", "2", 1), 0);
    cr_assert_eq(run_seed(sleep_to_the_limit, NULL, 0), -ETIMEDOUT);
    cr_assert_eq(unsetenv("WEFT_IO"), 0);
    cr_assert_eq(unsetenv("WEFT_WORKERS"), 0);
    wt_assert_clean();
}

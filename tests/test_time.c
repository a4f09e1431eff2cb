/* SPDX-License-Identifier: MIT */
/* test_time.c - the clock, sleeping and yielding: never early, in order, in virtual time too. */
#include <errno.h>
#include <time.h>

#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* ---- virtual time ---- */

static intptr_t virtual_time(void *arg)
{
    int64_t start = weft_now();

    (void)arg;
    wt_check(weft_sleep(1) == 0 && weft_now() == start + 1); /* exact to the nanosecond */
    wt_check(weft_sleep(365 * 86400 * WEFT_S) == 0);
    wt_check(weft_now() == start + 1 + 365 * 86400 * WEFT_S);
    start = weft_now();
    wt_check(weft_sleep_until(start + 77) == 0 && weft_now() == start + 77);
    wt_check(weft_sleep_until(start) == 0 && weft_now() == start + 77); /* the past: a yield */
    wt_check(weft_sleep_until(INT64_MIN) == 0);
    wt_check(weft_sleep(0) == 0 && weft_sleep(-5) == 0 && weft_sleep(INT64_MIN) == 0);
    wt_check(weft_yield() == 0 && weft_checkpoint() == 0);
    wt_check(weft_now() == start + 77);
    return 0;
}

Test(time, virtual_time_jumps_to_deadlines)
{
    struct timespec before, then;

    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    simulate(virtual_time);
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &then), 0);
    cr_assert_lt(then.tv_sec - before.tv_sec, 30); /* a year passed */
}

static int order[64];
static int noted;

static intptr_t sleep_and_note(void *arg)
{
    intptr_t n = (intptr_t)arg;

    wt_check(weft_sleep(n * WEFT_MS) == 0);
    order[noted++] = (int)n;
    return 0;
}

static intptr_t sleep_sort(void *arg)
{
    weft_task *tasks[50];

    (void)arg;
    for (int i = 0; i < 50; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_and_note, word(1 + (i * 37) % 50)) == 0);
    }
    for (int i = 0; i < 50; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    for (int i = 0; i < 50; i++) {
        wt_check(order[i] == i + 1);
    }
    wt_check(weft_now() == 50 * WEFT_MS);
    return 0;
}

Test(time, sleepers_wake_by_deadline)
{
    simulate(sleep_sort);
}

static intptr_t sleep_same(void *arg)
{
    wt_check(weft_sleep(WEFT_S) == 0);
    order[noted++] = (int)(intptr_t)arg;
    return 0;
}

/* L-6 */
static intptr_t equal_deadlines(void *arg)
{
    weft_task *tasks[50];

    (void)arg;
    for (int i = 0; i < 50; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_same, word(i)) == 0);
    }
    for (int i = 0; i < 50; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    for (int i = 0; i < 50; i++) {
        wt_check(order[i] == i);
    }
    return 0;
}

Test(time, equal_deadlines_wake_in_order_of_arming)
{
    simulate(equal_deadlines);
}

/* Far and near together, beyond what the timers' levels cover. */
static intptr_t sleep_days(void *arg)
{
    int64_t start = weft_now(), delay = (intptr_t)arg * 86400 * WEFT_S;

    wt_check(weft_sleep(delay) == 0);
    wt_check(weft_now() == start + delay);
    order[noted++] = (int)(intptr_t)arg;
    return 0;
}

static intptr_t long_sleeps(void *arg)
{
    static const int days[] = {60, 55, 400, 1, 120, 52, 53, 30, 3650, 110};
    static const int sorted[] = {1, 30, 52, 53, 55, 60, 110, 120, 400, 3650};
    weft_task *tasks[10];

    (void)arg;
    for (int i = 0; i < 10; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_days, word(days[i])) == 0);
    }
    for (int i = 0; i < 10; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    for (int i = 0; i < 10; i++) {
        wt_check(order[i] == sorted[i]);
    }
    return 0;
}

Test(time, sleeps_of_months)
{
    simulate(long_sleeps);
}

/* ---- yielding: L-4 ---- */

static intptr_t yield_and_note(void *arg)
{
    for (int i = 0; i < 3; i++) {
        order[noted++] = (int)(intptr_t)arg;
        wt_check((i == 0 ? weft_yield() : i == 1 ? weft_sleep(0) : weft_sleep(-1)) == 0);
    }
    return 0;
}

static intptr_t take_turns(void *arg)
{
    weft_task *tasks[4];

    (void)arg;
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&tasks[i], yield_and_note, word(i)) == 0);
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    for (int i = 0; i < 12; i++) {
        wt_check(order[i] == i % 4);
    }
    return 0;
}

Test(time, a_yield_is_one_trip_through_the_queue)
{
    simulate(take_turns);
}

/* Work that is ready runs before virtual time moves. */
static intptr_t yield_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        wt_check(weft_yield() == 0);
        wt_check(weft_now() == 0);
    }
    return 0;
}

static intptr_t ready_first(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, yield_many, NULL) == 0);
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_task_state(task) == WEFT_OK);
    return weft_await(task, NULL);
}

Test(time, time_stands_still_while_work_is_ready)
{
    simulate(ready_first);
}

/* ---- the real clock ---- */

Test(time, now_outside_a_fiber_is_the_systems)
{
    int64_t before = wf_monotonic_ns(), now = weft_now(), after = wf_monotonic_ns();

    cr_assert(before <= now && now <= after);
}

static intptr_t sleep_real(void *arg)
{
    intptr_t index = (intptr_t)arg;

    for (int i = 0; i < 40; i++) {
        int64_t delay = (index * 7919 + i * 104729) % (3 * WEFT_MS);
        int64_t start = weft_now(), until = start + delay;

        if (i % 2 == 0) {
            wt_check(weft_sleep(delay) == 0);
        } else {
            wt_check(weft_sleep_until(until) == 0);
        }
        wt_check(weft_now() >= until); /* never early */
        wt_check(weft_now() - until < 500 * WEFT_MS * WT_TIME_SCALE);
    }
    return 0;
}

static intptr_t sleepers(void *arg)
{
    weft_task *tasks[32];
    int64_t before = wf_monotonic_ns(), now = weft_now();

    (void)arg;
    wt_check(before <= now && now <= wf_monotonic_ns());
    for (int i = 0; i < 32; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_real, word(i)) == 0);
    }
    for (int i = 0; i < 32; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

Test(time, real_sleeps_are_never_early)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i]};

        cr_assert_eq(weft_run(sleepers, NULL, &options), 0);
    }
    wt_assert_clean();
}

/* A fiber that never parks must not keep others on its worker from their turn. */
static atomic_bool may_stop;

static intptr_t yield_until_told(void *arg)
{
    intptr_t yields = 0;

    (void)arg;
    while (!atomic_load(&may_stop)) {
        wt_check(weft_yield() == 0);
        yields++;
    }
    return yields;
}

static intptr_t among_yielders(void *arg)
{
    weft_task *tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&tasks[i], yield_until_told, NULL) == 0);
    }
    for (int i = 0; i < 20; i++) {
        int64_t start = weft_now();

        wt_check(weft_sleep(WEFT_MS) == 0); /* timers are looked at under load */
        wt_check(weft_now() - start < 500 * WEFT_MS * WT_TIME_SCALE);
    }
    atomic_store(&may_stop, true);
    for (int i = 0; i < 3; i++) {
        intptr_t yields = 0;

        wt_check(weft_await(tasks[i], &yields) == 0 && yields > 0);
    }
    return 0;
}

Test(time, timers_fire_under_load)
{
    const weft_options options = {.workers = 1};

    cr_assert_eq(weft_run(among_yielders, NULL, &options), 0);
    wt_assert_clean();
}

/* A task whose waits are all ready yields now and then all the same. */
static intptr_t wait_for_ready(void *arg)
{
    weft_task *ended = arg;

    while (!atomic_load(&may_stop)) {
        wt_check(weft_join(ended, NULL) == 0);
    }
    return 0;
}

static intptr_t tell(void *arg)
{
    (void)arg;
    atomic_store(&may_stop, true);
    return 0;
}

static intptr_t fairness(void *arg)
{
    weft_task *ended, *teller;

    (void)arg;
    wt_check(weft_spawn(&ended, tell, NULL) == 0);
    wt_check(weft_join(ended, NULL) == 0);
    atomic_store(&may_stop, false);
    wt_check(weft_spawn(&teller, tell, NULL) == 0);
    wt_check(wait_for_ready(ended) == 0); /* the time limit is the judge */
    wt_check(weft_await(teller, NULL) == 0 && weft_await(ended, NULL) == 0);
    return 0;
}

Test(time, ready_waits_spend_a_budget, .timeout = 10)
{
    const weft_options options = {.workers = 1};

    cr_assert_eq(weft_run(fairness, NULL, &options), 0);
    wt_assert_clean();
}

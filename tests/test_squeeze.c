// SPDX-License-Identifier: MIT
/* test_squeeze.c - workers that share one processor: they don't wake each other all the time, and nothing is left behind. */
#include <errno.h>
#include <sched.h>

#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "one_processor.h"
#include "sched/runtime.h"
#include "sched/squeeze.h"
#include "support.h"
#include "weft_test.h"

enum { FIRST_NS = 100000, MOST_NS = 2000000 };

static const weft_options two_workers = {.workers = 2};

/* ---- judging, of workers that do not run ---- */

static weft_runtime runtime;
static struct wf_worker workers[2];
static struct wf_worker *waker = &workers[0];
static struct wf_worker *woken = &workers[1];

static void make_world(void)
{
    stay_on_one_processor();
    runtime.workers = workers;
    runtime.worker_count = 2;
    waker->runtime = woken->runtime = &runtime;
}

/* By the first worker, where that is; 0: by somebody else. */
static void wake_from(uint32_t processor)
{
    wf_store_rlx(&runtime.waker, processor != 0 ? 1U << 16 | processor : 0);
    wf_squeeze_judge(woken);
}

static uint32_t here(void)
{
    return (uint32_t)sched_getcpu() + 1;
}

Test(squeeze, who_is_in_the_way_says_so_for_longer_each_time, .init = make_world)
{
    int64_t expected_ns = FIRST_NS;
    for (int i = 0; i < 10; i++) {
        int64_t before_ns = wf_monotonic_ns();
        wake_from(here());
        cr_assert(wf_squeeze_holds(woken));
        cr_assert_eq(wf_load_rlx(&waker->squeezed_ns), (uint32_t)expected_ns);
        cr_assert_geq(wf_load_rlx(&waker->squeezed_until_ns), before_ns + expected_ns);
        expected_ns = expected_ns < MOST_NS / 2 ? 2 * expected_ns : MOST_NS;
    }
    wake_from(here() + 1);
    cr_assert_not(wf_squeeze_holds(woken), "it has a processor of its own");
    cr_assert_eq(wf_load_rlx(&waker->squeezed_until_ns), 0);
    wake_from(here());
    cr_assert_eq(wf_load_rlx(&waker->squeezed_ns), (uint32_t)FIRST_NS, "from the beginning");
}

Test(squeeze, who_was_woken_by_others_changes_nothing, .init = make_world)
{
    wake_from(0);
    cr_assert_not(wf_squeeze_holds(woken));
    wake_from(here());
    wake_from(0);
    cr_assert(wf_squeeze_holds(woken), "it still is where two have been found");
    cr_assert_eq(wf_load_rlx(&waker->squeezed_ns), (uint32_t)FIRST_NS);
}

Test(squeeze, pinned_workers_share_processors_by_request, .init = make_world)
{
    runtime.options.pin = true;
    wake_from(here());
    cr_assert_not(wf_squeeze_holds(woken));
    cr_assert_eq(wf_load_rlx(&waker->squeezed_until_ns), 0);
}

Test(squeeze, the_watchdog_ends_what_is_over, .init = make_world)
{
    wake_from(here());
    int64_t until_ns = wf_load_rlx(&waker->squeezed_until_ns);
    cr_assert_not(wf_squeeze_take_kept(&runtime, until_ns - 1));
    cr_assert_eq(wf_load_rlx(&waker->squeezed_until_ns), until_ns);
    wf_store_rlx(&waker->squeezed_until_ns, INT64_MAX); /* however long this takes */
    wf_squeeze_wake(waker);
    wf_store_rlx(&waker->squeezed_until_ns, until_ns);
    cr_assert(wf_squeeze_take_kept(&runtime, until_ns), "somebody has woken nobody");
    cr_assert_eq(wf_load_rlx(&waker->squeezed_until_ns), 0);
    cr_assert_not(wf_squeeze_holds(woken), "nor is who was in the way");
    cr_assert_not(wf_squeeze_take_kept(&runtime, until_ns));
}

/* ---- on one processor ---- */

static uint64_t count_sleeps(void)
{
    uint64_t sleeps = 0;
    weft_runtime *own = wf_here()->runtime;
    for (uint32_t i = 0; i < own->worker_count; i++) {
        sleeps += wf_load_rlx(&own->workers[i].counters.sleeps);
    }
    return sleeps;
}

static intptr_t work_a_little(void *arg)
{
    (void)arg;
    int64_t end_ns = wf_monotonic_ns() + 1000;
    while (wf_monotonic_ns() < end_ns) {
    }
    return 0;
}

enum { ROUNDS = 2000, TOGETHER = 8 };

/* A round takes some microseconds, and would be slept through once each if the other worker were woken for it. */
static intptr_t fork_and_join(void *arg)
{
    (void)arg;
    uint64_t before = count_sleeps();
    int64_t start_ns = wf_monotonic_ns();
    for (int i = 0; i < ROUNDS; i++) {
        weft_task *tasks[TOGETHER];
        for (int k = 0; k < TOGETHER; k++) {
            wt_check(weft_spawn(&tasks[k], work_a_little, NULL) == 0);
        }
        for (int k = 0; k < TOGETHER; k++) {
            wt_check(weft_await(tasks[k], NULL) == 0);
        }
    }
    /* Both sleep once each time that it is tried again, however slow this machine is. */
    uint64_t tries = (uint64_t)(wf_monotonic_ns() - start_ns) / MOST_NS;
    cr_assert_lt(count_sleeps() - before, ROUNDS / 4 + 8 * tries);
    return 0;
}

Test(squeeze, the_other_worker_is_left_asleep, .init = stay_on_one_processor, .timeout = 60)
{
    RUN(fork_and_join, NULL, &two_workers);
}

/* ---- for ever, if it were not for the watchdog ---- */

static atomic_int others;

static intptr_t run(void *arg)
{
    if (wf_here() != (struct wf_worker *)arg) {
        (void)atomic_fetch_add(&others, 1);
    }
    return 0;
}

static void wake_nobody(void)
{
    wt_check(weft_sleep(20 * WEFT_MS) == 0); /* the other one sleeps by now */
    wf_store_rlx(&wf_here()->squeezed_until_ns, INT64_MAX);
}

/* It keeps its worker until the other one has taken what it has spawned. */
static intptr_t wait_awake(void *arg)
{
    (void)arg;
    weft_task *task;
    wake_nobody();
    wt_check(weft_spawn(&task, run, wf_here()) == 0);
    int64_t end_ns = wf_monotonic_ns() + 20 * WEFT_S * WT_TIME_SCALE;
    while (atomic_load(&others) == 0 && wf_monotonic_ns() < end_ns) {
    }
    wt_check(atomic_load(&others) != 0);
    return weft_await(task, NULL);
}

Test(squeeze, what_waits_behind_a_long_turn_is_taken_all_the_same, .timeout = 60)
{
    RUN(wait_awake, NULL, &two_workers);
}

Test(squeeze, on_one_processor_too, .init = stay_on_one_processor, .timeout = 60)
{
    RUN(wait_awake, NULL, &two_workers);
}

static intptr_t compute(void *arg)
{
    int64_t end_ns = wf_monotonic_ns() + WEFT_MS;
    while (wf_monotonic_ns() < end_ns) {
    }
    return run(arg);
}

/* Each child runs inside its await, and none for long: the watchdog sees nobody who is stuck, and still wakes somebody. */
static intptr_t join_many(void *arg)
{
    (void)arg;
    enum { CHILDREN = 200 };
    weft_task *tasks[CHILDREN];
    wake_nobody();
    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_spawn(&tasks[i], compute, wf_here()) == 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(atomic_load(&others) > 0);
    return 0;
}

Test(squeeze, what_waits_behind_joins_is_taken_too, .timeout = 60)
{
    RUN(join_many, NULL, &two_workers);
}

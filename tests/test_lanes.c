/* SPDX-License-Identifier: MIT */
/* test_lanes.c - tasks that were woken, tasks that have not started, pinned ones: nobody waits for all of another
 * kind, and thieves find them all. */
#include <weft/future.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "weft_test.h"

enum { WOKEN = 20, FRESH = 1000, BOUND = 4 };

static const weft_options one_worker = {.workers = 1};
static const weft_options two_workers = {.workers = 2};

static weft_future gates[WOKEN];
static atomic_int started;            /* of the fresh ones */
static atomic_int came;               /* of the woken ones */
static int started_before[2 * WOKEN]; /* how many had started when the n-th woken one came */

static intptr_t start(void *arg)
{
    (void)arg;
    atomic_fetch_add(&started, 1);
    return 0;
}

static intptr_t wait_at_gate(void *arg)
{
    wt_check(weft_future_await(arg, NULL) == 0);
    started_before[atomic_fetch_add(&came, 1)] = atomic_load(&started);
    return 0;
}

/* `waiters` wait, each at its gate. */
static void line_up(weft_task **waiters)
{
    for (int i = 0; i < WOKEN; i++) {
        weft_future_init(&gates[i]);
        wt_check(weft_spawn(&waiters[i], wait_at_gate, &gates[i]) == 0);
    }
    wt_check(weft_yield() == 0);
}

static void spawn_fresh(int count)
{
    for (int i = 0; i < count; i++) {
        wt_check(weft_spawn(NULL, start, NULL) == 0);
    }
}

static void open_gates(void)
{
    for (int i = 0; i < WOKEN; i++) {
        wt_check(weft_future_set(&gates[i], 0) == 0);
    }
}

static void await_all(weft_task **tasks, int count)
{
    for (int i = 0; i < count; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
}

static intptr_t wake_behind_many(void *arg)
{
    weft_task *waiters[WOKEN];

    (void)arg;
    line_up(waiters);
    spawn_fresh(FRESH);
    open_gates();
    await_all(waiters, WOKEN);
    for (int i = 0; i < WOKEN; i++) {
        wt_check(started_before[i] <= i + BOUND);
    }
    wt_check(atomic_load(&started) >= WOKEN - BOUND); /* nor did those wait */
    while (atomic_load(&started) < FRESH) {
        wt_check(weft_yield() == 0);
    }
    return 0;
}

Test(lanes, woken_tasks_and_new_ones_take_turns, .timeout = 20)
{
    cr_assert_eq(weft_run(wake_behind_many, NULL, &one_worker), 0);
    wt_assert_clean();
}

/* ---- who yields alone, among those that were woken ---- */

static intptr_t yield_behind_woken(void *arg)
{
    weft_task *waiters[WOKEN];

    (void)arg;
    line_up(waiters);
    open_gates();
    wt_check(weft_yield() == 0);
    wt_check(atomic_load(&came) == WOKEN);
    await_all(waiters, WOKEN);
    /* With something new both hold: that starts first, and not all woken ones are waited for. */
    line_up(waiters);
    spawn_fresh(2);
    open_gates();
    wt_check(weft_yield() == 0);
    wt_check(atomic_load(&started) == 2);
    wt_check(atomic_load(&came) < 2 * WOKEN);
    await_all(waiters, WOKEN);
    return 0;
}

Test(lanes, a_yield_lets_all_run_that_were_woken, .timeout = 20)
{
    cr_assert_eq(weft_run(yield_behind_woken, NULL, &one_worker), 0);
    wt_assert_clean();
}

/* ---- a lane that is never empty ---- */

enum { RUNNERS = 8, HOPS = 2000 };

static weft_future batons[RUNNERS];
static atomic_int hops;
static atomic_bool is_over;

/* Wakes two neighbours each time, so that more than the slot's one is ready all the time. */
static intptr_t run_about(void *arg)
{
    weft_future *mine = arg;
    int at = (int)(mine - batons);

    while (!atomic_load(&is_over)) {
        wt_check(weft_future_await(mine, NULL) == 0);
        weft_future_init(mine);
        atomic_fetch_add(&hops, 1);
        (void)weft_future_set(&batons[(at + 1) % RUNNERS], 0);
        (void)weft_future_set(&batons[(at + 3) % RUNNERS], 0);
    }
    return 0;
}

static int hops_at_start;

static intptr_t come_in_between(void *arg)
{
    (void)arg;
    hops_at_start = atomic_load(&hops);
    return 0;
}

static intptr_t start_in_a_storm(void *arg)
{
    weft_spawn_options pinned = {.size = sizeof pinned, .pinned = true};
    weft_task *runners[RUNNERS];
    weft_task *task;

    for (int i = 0; i < RUNNERS; i++) {
        weft_future_init(&batons[i]);
        wt_check(weft_spawn(&runners[i], run_about, &batons[i]) == 0);
    }
    wt_check(weft_yield() == 0);
    (void)weft_future_set(&batons[0], 0);
    while (atomic_load(&hops) < HOPS) {
        wt_check(weft_yield() == 0);
    }
    int before = atomic_load(&hops);
    wt_check(weft_spawn_with(&task, come_in_between, NULL, arg != NULL ? &pinned : NULL) == 0);
    wt_check(weft_join_shielded(task, NULL) == 0); /* never on this fiber's stack */
    wt_check(hops_at_start - before <= 4 * RUNNERS);
    weft_drop(task);
    atomic_store(&is_over, true);
    for (int i = 0; i < RUNNERS; i++) {
        (void)weft_future_set(&batons[i], 0);
    }
    await_all(runners, RUNNERS);
    return 0;
}

Test(lanes, a_new_task_is_not_starved_by_woken_ones, .timeout = 20)
{
    cr_assert_eq(weft_run(start_in_a_storm, NULL, &one_worker), 0);
    wt_assert_clean();
    cr_assert_geq(atomic_load(&hops), HOPS);
}

Test(lanes, nor_is_a_pinned_one, .timeout = 20)
{
    cr_assert_eq(weft_run(start_in_a_storm, &started, &one_worker), 0);
    wt_assert_clean();
}

/* ---- pinned tasks that never end ---- */

static intptr_t yield_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        wt_check(weft_yield() == 0);
    }
    return 0;
}

static intptr_t beside_pinned(void *arg)
{
    weft_spawn_options pinned = {.size = sizeof pinned, .pinned = true};
    weft_task *waiters[WOKEN];
    weft_task *busy[4];

    (void)arg;
    line_up(waiters);
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn_with(&busy[i], yield_on, NULL, &pinned) == 0);
    }
    spawn_fresh(WOKEN);
    open_gates();
    await_all(waiters, WOKEN);
    while (atomic_load(&started) < WOKEN) {
        wt_check(weft_yield() == 0);
    }
    atomic_store(&is_over, true);
    await_all(busy, 4);
    return 0;
}

/* Ends at all: pinned tasks that are always ready leave every second turn to the lanes. */
Test(lanes, pinned_tasks_leave_turns_to_others, .timeout = 20)
{
    cr_assert_eq(weft_run(beside_pinned, NULL, &one_worker), 0);
    wt_assert_clean();
}

/* ---- yielding ---- */

static intptr_t yield_once(void *arg)
{
    (void)arg;
    spawn_fresh(WOKEN);
    wt_check(weft_yield() == 0);
    wt_check(atomic_load(&started) == WOKEN); /* a trip through the queue: behind all of them */
    return 0;
}

Test(lanes, a_yield_lets_all_new_tasks_start)
{
    cr_assert_eq(weft_run(yield_once, NULL, &one_worker), 0);
    wt_assert_clean();
}

/* ---- a look around amid yields ---- */

enum { SLEEPERS = 5, YIELDS = 10000 };

static int64_t due_ns[SLEEPERS];
static int woke_up[SLEEPERS]; /* in this order */

static intptr_t sleep_until_due(void *arg)
{
    int index = (int)(intptr_t)arg;
    wt_check(weft_sleep_until(due_ns[index]) == 0);
    woke_up[atomic_fetch_add(&came, 1)] = index;
    return 0;
}

static intptr_t yield_until_all_came(void *arg)
{
    (void)arg;
    while (atomic_load(&came) < SLEEPERS) {
        wt_check(weft_yield() == 0);
    }
    return 0;
}

/* All that have become due while nobody looked are found at once. */
static intptr_t yield_beside_overdue(void *arg)
{
    weft_task *tasks[SLEEPERS + 1];

    (void)arg;
    int64_t base_ns = weft_now() + 20 * WEFT_MS * WT_TIME_SCALE;
    for (int i = 0; i < SLEEPERS; i++) {
        due_ns[i] = base_ns + i * WEFT_US;
        wt_check(weft_spawn(&tasks[i], sleep_until_due, (void *)(intptr_t)i) == 0);
    }
    wt_check(weft_spawn(&tasks[SLEEPERS], yield_until_all_came, NULL) == 0);
    wt_check(weft_yield() == 0);
    while (weft_now() <= due_ns[SLEEPERS - 1]) {
    }
    (void)yield_until_all_came(NULL);
    for (int i = 0; i < SLEEPERS; i++) {
        wt_check(woke_up[i] == i);
    }
    await_all(tasks, SLEEPERS + 1);
    return 0;
}

Test(lanes, what_a_look_amid_yields_wakes_runs_in_order, .timeout = 20)
{
    cr_assert_eq(weft_run(yield_beside_overdue, NULL, &one_worker), 0);
    wt_assert_clean();
}

static atomic_bool is_told;

static intptr_t tell(void *arg)
{
    (void)arg;
    atomic_store(&is_told, true);
    return 0;
}

static intptr_t yield_until_told(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; rc == 0 && (i < YIELDS || !atomic_load(&is_told)); i++) {
        rc = weft_yield();
    }
    return rc;
}

static intptr_t yield_until_cancelled(void *arg)
{
    (void)arg;
    int rc = 0;
    while (rc == 0) {
        rc = weft_yield();
    }
    return rc;
}

/* There is always somebody to yield to, and never a timer or a descriptor. */
Test(lanes, who_yields_for_ever_hears_of_messages_and_of_the_end, .timeout = 60)
{
    weft_runtime *runtime;
    cr_assert_eq(weft_runtime_start(&runtime, &one_worker), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(weft_runtime_submit(runtime, NULL, yield_until_cancelled, NULL, NULL), 0);
    }
    weft_task *listener;
    cr_assert_eq(weft_runtime_submit(runtime, &listener, yield_until_told, NULL, NULL), 0);
    cr_assert_eq(weft_runtime_submit(runtime, NULL, tell, NULL, NULL), 0);
    intptr_t result = -1;
    cr_assert_eq(weft_thread_join(listener, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, 0);
    weft_drop(listener);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

/* ---- thieves ---- */

/* The main task never gives its worker back until others have done all. */
static intptr_t hold_the_worker(void *arg)
{
    int64_t end = wf_monotonic_ns() + 10 * WEFT_S * WT_TIME_SCALE;
    weft_task *waiters[WOKEN];

    (void)arg;
    line_up(waiters);
    open_gates(); /* who is not there yet finds it open */
    spawn_fresh(WOKEN);
    while ((atomic_load(&came) < WOKEN || atomic_load(&started) < WOKEN) &&
           wf_monotonic_ns() < end) {
    }
    wt_check(atomic_load(&came) == WOKEN);
    wt_check(atomic_load(&started) == WOKEN);
    await_all(waiters, WOKEN);
    return 0;
}

Test(lanes, thieves_take_from_both, .timeout = 60)
{
    cr_assert_eq(weft_run(hold_the_worker, NULL, &two_workers), 0);
    wt_assert_clean();
}

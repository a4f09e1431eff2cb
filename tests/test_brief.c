/* SPDX-License-Identifier: MIT */
/* test_brief.c - workers that have been awake for moments only, until one of the few tasks that they wake up to computes for
 * long: what has its time with it, or after it, is not left behind. */
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "weft_test.h"

enum { TICKERS = 8, TICKS = 100, ROUNDS = 20, TOGETHER = 3 };

static atomic_bool is_over;
static atomic_int ended;

/* What makes the workers trusted: turns of no length. */
static intptr_t tick(void *arg)
{
    (void)arg;
    for (int i = 0; i < TICKS && !atomic_load(&is_over); i++) {
        wt_check(weft_sleep(300 * WEFT_US) == 0);
    }
    return 0;
}

static intptr_t tick_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        wt_check(weft_sleep(300 * WEFT_US) == 0);
    }
    return 0;
}

/* The first of several that are due together keeps its worker until the others have had their turn. */
static intptr_t wait_for_others(void *arg)
{
    int64_t due_ns = *(const int64_t *)arg;
    int64_t end_ns = wf_monotonic_ns() + 20 * WEFT_S * WT_TIME_SCALE;

    wt_check(weft_sleep(due_ns - wf_monotonic_ns()) == 0);
    int before = atomic_fetch_add(&ended, 1);
    while (before == 0 && atomic_load(&ended) < TOGETHER && wf_monotonic_ns() < end_ns) {
    }
    wt_check(before != 0 || atomic_load(&ended) == TOGETHER);
    return 0;
}

static void wake_together(void)
{
    int64_t due_ns = wf_monotonic_ns() + 3 * WEFT_MS;
    weft_task *tasks[TOGETHER];

    atomic_store(&ended, 0);
    for (int i = 0; i < TOGETHER; i++) {
        wt_check(weft_spawn(&tasks[i], wait_for_others, &due_ns) == 0);
    }
    for (int i = 0; i < TOGETHER; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
}

static void run_tickers(weft_fn *fn, weft_task **tickers)
{
    for (int i = 0; i < TICKERS; i++) {
        wt_check(weft_spawn(&tickers[i], fn, NULL) == 0);
    }
}

static void end_tickers(weft_task **tickers)
{
    for (int i = 0; i < TICKERS; i++) {
        wt_check(weft_await(tickers[i], NULL) == 0);
    }
}

static intptr_t compute_once_trusted(void *arg)
{
    weft_task *tickers[TICKERS];

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        run_tickers(tick, tickers); /* all of it over: nothing else wakes anybody up */
        end_tickers(tickers);
        wake_together();
    }
    run_tickers(tick_on, tickers); /* while others go on */
    for (int i = 0; i < ROUNDS; i++) {
        wake_together();
    }
    atomic_store(&is_over, true);
    end_tickers(tickers);
    return 0;
}

static void run_with(int workers)
{
    const weft_options options = {.workers = workers};

    atomic_store(&is_over, false);
    cr_assert_eq(weft_run(compute_once_trusted, NULL, &options), 0);
    wt_assert_clean();
}

Test(brief, one_that_computes_for_long_strands_nobody, .timeout = 60 * WT_TIME_SCALE)
{
    run_with(2);
}

Test(brief, nor_with_several_that_sleep, .timeout = 60 * WT_TIME_SCALE)
{
    run_with(4);
}

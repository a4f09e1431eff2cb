/* SPDX-License-Identifier: MIT */
/* test_faults.c - system calls fail one by one while a runtime starts, runs tasks, and ends: it copes, or says so
 * by a negative errno, and nothing is left. What for is in faults.h. */
#include <signal.h>

#include "faults.h"
#include "support.h"
#include "weft_test.h"

/* ---- start and end ---- */

static void start_and_end(void)
{
    weft_options options = {.workers = 2, .pin = true, .sigint = true, .diagnostic = ignore};
    intptr_t result = 0;
    weft_runtime *runtime;
    weft_task *task;

    WT_MAY(weft_run(give, word(1), &options), START_ERRORS);
    options.workers = 1;
    WT_MAY(weft_run(give, word(1), &options), START_ERRORS);
    options.workers = 2;
    if (WT_MAY(weft_runtime_start(&runtime, &options), START_ERRORS)) {
        if (WT_MAY(weft_runtime_submit(runtime, &task, give, word(5), NULL))) {
            wt_check(weft_thread_join(task, WEFT_FOREVER, &result) == 0);
            WT_MAY(result, ENOMEM);
            weft_drop(task);
        }
        WT_MAY(weft_runtime_stop(runtime));
    }
}

Test(faults, start_and_end, .timeout = 300 * WT_TIME_SCALE)
{
    wt_sweep_faults("start and end", start_and_end, 400);
}

/* ---- many stacks ---- */

enum { CROWD = 150 };

static intptr_t await_start(void *arg)
{
    return weft_event_wait(arg);
}

static intptr_t gather_crowd(void *arg)
{
    const weft_spawn_options large = {.stack_bytes = 1 << 20};
    weft_task *tasks[CROWD];
    weft_event start = WEFT_EVENT_INIT;
    intptr_t result = 0;
    int count = 0;

    (void)arg;
    while (count < CROWD && WT_MAY(weft_spawn_with(&tasks[count], await_start, &start,
                                                   count % 8 == 0 ? &large : NULL))) {
        count++;
    }
    wt_check(weft_yield() == 0);
    weft_event_set(&start);
    for (int i = 0; i < count; i++) {
        wt_check(weft_await(tasks[i], &result) == 0);
        WT_MAY(result, ENOMEM); /* no stack */
    }
    return 0;
}

FAULT_TEST(faults, crowd, gather_crowd, 300)

/* ---- time ---- */

static intptr_t nap(void *arg)
{
    (void)arg;
    return weft_sleep(100 * WEFT_US);
}

static intptr_t pass_time(void *arg)
{
    weft_task *tasks[4];
    intptr_t result = 0;
    int count = 0;

    (void)arg;
    while (count < 4 && WT_MAY(weft_spawn(&tasks[count], nap, NULL))) {
        count++;
    }
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_within(500 * WEFT_US, weft_sleep(100 * WEFT_S)) == -ETIMEDOUT);
    for (int i = 0; i < count; i++) {
        wt_check(weft_await(tasks[i], &result) == 0);
        WT_MAY(result, ENOMEM);
    }
    return 0;
}

FAULT_TEST(faults, time, pass_time, 200)

/* ---- the pool ---- */

static intptr_t count_call(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 7;
}

static intptr_t call_pool(void *arg)
{
    intptr_t result = 0;
    int rc = weft_blocking(count_call, arg, NULL, &result);

    return rc == 0 ? result : rc;
}

static void drop_count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 100);
}

static intptr_t use_pool(void *arg)
{
    atomic_int calls = 0;
    static atomic_int owned;
    weft_task *tasks[6];
    intptr_t result = 0;
    int count = 0;
    int made = 0;

    (void)arg;
    atomic_store(&owned, 0);
    while (count < 6 && WT_MAY(weft_spawn(&tasks[count], call_pool, &calls))) {
        count++;
    }
    for (int i = 0; i < count; i++) {
        wt_check(weft_await(tasks[i], &result) == 0);
        made += WT_MAY(result, ENOMEM, EAGAIN) ? 1 : 0;
    }
    wt_check(calls == made);
    if (WT_MAY(weft_blocking(count_call, &owned, drop_count, &result), ENOMEM, EAGAIN)) {
        wt_check(result == 7 && owned == 101);
    } else {
        wt_check(owned == 0);
    }
    return 0;
}

FAULT_TEST(faults, pool, use_pool, 300)

/* ---- signals ---- */

static intptr_t await_signals(void *arg)
{
    sigset_t set;
    int64_t rc;

    (void)arg;
    wt_check(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0 &&
             sigaddset(&set, SIGHUP) == 0);
    rc = weft_within(100 * WEFT_US, weft_signal_wait(&set));
    if (rc == -ETIMEDOUT) { /* they are weft's now */
        wt_check(raise(SIGHUP) == 0);
        wt_check(weft_signal_wait(&set) == SIGHUP);
        wt_check(raise(SIGUSR1) == 0);
        wt_check(weft_signal_wait(&set) == SIGUSR1);
    } else {
        WT_MAY(rc, ENOMEM); /* too many watched descriptors, too */
    }
    return 0;
}

static void handle_no_signal(int number)
{
    (void)number;
}

static void signals(void)
{
    const struct sigaction before = {.sa_handler = handle_no_signal};
    struct sigaction after;

    wt_check(sigaction(SIGUSR1, &before, NULL) == 0 || wt_fault_error != 0);
    run_on_both(await_signals);
    wt_check(sigaction(SIGUSR1, NULL, &after) == 0 || wt_fault_error != 0);
}

Test(faults, signals, .timeout = 300 * WT_TIME_SCALE)
{
    wt_sweep_faults("signals", signals, 400);
}

/* SPDX-License-Identifier: MIT */
/* test_gather.c - waiting for several tasks: gather, wait, wait_for, call_for.
 *
 * In virtual time but for the last part. GA, WA, W are the rules of the model. */
#include <stdatomic.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

static atomic_int unseen;

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    unseen += what->kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

static int count(void)
{
    return weft_cancelling(weft_self());
}

/* Sleeps for the tens, then returns the argument; negative ones after |arg| seconds. */
static intptr_t sleep_then(void *arg)
{
    intptr_t n = (intptr_t)arg;
    int rc = weft_sleep((n < 0 ? -n : n / 10) * WEFT_S);

    return rc < 0 ? rc : n;
}

static intptr_t swallow(void *arg)
{
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    return (intptr_t)arg;
}

static intptr_t clean_up_4(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    (void)arg;
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    return rc;
}

static weft_task *spawned(weft_fn *fn, intptr_t arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, word(arg)) == 0);
    return task;
}

/* ---- gather ---- */

static intptr_t results_in_order(void *arg)
{
    weft_task *tasks[4] = {spawned(sleep_then, 30), spawned(sleep_then, 10), NULL, NULL};
    intptr_t results[4] = {0};
    size_t failed = 77;

    (void)arg;
    wt_check(weft_gather(tasks, 2, results, WEFT_GATHER_FIRST_ERROR, &failed) == 0); /* G01 */
    wt_check(results[0] == 30 && results[1] == 10 && failed == 2 && now_s() == 3);
    tasks[2] = tasks[1]; /* GA-1, G11: duplicates; G16: all ended */
    tasks[3] = tasks[0];
    wt_check(weft_gather(tasks, 4, results, WEFT_GATHER_COLLECT, &failed) == 0);
    wt_check(results[2] == 10 && results[3] == 30 && failed == 4);
    wt_check(weft_gather(tasks, 4, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop_all(tasks, 2);
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawned(sleep_then, 10 * (i / 2 + 1));
    }
    weft_drop(tasks[1]);
    tasks[1] = tasks[0];
    wt_check(weft_gather(tasks, 4, results, WEFT_GATHER_COLLECT, NULL) == 0);
    wt_check(results[0] == 10 && results[1] == 10 && results[3] == 20);
    weft_drop(tasks[0]);
    weft_drop_all(tasks + 2, 2);
    return 0;
}

Test(gather, results_are_in_the_order_of_the_tasks)
{
    simulate(results_in_order);
}

static intptr_t nothing(void *arg)
{
    weft_task *task = spawned(give, 1);
    size_t failed = 77;

    (void)arg;
    wt_check(weft_gather(NULL, 0, NULL, WEFT_GATHER_FIRST_ERROR, &failed) == 0 && failed == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING); /* G12: did not suspend */
    wt_check(weft_gather(NULL, 1, NULL, WEFT_GATHER_COLLECT, NULL) == -EINVAL);
    wt_check(weft_gather(&task, 1, NULL, (weft_gather_mode)9, NULL) == -EINVAL);
    weft_task *holes[2] = {task, NULL};
    wt_check(weft_gather(holes, 2, NULL, WEFT_GATHER_COLLECT, NULL) == -EINVAL);
    wt_check(weft_wait(holes, 2, WEFT_WAIT_ALL, 1, NULL) == -EINVAL);
    wt_check(weft_wait(NULL, 0, WEFT_WAIT_ALL, 1, NULL) == -EINVAL); /* WA-4 */
    wt_check(weft_wait(&task, 1, (weft_wait_when)9, 1, NULL) == -EINVAL);
    wt_check(finish(task) == 1);
    return 0;
}

Test(gather, of_nothing_and_misuse)
{
    simulate(nothing);
}

static intptr_t first_errors(void *arg)
{
    weft_task *tasks[3] = {spawned(sleep_then, 50), spawned(sleep_then, -1),
                           spawned(sleep_then, -2)};
    intptr_t results[3] = {7, 7, 7};
    size_t failed = 77;

    (void)arg;
    wt_check(weft_gather(tasks, 3, results, WEFT_GATHER_FIRST_ERROR, &failed) == 0); /* G02 */
    wt_check(failed == 1 && results[1] == -1 && now_s() == 1);
    wt_check(results[0] == 7 && results[2] == 7); /* unfinished: not written */
    wt_check(weft_task_state(tasks[0]) == WEFT_PENDING && weft_cancelling(tasks[0]) == 0);
    wt_check(weft_gather(tasks, 3, results, WEFT_GATHER_COLLECT, &failed) == 0); /* G03 */
    wt_check(results[0] == 50 && results[1] == -1 && results[2] == -2 && failed == 3);
    wt_check(now_s() == 5);
    wt_check(weft_gather(tasks, 3, results, WEFT_GATHER_FIRST_ERROR, &failed) == 0);
    wt_check(failed == 1 || failed == 2);
    weft_drop_all(tasks, 3);

    for (int i = 0; i < 3; i++) { /* GA-3, G04: a cancelled child is an error, we are not */
        tasks[i] = spawn_parked(sleep_then, word(50));
    }
    wt_check(weft_cancel(tasks[2]) == 1);
    wt_check(weft_gather(tasks, 3, results, WEFT_GATHER_FIRST_ERROR, &failed) == 0);
    wt_check(failed == 2 && results[2] == -ECANCELED && count() == 0);
    wt_check(weft_task_state(tasks[0]) == WEFT_PENDING);
    wt_check(finish(tasks[0]) == 50 && finish(tasks[1]) == 50 && finish(tasks[2]) == -ECANCELED);
    return 0;
}

Test(gather, the_first_error_ends_it)
{
    simulate(first_errors);
}

/* GA-2, G15: the losers' errors are not reported either. */
static intptr_t losers(void *arg)
{
    weft_task *tasks[2] = {spawned(sleep_then, -1), spawned(sleep_then, -2)};
    size_t failed;

    (void)arg;
    wt_check(weft_gather(tasks, 2, NULL, WEFT_GATHER_FIRST_ERROR, &failed) == 0 && failed == 0);
    wt_check(weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop_all(tasks, 2);
    wt_check(unseen == 0);
    return 0;
}

Test(gather, errors_it_returned_have_been_seen)
{
    simulate(losers);
    cr_assert_eq(unseen, 0);
}

struct pair {
    weft_task *tasks[2];
    weft_gather_mode mode;
    intptr_t results[2];
    size_t failed;
};

static intptr_t gather_pair(void *arg)
{
    struct pair *pair = arg;

    return weft_gather(pair->tasks, 2, pair->results, pair->mode, &pair->failed);
}

static weft_task *gatherer(struct pair *pair, weft_gather_mode mode, weft_task *a, weft_task *b)
{
    *pair = (struct pair){.tasks = {a, b}, .mode = mode, .failed = 77};
    return spawn_parked(gather_pair, pair);
}

/* GA-5, GA-6, GA-7 in both modes */
static intptr_t cancelled(void *arg)
{
    struct pair pair;
    weft_task *task;
    int64_t start;

    (void)arg;
    for (int mode = 0; mode < 2; mode++) {
        task = gatherer(&pair, (weft_gather_mode)mode, spawn_parked(sleep_then, word(50)),
                        spawn_parked(sleep_then, word(90))); /* G05, G06 */
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_cancelling(pair.tasks[0]) == 1 && weft_cancelling(pair.tasks[1]) == 1);
        wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
        wt_check(finish(task) == -ECANCELED);
        wt_check(finish(pair.tasks[0]) == -ECANCELED && finish(pair.tasks[1]) == -ECANCELED);

        task = gatherer(&pair, (weft_gather_mode)mode, spawn_parked(swallow, word(1)),
                        spawn_parked(swallow, word(2))); /* G07, G08 */
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -ECANCELED);
        wt_check(finish(pair.tasks[0]) == 1 && finish(pair.tasks[1]) == 2);

        start = now_s();
        task = gatherer(&pair, (weft_gather_mode)mode, spawn_parked(sleep_then, word(500)),
                        spawn_parked(clean_up_4, NULL)); /* G09, G10: waits for all */
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -ECANCELED && now_s() == start + 4);
        wt_check(weft_task_state(pair.tasks[1]) == WEFT_CANCELLED);
        weft_drop_all(pair.tasks, 2);
    }
    return 0;
}

static intptr_t clean_up_twice(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    (void)arg;
    wt_check(rc == -ECANCELED);
    wt_check(weft_sleep(4 * WEFT_S) == -ECANCELED);
    return rc;
}

static intptr_t cancelled_twice(void *arg)
{
    struct pair pair;

    (void)arg;
    for (int mode = 0; mode < 2; mode++) {
        weft_task *task =
            gatherer(&pair, (weft_gather_mode)mode, spawn_parked(clean_up_twice, NULL),
                     spawn_parked(swallow, word(3)));

        wt_check(weft_cancel(task) == 1);
        wt_check(finish(pair.tasks[1]) == 3);
        wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == 2);
        wt_check(weft_cancelling(pair.tasks[0]) == 2);
        wt_check(finish(task) == -ECANCELED && now_s() == 0);
        weft_drop(pair.tasks[0]);
    }
    return 0;
}

Test(gather, hands_a_request_to_all)
{
    simulate(cancelled);
}

Test(gather, hands_later_requests_on_too)
{
    simulate(cancelled_twice);
}

/* G18: an error already in flight wins; the request stays, or goes to the others. */
static intptr_t await_then_fail(void *arg)
{
    wt_check(weft_future_await(arg, NULL) == 0);
    return -EIO;
}

static intptr_t in_flight(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    struct pair pair;
    weft_task *task =
        gatherer(&pair, WEFT_GATHER_FIRST_ERROR, spawn_parked(await_then_fail, &future),
                 spawn_parked(sleep_then, word(90)));

    (void)arg;
    wt_check(weft_future_set(&future, 0) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_state(pair.tasks[0]) == WEFT_ERROR);
    if (weft_cancel(task) == 1) {
        wt_check(weft_join(task, NULL) == 0);
    }
    wt_check(pair.failed == 0 && pair.results[0] == -EIO);
    weft_drop(task);
    wt_check(weft_cancel(pair.tasks[1]) >= 0);
    weft_drop_all(pair.tasks, 2);
    return 0;
}

Test(gather, an_error_in_flight_wins)
{
    simulate(in_flight);
}

/* A request at the entry is handed on; of ended tasks the results come and it stays. */
static intptr_t request_then_gather(void *arg)
{
    struct pair *pair = arg;
    int rc;

    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_gather(pair->tasks, 2, pair->results, pair->mode, &pair->failed);
    wt_check(weft_task_state(pair->tasks[0]) != WEFT_PENDING);
    wt_check(weft_task_state(pair->tasks[1]) != WEFT_PENDING);
    wt_check(weft_checkpoint() == (rc == 0 ? -ECANCELED : 0));
    return rc;
}

static intptr_t at_the_entry(void *arg)
{
    (void)arg;
    for (int mode = 0; mode < 2; mode++) {
        struct pair pair = {.mode = (weft_gather_mode)mode};

        pair.tasks[0] = spawn_parked(sleep_then, word(50));
        pair.tasks[1] = spawn_parked(give, word(2));
        wt_check(finish(spawn_parked(request_then_gather, &pair)) == -ECANCELED);
        wt_check(weft_task_state(pair.tasks[0]) == WEFT_CANCELLED && now_s() == 0);
        wt_check(finish(spawn_parked(request_then_gather, &pair)) == 0);
        wt_check(pair.results[1] == 2);
        weft_drop_all(pair.tasks, 2);
    }
    return 0;
}

Test(gather, hands_on_what_is_undelivered)
{
    simulate(at_the_entry);
}

static intptr_t crowd(void *arg)
{
    enum { COUNT = 500 };
    weft_task *tasks[COUNT];
    intptr_t results[COUNT];
    size_t done = 0;

    (void)arg;
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = spawned(sleep_then, i * 10);
    }
    wt_check(weft_wait(tasks, COUNT, WEFT_WAIT_ALL, 99500 * WEFT_MS, &done) == 0);
    wt_check(done == 100);
    wt_check(weft_gather(tasks, COUNT, results, WEFT_GATHER_COLLECT, NULL) == 0);
    for (int i = 0; i < COUNT; i++) {
        wt_check(results[i] == i * 10);
    }
    weft_drop_all(tasks, COUNT);
    return 0;
}

Test(gather, five_hundred_tasks)
{
    simulate(crowd);
}

/* ---- wait ---- */

static intptr_t waits(void *arg)
{
    weft_task *tasks[3] = {spawned(sleep_then, 10), spawned(sleep_then, -3),
                           spawned(sleep_then, 50)};
    size_t done = 77;

    (void)arg;
    wt_check(weft_wait(tasks, 3, WEFT_WAIT_FIRST_DONE, WEFT_FOREVER, &done) == 0);
    wt_check(done == 1 && now_s() == 1);
    wt_check(weft_wait(tasks, 3, WEFT_WAIT_FIRST_ERROR, WEFT_FOREVER, &done) == 0);
    wt_check(done == 2 && now_s() == 3);
    wt_check(weft_wait(tasks, 3, WEFT_WAIT_ALL, WEFT_S, &done) == 0); /* WA-1, A05 */
    wt_check(done == 2 && now_s() == 4 && weft_cancelling(tasks[2]) == 0);
    wt_check(weft_wait(tasks, 3, WEFT_WAIT_ALL, WEFT_FOREVER, NULL) == 0 && now_s() == 5);
    wt_check(weft_wait(tasks, 3, WEFT_WAIT_ALL, 0, &done) == 0 && done == 3);
    wt_check(unseen == 0);
    weft_drop_all(tasks, 3);
    wt_check(unseen == 1); /* A01: waiting is not looking */

    tasks[0] = spawn_parked(sleep_then, word(90)); /* WA-2, A04: cancelled is no error here */
    tasks[1] = spawned(sleep_then, 20);
    wt_check(weft_cancel(tasks[0]) == 1);
    wt_check(weft_wait(tasks, 2, WEFT_WAIT_FIRST_ERROR, WEFT_FOREVER, &done) == 0 && done == 2);
    wt_check(now_s() == 7);
    weft_drop_all(tasks, 2);

    tasks[0] = spawned(give, 1); /* A-2, A09, A10: always suspends once */
    wt_check(weft_wait(tasks, 1, WEFT_WAIT_ALL, 0, &done) == 0 && done == 1);
    tasks[1] = spawned(give, 2);
    wt_check(weft_wait(tasks, 1, WEFT_WAIT_ALL, WEFT_FOREVER, &done) == 0 && done == 1);
    wt_check(weft_task_state(tasks[1]) == WEFT_OK);
    wt_check(weft_wait(tasks, 1, WEFT_WAIT_ALL, -5, &done) == 0 && done == 1);
    weft_drop_all(tasks, 2);

    tasks[0] = spawned(sleep_then, 50); /* A12: the limit at the very moment of the end */
    tasks[1] = spawned(sleep_then, 90);
    wt_check(weft_yield() == 0);
    wt_check(weft_wait(tasks, 2, WEFT_WAIT_ALL, 5 * WEFT_S, &done) == 0);
    wt_check(done <= 1 && now_s() == 12);
    wt_check(weft_cancel(tasks[1]) == 1);
    weft_drop_all(tasks, 2);
    return 0;
}

Test(gather, wait_fails_for_nobody)
{
    simulate(waits);
}

static intptr_t wait_for_pair(void *arg)
{
    struct pair *pair = arg;

    return weft_wait(pair->tasks, 2, WEFT_WAIT_ALL, WEFT_FOREVER, &pair->failed);
}

static intptr_t wait_for_self(void *arg)
{
    weft_task *self = weft_self();
    size_t done = 5;

    (void)arg;
    wt_check(weft_wait(&self, 1, WEFT_WAIT_ALL, WEFT_S, &done) == 0 && done == 0);
    return 0;
}

static intptr_t cancelled_waits(void *arg)
{
    struct pair pair = {.tasks = {spawned(sleep_then, 50), spawned(sleep_then, 60)}, .failed = 77};
    weft_task *task = spawn_parked(wait_for_pair, &pair);

    (void)arg;
    wt_check(weft_sleep(WEFT_S) == 0); /* A06 */
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 1 && pair.failed == 77);
    wt_check(finish(pair.tasks[0]) == 50 && finish(pair.tasks[1]) == 60 && now_s() == 6);
    wt_check(finish(spawn_parked(wait_for_self, NULL)) == 0);
    return 0;
}

Test(gather, a_cancelled_wait_leaves_the_tasks_alone)
{
    simulate(cancelled_waits);
}

/* ---- wait_for ---- */

static intptr_t wait_fors(void *arg)
{
    weft_task *task = spawned(sleep_then, 30);
    intptr_t result = 77;

    (void)arg;
    wt_check(weft_wait_for(task, 5 * WEFT_S, &result) == 0 && result == 30 && now_s() == 3);
    wt_check(weft_wait_for(task, 0, &result) == 0 && result == 30); /* W06: ended */
    wt_check(weft_wait_for(task, WEFT_FOREVER, NULL) == 0);
    weft_drop(task); /* it borrows */

    task = spawned(clean_up_4, 0); /* W02: when it has ended */
    result = 77;
    wt_check(weft_wait_for(task, 2 * WEFT_S, &result) == -ETIMEDOUT && now_s() == 9);
    wt_check(weft_task_state(task) == WEFT_CANCELLED && count() == 0);
    weft_drop(task);

    task = spawned(swallow, 8); /* W-3 */
    wt_check(weft_wait_for(task, 2 * WEFT_S, &result) == 0 && result == 8 && count() == 0);
    weft_drop(task);
    task = spawned(swallow, -EIO);
    wt_check(weft_wait_for(task, 2 * WEFT_S, &result) == 0 && result == -EIO && count() == 0);
    weft_drop(task);

    task = spawned(give, 1); /* W-2: not started: never called */
    wt_check(weft_wait_for(task, 0, &result) == -ETIMEDOUT);
    wt_check(weft_task_raw_result(task, &result) == -ENODATA);
    weft_drop(task);
    task = spawn_parked(swallow, word(9)); /* W08 */
    wt_check(weft_wait_for(task, -1, &result) == 0 && result == 9);
    weft_drop(task);
    task = spawn_parked(clean_up_4, NULL);
    wt_check(weft_wait_for(task, 0, &result) == -ETIMEDOUT && now_s() == 17);
    weft_drop(task);

    task = spawn_parked(sleep_then, word(90)); /* cancelled by somebody else: its outcome */
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_wait_for(task, 5 * WEFT_S, &result) == 0 && result == -ECANCELED);
    weft_drop(task);
    wt_check(weft_checkpoint() == 0 && now_s() == 17);
    return 0;
}

Test(gather, wait_for_has_a_limit)
{
    simulate(wait_fors);
}

struct limited {
    weft_task *task;
    int64_t delay;
};

static intptr_t wait_for_it(void *arg)
{
    struct limited *limited = arg;

    return weft_wait_for(limited->task, limited->delay, NULL);
}

static intptr_t cancelled_wait_fors(void *arg)
{
    struct limited limited = {spawn_parked(clean_up_4, NULL), 20 * WEFT_S};
    weft_task *task = spawn_parked(wait_for_it, &limited);

    (void)arg;
    wt_check(weft_cancel(task) == 1); /* W-4, W05: after the task has ended */
    wt_check(finish(task) == -ECANCELED && now_s() == 4);
    wt_check(finish(limited.task) == -ECANCELED);

    limited = (struct limited){spawn_parked(clean_up_4, NULL), 0};
    task = spawn_parked(wait_for_it, &limited); /* W17: at once, while the task cleans up */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    int64_t then = now_s();
    wt_check(finish(task) == -ECANCELED && now_s() == then);
    wt_check(weft_task_state(limited.task) == WEFT_PENDING);
    wt_check(finish(limited.task) == -ECANCELED);
    return 0;
}

static intptr_t clean_up_some(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    (void)arg;
    return weft_sleep(4 * WEFT_S) < 0 ? -ECANCELED : rc;
}

/* W15: the request comes while the task cleans up after the limit */
static intptr_t limit_and_request(void *arg)
{
    struct limited limited = {spawn_parked(clean_up_some, NULL), 2 * WEFT_S};
    weft_task *task = spawn_parked(wait_for_it, &limited);

    (void)arg;
    wt_check(weft_sleep(3 * WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0 && now_s() == 3);
    wt_check(weft_task_state(task) == WEFT_CANCELLED && weft_cancelling(task) == 1);
    wt_check(weft_cancelling(limited.task) == 2);
    weft_drop(task);
    weft_drop(limited.task);
    return 0;
}

Test(gather, wait_for_cancelled)
{
    simulate(cancelled_wait_fors);
}

Test(gather, wait_for_limit_and_request)
{
    simulate(limit_and_request);
}

/* ---- call_for ---- */

static weft_task *caller;

static intptr_t check_caller(void *arg)
{
    wt_check(weft_self() == caller); /* W-1: no new task */
    return sleep_then(arg);
}

static intptr_t cancel_then_sleep(void *arg)
{
    wt_check(weft_cancel(weft_self()) == 1);
    return weft_sleep((intptr_t)arg * WEFT_S);
}

static intptr_t call_fors(void *arg)
{
    intptr_t result = 77;

    (void)arg;
    caller = weft_self();
    wt_check(weft_call_for(check_caller, word(20), 5 * WEFT_S, &result) == 0 && result == 20);
    wt_check(weft_call_for(check_caller, word(-1), 5 * WEFT_S, &result) == 0 && result == -1);
    result = 77;
    wt_check(weft_call_for(check_caller, word(90), 2 * WEFT_S, &result) == -ETIMEDOUT);
    wt_check(result == 77 && now_s() == 5 && count() == 0);
    wt_check(weft_call_for(swallow, word(6), 2 * WEFT_S, &result) == 0 && result == 6);
    wt_check(weft_call_for(check_caller, word(1), 0, &result) == -ETIMEDOUT); /* never called */
    wt_check(weft_call_for(check_caller, word(1), -1, NULL) == -ETIMEDOUT);
    wt_check(weft_call_for(give, word(3), WEFT_FOREVER, &result) == 0 && result == 3);
    wt_check(weft_call_for(cancel_then_sleep, word(9), 3 * WEFT_S, &result) ==
             -ECANCELED); /* W18 */
    wt_check(count() == 1 && weft_uncancel(weft_self()) == 0);
    wt_check(weft_checkpoint() == 0 && now_s() == 7);
    return 0;
}

Test(gather, call_for_runs_in_the_caller)
{
    simulate(call_fors);
}

/* ---- real workers: many waits over the same tasks ---- */

static weft_task *pool[64];

static intptr_t look_at_pool(void *arg)
{
    intptr_t index = (intptr_t)arg;

    for (int i = 0; i < 30; i++) {
        size_t done = 0, failed = 0;
        size_t first = (size_t)((index * 7 + i * 5) % 32);

        switch (i % 4) {
        case 0:
            wt_check(weft_wait(pool + first, 32, WEFT_WAIT_FIRST_DONE, WEFT_FOREVER, &done) == 0);
            wt_check(done >= 1);
            break;
        case 1:
            wt_check(weft_wait(pool + first, 32, WEFT_WAIT_ALL, 50 * WEFT_US, &done) == 0);
            wt_check(done <= 32);
            break;
        case 2:
            wt_check(weft_gather(pool + first, 32, NULL, WEFT_GATHER_FIRST_ERROR, &failed) == 0);
            wt_check(failed == 32 || weft_task_state(pool[first + failed]) == WEFT_ERROR);
            break;
        default:
            wt_check(weft_wait(pool + first, 32, WEFT_WAIT_FIRST_ERROR, WEFT_MS, &done) == 0);
            break;
        }
    }
    return 0;
}

static intptr_t nap(void *arg)
{
    intptr_t n = (intptr_t)arg;
    int rc = weft_sleep(n * 20 * WEFT_US);

    return rc < 0 ? rc : n % 16 == 15 ? -EIO : n;
}

static intptr_t real_waits(void *arg)
{
    weft_task *lookers[16];
    intptr_t results[64];

    (void)arg;
    for (intptr_t i = 0; i < 64; i++) {
        pool[i] = spawned(nap, i);
    }
    for (intptr_t i = 0; i < 16; i++) {
        lookers[i] = spawned(look_at_pool, i);
    }
    wt_check(weft_gather(lookers, 16, results, WEFT_GATHER_COLLECT, NULL) == 0);
    for (int i = 0; i < 16; i++) {
        wt_check(results[i] == 0);
    }
    wt_check(weft_gather(pool, 64, results, WEFT_GATHER_COLLECT, NULL) == 0);
    for (intptr_t i = 0; i < 64; i++) {
        wt_check(results[i] == (i % 16 == 15 ? -EIO : i));
    }
    weft_drop_all(lookers, 16);
    weft_drop_all(pool, 64);
    return 0;
}

Test(gather, on_real_workers)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i], .diagnostic = on_report};

        cr_assert_eq(weft_run(real_waits, NULL, &options), 0);
        wt_assert_clean();
    }
}

/* ---- an error between its task's end and the gather's hearing of it ---- */

static struct {
    weft_task *gathering, *failing, *sleeping;
    atomic_int failed; /* 1: the task has ended, its worker is held in the report */
    int rc;
    size_t first_failed;
    intptr_t results[2];
} flight;

static intptr_t gather_flight(void *arg)
{
    weft_task *both[2] = {flight.failing, flight.sleeping};

    (void)arg;
    flight.rc = weft_gather(both, 2, flight.results, WEFT_GATHER_FIRST_ERROR, &flight.first_failed);
    return 0;
}

/* On the worker of the failing task: its group tells before its waiters are told. */
static void hold_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    if (what->kind == WEFT_DIAG_GROUP_ERROR) {
        atomic_store(&flight.failed, 1);
        while (weft_task_state(flight.sleeping) == WEFT_PENDING) {
            sched_yield();
        }
    }
}

static void *cancel_in_flight(void *arg)
{
    while (atomic_load(&flight.failed) == 0) {
        sched_yield();
    }
    wt_check(weft_cancel(flight.gathering) == 1);
    return arg;
}

static intptr_t fail_in_flight(void *arg)
{
    wt_check(weft_future_await(arg, NULL) == 0);
    return -EIO;
}

static intptr_t set_go(void *arg)
{
    return weft_future_set(arg, 0);
}

static intptr_t be_in_flight(void *arg)
{
    static weft_future go = WEFT_FUTURE_INIT;
    const weft_spawn_options here = {.pinned = true}; /* one after the other on this worker */
    weft_group group;
    pthread_t thread;
    weft_task *setter;

    (void)arg;
    flight.sleeping = spawned(sleep_then, 100000);
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    wt_check(weft_group_spawn(&group, &flight.failing, fail_in_flight, &go, NULL) == 0);
    wt_check(pthread_create(&thread, NULL, cancel_in_flight, NULL) == 0);
    wt_check(weft_spawn_with(&flight.gathering, gather_flight, NULL, &here) == 0);
    wt_check(weft_spawn_with(&setter, set_go, &go, &here) == 0);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(weft_join(flight.gathering, NULL) == 0);
    wt_check(pthread_join(thread, NULL) == 0);
    wt_check(flight.rc == 0 && flight.first_failed == 0);
    wt_check(flight.results[0] == -EIO && flight.results[1] == -ECANCELED);
    weft_drop(setter);
    weft_drop(flight.gathering);
    weft_drop(flight.failing);
    weft_drop(flight.sleeping);
    return 0;
}

Test(gather, names_the_error_that_was_in_flight)
{
    const weft_options options = {.workers = 4, .diagnostic = hold_report};

    cr_assert_eq(weft_run(be_in_flight, NULL, &options), 0);
    wt_assert_clean();
}

/* ---- a deadlock ---- */

static intptr_t wait_for_nobody(void *arg)
{
    weft_future never = WEFT_FUTURE_INIT;

    (void)arg;
    return weft_future_await(&never, NULL);
}

/* What the calls have on the heap goes with the run: a leak checker looks. */
static intptr_t wait_for_many(void *arg)
{
    weft_task *tasks[40];
    weft_completions each;
    size_t index;

    for (int i = 0; i < 40; i++) {
        wt_check(weft_spawn(&tasks[i], wait_for_nobody, NULL) == 0);
    }
    switch ((intptr_t)arg) {
    case 0:
        return weft_gather(tasks, 40, NULL, WEFT_GATHER_COLLECT, NULL);
    case 1:
        return weft_wait(tasks, 40, WEFT_WAIT_ALL, WEFT_FOREVER, NULL);
    default:
        wt_check(weft_completions_open(&each, tasks, 40, WEFT_FOREVER) == 0);
        return weft_completions_next(&each, &index);
    }
}

static intptr_t close_many(void *arg)
{
    weft_group group;

    (void)arg;
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 40; i++) {
        wt_check(weft_group_spawn(&group, NULL, wait_for_nobody, NULL, NULL) == 0);
    }
    return weft_group_close(&group, 0);
}

Test(gather, a_deadlock_leaves_no_memory)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        const weft_options options = {.simulate = true, .seed = seed, .diagnostic = on_report};

        for (intptr_t call = 0; call < 3; call++) {
            cr_assert_eq(weft_run(wait_for_many, word(call), &options), -EDEADLK);
        }
        cr_assert_eq(weft_run(close_many, NULL, &options), -EDEADLK);
    }
    wt_assert_clean();
}

/* SPDX-License-Identifier: MIT */
/* test_gather.c - gather: results in order, the first error, requests handed on, an error in flight.
 *
 * In virtual time but for the last part. GA are rules of the model. */
#include <pthread.h>
#include <sched.h>

#include <weft/future.h>
#include <weft/group.h>

#include "gather_test.h"

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

/* SPDX-License-Identifier: MIT */
/* test_gather_wait.c - wait, wait_for, call_for; many waits over the same tasks; deadlocks.
 *
 * In virtual time but for real workers. WA, W are rules of the model. */
#include <weft/future.h>
#include <weft/group.h>

#include "gather_test.h"

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

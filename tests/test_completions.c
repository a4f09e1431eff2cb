// SPDX-License-Identifier: MIT
/* test_completions.c - tasks one by one, in the order in which they end.
 *
 * In virtual time but for the last part. WA is a rule of the model, O its scenarios. */
#include <errno.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

/* Seed 0 and some others. */
static void simulate(weft_fn *fn)
{
    weft_options options = {.simulate = true, .diagnostic = ignore};
    for (options.seed = 0; options.seed < 6; options.seed++) {
        cr_assert_eq(weft_run(fn, NULL, &options), 0);
        wt_assert_clean();
    }
}

/* Sleeps that many seconds and returns them. */
static intptr_t sleep_and_give(void *arg)
{
    intptr_t s = (intptr_t)arg;
    int rc = weft_sleep(s * WEFT_S);
    return rc < 0 ? rc : s;
}

static void spawn_sleepers(weft_task **tasks, const int *seconds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_and_give, word(seconds[i])) == 0);
    }
}

static void end_all(weft_task **tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)weft_cancel(tasks[i]);
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
}

/* ---- order ---- */

static intptr_t in_order(void *arg)
{
    static const int seconds[] = {5, 1, 3, 2, 4, 9, 7, 8, 6, 10, 12, 11, 13, 20, 19, 18, 17, 16};
    enum { COUNT = sizeof seconds / sizeof seconds[0] };
    weft_task *tasks[COUNT];
    weft_completions each;
    size_t index;
    int64_t last = 0;
    size_t given = 0;
    int rc;

    (void)arg;
    for (size_t count = 0; count <= COUNT; count += 3) {
        int64_t start = now_s();
        last = 0;
        given = 0;
        spawn_sleepers(tasks, seconds, count);
        wt_check(weft_completions_open(&each, tasks, count, WEFT_FOREVER) == 0);
        while ((rc = weft_completions_next(&each, &index)) == 0) {
            wt_check(index < count && seconds[index] > last);
            wt_check(now_s() - start == seconds[index]);
            wt_check(weft_task_state(tasks[index]) == WEFT_OK);
            last = seconds[index];
            given++;
        }
        wt_check(rc == -ENODATA && given == count);
        wt_check(weft_completions_next(&each, &index) == -ENODATA);
        weft_completions_close(&each);
        end_all(tasks, count);
    }
    return 0;
}

Test(completions, come_in_the_order_of_ends)
{
    simulate(in_order);
}

static intptr_t ended_before(void *arg)
{
    weft_task *tasks[3];
    weft_completions each;
    size_t index = 9;

    (void)arg;
    wt_check(weft_spawn(&tasks[0], sleep_and_give, word(5)) == 0);
    wt_check(weft_spawn(&tasks[1], give, word(1)) == 0);
    wt_check(weft_spawn(&tasks[2], give, word(-EPIPE)) == 0);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_completions_open(&each, tasks, 3, 0) == 0); /* no time: these two all the same */
    wt_check(weft_completions_next(&each, &index) == 0 && index == 1);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 2);
    intptr_t result = 0;
    wt_check(weft_task_result(tasks[2], &result) == 0 && result == -EPIPE); /* that one's only */
    wt_check(weft_completions_next(&each, &index) == -ETIMEDOUT);
    weft_completions_close(&each);
    end_all(tasks, 3);
    return 0;
}

static intptr_t ended_before_forever(void *arg)
{
    weft_task *tasks[3];
    weft_completions each;
    size_t index = 9;

    (void)arg;
    wt_check(weft_spawn(&tasks[0], sleep_and_give, word(5)) == 0);
    wt_check(weft_spawn(&tasks[1], give, word(1)) == 0);
    wt_check(weft_spawn(&tasks[2], give, word(2)) == 0);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_completions_open(&each, tasks, 3, WEFT_FOREVER) == 0);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 1);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 2);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 0 && now_s() == 5);
    weft_completions_close(&each);
    end_all(tasks, 3);
    return 0;
}

Test(completions, those_that_had_ended_come_first)
{
    simulate(ended_before_forever);
    simulate(ended_before);
}

static intptr_t several_times(void *arg)
{
    weft_task *task[2];
    weft_task *many[100];
    weft_completions each;
    size_t index;
    int rc;

    (void)arg;
    static const int seconds[] = {2, 1};
    spawn_sleepers(task, seconds, 2);
    for (size_t i = 0; i < 100; i++) {
        many[i] = task[i % 7 == 0];
    }
    for (size_t count = 2; count <= 100; count += 7) { /* few and many are found out differently */
        size_t seen[2] = {0, 0};
        wt_check(weft_completions_open(&each, many, count, WEFT_FOREVER) == 0);
        while ((rc = weft_completions_next(&each, &index)) == 0) {
            wt_check(index < 2); /* the first place */
            seen[index]++;
        }
        wt_check(rc == -ENODATA && seen[0] == 1 && seen[1] == 1);
        weft_completions_close(&each);
    }
    wt_check(now_s() == 2);
    end_all(task, 2);
    return 0;
}

Test(completions, a_task_that_stands_several_times_is_given_once)
{
    simulate(several_times);
}

/* ---- the time limit (WA-5) ---- */

static intptr_t timed_out(void *arg)
{
    static const int seconds[] = {9, 1, 5};
    weft_task *tasks[3];
    weft_completions each;
    size_t index = 9;

    (void)arg;
    spawn_sleepers(tasks, seconds, 3);
    wt_check(weft_completions_open(&each, tasks, 3, 2 * WEFT_S) == 0);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 1 && now_s() == 1);
    for (int i = 0; i < 4; i++) {
        wt_check(weft_completions_next(&each, &index) == -ETIMEDOUT && now_s() == 2);
    }
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_task_state(tasks[2]) == WEFT_OK);
    wt_check(weft_completions_next(&each, &index) == -ETIMEDOUT); /* it ended too late */
    wt_check(weft_task_state(tasks[0]) == WEFT_PENDING);          /* nothing was cancelled */
    weft_completions_close(&each);
    end_all(tasks, 3);
    return 0;
}

/* The consumer is late itself: what ended in time is given after it. */
static intptr_t late_consumer(void *arg)
{
    static const int seconds[] = {1, 3, 2};
    weft_task *tasks[3];
    weft_completions each;
    size_t index = 9;

    (void)arg;
    spawn_sleepers(tasks, seconds, 3);
    wt_check(weft_completions_open(&each, tasks, 3, 5 * WEFT_S / 2) == 0);
    wt_check(weft_sleep(10 * WEFT_S) == 0);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 0);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 2);
    wt_check(weft_completions_next(&each, &index) == -ETIMEDOUT && now_s() == 10);
    weft_completions_close(&each);
    end_all(tasks, 3);
    return 0;
}

/* Scenario O03: what is left of the limit leaves no timer behind. */
static intptr_t unused_limit(void *arg)
{
    static const int seconds[] = {1};
    weft_task *task;
    weft_completions each;
    size_t index;

    (void)arg;
    spawn_sleepers(&task, seconds, 1);
    wt_check(weft_completions_open(&each, &task, 1, 50 * WEFT_S) == 0);
    wt_check(weft_completions_next(&each, &index) == 0);
    wt_check(weft_completions_next(&each, &index) == -ENODATA);
    weft_completions_close(&each);
    end_all(&task, 1);
    wt_check(now_s() == 1);
    return 0;
}

Test(completions, the_limit_holds_for_all_together)
{
    simulate(timed_out);
    simulate(late_consumer);
    simulate(unused_limit);
}

/* ---- cancellation ---- */

struct walk {
    weft_task **tasks;
    size_t count;
    int first_rc; /* of the first next */
    int second_rc;
    size_t second;
};

static intptr_t walk_two(void *arg)
{
    struct walk *walk = arg;
    weft_completions each;
    size_t index;

    int rc = weft_completions_open(&each, walk->tasks, walk->count, WEFT_FOREVER);
    wt_check(rc == 0);
    walk->first_rc = weft_completions_next(&each, &index);
    walk->second_rc = weft_completions_next(&each, &walk->second);
    weft_completions_close(&each);
    return 0;
}

static intptr_t cancelled(void *arg)
{
    static const int seconds[] = {5, 3};
    weft_task *tasks[2];
    weft_task *walker;

    (void)arg;
    spawn_sleepers(tasks, seconds, 2);
    struct walk walk = {tasks, 2, 0, 0, 9};
    wt_check(weft_spawn(&walker, walk_two, &walk) == 0);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(walker) == 1);
    wt_check(weft_join(walker, NULL) == 0);
    wt_check(walk.first_rc == -ECANCELED);                    /* nothing taken */
    wt_check(walk.second_rc == 0 && walk.second == 1);        /* so it comes with the next */
    wt_check(now_s() == 3 && weft_cancelling(tasks[0]) == 0); /* the tasks are left alone */
    weft_drop(walker);
    end_all(tasks, 2);

    /* The entry rule: observed first, although one has ended. */
    wt_check(weft_spawn(&tasks[0], give, word(1)) == 0);
    wt_check(weft_join(tasks[0], NULL) == 0);
    weft_completions each;
    size_t index = 9;
    wt_check(weft_completions_open(&each, tasks, 1, WEFT_FOREVER) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_completions_next(&each, &index) == -ECANCELED && index == 9);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 0);
    weft_completions_close(&each);
    wt_check(weft_uncancel(weft_self()) == 0);
    weft_drop(tasks[0]);
    return 0;
}

static intptr_t await_only(void *arg)
{
    return weft_future_await(arg, NULL);
}

/* The request has won when a task ends, before the walker runs: the next one is for the next call. */
static intptr_t told_then_ended(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *task;
    weft_task *walker;

    (void)arg;
    wt_check(weft_spawn(&task, await_only, &future) == 0);
    struct walk walk = {&task, 1, 0, 0, 9};
    wt_check(weft_spawn(&walker, walk_two, &walk) == 0);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_future_set(&future, 1) == 0);
    wt_check(weft_cancel(walker) == 1);
    wt_check(weft_await(walker, NULL) == 0);
    wt_check(walk.first_rc == -ECANCELED && walk.second_rc == 0 && walk.second == 0);
    wt_check(weft_await(task, NULL) == 0);
    return 0;
}

Test(completions, a_request_takes_nothing_and_leaves_the_tasks_alone)
{
    simulate(cancelled);
    simulate(told_then_ended);
}

static intptr_t in_timeout(void *arg)
{
    static const int seconds[] = {5};
    weft_task *task;
    weft_timeout limit;
    weft_completions each;
    size_t index;

    (void)arg;
    spawn_sleepers(&task, seconds, 1);
    wt_check(weft_timeout_enter(&limit, 2 * WEFT_S) == 0);
    wt_check(weft_completions_open(&each, &task, 1, WEFT_FOREVER) == 0);
    int rc = weft_completions_next(&each, &index);
    wt_check(rc == -ECANCELED);
    weft_completions_close(&each);
    wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT && now_s() == 2);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    end_all(&task, 1);
    return 0;
}

Test(completions, a_timeout_around_it_ends_the_wait)
{
    simulate(in_timeout);
}

/* ---- use ---- */

static intptr_t next_of_another(void *arg)
{
    size_t index;
    return weft_completions_next(arg, &index);
}

static intptr_t misuse(void *arg)
{
    static const int seconds[] = {1, 2};
    weft_task *tasks[3];
    weft_completions each;
    weft_task *thief;
    intptr_t result = 0;
    size_t index;

    (void)arg;
    spawn_sleepers(tasks, seconds, 2);
    tasks[2] = NULL;
    wt_check(weft_completions_open(NULL, tasks, 2, WEFT_FOREVER) == -EINVAL);
    wt_check(weft_completions_open(&each, NULL, 2, WEFT_FOREVER) == -EINVAL);
    weft_completions_close(&each);
    wt_check(weft_completions_open(&each, tasks, 3, WEFT_FOREVER) == -EINVAL);
    wt_check(weft_completions_next(&each, &index) == -EINVAL);
    weft_completions_close(&each);
    weft_completions_close(NULL);
    wt_check(weft_completions_open(&each, NULL, 0, WEFT_FOREVER) == 0);
    wt_check(weft_completions_next(&each, &index) == -ENODATA);
    weft_completions_close(&each);

    wt_check(weft_completions_open(&each, tasks, 2, WEFT_FOREVER) == 0);
    wt_check(weft_completions_next(&each, NULL) == -EINVAL);
    wt_check(weft_completions_next(NULL, &index) == -EINVAL);
    wt_check(weft_spawn(&thief, next_of_another, &each) == 0);
    wt_check(weft_await(thief, &result) == 0 && result == -EPERM);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 0);
    weft_completions_close(&each); /* in the middle */
    weft_completions_close(&each);
    wt_check(weft_completions_next(&each, &index) == -EINVAL);
    end_all(tasks, 2);
    return 0;
}

Test(completions, misuse_is_refused)
{
    simulate(misuse);
    weft_completions each;
    size_t index;
    cr_assert_eq(weft_completions_open(&each, NULL, 0, WEFT_FOREVER), -EPERM);
    cr_assert_eq(weft_completions_next(&each, &index), -EPERM);
    weft_completions_close(&each);
}

/* Other waits in between don't take the finishers' grants, and lose none. */
static intptr_t other_waits(void *arg)
{
    enum { COUNT = 6 };
    static const int seconds[COUNT] = {1, 2, 3, 4, 5, 6};
    weft_task *tasks[COUNT];
    weft_completions each;
    size_t index;

    (void)arg;
    spawn_sleepers(tasks, seconds, COUNT);
    wt_check(weft_completions_open(&each, tasks, COUNT, WEFT_FOREVER) == 0);
    wt_check(weft_completions_next(&each, &index) == 0 && index == 0);
    for (int i = 0; i < 300; i++) { /* the number of a wait comes round after 256 */
        wt_check(weft_sleep(WEFT_S / 100) == 0);
    }
    wt_check(now_s() == 4);
    wt_check(weft_join(tasks[4], NULL) == 0 && now_s() == 5);
    for (size_t i = 1; i < COUNT; i++) {
        wt_check(weft_completions_next(&each, &index) == 0 && index == i);
    }
    wt_check(now_s() == 6);
    weft_completions_close(&each);
    end_all(tasks, COUNT);
    return 0;
}

Test(completions, other_waits_come_in_between)
{
    simulate(other_waits);
}

/* ---- workers ---- */

enum { ROUNDS = 300, TASKS = 24 };

static intptr_t spin(void *arg)
{
    intptr_t n = (intptr_t)arg;
    for (intptr_t i = 0; i < n % 5; i++) {
        int rc = weft_yield();
        if (rc < 0) {
            return rc;
        }
    }
    return n;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return *state >> 33;
}

/* Each task is given once, whoever ends it and when; some rounds stop in the middle, so that finishers are
 * about while the frame goes away. */
static intptr_t rounds(void *arg)
{
    uint64_t *random = arg;
    weft_task *tasks[TASKS];

    for (int round = 0; round < ROUNDS; round++) {
        weft_completions each;
        bool seen[TASKS] = {false};
        size_t stop = next_random(random) % (2 * TASKS);
        size_t given = 0;
        size_t index;
        int rc;
        for (size_t i = 0; i < TASKS; i++) {
            wt_check(weft_spawn(&tasks[i], spin, word((intptr_t)next_random(random))) == 0);
        }
        int64_t limit = round % 4 == 0 ? 20 * WEFT_US : WEFT_FOREVER;
        wt_check(weft_completions_open(&each, tasks, TASKS, limit) == 0);
        while (given < stop && (rc = weft_completions_next(&each, &index)) != -ENODATA) {
            if (rc == -ETIMEDOUT) {
                break;
            }
            wt_check(rc == 0 && index < TASKS && !seen[index]);
            wt_check(weft_task_state(tasks[index]) == WEFT_OK);
            seen[index] = true;
            given++;
        }
        wt_check(given == TASKS || given == stop || limit != WEFT_FOREVER);
        weft_completions_close(&each);
        memset(&each, 0xa5, sizeof each);
        for (size_t i = 0; i < TASKS; i++) {
            wt_check(weft_await(tasks[i], NULL) == 0);
        }
    }
    return 0;
}

static intptr_t walkers(void *arg)
{
    enum { WALKERS = 3 };
    uint64_t random[WALKERS];
    weft_task *walker[WALKERS];

    for (size_t i = 0; i < WALKERS; i++) {
        random[i] = *(uint64_t *)arg + i;
        wt_check(weft_spawn(&walker[i], rounds, &random[i]) == 0);
    }
    for (size_t i = 0; i < WALKERS; i++) {
        wt_check(weft_await(walker[i], NULL) == 0);
    }
    return 0;
}

Test(completions, each_is_given_once_on_several_workers)
{
    uint64_t seed = wt_seed();
    for (int workers = 1; workers <= 4; workers += 3) {
        const weft_options options = {.workers = workers};
        cr_assert_eq(weft_run(walkers, &seed, &options), 0);
        wt_assert_clean();
    }
}

static intptr_t walk_until_told(void *arg)
{
    weft_task **tasks = arg;
    weft_completions each;
    size_t index;
    intptr_t given = 0;

    int rc = weft_completions_open(&each, tasks, TASKS, WEFT_FOREVER);
    while (rc == 0) {
        rc = weft_completions_next(&each, &index);
        given += rc == 0;
    }
    weft_completions_close(&each);
    wt_check(rc == -ENODATA ? given == TASKS : rc == -ECANCELED);
    return rc == -ECANCELED ? rc : given;
}

/* Requests and ends race. */
static intptr_t race(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    weft_task *tasks[TASKS];

    for (int round = 0; round < ROUNDS; round++) {
        weft_task *walker;
        for (size_t i = 0; i < TASKS; i++) {
            wt_check(weft_spawn(&tasks[i], spin, word((intptr_t)next_random(&random))) == 0);
        }
        wt_check(weft_spawn(&walker, walk_until_told, tasks) == 0);
        for (uint64_t n = next_random(&random) % 6; n > 0; n--) {
            wt_check(weft_yield() == 0);
        }
        (void)weft_cancel(walker);
        wt_check(weft_await(walker, NULL) == 0);
        for (size_t i = 0; i < TASKS; i++) {
            intptr_t result = -1;
            wt_check(weft_await(tasks[i], &result) == 0 && result >= 0); /* none was cancelled */
        }
    }
    return 0;
}

Test(completions, requests_and_ends_race)
{
    uint64_t seed = wt_seed();
    const weft_options options = {.workers = 4};
    cr_assert_eq(weft_run(race, &seed, &options), 0);
    wt_assert_clean();
}

static intptr_t leave_it_open(void *arg)
{
    static weft_completions each;
    static weft_task *task;
    (void)arg;
    wt_check(weft_spawn(&task, sleep_and_give, (void *)1) == 0);
    return weft_completions_open(&each, &task, 1, WEFT_FOREVER);
}

/* Their waiters would be granted in a dead frame. */
Test(completions, ending_with_open_ones_aborts, .signal = SIGABRT)
{
    const weft_options options = {.simulate = true};
    cr_assert_eq(weft_run(leave_it_open, NULL, &options), 0);
}

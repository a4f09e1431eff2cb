/* SPDX-License-Identifier: MIT */
/* test_future.c - one-shot results: who sets, who waits, who is cancelled. */
#include <errno.h>
#include <pthread.h>

#include <weft/future.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* ---- from a plain thread: everything but the waiting ---- */

Test(future, completes_once)
{
    weft_future a = WEFT_FUTURE_INIT, b, c = WEFT_FUTURE_INIT;
    intptr_t value = 7;

    cr_assert_eq(weft_future_state(&a), WEFT_PENDING);
    cr_assert_eq(weft_future_result(&a, &value), -EAGAIN);
    cr_assert_eq(value, 7);
    cr_assert_eq(weft_future_set(&a, 42), 0);
    cr_assert_eq(weft_future_set(&a, 43), -EALREADY); /* L-7 */
    cr_assert_eq(weft_future_fail(&a, -EIO), -EALREADY);
    cr_assert_eq(weft_future_cancel(&a), 0);
    cr_assert_eq(weft_future_state(&a), WEFT_OK);
    cr_assert_eq(weft_future_result(&a, &value), 0);
    cr_assert_eq(value, 42);

    memset(&b, 0xa5, sizeof b);
    cr_assert_eq(weft_future_init(&b), 0);
    cr_assert_eq(weft_future_fail(&b, -EIO), 0);
    cr_assert_eq(weft_future_state(&b), WEFT_ERROR);
    cr_assert_eq(weft_future_result(&b, &value), 0);
    cr_assert_eq(value, -EIO);
    cr_assert_eq(weft_future_set(&b, 0), -EALREADY);

    cr_assert_eq(weft_future_cancel(&c), 1);
    cr_assert_eq(weft_future_cancel(&c), 0);
    cr_assert_eq(weft_future_state(&c), WEFT_CANCELLED);
    cr_assert_eq(weft_future_result(&c, &value), 0);
    cr_assert_eq(value, -ECANCELED);
}

Test(future, bad_input_is_told)
{
    weft_future a = WEFT_FUTURE_INIT;
    intptr_t value;

    cr_assert_eq(weft_future_init(NULL), -EINVAL);
    cr_assert_eq(weft_future_set(NULL, 1), -EINVAL);
    cr_assert_eq(weft_future_fail(NULL, -EIO), -EINVAL);
    cr_assert_eq(weft_future_cancel(NULL), -EINVAL);
    cr_assert_eq(weft_future_result(NULL, &value), -EINVAL);
    cr_assert_eq(weft_future_result(&a, NULL), -EINVAL);
    cr_assert_eq(weft_future_state(NULL), WEFT_PENDING);
    cr_assert_eq(weft_future_fail(&a, 0), -EINVAL);
    cr_assert_eq(weft_future_fail(&a, EIO), -EINVAL);
    cr_assert_eq(weft_future_fail(&a, -4096), -EINVAL);
    cr_assert_eq(weft_future_state(&a), WEFT_PENDING);
    cr_assert_eq(weft_future_fail(&a, -4095), 0);
}

/* ---- waiting ---- */

static intptr_t await_it(void *arg)
{
    intptr_t result = 99;
    int rc = weft_future_await(arg, &result);

    wt_check(rc == 0 || (rc == -ECANCELED && result == 99));
    return rc < 0 ? rc : result;
}

static int order[40];
static int woken;

struct numbered {
    weft_future *future;
    int number;
};

static intptr_t await_and_note(void *arg)
{
    struct numbered *numbered = arg;
    intptr_t result = await_it(numbered->future);

    order[woken++] = numbered->number;
    return result;
}

static intptr_t waiters(void *arg)
{
    enum { WAITERS = 40 };
    static const intptr_t values[] = {0, 42, INTPTR_MIN, -4096};
    weft_future future;
    weft_task *tasks[WAITERS];
    struct numbered numbered[WAITERS];

    (void)arg;
    for (int i = 0; i < 4; i++) { /* complete: no suspension */
        intptr_t result = 1;

        future = (weft_future)WEFT_FUTURE_INIT;
        wt_check(weft_future_set(&future, values[i]) == 0);
        wt_check(weft_future_await(&future, &result) == 0 && result == values[i]);
        wt_check(weft_future_await(&future, NULL) == 0);
    }
    for (int kind = 0; kind < 3; kind++) { /* L-5: in the order in which they came */
        intptr_t expected = kind == 0 ? 5 : kind == 1 ? -EIO : -ECANCELED;

        future = (weft_future)WEFT_FUTURE_INIT;
        woken = 0;
        for (int i = 0; i < WAITERS; i++) {
            numbered[i] = (struct numbered){&future, i};
            tasks[i] = spawn_parked(await_and_note, &numbered[i]);
        }
        if (kind == 0) {
            wt_check(weft_future_set(&future, 5) == 0);
        } else if (kind == 1) {
            wt_check(weft_future_fail(&future, -EIO) == 0);
        } else {
            wt_check(weft_future_cancel(&future) == 1);
        }
        wt_check(woken == 0); /* setting never switches */
        for (int i = 0; i < WAITERS; i++) {
            intptr_t result = 0;

            wt_check(weft_join(tasks[i], &result) == 0 && result == expected);
            wt_check(weft_cancelling(tasks[i]) == 0); /* T30: the future was cancelled, not they */
            wt_check(order[i] == i);
            weft_drop(tasks[i]);
        }
    }
    return 0;
}

Test(future, wakes_all_in_the_order_of_their_coming)
{
    simulate(waiters);
}

/* DIVERGE-14: a waiter's cancellation is its own */
static intptr_t private_cancel(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *tasks[3];

    (void)arg;
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_parked(await_it, &future);
    }
    wt_check(weft_cancel(tasks[1]) == 1);
    wt_check(finish(tasks[1]) == -ECANCELED);
    wt_check(weft_future_state(&future) == WEFT_PENDING);
    wt_check(weft_future_set(&future, 8) == 0);
    wt_check(finish(tasks[0]) == 8 && finish(tasks[2]) == 8);
    return 0;
}

Test(future, a_cancelled_waiter_leaves_the_others_alone)
{
    simulate(private_cancel);
}

static intptr_t limits(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_within(WEFT_S, await_it(&future)) == -ETIMEDOUT);
    }
    wt_check(weft_future_set(&future, 4) == 0);
    wt_check(weft_within(WEFT_S, await_it(&future)) == 4);
    wt_check(weft_now() == 3 * WEFT_S);
    return 0;
}

Test(future, can_be_awaited_again_after_a_limit)
{
    simulate(limits);
}

/* A future in the frame of its waiter: gone as soon as the waiter goes on. */
static _Atomic(weft_future *) posted;
static atomic_bool has_ended;

static void *set_posted(void *unused)
{
    (void)unused;
    while (!atomic_load(&has_ended)) {
        weft_future *future = atomic_exchange(&posted, NULL);

        if (future != NULL) {
            wt_check(weft_future_set(future, (intptr_t)(uintptr_t)future) == 0);
        }
    }
    return NULL;
}

static intptr_t post(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        weft_future future = WEFT_FUTURE_INIT;
        intptr_t result = 0;

        atomic_store(&posted, &future);
        wt_check(weft_future_await(&future, &result) == 0);
        wt_check(result == (intptr_t)(uintptr_t)&future);
        memset(&future, 0xee, sizeof future);
    }
    atomic_store(&has_ended, true);
    return 0;
}

Test(future, on_the_waiters_stack_set_by_a_thread)
{
    static const int workers[] = {1, 2};

    for (int i = 0; i < 2; i++) {
        const weft_options options = {.workers = workers[i]};
        pthread_t thread;

        atomic_store(&has_ended, false);
        cr_assert_eq(pthread_create(&thread, NULL, set_posted, NULL), 0);
        cr_assert_eq(weft_run(post, NULL, &options), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    wt_assert_clean();
}

/* Two threads and a canceller want the same future; exactly one of them gets it. */
enum { ROUNDS = 3000 };

static weft_future contested[ROUNDS];
static atomic_int won;

static void *contest(void *arg)
{
    intptr_t me = (intptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        int rc = me == 0   ? weft_future_set(&contested[i], me)
                 : me == 1 ? weft_future_fail(&contested[i], -1)
                           : weft_future_cancel(&contested[i]) - 1;

        wt_check(rc == 0 || rc == -EALREADY || (me == 2 && rc == -1));
        atomic_fetch_add(&won, rc == 0);
    }
    return NULL;
}

static intptr_t see_contest(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        intptr_t result = 99, again = 98;

        wt_check(weft_future_await(&contested[i], &result) == 0);
        wt_check(result == 0 || result == -1 || result == -ECANCELED);
        wt_check(weft_future_result(&contested[i], &again) == 0 && again == result);
    }
    return 0;
}

Test(future, one_setter_wins)
{
    const weft_options options = {.workers = 2};
    pthread_t threads[3];

    for (intptr_t i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, contest, (void *)i), 0);
    }
    cr_assert_eq(weft_run(see_contest, NULL, &options), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    wt_assert_clean();
    cr_assert_eq(atomic_load(&won), ROUNDS);
}

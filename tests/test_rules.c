/* SPDX-License-Identifier: MIT */
/* test_rules.c - the entry rule and the grant rule, at each await point.
 *
 * Simulations: one worker, strict order, virtual time. */
#include <errno.h>

#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true, .diagnostic = ignore};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* ---- the entry rule: every await point looks first and then does nothing else ---- */

static weft_future ready_future, pending_future;
static weft_task *ended, *unfinished;

static intptr_t at_yield(void *arg)
{
    (void)arg;
    return weft_yield();
}

static intptr_t at_sleep(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S);
}

static intptr_t at_sleep_until(void *arg)
{
    (void)arg;
    return weft_sleep_until(weft_now() + WEFT_S);
}

static intptr_t at_sleep_until_past(void *arg)
{
    (void)arg;
    return weft_sleep_until(-1);
}

static intptr_t at_checkpoint(void *arg)
{
    (void)arg;
    return weft_checkpoint();
}

static intptr_t at_ready_future(void *arg)
{
    intptr_t value = 5;
    int rc = weft_future_await(&ready_future, &value);

    (void)arg;
    wt_check(value == 5);
    return rc;
}

static intptr_t at_pending_future(void *arg)
{
    (void)arg;
    return weft_future_await(&pending_future, NULL);
}

static intptr_t at_shielded_join(void *arg)
{
    (void)arg;
    return weft_join_shielded(unfinished, NULL);
}

static intptr_t at_shielded_join_of_ended(void *arg)
{
    (void)arg;
    return weft_join_shielded(ended, NULL);
}

static intptr_t at_wait(void *arg)
{
    size_t done = 9;
    int rc = weft_wait(&ended, 1, WEFT_WAIT_ALL, WEFT_S, &done);

    (void)arg;
    wt_check(done == 9);
    return rc;
}

static intptr_t at_call_for(void *arg)
{
    (void)arg;
    return weft_call_for(must_not_run, NULL, 0, NULL);
}

static intptr_t at_drain(void *arg)
{
    weft_group group;
    intptr_t rc;

    (void)arg;
    wt_check(weft_group_open(&group, 0) == 0);
    rc = weft_group_drain(&group, WEFT_FOREVER);
    return weft_group_close(&group, rc);
}

static intptr_t at_group_close(void *arg)
{
    weft_group group;

    (void)arg;
    wt_check(weft_group_open(&group, 0) == 0);
    return weft_group_close(&group, 3); /* P43: as if the body had ended with the request */
}

static weft_fn *const await_points[] = {
    at_yield,          at_sleep,         at_sleep_until, at_sleep_until_past,
    at_checkpoint,     at_ready_future,  at_wait,        at_shielded_join_of_ended,
    at_pending_future, at_shielded_join, at_call_for,    at_drain,
    at_group_close,
};

static intptr_t request_then_call(void *arg)
{
    weft_fn *fn = await_points[(intptr_t)arg];

    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(fn(NULL) == -ECANCELED);
    wt_check(weft_cancelling(weft_self()) == 1);
    return weft_checkpoint(); /* once only */
}

static intptr_t every_await_point(void *arg)
{
    const size_t count = sizeof await_points / sizeof await_points[0];

    (void)arg;
    wt_check(weft_future_set(&ready_future, 1) == 0);
    ended = spawn_parked(give, word(1));
    unfinished = spawn_parked(sleep_s, word(1000));
    for (size_t i = 0; i < count; i++) {
        weft_task *task = spawn_parked(request_then_call, word((intptr_t)i));
        intptr_t result = -1;

        if (!wt_check(weft_task_result(task, &result) == 0 && result == 0)) {
            fprintf(stderr, "await point %zu: %ld\n", i, (long)result);
        }
        weft_drop(task);
    }
    wt_check(now_s() == 0); /* nothing waited for anything */
    wt_check(weft_cancelling(unfinished) == 0 && weft_cancelling(ended) == 0);
    wt_check(!was_called);
    wt_check(weft_future_state(&pending_future) == WEFT_PENDING);
    wt_check(weft_cancel(unfinished) == 1);
    weft_drop(ended);
    wt_check(finish(unfinished) == -ECANCELED);
    return 0;
}

Test(rules, every_await_point_looks_first)
{
    simulate(every_await_point);
}

/* ---- misuse is told before: what the arguments alone forbid, whether there is a request or not ---- */

/* -EINVAL, or `expected`, and the request is there after it. */
static void refuses(const char *call, intptr_t rc, intptr_t expected)
{
    if (!wt_check(rc == expected && weft_checkpoint() == -ECANCELED)) {
        fprintf(stderr, "%s: %ld\n", call, (long)rc);
    }
    (void)weft_uncancel(weft_self());
}

#define REFUSES(Expected, Call)                                 \
    do {                                                        \
        wt_check(weft_cancel(weft_self()) == 1);                \
        refuses(#Call, (intptr_t)(Call), (intptr_t)(Expected)); \
    } while (0)

static intptr_t misuse_of_tasks(void *arg)
{
    weft_task *none = NULL;
    static weft_completions each;
    static weft_group group;
    size_t index;

    (void)arg;
    ended = spawn_parked(give, word(1));
    REFUSES(-EINVAL, weft_wait(NULL, 0, WEFT_WAIT_ALL, 0, NULL));
    REFUSES(-EINVAL, weft_wait(&none, 1, WEFT_WAIT_ALL, WEFT_S, NULL));
    REFUSES(-EINVAL, weft_wait(&ended, 1, (weft_wait_when)7, WEFT_S, NULL));
    REFUSES(-EINVAL, weft_join(NULL, NULL));
    REFUSES(-EINVAL, weft_join_shielded(NULL, NULL));
    REFUSES(-EINVAL, weft_gather(&none, 1, NULL, WEFT_GATHER_COLLECT, NULL));
    REFUSES(-EINVAL, weft_wait_for(NULL, 0, NULL));
    REFUSES(-EINVAL, weft_call_for(NULL, NULL, 0, NULL));
    REFUSES(-EINVAL, weft_completions_next(&each, &index));
    REFUSES(-EINVAL, weft_group_drain(&group, 0));
    REFUSES(-EINVAL, weft_select(NULL, 0, 0));
    REFUSES(-EINVAL, weft_future_await(NULL, NULL));
    weft_drop(ended);
    return 0;
}

static intptr_t misuse_of_others(void *arg)
{
    weft_sem sem = WEFT_SEM_INIT(1);
    static weft_barrier barrier;
    static weft_queue queue;
    static weft_process process;
    static weft_stream stream;
    char byte = 'x';

    (void)arg;
    REFUSES(-EINVAL, weft_sem_acquire(&sem, 0));
    REFUSES(-EINVAL, weft_barrier_wait(&barrier));
    REFUSES(-EINVAL, weft_queue_get(&queue, &byte));
    REFUSES(-EINVAL, weft_queue_join(&queue));
    REFUSES(-EINVAL, weft_process_wait(&process, NULL));
    REFUSES(-EBADF, weft_stream_read(&stream, &byte, 1));
    REFUSES(-EINVAL, weft_read(0, NULL, 1));
    REFUSES(-EBADF, weft_read(-1, &byte, 1));
    REFUSES(-EINVAL, weft_wait_fd(0, 0));
    REFUSES(-EINVAL, weft_open(NULL, 0, 0));
    REFUSES(-EINVAL, weft_resolve(NULL, 80, NULL, NULL));
    REFUSES(-EINVAL, weft_connect_any(NULL, 0, NULL));
    REFUSES(-EINVAL, weft_blocking(NULL, NULL, NULL, NULL));
    return 0;
}

Test(rules, misuse_is_told_before_a_request)
{
    const weft_options real = {.workers = 1};
    simulate(misuse_of_tasks);
    RUN(misuse_of_tasks, NULL, &real);
    RUN(misuse_of_others, NULL, &real);
}

/* Calls that only release, and leaving of scopes, observe nothing. */
static intptr_t request_then_release(void *arg)
{
    weft_timeout timeout;
    weft_task *task;
    weft_stats_t stats = {.size = sizeof stats};

    (void)arg;
    wt_check(weft_spawn(&task, sleep_s, word(9)) == 0);
    wt_check(weft_timeout_enter(&timeout, 5 * WEFT_S) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_timeout_leave(&timeout, 7) == 7); /* T36 */
    weft_drop(weft_retain(task));
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_detach(task) == 0);
    wt_check(weft_stats(NULL, &stats) == 0 && weft_tasks(NULL, NULL, 0) == 3);
    wt_check(weft_future_cancel(&pending_future) == 1);
    return weft_yield(); /* still undelivered */
}

static intptr_t releasing(void *arg)
{
    (void)arg;
    wt_check(finish(spawn_parked(request_then_release, NULL)) == -ECANCELED);
    return 0;
}

Test(rules, releasing_observes_nothing)
{
    simulate(releasing);
}

/* ---- the grant rule ---- */

static intptr_t await_future_then_yield(void *arg)
{
    intptr_t value = await_future(arg);

    wt_check(value == 7);
    wt_check(weft_yield() == -ECANCELED);
    return value;
}

static intptr_t after_the_grant(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *task = spawn_parked(await_future, &future);

    (void)arg;
    wt_check(weft_future_set(&future, 7) == 0);
    wt_check(weft_cancel(task) == 1); /* C12: granted, then no await point any more */
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    intptr_t raw = 0;
    wt_check(weft_task_raw_result(task, &raw) == 0 && raw == 7);
    weft_drop(task);

    future = (weft_future)WEFT_FUTURE_INIT;
    task = spawn_parked(await_future, &future);
    wt_check(weft_future_set(&future, 7) == 0);
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0); /* C13 */
    wt_check(finish(task) == 7);

    future = (weft_future)WEFT_FUTURE_INIT;
    task = spawn_parked(await_future_then_yield, &future);
    wt_check(weft_future_set(&future, 7) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == 7);

    future = (weft_future)WEFT_FUTURE_INIT; /* the request first: the grant is for others */
    task = spawn_parked(await_future, &future);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_future_set(&future, 7) == 0);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_future_state(&future) == WEFT_OK);
    return 0;
}

Test(rules, a_granted_wait_returns_its_grant)
{
    simulate(after_the_grant);
}

/* C21: a yield is granted nothing */
static intptr_t at_a_yield(void *arg)
{
    weft_task *task = spawn_parked(yield_twice, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && traced("C "));
    return 0;
}

Test(rules, a_yield_reports_the_request)
{
    simulate(at_a_yield);
}

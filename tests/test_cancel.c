/* SPDX-License-Identifier: MIT */
/* test_cancel.c - requests: made, counted, delivered, withdrawn, handed on.
 *
 * Simulations: one worker, strict order, virtual time. The tags in comments are the rules of the
 * cancellation model: C what cancel does, D handing on, U taking back. */
#include <errno.h>
#include <pthread.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

static atomic_int swallowed;

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    swallowed += what->kind == WEFT_DIAG_CANCEL_SWALLOWED;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* Events of several tasks in their order. */
static char trace[256];

static void mark(const char *text)
{
    strncat(trace, text, sizeof trace - strlen(trace) - 1);
    strncat(trace, " ", sizeof trace - strlen(trace) - 1);
}

static bool traced(const char *expected)
{
    bool same = strcmp(trace, expected) == 0;

    if (!same) {
        fprintf(stderr, "traced: %s\n", trace);
    }
    trace[0] = '\0';
    return same;
}

/* ---- C: what cancel does ---- */

static intptr_t return_values(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(4)) == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_cancel(task) == 0); /* C-1 */
    wt_check(weft_cancelling(task) == 0);
    wt_check(weft_task_state(task) == WEFT_OK);
    weft_drop(task);

    task = spawn_parked(sleep_s, word(9));
    for (int i = 1; i <= 5; i++) {
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_cancelling(task) == i); /* C-2 */
    }
    wt_check(weft_task_state(task) == WEFT_PENDING); /* C-4 */
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_cancel(task) == 0);
    wt_check(weft_cancelling(task) == 5);
    weft_drop(task);
    wt_check(now_s() == 0);
    return 0;
}

Test(cancel, accepted_or_ended)
{
    simulate(return_values);
}

static bool was_called;

static intptr_t must_not_run(void *arg)
{
    was_called = true;
    return (intptr_t)arg;
}

/* C-3, C01, C32 */
static intptr_t before_the_start(void *arg)
{
    weft_task *task;
    intptr_t result = 0;

    (void)arg;
    wt_check(weft_spawn(&task, must_not_run, NULL) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(weft_join(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_task_state(task) == WEFT_CANCELLED && weft_cancelling(task) == 1);
    wt_check(weft_uncancel(task) == 0); /* no effect on the outcome */
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    weft_drop(task);
    wt_check(!was_called);

    wt_check(weft_spawn(&task, must_not_run, word(6)) == 0); /* withdrawn in time: it runs */
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0);
    wt_check(finish(task) == 6 && was_called);
    return 0;
}

Test(cancel, before_the_start)
{
    simulate(before_the_start);
}

/* C-1: "a million requests not withdrawn", whatever state the victim is in */
static intptr_t many_requests(void *arg)
{
    weft_task *fresh, *parked = spawn_parked(sleep_s, word(9));
    int made = 0;

    (void)arg;
    wt_check(weft_spawn(&fresh, must_not_run, NULL) == 0);
    for (int i = 1; i <= 20000; i++) {
        if (!wt_check(weft_cancel(fresh) == 1) || !wt_check(weft_cancelling(fresh) == i)) {
            break;
        }
    }
    wt_check(weft_cancel(parked) == 1);
    for (made = 1; made <= 2000000; made++) {
        int rc = weft_cancel(parked);

        if (rc != 1) {
            wt_check(rc == -EOVERFLOW);
            break;
        }
    }
    fprintf(stderr, "%d requests\n", made);
    wt_check(made >= 1000000 && made < 2000000);
    wt_check(weft_cancelling(parked) == made);
    wt_check(weft_uncancel(parked) == made - 1);
    wt_check(weft_cancel(parked) == 1); /* room again */
    wt_check(finish(fresh) == -ECANCELED);
    wt_check(finish(parked) == -ECANCELED);
    return 0;
}

Test(cancel, a_million_requests)
{
    simulate(many_requests);
}

static intptr_t swallow_once(void *arg)
{
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    mark("told");
    wt_check(weft_sleep(3 * WEFT_S) == 0); /* C-6: undisturbed, and C-10 */
    wt_check(weft_yield() == 0);
    wt_check(weft_checkpoint() == 0);
    wt_check(weft_cancelling(weft_self()) == 1);
    return (intptr_t)arg;
}

static intptr_t edges(void *arg)
{
    weft_task *task = spawn_parked(swallow_once, word(42));

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(now_s() == 3 && traced("told "));
    wt_check(weft_task_state(task) == WEFT_OK && weft_cancelling(task) == 1);
    wt_check(finish(task) == 42);
    return 0;
}

Test(cancel, one_request_is_delivered_once)
{
    simulate(edges);
    cr_assert_eq(swallowed, 1);
}

static intptr_t clean_up(void *arg)
{
    int rc = weft_sleep(10 * WEFT_S);

    wt_check(rc == -ECANCELED);
    if (weft_sleep(5 * WEFT_S) == -ECANCELED) {
        mark("again");
    } else {
        mark("cleaned");
    }
    (void)arg;
    return rc;
}

/* C-7 */
static intptr_t coalescing(void *arg)
{
    weft_task *task = spawn_parked(clean_up, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1); /* C05: one delivery */
    wt_check(weft_cancelling(task) == 2);
    wt_check(finish(task) == -ECANCELED);
    wt_check(now_s() == 5 && traced("cleaned "));

    task = spawn_parked(clean_up, NULL);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1); /* C06: a new edge, into the clean-up */
    wt_check(finish(task) == -ECANCELED);
    wt_check(now_s() == 6 && traced("again "));
    return 0;
}

Test(cancel, requests_merge_until_delivered)
{
    simulate(coalescing);
}

static intptr_t hit_three_times(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
        mark("hit");
    }
    return weft_cancelling(weft_self());
}

/* C35 */
static intptr_t repeated(void *arg)
{
    weft_task *task = spawn_parked(hit_three_times, NULL);

    (void)arg;
    for (int i = 1; i <= 3; i++) {
        wt_check(weft_sleep(WEFT_S) == 0);
        wt_check(weft_cancel(task) == 1);
    }
    wt_check(finish(task) == 3);
    wt_check(now_s() == 3 && traced("hit hit hit "));
    return 0;
}

Test(cancel, each_later_request_is_a_new_edge)
{
    simulate(repeated);
}

/* ---- C-8: oneself ---- */

static intptr_t cancel_self(void *arg)
{
    wt_check(weft_cancel(weft_self()) == 1);
    mark("on");
    if (arg != NULL) {
        return 12; /* C10: no await point any more */
    }
    wt_check(weft_sleep(100 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(WEFT_S) == 0);
    return -ECANCELED;
}

static intptr_t oneself(void *arg)
{
    weft_task *task;

    wt_check(finish(spawn_parked(cancel_self, NULL)) == -ECANCELED);
    wt_check(now_s() == 1);
    task = spawn_parked(cancel_self, &arg);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    wt_check(weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_cancel(weft_self()) == 1 && weft_uncancel(weft_self()) == 0); /* U-3 */
    wt_check(weft_yield() == 0);
    return 0;
}

Test(cancel, oneself)
{
    simulate(oneself);
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

Test(cancel, every_await_point_looks_first)
{
    simulate(every_await_point);
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

Test(cancel, releasing_observes_nothing)
{
    simulate(releasing);
}

/* ---- the grant rule ---- */

static intptr_t await_future(void *arg)
{
    intptr_t value = 0;
    int rc = weft_future_await(arg, &value);

    return rc < 0 ? rc : value;
}

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

Test(cancel, a_granted_wait_returns_its_grant)
{
    simulate(after_the_grant);
}

static intptr_t yield_twice(void *arg)
{
    int rc = weft_yield();

    (void)arg;
    mark(rc == 0 ? "0" : "C");
    return rc < 0 ? rc : weft_yield();
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

Test(cancel, a_yield_reports_the_request)
{
    simulate(at_a_yield);
}

/* ---- order and references ---- */

static intptr_t mark_when_told(void *arg)
{
    intptr_t rc = weft_sleep(9 * WEFT_S);

    mark(arg);
    return rc;
}

/* C-9, C-12 */
static intptr_t in_sequence(void *arg)
{
    weft_task *a = spawn_parked(mark_when_told, "a");
    weft_task *b = spawn_parked(mark_when_told, "b");
    weft_task *c = spawn_parked(mark_when_told, "c");

    (void)arg;
    wt_check(weft_cancel(b) == 1 && weft_cancel(c) == 1 && weft_cancel(a) == 1);
    weft_drop(b); /* right after the request */
    weft_drop(c);
    weft_drop(a);
    wt_check(weft_yield() == 0);
    wt_check(traced("b c a "));
    return 0;
}

Test(cancel, told_in_the_order_of_cancelling)
{
    simulate(in_sequence);
}

/* ---- D: handing on ---- */

static intptr_t join_and_mark(void *arg)
{
    intptr_t result = 0;
    int rc = weft_join(arg, &result);

    mark(rc == -ECANCELED ? "C" : result == -ECANCELED ? "0/C" : "0");
    wt_check(rc == 0 || result == -ECANCELED);
    return rc < 0 ? rc : result;
}

/* C14, C36 */
static intptr_t hand_on_once(void *arg)
{
    weft_task *inner = spawn_parked(clean_up, NULL);
    weft_task *outer = spawn_parked(join_and_mark, inner);

    (void)arg;
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(outer) == 1);
    wt_check(weft_cancelling(outer) == 1 && weft_cancelling(inner) == 1);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_state(outer) == WEFT_PENDING); /* D-1: the victim is not woken */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(outer) == 1); /* D-5: handed on again, into the clean-up */
    wt_check(weft_cancelling(outer) == 2 && weft_cancelling(inner) == 2);
    wt_check(finish(outer) == -ECANCELED);
    wt_check(weft_task_state(inner) == WEFT_CANCELLED);
    wt_check(now_s() == 2 && traced("again C "));
    weft_drop(inner);
    return 0;
}

Test(cancel, a_join_hands_the_request_on)
{
    simulate(hand_on_once);
}

/* C19, and a long one: the walk is no recursion */
static intptr_t chains(void *arg)
{
    enum { LENGTH = 3000 };
    weft_task **links = calloc(LENGTH, sizeof(weft_task *));

    (void)arg;
    wt_check(weft_spawn(&links[0], sleep_s, word(9)) == 0);
    for (int i = 1; i < LENGTH; i++) {
        wt_check(weft_spawn(&links[i], join_and_mark, links[i - 1]) == 0);
    }
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(links[LENGTH - 1]) == 1);
    for (int i = 0; i < LENGTH; i++) {
        wt_check(weft_cancelling(links[i]) == 1); /* C-2: each link shows one */
        wt_check(weft_task_state(links[i]) == WEFT_PENDING);
    }
    wt_check(weft_join(links[LENGTH - 1], NULL) == 0);
    for (int i = 0; i < LENGTH; i++) {
        wt_check(weft_task_state(links[i]) == WEFT_CANCELLED);
        wt_check(weft_cancelling(links[i]) == 1);
    }
    wt_check(now_s() == 0);
    weft_drop_all(links, LENGTH);
    free(links);
    return 0;
}

Test(cancel, down_a_chain_of_joins)
{
    simulate(chains);
}

static intptr_t swallow_and_give(void *arg)
{
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    return (intptr_t)arg;
}

static intptr_t join_then_sleep(void *arg)
{
    intptr_t result = 0;

    wt_check(weft_join(arg, &result) == 0);
    wt_check(weft_sleep(WEFT_S) == 0); /* D-2: not cancelled */
    return result;
}

static intptr_t swallowed_inside(void *arg)
{
    static const intptr_t ends[] = {42, -EIO};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        weft_task *inner = spawn_parked(swallow_and_give, word(ends[i]));
        weft_task *outer = spawn_parked(join_then_sleep, inner);

        wt_check(weft_cancel(outer) == 1);
        wt_check(weft_join(outer, NULL) == 0);
        wt_check(weft_cancelling(outer) == 1);
        wt_check(finish(outer) == ends[i]);
        weft_drop(inner);
    }
    return 0;
}

Test(cancel, the_joined_task_may_swallow_it)
{
    simulate(swallowed_inside);
}

static intptr_t join_then_yield(void *arg)
{
    intptr_t result = 0;

    wt_check(weft_join(arg, &result) == 0);
    mark("joined");
    wt_check(weft_yield() == -ECANCELED);
    return result;
}

/* D-3 */
static intptr_t refused_by_the_ended(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *inner = spawn_parked(await_future, &future);
    weft_task *outer = spawn_parked(join_then_yield, inner);

    (void)arg;
    wt_check(weft_future_set(&future, 3) == 0);
    wt_check(weft_yield() == 0); /* inner has ended, outer may be queued behind us or be done */
    if (weft_task_state(outer) == WEFT_PENDING) {
        wt_check(weft_cancel(outer) == 1);
    }
    wt_check(weft_cancelling(inner) == 0);
    wt_check(finish(outer) == 3);
    weft_drop(inner);
    return 0;
}

Test(cancel, an_ended_task_takes_no_request)
{
    simulate(refused_by_the_ended);
}

/* An undelivered request at the entry is handed on, not delivered: the child may use our frame. */
static intptr_t join_with_request(void *arg)
{
    weft_task *child = *(weft_task **)arg;
    intptr_t result = 0;
    int rc;

    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_join(child, &result);
    wt_check(weft_task_state(child) != WEFT_PENDING);
    mark(rc == -ECANCELED ? "C" : "0");
    if (rc == 0) {
        wt_check(weft_checkpoint() == (weft_cancelling(child) == 0 ? -ECANCELED : 0));
    }
    return result;
}

static intptr_t requests_at_a_join(void *arg)
{
    weft_task *child, *joiner;

    (void)arg;
    child = spawn_parked(clean_up, NULL);
    wt_check(finish(spawn_parked(join_with_request, &child)) == -ECANCELED);
    wt_check(now_s() == 5 && traced("cleaned C "));
    weft_drop(child);

    child = spawn_parked(swallow_and_give, word(8));
    wt_check(finish(spawn_parked(join_with_request, &child)) == 8);
    wt_check(traced("0 "));
    weft_drop(child);

    wt_check(weft_spawn(&joiner, join_with_request, &child) == 0);
    wt_check(weft_spawn(&child, must_not_run, NULL) == 0); /* has not started: never will */
    wt_check(finish(joiner) == -ECANCELED && !was_called);
    wt_check(traced("C "));
    weft_drop(child);

    child = spawn_parked(give, word(4)); /* ended: its result, and the request stays */
    wt_check(finish(spawn_parked(join_with_request, &child)) == 4);
    wt_check(traced("0 "));
    weft_drop(child);
    return 0;
}

Test(cancel, a_join_hands_on_what_is_undelivered)
{
    simulate(requests_at_a_join);
}

/* D-4, D-6: who was cancelled? */
static intptr_t shared_child(void *arg)
{
    weft_task *child = spawn_parked(sleep_s, word(9));
    weft_task *guilty = spawn_parked(join_and_mark, child);
    weft_task *innocent = spawn_parked(join_and_mark, child);

    (void)arg;
    wt_check(weft_cancel(guilty) == 1);
    wt_check(weft_join(guilty, NULL) == 0 && weft_join(innocent, NULL) == 0);
    wt_check(traced("C 0/C "));
    wt_check(weft_cancelling(guilty) == 1 && weft_cancelling(innocent) == 0);
    wt_check(weft_cancelling(child) == 1);
    wt_check(weft_task_state(innocent) == WEFT_CANCELLED); /* it let the -ECANCELED through */
    weft_drop(guilty);
    weft_drop(innocent);
    weft_drop(child);

    child = spawn_parked(sleep_s, word(9)); /* C18: cancelled by a third party */
    innocent = spawn_parked(join_and_mark, child);
    wt_check(weft_cancel(child) == 1);
    wt_check(weft_join(innocent, NULL) == 0 && traced("0/C "));
    wt_check(weft_cancelling(innocent) == 0);
    weft_drop(innocent);
    weft_drop(child);
    return 0;
}

Test(cancel, a_shared_child_dies_for_both)
{
    simulate(shared_child);
}

static intptr_t at_some_private_wait(void *arg)
{
    switch ((intptr_t)arg) {
    case 0:
        return weft_join_shielded(unfinished, NULL);
    case 1:
        return weft_wait(&unfinished, 1, WEFT_WAIT_ALL, WEFT_FOREVER, NULL);
    case 2:
        return weft_future_await(&pending_future, NULL);
    default:
        return weft_wait(&unfinished, 1, WEFT_WAIT_FIRST_DONE, 50 * WEFT_S, NULL);
    }
}

/* D-9 */
static intptr_t private_waits(void *arg)
{
    (void)arg;
    unfinished = spawn_parked(sleep_s, word(20));
    for (intptr_t i = 0; i < 4; i++) {
        weft_task *waiter = spawn_parked(at_some_private_wait, word(i));

        wt_check(weft_cancel(waiter) == 1);
        wt_check(finish(waiter) == -ECANCELED);
    }
    wt_check(now_s() == 0);
    wt_check(weft_cancelling(unfinished) == 0);
    wt_check(weft_future_state(&pending_future) == WEFT_PENDING);
    wt_check(finish(unfinished) == 0 && now_s() == 20);
    return 0;
}

Test(cancel, private_waits_keep_it_to_themselves)
{
    simulate(private_waits);
}

/* Joins under gathers under joins: every leaf is told once. */
static intptr_t gather_leaves(void *arg)
{
    weft_task *leaves[3];
    int rc;

    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&leaves[i], arg != NULL ? gather_leaves : mark_when_told,
                            arg != NULL ? NULL : "l") == 0);
    }
    rc = weft_gather(leaves, 3, NULL, WEFT_GATHER_COLLECT, NULL);
    for (int i = 0; i < 3; i++) {
        wt_check(weft_task_state(leaves[i]) == WEFT_CANCELLED);
        wt_check(weft_cancelling(leaves[i]) == 1);
    }
    weft_drop_all(leaves, 3);
    return rc;
}

static intptr_t trees(void *arg)
{
    weft_task *root = spawn_parked(gather_leaves, &arg);

    wt_check(weft_yield() == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(root) == 1);
    wt_check(finish(root) == -ECANCELED);
    wt_check(traced("l l l l l l l l l "));
    return 0;
}

Test(cancel, down_a_tree_of_gathers)
{
    simulate(trees);
}

/* ---- U: taking back ---- */

static intptr_t uncancelling(void *arg)
{
    weft_task *task = spawn_parked(sleep_s, word(9));

    (void)arg;
    wt_check(weft_uncancel(task) == 0);                         /* never negative */
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1); /* C31 */
    wt_check(weft_uncancel(task) == 1);
    wt_check(weft_uncancel(task) == 0);
    wt_check(weft_uncancel(task) == 0);
    wt_check(finish(task) == -ECANCELED); /* U-4: the wait had been aborted */

    wt_check(weft_spawn(&task, yield_twice, NULL) == 0);
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1);
    wt_check(weft_uncancel(task) == 1);
    wt_check(weft_yield() == 0);
    wt_check(finish(task) == -ECANCELED); /* one remained */
    wt_check(traced(""));                 /* it never ran */

    task = spawn_parked(yield_twice, NULL); /* runnable: withdrawn before it looks */
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0);
    wt_check(finish(task) == 0 && traced("0 "));
    return 0;
}

Test(cancel, requests_can_be_taken_back)
{
    simulate(uncancelling);
}

static intptr_t uncancel_and_go_on(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
        wt_check(weft_uncancel(weft_self()) == 0);
    }
    return weft_cancelling(weft_self());
}

static intptr_t handling(void *arg)
{
    weft_task *task = spawn_parked(uncancel_and_go_on, NULL);

    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_sleep(WEFT_S) == 0);
    }
    wt_check(finish(task) == 0);
    return 0;
}

Test(cancel, a_handled_request_leaves_no_trace)
{
    simulate(handling);
    cr_assert_eq(swallowed, 0);
}

/* ---- C-11: from plain threads; C-5: the victim runs on another worker ---- */

static intptr_t spin_until_told(void *arg)
{
    atomic_bool *is_running = arg;

    atomic_store(is_running, true);
    while (weft_checkpoint() == 0) { /* the only await point, and it never switches */
        atomic_store(is_running, true);
    }
    return weft_cancelling(weft_self());
}

static intptr_t sleep_for_ever(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return weft_sleep(WEFT_FOREVER) == -ECANCELED ? weft_cancelling(weft_self()) : -EIO;
}

Test(cancel, from_a_plain_thread)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_fn *const victims[] = {spin_until_told, sleep_for_ever};
    weft_runtime *runtime;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < 200; i++) {
        atomic_bool is_running = false;
        weft_task *task;
        intptr_t result = 0;

        cr_assert_eq(weft_runtime_submit(runtime, &task, victims[i % 2], &is_running, NULL), 0);
        while (!atomic_load(&is_running)) {
        }
        cr_assert_eq(weft_cancel(task), 1);
        cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
        cr_assert_eq(result, 1);
        cr_assert_eq(weft_cancel(task), 0);
        weft_drop(task);
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

/* RACE-9: the count is exact whoever asks. */
enum { ASKERS = 4, ASKS = 500 };

static void *ask(void *arg)
{
    for (int i = 0; i < ASKS; i++) {
        wt_check(weft_cancel(arg) == 1);
    }
    return NULL;
}

static intptr_t count_deliveries(void *arg)
{
    atomic_bool *is_running = arg;
    intptr_t deliveries = 0;

    atomic_store(is_running, true); /* one that has not started ends at the first request */
    while (weft_cancelling(weft_self()) < ASKERS * ASKS) {
        deliveries += weft_sleep(100 * WEFT_MS) == -ECANCELED;
    }
    return weft_checkpoint() == 0 ? deliveries : deliveries + 1;
}

Test(cancel, counts_are_exact_under_threads)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_runtime *runtime;
    weft_task *task;
    pthread_t threads[ASKERS];
    atomic_bool is_running = false;
    intptr_t deliveries = 0;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(runtime, &task, count_deliveries, &is_running, NULL), 0);
    while (!atomic_load(&is_running)) {
    }
    for (int i = 0; i < ASKERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, task), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &deliveries), 0);
    cr_assert_eq(weft_cancelling(task), ASKERS * ASKS);
    cr_assert_geq(deliveries, 1);
    weft_drop(task);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

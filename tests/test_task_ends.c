/* SPDX-License-Identifier: MIT */
/* test_task_ends.c - what an end leads to, exactly once: drop_arg, drop_result, on_done, and what is reported. */
#include <errno.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/stats.h>

#include "task_test.h"

/* ---- drop_arg and drop_result: exactly once ---- */

static int args_dropped, results_dropped;
static intptr_t last_result;
static bool joiner_woke;

static void drop_arg(void *arg)
{
    wt_check(!joiner_woke); /* before joiners wake */
    args_dropped += (int)(intptr_t)arg;
}

static void drop_result(intptr_t result)
{
    wt_check(!weft_is_error(result));
    results_dropped++;
    last_result = result;
}

static intptr_t note_join(void *arg)
{
    int rc = weft_join(arg, NULL);

    joiner_woke = true;
    return rc;
}

static intptr_t spawn_late(void *arg)
{
    const weft_spawn_options options = {.drop_arg = drop_arg};

    (void)arg;
    wt_check(weft_spawn_with(NULL, give, word(10000), &options) == 0);
    return 0;
}

static intptr_t drop_args(void *arg)
{
    const weft_spawn_options options = {.drop_arg = drop_arg};
    weft_spawn_options bad = {.drop_arg = drop_arg, .size = 3};
    weft_task *task, *joiner;
    weft_group group;

    (void)arg;
    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(args_dropped == 0); /* it ran */

    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_spawn(&joiner, note_join, task) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(args_dropped == 0); /* never on the canceller's stack */
    wt_check(weft_await(joiner, NULL) == 0);
    wt_check(joiner_woke && args_dropped == 1);
    weft_drop(task);
    joiner_woke = false;

    wt_check(weft_spawn_with(&task, give, word(10), &options) == 0);
    weft_drop(task);
    wt_check(weft_yield() == 0 && args_dropped == 11);

    wt_check(weft_spawn_with(&task, NULL, word(100), &options) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, word(100), &bad) == -EINVAL);
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, give, word(1000), &options) == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_spawn(&group, NULL, give, word(100), &options) == -ESHUTDOWN);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(args_dropped == 1011); /* not after a failed spawn */

    wt_check(weft_spawn(NULL, spawn_late, NULL) == 0); /* in the last turn: never runs */
    return 0;
}

Test(task, drop_arg_is_called_once_if_it_never_ran)
{
    simulate(drop_args);
    cr_assert_eq(args_dropped, 11011);
}

static intptr_t drop_results(void *arg)
{
    const weft_spawn_options options = {.drop_result = drop_result};
    weft_task *task;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_await(task, &result) == 0 && results_dropped == 0);

    wt_check(weft_spawn_with(&task, give, word(2), &options) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_result(task, &result) == 0);
    weft_drop(task);
    wt_check(results_dropped == 0);

    wt_check(weft_spawn_with(&task, give, word(3), &options) == 0); /* nobody took it */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(results_dropped == 1 && last_result == 3);

    wt_check(weft_spawn_with(NULL, give, word(4), &options) == 0); /* detached */
    wt_check(weft_yield() == 0);
    wt_check(results_dropped == 2 && last_result == 4);

    /* cancelled in its last slice: joiners see -ECANCELED, nobody took the value */
    wt_check(weft_spawn_with(&task, cancel_self_and_give, word(5), &options) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);
    wt_check(results_dropped == 3 && last_result == 5);

    wt_check(weft_spawn_with(&task, cancel_self_and_give, word(6), &options) == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_task_raw_result(task, &result) == 0 && result == 6); /* now the caller's */
    weft_drop(task);
    wt_check(results_dropped == 3);

    wt_check(weft_spawn_with(&task, give, word(-EIO), &options) == 0); /* no value */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_spawn_with(&task, give, word(8), &options) == 0); /* never ran */
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(results_dropped == 3);

    wt_check(weft_spawn_with(&task, give, word(9), &options) == 0); /* waited for, not taken */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(results_dropped == 4 && last_result == 9);
    wt_check(weft_spawn_with(&task, give, word(10), &options) == 0);
    wt_check(weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop(task);
    wt_check(results_dropped == 5 && last_result == 10);
    for (int i = 0; i < 2; i++) { /* with time left, and when it has ended without */
        wt_check(weft_spawn_with(&task, give, word(11 + i), &options) == 0);
        wt_check(i == 0 || weft_yield() == 0);
        wt_check(weft_wait_for(task, i == 0 ? WEFT_S : 0, NULL) == 0);
        weft_drop(task);
        wt_check(results_dropped == 6 + i && last_result == 11 + i);
    }
    return 0;
}

Test(task, drop_result_is_called_once_for_a_value_nobody_took)
{
    simulate(drop_results);
    cr_assert_eq(results_dropped, 7);
}

/* ---- on_done ---- */

static int done_calls[4];
static int done_count;

static void on_done(weft_task *task, void *arg)
{
    intptr_t result = -1;

    wt_check(weft_task_state(task) == WEFT_OK);
    wt_check(weft_task_result(task, &result) == 0 && result == 8);
    wt_check(done_count < 4);
    done_calls[done_count++] = (int)(intptr_t)arg;
}

static intptr_t callbacks(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(8)) == 0);
    wt_check(weft_on_done(task, on_done, word(1)) == 0);
    wt_check(weft_on_done(task, on_done, word(2)) == 0);
    wt_check(weft_on_done(task, on_done, word(2)) == 0); /* the same one again: twice */
    wt_check(done_count == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(done_count == 3 && done_calls[0] == 1 && done_calls[1] == 2 && done_calls[2] == 2);
    wt_check(weft_on_done(task, on_done, word(3)) == 0); /* at once */
    wt_check(done_count == 4 && done_calls[3] == 3);
    wt_check(weft_on_done(task, NULL, NULL) == -EINVAL);
    wt_check(weft_on_done(NULL, on_done, NULL) == -EINVAL);
    weft_drop(task);
    return 0;
}

Test(task, on_done_is_called_once_in_order)
{
    simulate(callbacks);
    cr_assert_eq(done_count, 4);
}

/* ---- diagnostics of outcomes ---- */

static intptr_t unseen_errors(void *arg)
{
    weft_task *task;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* D02 */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(reported(1, WEFT_DIAG_ERROR_NEVER_RETRIEVED) && reports[0].error == -EIO);

    wt_check(weft_spawn(NULL, give, word(-EPIPE)) == 0); /* detached */
    wt_check(weft_yield() == 0);
    wt_check(reported(2, WEFT_DIAG_ERROR_NEVER_RETRIEVED) && reports[1].error == -EPIPE);

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* the handle dies before the task ends */
    wt_check(weft_detach(task) == 0);
    wt_check(weft_yield() == 0);
    wt_check(reported(3, WEFT_DIAG_ERROR_NEVER_RETRIEVED));

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* looked at: four ways */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_result(task, &result) == 0);
    weft_drop(task);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0);
    wt_check(weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop(task);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* DG-2 */
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 0);
    weft_drop(task);
    wt_check(atomic_load(&report_count) == 3);

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* its state alone is not the error */
    wt_check(weft_yield() == 0);
    wt_check(weft_task_state(task) == WEFT_ERROR);
    weft_drop(task);
    wt_check(reported(4, WEFT_DIAG_ERROR_NEVER_RETRIEVED));

    wt_check(weft_spawn(&task, give, word(-ECANCELED)) == 0); /* never reported */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(atomic_load(&report_count) == 4);
    return 0;
}

Test(task, errors_nobody_looked_at_are_reported)
{
    simulate(unseen_errors);
    cr_assert_eq(atomic_load(&report_count), 4);
}

static intptr_t swallow(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    if (arg != NULL) {
        wt_check(weft_uncancel(weft_self()) == 0);
    }
    return rc < 0 ? 1 : 0;
}

static intptr_t swallowers(void *arg)
{
    weft_task *task;
    weft_stats_t stats = {.size = sizeof stats};

    for (int i = 0; i < 2; i++) {
        wt_check(weft_spawn(&task, swallow, i == 0 ? NULL : &arg) == 0);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_await(task, NULL) == 0);
    }
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.cancels_swallowed == 1 && stats.cancel_requests == 2);
    wt_check(stats.cancels_delivered == 2);
    return 0;
}

Test(task, swallowed_cancellations_are_reported)
{
    simulate(swallowers);
    cr_assert(reported(1, WEFT_DIAG_CANCEL_SWALLOWED));
}

/* ---- awaited before it ends: by one task, by none any more, by two, with something more to be told ---- */

struct awaited {
    weft_future go;
    intptr_t gives;
    int called;
};

static intptr_t end_when_told(void *arg)
{
    struct awaited *awaited = arg;
    int rc = weft_future_await(&awaited->go, NULL);

    return awaited->gives == -ECANCELED ? rc : awaited->gives;
}

static void count_call(weft_task *task, void *arg)
{
    (void)task;
    ((struct awaited *)arg)->called++;
}

/* Keeps its requests to itself. */
static intptr_t join_and_keep(void *arg)
{
    return weft_join_shielded(arg, NULL);
}

static intptr_t end_it(void *arg)
{
    return weft_future_set(arg, 0);
}

static intptr_t cancel_it(void *arg)
{
    return weft_cancel(arg) == 1 ? 0 : -EPROTO;
}

/* A task that parks, and will go on when this one has parked in a join of it. */
static weft_task *park(struct awaited *awaited, intptr_t gives)
{
    weft_task *task;

    *awaited = (struct awaited){.gives = gives};
    wt_check(weft_future_init(&awaited->go) == 0);
    wt_check(weft_spawn(&task, end_when_told, awaited) == 0);
    wt_check(weft_yield() == 0);
    return task;
}

static intptr_t end_awaited(void *arg)
{
    struct awaited awaited;
    weft_task *task, *other;
    intptr_t result = 0;

    (void)arg;
    task = park(&awaited, 7); /* with a value */
    wt_check(weft_spawn(NULL, end_it, &awaited.go) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 7);

    task = park(&awaited, -ECANCELED); /* cancelled */
    wt_check(weft_spawn(NULL, cancel_it, task) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);

    task = park(&awaited, 8); /* swallows that */
    wt_check(weft_spawn(NULL, cancel_it, task) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 8);
    wt_check(reported(1, WEFT_DIAG_CANCEL_SWALLOWED));

    task = park(&awaited, -EIO); /* fails, which is seen */
    wt_check(weft_spawn(NULL, end_it, &awaited.go) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -EIO);

    task = park(&awaited, 9); /* with a callback */
    wt_check(weft_on_done(task, count_call, &awaited) == 0);
    wt_check(weft_spawn(NULL, end_it, &awaited.go) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 9 && awaited.called == 1);

    task = park(&awaited, 10); /* two wait */
    wt_check(weft_spawn(&other, note_join, task) == 0 && weft_yield() == 0);
    wt_check(weft_spawn(NULL, end_it, &awaited.go) == 0);
    wt_check(weft_join(task, &result) == 0 && result == 10);
    wt_check(weft_await(other, NULL) == 0);

    wt_check(weft_detach(task) == 0); /* after its end: the same as a drop */
    task = park(&awaited, 11);        /* detached while somebody waits */
    wt_check(weft_spawn(&other, note_join, weft_retain(task)) == 0 && weft_yield() == 0);
    wt_check(weft_detach(task) == 0 && weft_future_set(&awaited.go, 0) == 0);
    wt_check(weft_await(other, &result) == 0 && result == 0);
    wt_check(weft_task_result(task, &result) == 0 && result == 11);
    weft_drop(task);

    task = park(&awaited, 12); /* who waited has given up */
    wt_check(weft_spawn(&other, join_and_keep, task) == 0 && weft_yield() == 0);
    wt_check(weft_cancel(other) == 1 && weft_await(other, &result) == 0 && result == -ECANCELED);
    wt_check(weft_future_set(&awaited.go, 0) == 0 && weft_await(task, &result) == 0);
    wt_check(result == 12);
    wt_check(reported(1, WEFT_DIAG_CANCEL_SWALLOWED));
    return 0;
}

Test(task, who_is_awaited_ends_like_any_other)
{
    const weft_options one = {
        .workers = 1, .diagnostic = on_report, .diagnostic_arg = &report_count};

    cr_assert_eq(weft_run(end_awaited, NULL, &one), 0);
    wt_assert_clean();
}

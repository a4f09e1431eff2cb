/* SPDX-License-Identifier: MIT */
/* test_group.c - groups: abort, cancellation, precedence, draining, independent ones.
 *
 * In virtual time but for the last part. G-n are the rules of the group model. */
#include <errno.h>
#include <sched.h>

#include <weft/future.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

static struct {
    int group_errors, unseen, dropped, swallowed;
    int last_error;
    char last_name[64];
} told;

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    told.group_errors += what->kind == WEFT_DIAG_GROUP_ERROR;
    told.unseen += what->kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED;
    told.dropped += what->kind == WEFT_DIAG_DROPPED_WHILE_PENDING;
    told.swallowed += what->kind == WEFT_DIAG_CANCEL_SWALLOWED;
    told.last_error = what->error;
    snprintf(told.last_name, sizeof told.last_name, "%s", what->name);
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
    cr_assert_eq(told.unseen, 0); /* a group looks at its children's errors */
    cr_assert_eq(told.dropped, 0);
}

static int count(void)
{
    return weft_cancelling(weft_self());
}

/* Sleeps a second and fails with the code. */
static intptr_t fail_after_1(void *arg)
{
    int rc = weft_sleep(WEFT_S);

    return rc < 0 ? rc : (intptr_t)arg;
}

/* When cancelled, fails with the code. */
static intptr_t fail_when_told(void *arg)
{
    return weft_sleep(50 * WEFT_S) == -ECANCELED ? (intptr_t)arg : 0;
}

/* When cancelled, cleans up for so many seconds. */
static intptr_t clean_up_s(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    wt_check(weft_sleep((intptr_t)arg * WEFT_S) == 0);
    return rc;
}

static void open_group(weft_group *group)
{
    wt_check(weft_group_open(group, 0) == 0);
}

/* Spawns a child and keeps a handle. */
static weft_task *child(weft_group *group, weft_fn *fn, void *arg)
{
    weft_task *task = NULL;

    wt_check(weft_group_spawn(group, &task, fn, arg, NULL) == 0);
    return task;
}

static void add(weft_group *group, weft_fn *fn, void *arg)
{
    wt_check(weft_group_spawn(group, NULL, fn, arg, NULL) == 0);
}

static bool errors_are(const weft_group *group, int expected_count, int first, int second)
{
    int codes[2] = {0, 0};

    return weft_group_errors(group, codes, 2) == expected_count && codes[0] == first &&
           codes[1] == second;
}

/* ---- misuse and emptiness ---- */

static intptr_t close_strange_group(void *arg)
{
    wt_check(weft_group_close(arg, 0) == -EINVAL);
    wt_check(weft_group_drain(arg, 0) == -EINVAL);
    return 0;
}

static intptr_t misuse(void *arg)
{
    weft_group a, b;
    int code;

    (void)arg;
    wt_check(weft_group_open(NULL, 0) == -EINVAL);
    wt_check(weft_group_open(&a, 1024) == -EINVAL);
    wt_check(weft_group_close(NULL, 0) == -EINVAL);
    wt_check(weft_group_cancel(NULL) == -EINVAL);
    wt_check(weft_group_errors(NULL, &code, 1) == -EINVAL);
    wt_check(weft_group_spawn(NULL, NULL, give, NULL, NULL) == -EINVAL);
    wt_check(weft_group_drain(NULL, 0) == -EINVAL);
    memset(&a, 0, sizeof a);
    wt_check(weft_group_spawn(&a, NULL, give, NULL, NULL) == -EINVAL); /* G-11: not opened */
    wt_check(weft_group_close(&a, 0) == -EINVAL);
    open_group(&a);
    wt_check(weft_group_open(&a, 0) == -EBUSY);
    wt_check(weft_group_spawn(&a, NULL, NULL, NULL, NULL) == -EINVAL);
    open_group(&b);
    wt_check(weft_group_open(&a, 0) == -EBUSY);
    wt_check(weft_group_close(&a, 0) == -EINVAL); /* not the innermost */
    add(&a, give, NULL);                          /* still usable */
    wt_check(weft_group_close(&b, 5) == 5);
    wt_check(weft_group_close(&b, 5) == -EINVAL);
    wt_check(weft_group_spawn(&b, NULL, give, NULL, NULL) == -ESHUTDOWN); /* P12 */
    wt_check(finish(spawn_parked(close_strange_group, &a)) == 0);
    wt_check(weft_group_close(&a, 0) == 0);
    wt_check(weft_group_cancel(&a) == 0); /* after the exit: nothing */
    wt_check(weft_group_errors(&a, NULL, 0) == 0);
    return 0;
}

Test(group, misuse_is_told)
{
    simulate(misuse);
}

static int ran;

static intptr_t note_run(void *arg)
{
    ran++;
    return (intptr_t)arg;
}

static intptr_t empty(void *arg)
{
    weft_group group;
    weft_task *other;

    (void)arg;
    wt_check(weft_spawn(&other, note_run, NULL) == 0);
    open_group(&group); /* G-17, P42 */
    wt_check(weft_group_close(&group, 7) == 7);
    wt_check(ran == 0);
    wt_check(finish(other) == 0);
    open_group(&group); /* a body's own error or spontaneous cancellation */
    wt_check(weft_group_close(&group, -EIO) == -EIO && errors_are(&group, 1, -EIO, 0));
    open_group(&group);
    wt_check(weft_group_close(&group, -ECANCELED) == -ECANCELED && errors_are(&group, 0, 0, 0));
    wt_check(count() == 0);
    return 0;
}

Test(group, an_empty_one_does_not_suspend)
{
    simulate(empty);
}

/* ---- G-1, G-3: waiting ---- */

static weft_group *shared_group;

static intptr_t spawn_more(void *arg)
{
    intptr_t depth = (intptr_t)arg;

    wt_check(weft_sleep(WEFT_S) == 0);
    ran++;
    if (depth > 0) {
        add(shared_group, spawn_more, word(depth - 1));
        add(shared_group, spawn_more, word(depth - 1));
    }
    return 0;
}

static intptr_t waiting(void *arg)
{
    weft_group group;
    weft_task *a, *b, *c;

    (void)arg;
    open_group(&group);
    shared_group = &group;
    add(&group, spawn_more, word(5));
    wt_check(weft_group_close(&group, 3) == 3); /* added while closing too */
    wt_check(ran == 63 && now_s() == 6);

    open_group(&group); /* P18, P19, P40: cancelled children are no failures */
    a = child(&group, sleep_s, word(9));
    b = child(&group, fail_after_1, word(-ECANCELED));
    c = child(&group, sleep_s, word(3));
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(a) == 1);
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 9);
    wt_check(finish(a) == -ECANCELED && finish(b) == -ECANCELED && finish(c) == 0);

    open_group(&group); /* a dropped handle does not cancel: the group owns the child */
    a = child(&group, sleep_s, word(4));
    weft_drop(a);
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 13);
    return 0;
}

Test(group, closing_waits_for_all)
{
    simulate(waiting);
    cr_assert_eq(told.dropped, 0);
}

/* ---- G-2: the first failure aborts ---- */

static intptr_t aborting(void *arg)
{
    weft_group group;
    weft_task *a;
    int rc;

    (void)arg;
    open_group(&group); /* P02: in the body */
    add(&group, fail_after_1, word(-EIO));
    a = child(&group, sleep_s, word(50));
    rc = weft_sleep(50 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 1 && count() == 1);
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN); /* P11 */
    wt_check(weft_group_close(&group, rc) == -EIO);
    wt_check(count() == 0 && errors_are(&group, 1, -EIO, 0));
    wt_check(weft_cancelling(a) == 1 && finish(a) == -ECANCELED);

    open_group(&group); /* P40: while closing */
    add(&group, fail_after_1, word(-EIO));
    a = child(&group, clean_up_s, word(3));
    wt_check(weft_group_close(&group, 0) == -EIO && now_s() == 5);
    wt_check(finish(a) == -ECANCELED && count() == 0);

    open_group(&group); /* an unstarted child is never started */
    add(&group, give, word(-EPIPE));
    wt_check(weft_yield() == 0); /* it has ended, and its group hears of it next */
    add(&group, note_run, NULL);
    ran = 0;
    wt_check(weft_group_close(&group, 0) == -EPIPE && ran == 0);

    open_group(&group); /* P21, G-13: a body that swallows it is not told again */
    add(&group, fail_after_1, word(-EIO));
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_group_close(&group, 4) == -EIO && count() == 0);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(group, the_first_failure_aborts)
{
    simulate(aborting);
    cr_assert_eq(told.swallowed, 0);
}

/* ---- G-4: all errors are kept, in the order of recording ---- */

static intptr_t recording(void *arg)
{
    weft_group group, other;
    int codes[64];

    (void)arg;
    open_group(&group); /* P03, P08: child, then clean-up, then body */
    add(&group, fail_after_1, word(-1));
    add(&group, fail_when_told, word(-2));
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&group, -3) == -1);
    wt_check(weft_group_errors(&group, codes, 64) == 3);
    wt_check(codes[0] == -1 && codes[1] + codes[2] == -5);

    open_group(&group); /* P10: the body first */
    add(&group, fail_when_told, word(-2));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_close(&group, -1) == -1 && errors_are(&group, 2, -1, -2));

    open_group(&group); /* more than fit inline */
    add(&group, fail_after_1, word(-1));
    for (int i = 2; i <= 40; i++) {
        add(&group, fail_when_told, word(-i));
    }
    wt_check(weft_yield() == 0);
    open_group(&other);
    wt_check(weft_group_close(&other, 0) == 0); /* one without errors takes nothing away */
    wt_check(weft_group_close(&group, 0) == -1);
    wt_check(weft_group_errors(&group, codes, 3) == 40);
    wt_check(weft_group_errors(&group, codes, 64) == 40);
    for (int i = 0; i < 40; i++) {
        wt_check(codes[i] == -1 - i); /* in virtual time: spawn order */
    }
    wt_check(weft_group_errors(&group, NULL, 0) == 40);
    open_group(&other);
    wt_check(weft_group_close(&other, 0) == 0);
    wt_check(weft_group_errors(&group, codes, 64) == 40); /* still valid */

    for (int n = 4; n < 10; n++) { /* around the inline capacity, body included */
        open_group(&group);
        for (int i = 1; i <= n; i++) {
            add(&group, give, word(-i));
        }
        wt_check(weft_yield() != 1);
        wt_check(weft_group_close(&group, -100) < 0);
        wt_check(weft_group_errors(&group, codes, 64) >= 2);
    }
    return 0;
}

Test(group, all_errors_are_kept)
{
    simulate(recording);
}

/* ---- G-5, G-6, G-7, G-8: the body fails, or is cancelled from outside ---- */

static intptr_t body_in_group(void *arg)
{
    weft_group group;
    int rc;

    open_group(&group);
    add(&group, sleep_s, word(50));
    add(&group, clean_up_s, word(4));
    rc = arg == NULL ? 0 : weft_sleep(50 * WEFT_S);
    return weft_group_close(&group, rc);
}

static intptr_t fail_in_body(void *arg)
{
    weft_group group;
    weft_task *a;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    a = child(&group, clean_up_s, word(2));
    wt_check(weft_yield() == 0);
    rc = weft_group_close(&group, -EIO);
    wt_check(weft_task_state(a) == WEFT_CANCELLED);
    weft_drop(a);
    return rc;
}

static intptr_t error_beats_cancel(void *arg)
{
    weft_group group;
    intptr_t rc;

    open_group(&group);
    add(&group, fail_when_told, word(-EIO));
    rc = arg == NULL ? 0 : weft_sleep(50 * WEFT_S);
    rc = weft_group_close(&group, rc);
    wt_check(rc == -EIO && count() == 1);
    wt_check(weft_sleep(WEFT_S) == -ECANCELED); /* P06, G-9: the request lives on */
    return rc;
}

static intptr_t from_outside(void *arg)
{
    weft_task *task;

    wt_check(fail_in_body(NULL) == -EIO && now_s() == 2);
    for (int i = 0; i < 2; i++) { /* P04, P05: in the body, in the exit */
        task = spawn_parked(body_in_group, i == 0 ? &arg : NULL);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
        wt_check(finish(task) == -ECANCELED && now_s() == 6 + 4 * i);

        task = spawn_parked(error_beats_cancel, i == 0 ? &arg : NULL);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -EIO);
    }
    task = spawn_parked(body_in_group, NULL); /* P20: not forwarded a second time */
    wt_check(weft_yield() == 0);
    for (int i = 1; i <= 3; i++) {
        wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == i);
        wt_check(weft_sleep(WEFT_S) == 0);
    }
    wt_check(finish(task) == -ECANCELED && now_s() == 14);
    return 0;
}

Test(group, a_request_from_outside_ends_it)
{
    simulate(from_outside);
}

/* An undelivered request at the exit is observed there, as if the body had ended with it. */
static intptr_t request_then_close(void *arg)
{
    weft_group group;
    weft_task *a;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    a = child(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_group_close(&group, 5);
    wt_check(weft_cancelling(a) == 1 && weft_checkpoint() == 0);
    weft_drop(a);
    return rc;
}

static intptr_t at_the_exit(void *arg)
{
    (void)arg;
    wt_check(finish(spawn_parked(request_then_close, NULL)) == -ECANCELED && now_s() == 0);
    return 0;
}

Test(group, the_exit_observes_first)
{
    simulate(at_the_exit);
}

/* P37: a child that swallows; the parent is still cancelled. */
static intptr_t swallow_then_sleep(void *arg)
{
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(3 * WEFT_S) == 0);
    return (intptr_t)arg;
}

static intptr_t close_over_swallower(void *arg)
{
    weft_group group;

    (void)arg;
    open_group(&group);
    add(&group, swallow_then_sleep, word(1));
    return weft_group_close(&group, 0);
}

/* U-5, P49, P50: a count from long ago is in the baseline. */
static intptr_t stale_then_group(void *arg)
{
    weft_group group;
    intptr_t rc;

    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    open_group(&group);
    if (arg != NULL) {
        add(&group, fail_after_1, word(-EIO));
        wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    } else {
        add(&group, sleep_s, word(50));
        wt_check(weft_sleep(WEFT_S) == 0);
        wt_check(weft_group_cancel(&group) == 1);
        wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    }
    rc = weft_group_close(&group, -ECANCELED);
    wt_check(count() == 1);
    wt_check(weft_sleep(WEFT_S) == 0); /* no second, spurious one */
    return rc;
}

static intptr_t baselines(void *arg)
{
    weft_task *task = spawn_parked(close_over_swallower, NULL);

    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 3);
    task = spawn_parked(stale_then_group, &arg);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -EIO);
    task = spawn_parked(stale_then_group, NULL);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == 0);
    return 0;
}

Test(group, compares_with_its_baseline)
{
    simulate(baselines);
}

/* P23: a request and a failure meet before the body is told: one delivery, the request lives on. */
static intptr_t yield_then_fail(void *arg)
{
    int rc = weft_yield();

    return rc < 0 ? rc : (intptr_t)arg;
}

static weft_future has_begun;

static intptr_t tell_then_fail(void *arg)
{
    wt_check(weft_future_set(&has_begun, 0) == 0);
    return yield_then_fail(arg);
}

static intptr_t both_at_once(void *arg)
{
    weft_group group;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    add(&group, tell_then_fail, word(-EIO));
    rc = weft_sleep(50 * WEFT_S);
    wt_check(rc == -ECANCELED && count() >= 1);
    rc = weft_group_close(&group, rc);
    wt_check(rc == -EIO && count() == 1);
    wt_check(weft_sleep(WEFT_S) == -ECANCELED);
    return -ECANCELED;
}

static intptr_t meeting(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, both_at_once, NULL) == 0);
    wt_check(weft_future_await(&has_begun, NULL) == 0); /* the body sleeps, its child is ready */
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(group, failure_and_request_at_once)
{
    simulate(meeting);
}

/* ---- G-12: weft_group_cancel ---- */

static intptr_t cancel_group_and_give(void *arg)
{
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_cancel(shared_group) == 1);
    return (intptr_t)arg;
}

static intptr_t group_cancel(void *arg)
{
    weft_group group;
    weft_task *a, *b;
    intptr_t raw = 0;

    (void)arg;
    open_group(&group); /* P28 */
    a = child(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_cancel(&group) == 1); /* idempotent */
    wt_check(count() == 1 && weft_cancelling(a) == 1);
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN); /* P32 */
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&group, -ECANCELED) == 0 && count() == 0);
    wt_check(finish(a) == -ECANCELED && now_s() == 0 && weft_checkpoint() == 0);

    open_group(&group); /* undelivered at the exit */
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == 0 && count() == 0 && weft_checkpoint() == 0);

    open_group(&group); /* P29: by a child, which is cancelled too */
    shared_group = &group;
    a = child(&group, sleep_s, word(50));
    b = child(&group, cancel_group_and_give, word(5));
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 1);
    wt_check(weft_task_raw_result(b, &raw) == 0 && raw == 5);
    wt_check(finish(a) == -ECANCELED && finish(b) == -ECANCELED && count() == 0);

    open_group(&group); /* errors of clean-up are still errors */
    add(&group, fail_when_told, word(-EIO));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == -EIO && count() == 0);

    memset(&group, 0, sizeof group); /* P30: before the opening */
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_open(&group, WEFT_GROUP_ZEROED) == 0);
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&group, -ECANCELED) == 0 && count() == 0);

    memset(&group, 0, sizeof group);
    wt_check(weft_group_open(&group, WEFT_GROUP_ZEROED) == 0); /* nobody cancelled it */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_close(&group, 6) == 6);
    return 0;
}

Test(group, cancelling_a_group)
{
    simulate(group_cancel);
}

static weft_group outside_group;

static intptr_t in_outside_group(void *arg)
{
    open_group(&outside_group);
    add(&outside_group, sleep_s, word(50));
    return weft_group_close(&outside_group, arg != NULL ? weft_sleep(50 * WEFT_S) : 3);
}

static intptr_t limit_around_group(void *arg)
{
    weft_group group;
    weft_timeout limit;
    intptr_t rc;

    (void)arg;
    wt_check(weft_timeout_enter(&limit, 5 * WEFT_S) == 0);
    open_group(&group); /* P33: cancelled at 1, the limit fires in the clean-up */
    add(&group, clean_up_s, word(10));
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_cancel(&group) == 1);
    rc = weft_group_close(&group, 0);
    wt_check(rc == -ECANCELED);
    return weft_timeout_leave(&limit, rc);
}

static intptr_t cancel_from_outside(void *arg)
{
    weft_task *task = spawn_parked(in_outside_group, &arg); /* P44 */

    wt_check(weft_group_cancel(&outside_group) == 1);
    wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 0);
    wt_check(finish(task) == 0);
    task = spawn_parked(in_outside_group, NULL); /* while it closes: the body's value stays */
    wt_check(weft_group_cancel(&outside_group) == 1);
    wt_check(finish(task) == 3);
    task = spawn_parked(in_outside_group, &arg); /* P47: a request of somebody else as well */
    wt_check(weft_cancel(task) == 1 && weft_group_cancel(&outside_group) == 1);
    wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(finish(spawn_parked(limit_around_group, NULL)) == -ETIMEDOUT);
    wt_check(now_s() == 11);
    return 0;
}

Test(group, cancelling_it_from_outside)
{
    simulate(cancel_from_outside);
}

/* ---- G-14: nested ---- */

static intptr_t inner_fails(void *arg)
{
    weft_group group;

    (void)arg;
    open_group(&group);
    add(&group, fail_after_1, word(-EPIPE));
    return weft_group_close(&group, 0);
}

static intptr_t nesting(void *arg)
{
    weft_group outer, inner;
    intptr_t rc;
    weft_task *a;

    (void)arg;
    open_group(&outer); /* P15: the outer one's child fails in the inner one */
    add(&outer, fail_after_1, word(-EIO));
    open_group(&inner);
    a = child(&inner, sleep_s, word(50));
    rc = weft_group_close(&inner, 0);
    wt_check(rc == -ECANCELED && finish(a) == -ECANCELED);
    wt_check(weft_group_close(&outer, rc) == -EIO && count() == 0);

    open_group(&outer); /* P14 */
    add(&outer, inner_fails, NULL);
    wt_check(weft_group_close(&outer, 0) == -EPIPE);

    open_group(&outer); /* P16: both at once, the inner one handled */
    open_group(&inner);
    add(&inner, yield_then_fail, word(-EIO));
    add(&outer, yield_then_fail, word(-EPIPE));
    wt_check(weft_group_close(&inner, 0) == -EIO && count() == 1);
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&outer, -ECANCELED) == -EPIPE && count() == 0);

    open_group(&outer); /* P48 */
    add(&outer, fail_after_1, word(-EIO));
    open_group(&inner);
    add(&inner, sleep_s, word(50));
    wt_check(weft_group_cancel(&inner) == 1);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&inner, -ECANCELED) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && count() == 1);
    wt_check(weft_group_close(&outer, -ECANCELED) == -EIO && count() == 0);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(group, nested_groups)
{
    simulate(nesting);
}

/* ---- G-15: limits inside; G-16: joining a child in the body ---- */

static intptr_t time_out_at_2(void *arg)
{
    (void)arg;
    return weft_within(2 * WEFT_S, weft_sleep(50 * WEFT_S));
}

static intptr_t joins_in_body(void *arg)
{
    weft_group group;
    weft_task *a, *b;
    intptr_t result = 0;
    int rc;

    (void)arg;
    open_group(&group); /* P27 */
    add(&group, time_out_at_2, NULL);
    b = child(&group, sleep_s, word(50));
    wt_check(weft_group_close(&group, 0) == -ETIMEDOUT && finish(b) == -ECANCELED);

    open_group(&group); /* P35 */
    a = child(&group, fail_after_1, word(-EIO));
    rc = weft_join(a, &result);
    wt_check(rc == 0 && result == -EIO); /* granted, and the request is still to come */
    wt_check(weft_group_close(&group, result) == -EIO && errors_are(&group, 2, -EIO, -EIO));
    wt_check(count() == 0 && weft_checkpoint() == 0);
    weft_drop(a);

    open_group(&group); /* P36: a hand-cancelled child, its -ECANCELED passed on */
    a = child(&group, sleep_s, word(9));
    b = child(&group, sleep_s, word(9));
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(a) == 1);
    wt_check(weft_await(a, &result) == 0 && result == -ECANCELED && count() == 0);
    wt_check(weft_group_close(&group, result) == -ECANCELED && count() == 0);
    wt_check(finish(b) == -ECANCELED);
    return 0;
}

Test(group, limits_and_joins_inside)
{
    simulate(joins_in_body);
}

/* ---- draining ---- */

static intptr_t drain_it(void *arg)
{
    weft_group group;
    int rc;

    (void)arg;
    open_group(&group);
    add(&group, sleep_s, word(5));
    rc = weft_group_drain(&group, WEFT_FOREVER);
    return weft_group_close(&group, rc);
}

static intptr_t draining(void *arg)
{
    weft_group group;
    weft_task *task, *a;

    (void)arg;
    open_group(&group);
    a = child(&group, sleep_s, word(5));
    wt_check(weft_group_drain(&group, 2 * WEFT_S) == -ETIMEDOUT && now_s() == 2);
    wt_check(weft_task_state(a) == WEFT_PENDING && weft_cancelling(a) == 0); /* nothing cancelled */
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN);
    wt_check(weft_group_drain(&group, 0) == -ETIMEDOUT && now_s() == 2);
    wt_check(weft_group_drain(&group, WEFT_FOREVER) == 0 && now_s() == 5);
    wt_check(weft_group_drain(&group, 0) == 0); /* none left */
    wt_check(weft_group_close(&group, 4) == 4);
    wt_check(finish(a) == 0 && count() == 0);

    task = spawn_parked(drain_it, NULL); /* cancelled: the caller's business */
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 5);

    open_group(&group); /* a child fails meanwhile */
    add(&group, fail_after_1, word(-EIO));
    add(&group, sleep_s, word(9));
    wt_check(weft_group_drain(&group, WEFT_FOREVER) == -ECANCELED && now_s() == 6);
    wt_check(weft_group_close(&group, -ECANCELED) == -EIO && count() == 0);
    return 0;
}

Test(group, draining)
{
    simulate(draining);
}

/* ---- independent groups ---- */

static intptr_t independent(void *arg)
{
    const weft_spawn_options named = {.name = "worker"};
    weft_group group;
    weft_stats_t stats = {.size = sizeof stats};
    int codes[4] = {0};

    (void)arg;
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    for (int i = 0; i < 50; i++) {
        wt_check(
            weft_group_spawn(&group, NULL, fail_after_1, word(i % 2 == 0 ? -EIO : i), &named) == 0);
    }
    wt_check(weft_sleep(2 * WEFT_S) == 0); /* nobody is cancelled */
    wt_check(told.group_errors == 25 && told.last_error == -EIO);
    wt_check(strcmp(told.last_name, "worker") == 0);
    wt_check(weft_tasks(NULL, NULL, 0) == 1); /* finished children are released at once */
    add(&group, sleep_s, word(1));            /* still open for more */
    wt_check(weft_group_errors(&group, codes, 4) == 25 && codes[0] == 0);
    wt_check(weft_group_close(&group, 8) == 8 && now_s() == 3);
    wt_check(weft_group_errors(&group, NULL, 0) == 25);
    wt_check(weft_stats(NULL, &stats) == 0 && stats.group_errors == 25);

    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0); /* the body's error ends it */
    add(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_close(&group, -EPIPE) == -EPIPE && now_s() == 3);

    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    add(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 3 && count() == 0);
    wt_check(told.group_errors == 25);
    return 0;
}

Test(group, independent_ones_count_and_go_on)
{
    simulate(independent);
}

/* ---- real workers ---- */

static intptr_t yield_and_end(void *arg)
{
    intptr_t n = (intptr_t)arg;
    int rc = 0;

    for (intptr_t i = 0; i < n % 4 && rc == 0; i++) {
        rc = weft_yield();
    }
    return rc < 0 ? rc : n % 17 == 16 ? -EIO : n;
}

static intptr_t spawn_until_refused(void *arg)
{
    weft_group *group = arg;
    int rc = 0;

    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = weft_group_spawn(group, NULL, yield_and_end, word(i), NULL);
    }
    wt_check(rc == 0 || rc == -ESHUTDOWN);
    return 0;
}

static intptr_t real_groups(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        weft_group group;
        intptr_t rc;
        int errors;

        open_group(&group);
        for (int k = 0;
             k < 10 && weft_group_spawn(&group, NULL, spawn_until_refused, &group, NULL) == 0;
             k++) {
        }
        rc = weft_group_close(&group, 0);
        errors = weft_group_errors(&group, NULL, 0);
        wt_check(rc == -EIO && errors >= 1 && errors <= 10);
        wt_check(count() == 0 && weft_checkpoint() == 0);
        wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN);
    }
    wt_check(weft_tasks(NULL, NULL, 0) == 1);
    return 0;
}

Test(group, on_real_workers)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i], .diagnostic = on_report};

        cr_assert_eq(weft_run(real_groups, NULL, &options), 0);
        wt_assert_clean();
    }
    cr_assert_eq(told.unseen, 0);
}

/* ---- callbacks of children ---- */

struct frame {
    atomic_int has_closed;
    atomic_int called;
};

static void call_late(weft_task *task, void *arg)
{
    struct frame *frame = arg;

    (void)task;
    for (int i = 0; i < 100; i++) {
        sched_yield(); /* the last child's end would let the group close meanwhile */
    }
    wt_check(atomic_load(&frame->has_closed) == 0);
    atomic_fetch_add(&frame->called, 1);
}

static intptr_t end_when_told(void *arg)
{
    return weft_future_await(arg, NULL);
}

static intptr_t fail_at_go(void *arg)
{
    wt_check(weft_future_await(arg, NULL) == 0);
    return -EIO;
}

/* Closing waits for what is called at the children's ends, however these end. */
static intptr_t close_with_callbacks(void *arg)
{
    static weft_future go[100];

    for (int i = 0; i < 100; i++) {
        weft_task *task;
        weft_group group;
        struct frame frame = {0};
        intptr_t rc = i % 3 == 1 ? -EIO : 0;

        weft_future_init(&go[i]);
        wt_check(weft_group_open(&group, 0) == 0);
        wt_check(weft_group_spawn(&group, &task, i % 3 == 1 ? fail_at_go : end_when_told, &go[i],
                                  NULL) == 0);
        wt_check(weft_on_done(task, call_late, &frame) == 0);
        wt_check(weft_on_done(task, call_late, &frame) == 0);
        weft_drop(task);
        wt_check(weft_yield() == 0);
        if (i % 3 == 2) {
            wt_check(weft_group_cancel(&group) == 1);
        } else {
            wt_check(weft_future_set(&go[i], 0) == 0);
        }
        if (i % 6 == 0) {
            wt_check(weft_group_drain(&group, WEFT_FOREVER) == 0);
            wt_check(atomic_load(&frame.called) == 2);
        }
        wt_check(weft_group_close(&group, 0) == rc);
        wt_check(atomic_load(&frame.called) == 2);
        atomic_store(&frame.has_closed, 1);
    }
    return (intptr_t)arg;
}

Test(group, closing_waits_for_callbacks)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i]};

        cr_assert_eq(weft_run(close_with_callbacks, NULL, &options), 0);
        wt_assert_clean();
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};

        cr_assert_eq(weft_run(close_with_callbacks, NULL, &options), 0);
        wt_assert_clean();
    }
}

static weft_future never;

static intptr_t wait_for_ever(void *arg)
{
    (void)arg;
    return weft_future_await(&never, NULL);
}

/* More siblings than the group had room for when closing began. */
static intptr_t spawn_siblings(void *arg)
{
    for (int i = 0; i < 40; i++) {
        wt_check(weft_group_spawn(arg, NULL, wait_for_ever, NULL, NULL) == 0);
    }
    return weft_future_await(&never, NULL);
}

static intptr_t close_for_ever(void *arg)
{
    weft_group group;
    const int *first = arg;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < *first; i++) {
        wt_check(weft_group_spawn(&group, NULL, wait_for_ever, NULL, NULL) == 0);
    }
    wt_check(weft_group_spawn(&group, NULL, spawn_siblings, &group, NULL) == 0);
    return weft_group_close(&group, 0);
}

/* What a group has on the heap goes with the simulation, once. Sanitizers see more of it. */
Test(group, grows_while_it_closes_for_ever)
{
    for (int first = 0; first <= 20; first += 10) {
        const weft_options options = {.simulate = true, .diagnostic = ignore};

        (void)weft_future_init(&never);
        cr_assert_eq(weft_run(close_for_ever, &first, &options), -EDEADLK);
        wt_assert_clean();
    }
}

/* ---- spawning as the last child leaves ---- */

struct late {
    weft_group group;
    int yields;  /* of the outsider, before it spawns */
    int running; /* of the children that it made */
    int spawned;
    int refused;
};

static intptr_t yield_once(void *arg)
{
    (void)arg;
    return weft_yield();
}

static intptr_t be_late(void *arg)
{
    struct late *late = arg;

    for (int i = 0; i < 3; i++) {
        wt_check(weft_yield() == 0);
    }
    late->running--;
    return 0;
}

/* Is no child of the group. */
static intptr_t spawn_late(void *arg)
{
    struct late *late = arg;
    int rc;

    for (int i = 0; i < late->yields; i++) {
        wt_check(weft_yield() == 0);
    }
    rc = weft_group_spawn(&late->group, NULL, be_late, late, NULL);
    wt_check(rc == 0 || rc == -ESHUTDOWN);
    late->running += rc == 0;
    late->spawned += rc == 0;
    late->refused += rc != 0;
    return 0;
}

static intptr_t close_meanwhile(void *arg)
{
    struct late *late = arg;
    weft_task *outsider;

    wt_check(weft_group_open(&late->group, 0) == 0);
    wt_check(weft_group_spawn(&late->group, NULL, yield_once, NULL, NULL) == 0);
    wt_check(weft_spawn(&outsider, spawn_late, late) == 0);
    wt_check(weft_group_close(&late->group, 0) == 0);
    wt_check(late->running == 0);
    return weft_await(outsider, NULL);
}

/* Taken and waited for, or refused: also between the last child's end and the turn of the task that closes. */
Test(group, a_late_spawn_is_waited_for_or_refused)
{
    int spawned = 0;
    int refused = 0;

    for (uint64_t seed = 0; seed < 300; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};
        struct late late = {.yields = (int)(seed % 4)};

        cr_assert_eq(weft_run(close_meanwhile, &late, &options), 0);
        wt_assert_clean();
        spawned += late.spawned;
        refused += late.refused;
    }
    cr_assert(spawned > 0 && refused > 0, "%d spawned, %d refused", spawned, refused);
}

/* SPDX-License-Identifier: MIT */
/* test_group.c - groups: waiting, the first failure, the errors that are kept; on real workers.
 *
 * In virtual time but for the last part. G-n are the rules of the group model. */
#include "group_test.h"

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

/* ---- another runtime ---- */

static intptr_t spawn_from_abroad(void *arg)
{
    const weft_spawn_options named = {.name = "stranger"};
    weft_task *child = NULL;

    wt_check(weft_group_spawn(arg, NULL, note_run, NULL, NULL) == -EPERM);
    wt_check(weft_group_spawn(arg, &child, note_run, NULL, NULL) == -EPERM && child == NULL);
    wt_check(weft_group_spawn(arg, NULL, note_run, NULL, &named) == -EPERM);
    return 0;
}

static intptr_t ask_abroad(void *other)
{
    for (unsigned flags = 0; flags <= WEFT_GROUP_INDEPENDENT; flags++) {
        weft_group group;
        weft_task *task;

        wt_check(weft_group_open(&group, flags) == 0);
        wt_check(weft_runtime_submit(other, &task, spawn_from_abroad, &group, NULL) == 0);
        wt_check(finish(task) == 0);
        add(&group, give, NULL);
        wt_check(weft_group_close(&group, 0) == 0);
    }
    return 0;
}

/* Its workers would count and free what the group's run inside. */
Test(group, fibers_of_another_runtime_are_refused)
{
    const weft_options options = {.workers = 1};
    weft_runtime *other;

    cr_assert_eq(weft_runtime_start(&other, &options), 0);
    cr_assert_eq(weft_run(ask_abroad, other, &options), 0);
    cr_assert_eq(weft_runtime_stop(other), 0);
    wt_assert_clean();
}

/* SPDX-License-Identifier: MIT */
/* test_select.c - the first of several things: futures, tasks, timers, and all together; which one it is. */
#include <weft/testing.h>

#include "select_test.h"

/* ---- misuse ---- */

Test(select, outside_of_a_fiber)
{
    weft_case one = weft_case_after(0);
    cr_assert_eq(weft_select(&one, 1, 0), -EPERM);
    cr_assert_eq(weft_select(NULL, 1, 0), -EPERM);
}

static intptr_t misuse(void *arg)
{
    (void)arg;
    weft_case one = weft_case_after(0);
    wt_check(weft_select(NULL, 1, 0) == -EINVAL);
    wt_check(weft_select(&one, 0, 0) == -EINVAL);
    wt_check(weft_select(&one, (size_t)INT32_MAX + 1, 0) == -EINVAL);
    wt_check(weft_select(&one, 1, 2) == -EINVAL);
    one.kind = (weft_case_kind)99;
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    one.kind = (weft_case_kind)-1;
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    one = weft_case_fd(0, 0);
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    one = weft_case_fd(0, 8);
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    one = weft_case_task(weft_self(), NULL);
    wt_check(weft_select(&one, 1, 0) == -EDEADLK);
    wt_check(weft_select(&one, 1, WEFT_SELECT_POLL) == -EDEADLK);

    /* The entry rule goes before what only a live object can say, not before bad arguments. */
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_select(&one, 0, 0) == -EINVAL);
    wt_check(weft_select(&one, 1, 0) == -ECANCELED);
    wt_check(weft_select(&one, 1, 0) == -EDEADLK);
    (void)weft_uncancel(weft_self());
    return 0;
}

Test(select, misuse)
{
    simulate(misuse);
}

static intptr_t never_ready(void *arg)
{
    (void)arg;
    weft_case cases[] = {none(),
                         weft_case_future(NULL, NULL),
                         weft_case_task(NULL, NULL),
                         weft_case_event(NULL),
                         weft_case_put(NULL, NULL),
                         weft_case_get(NULL, NULL),
                         weft_case_at(INT64_MAX)};
    wt_check(weft_select(cases, 7, WEFT_SELECT_POLL) == -EAGAIN);
    weft_case with_timer[] = {none(), weft_case_future(NULL, NULL), weft_case_after(WEFT_MS)};
    wt_check(weft_select(with_timer, 3, 0) == 2);
    return 0;
}

Test(select, cases_without_a_source_are_never_ready)
{
    simulate(never_ready);
}

static intptr_t select_none(void *arg)
{
    (void)arg;
    weft_case one = none();
    return weft_select(&one, 1, 0);
}

static intptr_t waits_for_cancel(void *arg)
{
    (void)arg;
    weft_task *task = spawn(select_none, NULL);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(select, nothing_but_a_cancellation_ends_it)
{
    simulate(waits_for_cancel);
}

/* ---- futures ---- */

static void set_seven(void *arg)
{
    wt_check(weft_future_set(arg, 7) == 0);
}

static intptr_t futures(void *arg)
{
    (void)arg;
    weft_future a = WEFT_FUTURE_INIT, b = WEFT_FUTURE_INIT;
    intptr_t of_a = -1, of_b = -1;
    weft_case cases[] = {weft_case_future(&a, &of_a), weft_case_future(&b, &of_b)};
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_sim_after(WEFT_MS, set_seven, &b) == 0);
    int64_t begin = weft_now();
    wt_check(weft_select(cases, 2, 0) == 1);
    wt_check(weft_now() - begin == WEFT_MS);
    wt_check(of_b == 7 && of_a == -1 && cases[1].outcome == 0);

    of_b = -1;
    wt_check(weft_select(cases, 2, 0) == 1); /* complete already, and the cases serve again */
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == 1);
    wt_check(of_b == 7 && of_a == -1);

    wt_check(weft_future_fail(&a, -EIO) == 0);
    wt_check(weft_select(cases, 1, 0) == 0);
    wt_check(of_a == -EIO && cases[0].outcome == 0);

    weft_future c = WEFT_FUTURE_INIT;
    wt_check(weft_future_cancel(&c) == 1);
    weft_case one = weft_case_future(&c, NULL);
    wt_check(weft_select(&one, 1, 0) == 0);
    return 0;
}

Test(select, futures)
{
    simulate(futures);
}

static intptr_t same_twice(void *arg)
{
    (void)arg;
    weft_future future = WEFT_FUTURE_INIT;
    intptr_t first = -1, second = -1;
    weft_case cases[] = {weft_case_future(&future, &first), weft_case_future(&future, &second)};
    wt_check(weft_sim_after(WEFT_MS, set_seven, &future) == 0);
    int chosen = weft_select(cases, 2, 0);
    wt_check(chosen == 0 || chosen == 1);
    wt_check(chosen == 0 ? first == 7 && second == -1 : first == -1 && second == 7);
    return 0;
}

Test(select, one_future_in_two_cases)
{
    simulate(same_twice);
}

/* ---- tasks ---- */

static intptr_t sleep_ms(void *arg)
{
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    return rc < 0 ? rc : (intptr_t)arg;
}

static intptr_t fail_soon(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    return rc < 0 ? rc : -EIO;
}

static intptr_t tasks(void *arg)
{
    (void)arg;
    weft_task *slow = spawn(sleep_ms, (void *)5);
    weft_task *fast = spawn(sleep_ms, (void *)2);
    intptr_t of_slow = -1, of_fast = -1;
    weft_case cases[] = {weft_case_task(slow, &of_slow), weft_case_task(fast, &of_fast)};
    wt_check(weft_select(cases, 2, 0) == 1);
    wt_check(of_fast == 2 && of_slow == -1);
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == 1);
    wt_check(weft_select(cases, 1, 0) == 0);
    wt_check(of_slow == 5);
    weft_drop(slow);
    weft_drop(fast);

    weft_task *failing = spawn(fail_soon, NULL);
    intptr_t result = 0;
    weft_case one = weft_case_task(failing, &result);
    wt_check(weft_select(&one, 1, 0) == 0);
    wt_check(result == -EIO && one.outcome == 0);
    weft_drop(failing);

    weft_task *cancelled = spawn(sleep_ms, (void *)9);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(cancelled) == 1);
    one = weft_case_task(cancelled, &result);
    wt_check(weft_select(&one, 1, 0) == 0);
    wt_check(result == -ECANCELED && one.outcome == 0);
    weft_drop(cancelled);
    return 0;
}

Test(select, tasks)
{
    simulate(tasks);
}

static intptr_t select_task(void *arg)
{
    intptr_t result = 0;
    weft_case one = weft_case_task(arg, &result);
    return weft_select(&one, 1, 0);
}

static intptr_t private_wait(void *arg)
{
    (void)arg;
    weft_task *child = spawn(sleep_ms, (void *)5);
    weft_task *task = spawn(select_task, child);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(finish(child) == 5); /* it was not handed on */
    return 0;
}

Test(select, a_cancellation_is_not_handed_on)
{
    simulate(private_wait);
}

/* ---- timers ---- */

static intptr_t timers(void *arg)
{
    (void)arg;
    int64_t begin = weft_now();
    weft_case cases[] = {weft_case_after(3 * WEFT_MS), weft_case_at(begin + WEFT_MS),
                         weft_case_after(2 * WEFT_MS), weft_case_after(INT64_MAX)};
    wt_check(weft_select(cases, 4, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_select(cases, 4, 0) == 1);
    wt_check(weft_now() - begin == WEFT_MS);
    wt_check(weft_select(cases, 4, 0) == 1); /* its time has still come */
    cases[1] = none();
    wt_check(weft_select(cases, 4, 0) == 2);
    wt_check(weft_now() - begin == 2 * WEFT_MS);
    cases[2] = none();
    wt_check(weft_select(cases, 4, 0) == 0);
    wt_check(weft_now() - begin == 3 * WEFT_MS);
    weft_case past = weft_case_after(-1);
    wt_check(weft_select(&past, 1, WEFT_SELECT_POLL) == 0);
    return 0;
}

Test(select, timers)
{
    simulate(timers);
}

/* ---- which one ---- */

enum { ROUNDS = 6000, WIDE = 6 };

static uint64_t counts[WIDE];

/* Three of six are ready. */
static intptr_t draws(void *arg)
{
    (void)arg;
    weft_future done = WEFT_FUTURE_INIT, open = WEFT_FUTURE_INIT;
    wt_check(weft_future_set(&done, 0) == 0);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < ROUNDS; i++) {
        weft_case cases[WIDE];
        for (int k = 0; k < WIDE; k++) {
            cases[k] = weft_case_future(k == 0 || k == 1 || k == 4 ? &done : &open, NULL);
        }
        int chosen = weft_select(cases, WIDE, 0);
        if (wt_check(chosen >= 0 && chosen < WIDE)) {
            counts[chosen]++;
        }
    }
    return 0;
}

/* Chi square with two degrees of freedom: above 18.4 once in ten thousand. */
static void check_even(void)
{
    double expected = ROUNDS / 3.0;
    double chi = 0;
    for (int k = 0; k < WIDE; k++) {
        double off = (double)counts[k] - expected;
        bool is_ready = k == 0 || k == 1 || k == 4;
        chi += is_ready ? off * off / expected : 0;
        cr_assert(is_ready || counts[k] == 0);
    }
    cr_assert(chi < 18.4, "chi square is %d/1000: %d %d %d", (int)(1000 * chi), (int)counts[0],
              (int)counts[1], (int)counts[4]);
}

Test(select, is_fair_under_a_seed)
{
    weft_options options = {.simulate = true, .seed = 42};
    cr_assert_eq(weft_run(draws, NULL, &options), 0);
    check_even();
    wt_assert_clean();
}

Test(select, is_fair_on_workers)
{
    run(draws);
    check_even();
}

Test(select, takes_the_first_in_the_order_of_an_event_loop)
{
    weft_options options = {.simulate = true};
    cr_assert_eq(weft_run(draws, NULL, &options), 0);
    cr_assert_eq(counts[0], ROUNDS);
    wt_assert_clean();
}

/* ---- cancellation ---- */

static intptr_t granted_then_cancelled(void *arg)
{
    weft_future *future = arg;
    intptr_t value = 0;
    weft_case cases[] = {weft_case_future(future, &value), weft_case_after(WEFT_S)};
    int chosen = weft_select(cases, 2, 0);
    wt_check(chosen == 0 && value == 7);
    return weft_checkpoint(); /* the request is still there */
}

static intptr_t grant_stands(void *arg)
{
    (void)arg;
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *task = spawn(granted_then_cancelled, &future);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_future_set(&future, 7) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(select, a_grant_stands)
{
    simulate(grant_stands);
}

static intptr_t in_a_timeout(void *arg)
{
    (void)arg;
    weft_future future = WEFT_FUTURE_INIT;
    weft_timeout limit;
    weft_case cases[] = {weft_case_future(&future, NULL), none()};
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    intptr_t rc = weft_select(cases, 2, 0);
    wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT);
    wt_check(weft_future_set(&future, 1) == 0); /* nobody is linked any more */
    return 0;
}

Test(select, in_a_timeout)
{
    simulate(in_a_timeout);
}

/* A task, a future, a timer and a pipe at once, each the first in its round. */
static intptr_t mixture(void *arg)
{
    (void)arg;
    int fds[2];
    for (int first = 0; first < 4; first++) {
        weft_future future = WEFT_FUTURE_INIT;
        intptr_t of_task = -1, of_future = -1;
        wt_check(weft_sim_pipe(fds) == 0);
        weft_task *task = spawn(sleep_ms, (void *)(intptr_t)(first == 0 ? 1 : 9));
        weft_task *writer = first == 3 ? spawn(write_later, fds) : NULL;
        wt_check(weft_sim_after((first == 1 ? 1 : 9) * WEFT_MS, set_seven, &future) == 0);
        weft_case cases[] = {weft_case_task(task, &of_task), weft_case_future(&future, &of_future),
                             weft_case_after((first == 2 ? 1 : 9) * WEFT_MS),
                             weft_case_fd(fds[0], WEFT_READABLE)};
        wt_check(weft_select(cases, 4, 0) == first);
        wt_check((of_task == 1) == (first == 0) && (of_future == 7) == (first == 1));
        wt_check(weft_sleep(10 * WEFT_MS) == 0);
        wt_check(finish(task) > 0);
        wt_check(writer == NULL || finish(writer) == 1);
        wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    }
    return 0;
}

Test(select, several_kinds)
{
    simulate(mixture);
}

/* ---- cancelled at every moment ---- */

static intptr_t swept_mixture(void *arg)
{
    (void)arg;
    int fds[2];
    weft_future future = WEFT_FUTURE_INIT;
    int rc = weft_sim_pipe(fds);
    weft_task *task = spawn(sleep_ms, (void *)1);
    weft_task *writer = spawn(write_later, fds);
    wt_check(rc == 0 && weft_sim_after(3 * WEFT_MS, set_seven, &future) == 0);
    weft_case cases[] = {weft_case_task(task, NULL), weft_case_fd(fds[0], WEFT_READABLE),
                         weft_case_future(&future, NULL), weft_case_after(4 * WEFT_MS)};
    while (rc >= 0 && rc != 3) { /* what is cancelled may never come: the timer ends it */
        rc = weft_select(cases, 4, 0);
        if (rc >= 0 && rc != 3) {
            cases[rc] = none();
        }
    }
    weft_shield section;
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    weft_task *tasks[] = {task, writer};
    for (int i = 0; i < 2; i++) {
        wt_check(weft_join_shielded(tasks[i], NULL) == 0);
        weft_drop(tasks[i]);
    }
    wt_check(weft_sleep(5 * WEFT_MS) == 0); /* the future is set once, whatever happened */
    rc = (int)weft_shield_leave(&section, rc);
    wt_check(weft_future_state(&future) == WEFT_OK);
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return rc < 0 ? rc : 0;
}

Test(select, swept)
{
    for (uint64_t seed = 0; seed < 21; seed++) {
        weft_sweep_options options = {.seed = seed};
        weft_sweep_report report = {.size = sizeof report};
        cr_assert_eq(weft_cancel_sweep(swept_mixture, NULL, &options, &report), 0, "seed %d",
                     (int)seed);
        cr_assert_geq(report.points, 7);
        cr_assert_gt(report.delivered, 0);
    }
    wt_assert_clean();
}

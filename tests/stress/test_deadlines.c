/* SPDX-License-Identifier: MIT */
/* test_deadlines.c - limits that are due about now: a million of them, and completions at the same moment.
 *
 * Of each limit: its call has ended with its value or with the timeout, never both and never neither; the
 * count is what it was before; nothing comes later; and its memory is left alone once it has been left. */
#include <weft/future.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

/* ---- a million limits from 50 us ago to 200 us from now ---- */

enum { LIMITS = 1000000, ENTERERS = 64, VALUE = 4711 };

static atomic_long timed_out, in_time;

/* Something with an end of its own, or none. Its value is VALUE. */
static intptr_t do_something(uint64_t *random)
{
    weft_future never = WEFT_FUTURE_INIT;
    intptr_t rc = 0;

    switch (draw(random) % 8) {
    case 0:
        rc = weft_sleep(draw_us(random, 150));
        break;
    case 1:
        rc = weft_future_await(&never, NULL);
        break;
    case 2:
        for (int i = 0; i < 3 && rc == 0; i++) {
            rc = weft_yield();
        }
        break;
    case 3:
        rc = weft_checkpoint();
        break;
    case 4:
        rc = weft_within(draw_us(random, 200) - 50 * WEFT_US, weft_sleep(draw_us(random, 100)));
        rc = rc == -ETIMEDOUT ? 0 : rc;
        break;
    case 5: /* swallows it: the limit does not fire twice */
        rc = weft_sleep(draw_us(random, 150));
        wt_check(rc == 0 || rc == -ECANCELED);
        rc = rc < 0 ? weft_yield() : 0;
        wt_check(rc == 0 || rc == -ECANCELED);
        break;
    default:
        dither(random);
        break;
    }
    return rc == 0 ? VALUE : rc;
}

static void check_left(const weft_timeout *limit, intptr_t rc, intptr_t left)
{
    weft_timeout_phase phase = weft_timeout_state(limit);

    wt_check(rc == VALUE || rc == -ECANCELED);
    wt_check(left == (rc == VALUE ? VALUE : -ETIMEDOUT));
    wt_check(phase == WEFT_TIMEOUT_EXPIRED || (phase == WEFT_TIMEOUT_FINISHED && rc == VALUE));
    atomic_fetch_add_explicit(rc == VALUE ? &in_time : &timed_out, 1, memory_order_relaxed);
}

static bool is_filled(const weft_timeout *limit)
{
    const unsigned char *bytes = (const unsigned char *)limit;

    for (size_t i = 0; i < sizeof *limit; i++) {
        if (bytes[i] != 0xa5) {
            return false;
        }
    }
    return true;
}

/* Every other one has been cancelled long ago and lives on: its count stays 1. */
static intptr_t enter_limits(void *arg)
{
    uint64_t random = as_seed(arg);
    int baseline = (int)(draw(&random) % 2);
    weft_timeout limit;

    if (baseline > 0) {
        wt_check(weft_cancel(weft_self()) == 1 && weft_checkpoint() == -ECANCELED);
    }
    for (int i = 0; i < STRESS_COUNT(LIMITS) / ENTERERS; i++) {
        int64_t delay = draw_us(&random, 250) - 50 * WEFT_US;
        intptr_t rc;

        wt_check((draw(&random) % 2 == 0 ? weft_timeout_enter(&limit, delay)
                                         : weft_timeout_enter_at(&limit, weft_now() + delay)) == 0);
        rc = do_something(&random);
        check_left(&limit, rc, weft_timeout_leave(&limit, rc));
        memset(&limit, 0xa5, sizeof limit);
        wt_check(weft_cancelling(weft_self()) == baseline);
        wt_check(weft_checkpoint() == 0);
        if (draw(&random) % 8 == 0) {
            wt_check(weft_yield() == 0); /* and others may run, and fire */
            wt_check(is_filled(&limit));
        }
    }
    return 0;
}

static intptr_t enter_million(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[ENTERERS];

    for (int i = 0; i < ENTERERS; i++) {
        wt_check(weft_spawn(&tasks[i], enter_limits, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < ENTERERS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    fprintf(stderr, "%ld timed out, %ld did not\n", atomic_load(&timed_out), atomic_load(&in_time));
    wt_check(atomic_load(&timed_out) > 0 && atomic_load(&in_time) > 0);
    return 0;
}

STRESS_TEST(deadlines, a_million_limits_due_about_now, enter_million);

/* ---- a completion at the deadline (X15) ---- */

enum { PAIRS = 16 };

struct meeting {
    weft_future future;
    int64_t at_ns;
    uint64_t seed;
};

static intptr_t complete_at(void *arg)
{
    struct meeting *meeting = arg;

    wt_check(weft_sleep_until(meeting->at_ns) == 0);
    dither(&meeting->seed);
    wt_check(weft_future_set(&meeting->future, VALUE) == 0);
    return 0;
}

/* The setter sleeps until the deadline or turns until then, so both come from either side. */
static intptr_t complete_busily(void *arg)
{
    struct meeting *meeting = arg;

    while (weft_now() < meeting->at_ns) {
        wt_check(weft_yield() == 0);
    }
    dither(&meeting->seed);
    wt_check(weft_future_set(&meeting->future, VALUE) == 0);
    return 0;
}

static void meet_once(uint64_t *random)
{
    struct meeting meeting = {.future = WEFT_FUTURE_INIT, .seed = draw(random) | 1};
    weft_timeout limit;
    weft_task *setter;
    intptr_t value = 0, rc;

    meeting.at_ns = weft_now() + draw_us(random, 100);
    wt_check(weft_spawn(&setter, draw(random) % 4 == 0 ? complete_busily : complete_at, &meeting) ==
             0);
    wt_check(weft_timeout_enter_at(&limit, meeting.at_ns) == 0);
    rc = weft_timeout_leave(&limit, weft_future_await(&meeting.future, &value));
    wt_check(rc == 0 || rc == -ETIMEDOUT);
    wt_check(value == (rc == 0 ? VALUE : 0));
    wt_check(rc == 0 || weft_timeout_expired(&limit));
    atomic_fetch_add(rc == 0 ? &in_time : &timed_out, 1);
    wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
    wt_check(weft_future_await(&meeting.future, &value) == 0 &&
             value == VALUE); /* nothing is lost */
    wt_check(weft_await(setter, NULL) == 0);
}

static intptr_t meet_often(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t end_ns = wf_monotonic_ns() + WEFT_S;

    while (wf_monotonic_ns() < end_ns) {
        meet_once(&random);
    }
    return 0;
}

static intptr_t meet_all(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        wt_check(weft_spawn(&tasks[i], meet_often, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    fprintf(stderr, "%ld timed out, %ld did not\n", atomic_load(&timed_out), atomic_load(&in_time));
    wt_check(atomic_load(&timed_out) > 0 && atomic_load(&in_time) > 0);
    return 0;
}

STRESS_TEST(deadlines, meet_completions, meet_all);

/* ---- a busy task past its innermost deadline (X22) ---- */

static intptr_t overrun(uint64_t *random)
{
    weft_timeout limit;
    int64_t deadline_ns = weft_now() + draw_us(random, 30);
    bool sleeps = draw(random) % 2 == 0;
    intptr_t rc;

    wt_check(weft_timeout_enter_at(&limit, deadline_ns) == 0);
    while (weft_now() < deadline_ns) {
        wf_relax();
    }
    rc = sleeps ? weft_sleep(0) : weft_yield();
    wt_check(rc == -ECANCELED && weft_timeout_state(&limit) == WEFT_TIMEOUT_EXPIRING);
    return weft_timeout_leave(&limit, rc);
}

static intptr_t overrun_often(void *arg)
{
    uint64_t random = as_seed(arg);

    for (int i = 0; i < STRESS_COUNT(2000); i++) {
        weft_timeout outer;
        intptr_t rc;

        wt_check(weft_timeout_enter(&outer, 100 * WEFT_S) == 0);
        rc = overrun(&random);
        wt_check(rc == -ETIMEDOUT && weft_timeout_state(&outer) == WEFT_TIMEOUT_ACTIVE);
        wt_check(weft_timeout_leave(&outer, rc) == -ETIMEDOUT && !weft_timeout_expired(&outer));
        wt_check(weft_cancelling(weft_self()) == 0 && weft_yield() == 0);
    }
    return 0;
}

static intptr_t overrun_all(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        wt_check(weft_spawn(&tasks[i], overrun_often, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

STRESS_TEST(deadlines, passed_by_a_busy_task_are_told_at_its_yield, overrun_all);

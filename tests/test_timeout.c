/* SPDX-License-Identifier: MIT */
/* test_timeout.c - time limits: expiry, what leaves them, nesting, moving.
 *
 * In virtual time. T-n are the rules of the timeout model. */
#include <errno.h>

#include <weft/future.h>
#include <weft/time.h>

#include "timeout_test.h"

/* ---- entering and leaving ---- */

static intptr_t misuse(void *arg)
{
    weft_timeout a, b;
    weft_timeout zeroed;

    (void)arg;
    memset(&zeroed, 0, sizeof zeroed);
    wt_check(weft_timeout_state(&zeroed) == WEFT_TIMEOUT_CREATED);
    wt_check(!weft_timeout_expired(&zeroed));
    wt_check(weft_timeout_reschedule(&zeroed, 1) == -EINVAL); /* T-12 */
    wt_check(weft_timeout_leave(&zeroed, 5) == -EINVAL);
    wt_check(weft_timeout_enter(NULL, 1) == -EINVAL);
    wt_check(weft_timeout_enter_at(NULL, 1) == -EINVAL);
    wt_check(weft_timeout_leave(NULL, 1) == -EINVAL);
    wt_check(weft_timeout_reschedule(NULL, 1) == -EINVAL);
    enter_s(&a, 5);
    wt_check(weft_timeout_enter(&a, 9) == -EBUSY); /* T-1 */
    enter_s(&b, 5);
    wt_check(weft_timeout_enter(&a, 9) == -EBUSY);
    wt_check(weft_timeout_leave(&a, 5) == -EINVAL); /* T-17: not the innermost */
    wt_check(weft_timeout_state(&a) == WEFT_TIMEOUT_ACTIVE);
    wt_check(leaves(&b, 8, 8, WEFT_TIMEOUT_FINISHED));
    wt_check(weft_timeout_leave(&b, 5) == -EINVAL); /* twice */
    wt_check(leaves(&a, -EIO, -EIO, WEFT_TIMEOUT_FINISHED));
    enter_s(&a, 1); /* an object may be used again once it is left */
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&a, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    return 0;
}

Test(timeout, misuse_is_told)
{
    simulate(misuse);
}

static intptr_t leave_strange_scope(void *arg)
{
    wt_check(weft_timeout_leave(arg, 3) == -EINVAL);
    wt_check(weft_timeout_state(arg) == WEFT_TIMEOUT_ACTIVE);
    return 0;
}

static intptr_t strangers(void *arg)
{
    weft_timeout limit;

    (void)arg;
    enter_s(&limit, 5);
    wt_check(finish(spawn_parked(leave_strange_scope, &limit)) == 0);
    wt_check(leaves(&limit, 0, 0, WEFT_TIMEOUT_FINISHED));
    return 0;
}

Test(timeout, others_can_not_leave_it)
{
    simulate(strangers);
}

/* T01, T03 */
static intptr_t basics(void *arg)
{
    weft_timeout limit;

    (void)arg;
    enter_s(&limit, 5);
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    wt_check(now_s() == 5 && count() == 1);
    wt_check(weft_timeout_state(&limit) == WEFT_TIMEOUT_EXPIRING);
    wt_check(weft_timeout_expired(&limit));
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(count() == 0 && weft_checkpoint() == 0);

    wt_check(weft_timeout_enter(&limit, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == 0);
    wt_check(leaves(&limit, 7, 7, WEFT_TIMEOUT_FINISHED));

    wt_check(weft_timeout_enter_at(&limit, 60 * WEFT_S) == 0); /* T-18: absolute */
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED && now_s() == 60);
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

    enter_s(&limit, 5); /* in time */
    wt_check(weft_sleep(2 * WEFT_S) == 0);
    wt_check(leaves(&limit, 9, 9, WEFT_TIMEOUT_FINISHED));
    wt_check(weft_sleep(20 * WEFT_S) == 0 && count() == 0); /* T-4: disarmed */
    return 0;
}

Test(timeout, fires_once_and_turns_its_own_cancellation)
{
    simulate(basics);
}

/* T-2 */
static intptr_t in_the_past(void *arg)
{
    weft_future ready = WEFT_FUTURE_INIT, pending = WEFT_FUTURE_INIT;
    static const int64_t delays[] = {0, -1, -11};

    (void)arg;
    wt_check(weft_future_set(&ready, 1) == 0);
    wt_check(weft_sleep(100 * WEFT_S) == 0);
    for (int i = 0; i < 3; i++) {
        weft_timeout limit;

        enter_s(&limit, delays[i]); /* T05: a body that never suspends finishes */
        wt_check(weft_future_await(&ready, NULL) == 0);
        wt_check(leaves(&limit, 3, 3, WEFT_TIMEOUT_FINISHED));
        wt_check(weft_yield() == 0 && count() == 0);

        enter_s(&limit, delays[i]); /* T07: even a lone yield */
        wt_check(weft_yield() == -ECANCELED);
        wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

        enter_s(&limit, delays[i]);
        wt_check(weft_sleep(WEFT_S) == -ECANCELED);
        wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

        enter_s(&limit, delays[i]); /* T04 */
        wt_check(weft_future_await(&pending, NULL) == -ECANCELED);
        wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    }
    wt_check(now_s() == 100 && count() == 0);
    return 0;
}

Test(timeout, a_past_deadline_fires_at_the_first_suspension)
{
    simulate(in_the_past);
}

/* ---- T-5, T-6, T-7: what leaves the scope ---- */

static intptr_t outcomes(void *arg)
{
    weft_timeout limit;
    static const intptr_t kept[] = {0, 5, -EIO, -ETIMEDOUT};

    (void)arg;
    for (int i = 0; i < 4; i++) { /* T13, T14, T43: told, then something else */
        enter_s(&limit, 1);
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
        wt_check(leaves(&limit, kept[i], kept[i], WEFT_TIMEOUT_EXPIRED));
        wt_check(count() == 0);
    }
    enter_s(&limit, 1); /* T15: never fires again */
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(20 * WEFT_S) == 0);
    wt_check(leaves(&limit, 0, 0, WEFT_TIMEOUT_EXPIRED));

    enter_s(&limit, 1); /* T37: a hand-made -ETIMEDOUT is an error like others */
    wt_check(leaves(&limit, -ETIMEDOUT, -ETIMEDOUT, WEFT_TIMEOUT_FINISHED));

    enter_s(&limit, 1); /* -ECANCELED that is nobody's request stays what it is */
    wt_check(leaves(&limit, -ECANCELED, -ECANCELED, WEFT_TIMEOUT_FINISHED));
    wt_check(count() == 0);
    return 0;
}

Test(timeout, only_its_own_cancellation_becomes_a_timeout)
{
    simulate(outcomes);
}

/* ---- T-10: nesting ---- */

static intptr_t nesting(void *arg)
{
    weft_timeout outer, inner, third;

    (void)arg;
    enter_s(&outer, 5); /* T08: both at once: the outer one yields it */
    enter_s(&inner, 5);
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED && count() == 2);
    wt_check(leaves(&inner, -ECANCELED, -ECANCELED, WEFT_TIMEOUT_EXPIRED) && count() == 1);
    wt_check(leaves(&outer, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&outer, 9); /* T09 */
    enter_s(&inner, 2);
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED && count() == 1);
    wt_check(leaves(&inner, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(weft_timeout_state(&outer) == WEFT_TIMEOUT_ACTIVE);
    wt_check(leaves(&outer, -ETIMEDOUT, -ETIMEDOUT, WEFT_TIMEOUT_FINISHED)); /* T38 */

    enter_s(&outer, 2); /* T10 */
    enter_s(&inner, 9);
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&inner, -ECANCELED, -ECANCELED, WEFT_TIMEOUT_FINISHED));
    wt_check(leaves(&outer, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

    enter_s(&outer, 9); /* T41: the middle one */
    enter_s(&inner, 3);
    enter_s(&third, 8);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&third, -ECANCELED, -ECANCELED, WEFT_TIMEOUT_FINISHED));
    wt_check(leaves(&inner, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(leaves(&outer, 0, 0, WEFT_TIMEOUT_FINISHED) && count() == 0);

    enter_s(&outer, 5); /* T43: swallowed inside both */
    enter_s(&inner, 5);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && count() == 2);
    wt_check(leaves(&inner, 0, 0, WEFT_TIMEOUT_EXPIRED) && count() == 1);
    wt_check(weft_sleep(WEFT_S) == 0); /* it was delivered */
    wt_check(leaves(&outer, 0, 0, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&outer, 6); /* T44: the outer one fires in the inner one's clean-up */
    enter_s(&inner, 2);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&inner, -ECANCELED, -ECANCELED, WEFT_TIMEOUT_EXPIRED));
    wt_check(leaves(&outer, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&outer, 1); /* T33, T-14: a scope in the clean-up of an expired one */
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    enter_s(&inner, 2);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&inner, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 1);
    wt_check(leaves(&outer, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);
    return 0;
}

Test(timeout, nested_scopes)
{
    simulate(nesting);
}

/* Many levels that all expire at once. */
static intptr_t deep(void *arg)
{
    enum { LEVELS = 60 };
    weft_timeout limits[LEVELS];

    (void)arg;
    for (int i = 0; i < LEVELS; i++) {
        enter_s(&limits[i], 3);
    }
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED && count() == LEVELS);
    for (int i = LEVELS; i-- > 0;) {
        intptr_t expected = i == 0 ? -ETIMEDOUT : -ECANCELED;

        wt_check(leaves(&limits[i], -ECANCELED, expected, WEFT_TIMEOUT_EXPIRED));
        wt_check(count() == i);
    }
    return 0;
}

Test(timeout, sixty_levels_at_once)
{
    simulate(deep);
}

/* ---- T-12: moving ---- */

static intptr_t moving(void *arg)
{
    weft_timeout limit;

    (void)arg;
    enter_s(&limit, 50); /* T23 */
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    wt_check(weft_timeout_reschedule(&limit, WEFT_S) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && now_s() == 5);
    wt_check(weft_timeout_reschedule(&limit, WEFT_S) == -EINVAL); /* expiring */
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(weft_timeout_reschedule(&limit, WEFT_S) == -EINVAL);

    enter_s(&limit, 5); /* T24: none */
    wt_check(weft_timeout_reschedule(&limit, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == 0);
    wt_check(weft_timeout_reschedule(&limit, WEFT_S) == 0); /* and one again */
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && now_s() == 56);
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

    wt_check(weft_timeout_enter(&limit, WEFT_FOREVER) == 0); /* from none */
    wt_check(weft_timeout_reschedule(&limit, 2 * WEFT_S) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && now_s() == 58);
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

    enter_s(&limit, 5); /* later */
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    wt_check(weft_timeout_reschedule(&limit, 5 * WEFT_S) == 0);
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    wt_check(leaves(&limit, 0, 0, WEFT_TIMEOUT_FINISHED));

    enter_s(&limit, 50); /* T25: the past */
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    wt_check(weft_timeout_reschedule(&limit, -WEFT_S) == 0);
    wt_check(weft_timeout_state(&limit) == WEFT_TIMEOUT_ACTIVE);
    wt_check(weft_yield() == -ECANCELED);
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));

    enter_s(&limit, 1); /* T27 */
    wt_check(leaves(&limit, 0, 0, WEFT_TIMEOUT_FINISHED));
    wt_check(weft_timeout_reschedule(&limit, 9 * WEFT_S) == -EINVAL);

    enter_s(&limit, 50); /* T26: by another task */
    wt_check(finish(spawn_parked(reschedule_it, &limit)) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    return 0;
}

Test(timeout, deadlines_move)
{
    simulate(moving);
}

/* ---- weft_within ---- */

static intptr_t sleep_within_1(void)
{
    return weft_within(WEFT_S, weft_sleep(50 * WEFT_S));
}

static intptr_t within(void *arg)
{
    (void)arg;
    wt_check(weft_within(2 * WEFT_S, weft_sleep(WEFT_S)) == 0);
    wt_check(weft_within(2 * WEFT_S, weft_sleep(9 * WEFT_S)) == -ETIMEDOUT && now_s() == 3);
    wt_check(weft_within(9 * WEFT_S, sleep_within_1()) == -ETIMEDOUT && now_s() == 4);
    wt_check(weft_within(WEFT_S, 42) == 42);
    wt_check(weft_within(WEFT_FOREVER, weft_sleep(WEFT_S)) == 0 && now_s() == 5);
    return 0;
}

Test(timeout, in_one_expression)
{
    simulate(within);
}

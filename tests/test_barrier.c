/* SPDX-License-Identifier: MIT */
/* test_barrier.c - filling, letting through, breaking. */
#include "sync_test.h"

static weft_barrier barrier;

Test(barrier, misuse_is_told)
{
    weft_barrier fresh = WEFT_BARRIER_INIT(2), zero = {{0}};
    cr_assert_eq(weft_barrier_init(NULL, 1), -EINVAL);
    cr_assert_eq(weft_barrier_init(&fresh, 0), -EINVAL);
    cr_assert_eq(weft_barrier_init(&fresh, UINT32_C(1) << 31), -EINVAL);
    cr_assert_eq(weft_barrier_init(&fresh, 3), 0);
    cr_assert_eq(weft_barrier_wait(&fresh), -EPERM);
    cr_assert_eq(weft_barrier_wait(&zero), -EPERM);
    cr_assert_eq(weft_barrier_reset(NULL), -EINVAL);
    cr_assert_eq(weft_barrier_abort(NULL), -EINVAL);
    cr_assert_eq(weft_barrier_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_barrier_waiting(NULL), 0);
    cr_assert(!weft_barrier_is_broken(NULL));
    cr_assert_eq(weft_barrier_abort(&fresh), 0);
    cr_assert(weft_barrier_is_broken(&fresh));
    cr_assert_eq(weft_barrier_destroy(&fresh), 0);
    cr_assert_eq(weft_barrier_reset(&fresh), 0);
    cr_assert(!weft_barrier_is_broken(&fresh));
    cr_assert_eq(sizeof(weft_barrier), 64);
}

static intptr_t come(void *arg)
{
    (void)arg;
    int rc = weft_barrier_wait(&barrier);
    step(rc >= 0 ? (char)('0' + rc) : rc == -EPIPE ? 'p' : '!');
    return rc;
}

static intptr_t rounds(void *arg)
{
    weft_barrier zero = {{0}};
    (void)arg;
    wt_check(weft_barrier_wait(&zero) == -EINVAL && weft_barrier_wait(NULL) == -EINVAL);
    wt_check(weft_barrier_init(&barrier, 3) == 0);
    for (int i = 0; i < 2; i++) {
        weft_task *a = spawn_parked(come, NULL), *b = spawn_parked(come, NULL);
        wt_check(weft_barrier_waiting(&barrier) == 2 && weft_barrier_destroy(&barrier) == -EBUSY);
        wt_check(weft_barrier_wait(&barrier) == 2); /* does not suspend */
        wt_check(saw("") && weft_barrier_waiting(&barrier) == 0);
        wt_check(weft_cancel(a) == 1);           /* too late: R05 */
        weft_task *c = spawn_parked(come, NULL); /* of the next round */
        wt_check(saw("01") && weft_barrier_waiting(&barrier) == 1);
        wt_check(finish(a) == -ECANCELED); /* a value, with a request undelivered */
        wt_check(finish(b) == 1 && weft_cancel(c) == 1 && finish(c) == -ECANCELED && saw("!"));
        wt_check(weft_barrier_waiting(&barrier) == 0 && weft_barrier_destroy(&barrier) == 0);
    }
    wt_check(weft_cancel(weft_self()) == 1 && weft_barrier_wait(&barrier) == -ECANCELED);
    wt_check(weft_barrier_init(&barrier, 1) == 0 && weft_barrier_wait(&barrier) == 0);
    return 0;
}

Test(barrier, lets_all_through_at_once)
{
    simulate(rounds);
}

/* R03, R04 */
static intptr_t broken(void *arg)
{
    (void)arg;
    wt_check(weft_barrier_init(&barrier, 3) == 0);
    weft_task *a = spawn_parked(come, NULL), *b = spawn_parked(come, NULL);
    wt_check(weft_barrier_reset(&barrier) == 0 && weft_barrier_waiting(&barrier) == 0);
    wt_check(!weft_barrier_is_broken(&barrier) && finish(a) == -EPIPE && finish(b) == -EPIPE);
    a = spawn_parked(come, NULL);
    wt_check(weft_barrier_abort(&barrier) == 0 && weft_barrier_is_broken(&barrier));
    wt_check(weft_barrier_wait(&barrier) == -EPIPE && finish(a) == -EPIPE);
    wt_check(weft_barrier_wait(&barrier) == -EPIPE && weft_barrier_reset(&barrier) == 0);
    wt_check(saw("ppp") && weft_barrier_destroy(&barrier) == 0);
    a = spawn_parked(come, NULL); /* whole again */
    b = spawn_parked(come, NULL);
    wt_check(weft_barrier_wait(&barrier) == 2 && weft_barrier_abort(&barrier) == 0);
    wt_check(finish(a) == 0 && finish(b) == 1 && saw("01")); /* they had been let through */
    return 0;
}

Test(barrier, reset_and_abort)
{
    simulate(broken);
}

/* Somebody who is cancelled leaves, and the barrier is whole; in asyncio he counts until he has run. */
static intptr_t leaving(void *arg)
{
    (void)arg;
    wt_check(weft_barrier_init(&barrier, 3) == 0);
    weft_task *a = spawn_parked(come, NULL);
    wt_check(weft_cancel(a) == 1 && weft_barrier_waiting(&barrier) == 1);
    wt_check(finish(a) == -ECANCELED && weft_barrier_waiting(&barrier) == 0);
    a = spawn_parked(come, NULL);
    weft_task *b = spawn_parked(come, NULL);
    wt_check(weft_cancel(a) == 1 && weft_barrier_wait(&barrier) == 2);
    wt_check(weft_barrier_destroy(&barrier) == -EBUSY); /* a is still to come out */
    wt_check(finish(b) == 1 && finish(a) == -ECANCELED && saw("!!1"));
    wt_check(weft_barrier_waiting(&barrier) == 0 && weft_barrier_destroy(&barrier) == 0);
    return 0;
}

Test(barrier, who_is_cancelled_leaves)
{
    simulate(leaving);
}

/* Each round all have other numbers, and nobody is a round ahead. */
enum { PARTIES = 5, ROUNDS = 30 };

static int seen[ROUNDS];

static intptr_t keep_step(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int number = weft_barrier_wait(&barrier);
        if (!wt_check(number >= 0 && number < PARTIES)) {
            break;
        }
        wt_check((seen[i] & 1 << number) == 0);
        seen[i] |= 1 << number;
        wt_check(i + 2 > ROUNDS || seen[i + 1] == 0 || seen[i] != 0);
    }
    return 0;
}

static intptr_t in_step(void *arg)
{
    weft_task *tasks[PARTIES];
    (void)arg;
    memset(seen, 0, sizeof seen);
    wt_check(weft_barrier_init(&barrier, PARTIES) == 0);
    for (int i = 0; i < PARTIES; i++) {
        wt_check(weft_spawn(&tasks[i], keep_step, NULL) == 0);
    }
    for (int i = 0; i < PARTIES; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        wt_check(seen[i] == (1 << PARTIES) - 1);
    }
    return 0;
}

Test(barrier, all_have_their_numbers_in_any_order)
{
    simulate_seeds(in_step);
}

/* A cancelled one never makes the number full: two of three come, one is cancelled, a third comes. */
static intptr_t not_full(void *arg)
{
    weft_task *a = NULL, *b = NULL, *c = NULL;
    (void)arg;
    wt_check(weft_barrier_init(&barrier, 3) == 0);
    wt_check(weft_spawn(&a, come, NULL) == 0 && weft_spawn(&b, come, NULL) == 0);
    settle();
    wt_check(weft_cancel(a) == 1 && weft_spawn(&c, come, NULL) == 0);
    settle();
    wt_check(weft_barrier_waiting(&barrier) == 2);
    int number = weft_barrier_wait(&barrier);
    wt_check(number == 2 && finish(a) == -ECANCELED);
    wt_check(finish(b) <= 1 && finish(c) == 1 && weft_barrier_destroy(&barrier) == 0);
    step_count = 0;
    return 0;
}

Test(barrier, who_was_cancelled_does_not_fill_it)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        simulate_seed(not_full, seed);
    }
}

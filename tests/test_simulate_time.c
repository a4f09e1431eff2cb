// SPDX-License-Identifier: MIT
/* test_simulate_time.c - virtual time: exact, in turns, with calls back, limits and blocking calls. */
#include <errno.h>

#include <weft/testing.h>

#include "simulate_test.h"

/* ---- time ---- */

static intptr_t exact_time(void *arg)
{
    int64_t then = weft_now();
    (void)arg;
    for (int i = 0; i < 40; i++) {
        int64_t delay = (INT64_C(1) << i) + i;
        then += delay;
        wt_check(weft_sleep(delay) == 0);
        wt_check(weft_now() == then);
    }
    wt_check(weft_within(17, weft_sleep(18)) == -ETIMEDOUT);
    wt_check(weft_now() == then + 17);
    wt_check(weft_sim_advance(5) == 0);
    wt_check(weft_now() == then + 22);
    wt_check(weft_sim_advance(-1) == -EINVAL);
    wt_check(weft_within(10, weft_sim_advance(11)) ==
             0); /* nothing waited, so nothing was cut short */
    wt_check(weft_now() == then + 33);
    return 0;
}

Test(simulate, virtual_time_is_exact)
{
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_seed(exact_time, NULL, seed), 0);
    }
    wt_assert_clean();
}

struct calls {
    int count;
    int64_t at[4];
};

static void call_back(void *arg)
{
    struct calls *calls = arg;
    wt_check(weft_self() == NULL);
    calls->at[calls->count++] = weft_now();
}

static intptr_t from_outside(void *arg)
{
    struct calls *calls = arg;
    wt_check(weft_sim_after(0, NULL, NULL) == -EINVAL);
    wt_check(weft_sim_after(30, call_back, calls) == 0);
    wt_check(weft_sim_after(10, call_back, calls) == 0);
    wt_check(weft_sim_after(WEFT_S, call_back, calls) == 0); /* never */
    wt_check(calls->count == 0);
    return weft_sleep(31);
}

Test(simulate, calls_from_outside)
{
    for (uint64_t seed = 0; seed <= 20; seed++) {
        struct calls calls = {.count = 0};
        cr_assert_eq(run_seed(from_outside, &calls, seed), 0);
        cr_assert_eq(calls.count, 2);
        cr_assert_eq(calls.at[0], 10);
        cr_assert_eq(calls.at[1], 30);
    }
    wt_assert_clean();
}

struct script {
    char text[8];
    int length;
};

static void add(struct script *script, char who)
{
    script->text[script->length++] = who;
}

static void timer_turn(void *arg)
{
    add(arg, 't');
}

static void own_turn(void *arg)
{
    add(arg, 'o');
}

static intptr_t neighbour(void *arg)
{
    add(arg, 'n');
    return 0;
}

/* A timer comes after all that is ready, a negative delay where the call was made. */
static intptr_t calls_in_turn(void *arg)
{
    wt_check(weft_sim_after(0, timer_turn, arg) == 0);
    wt_check(weft_sim_after(-1, own_turn, arg) == 0);
    wt_check(weft_spawn(NULL, neighbour, arg) == 0);
    return weft_sleep(1);
}

Test(simulate, a_call_without_delay_has_its_place)
{
    struct script script = {.length = 0};
    cr_assert_eq(run_seed(calls_in_turn, &script, 0), 0);
    cr_assert_str_eq(script.text, "ont");
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct script drawn = {.length = 0};
        cr_assert_eq(run_seed(calls_in_turn, &drawn, seed), 0);
        cr_assert_eq(drawn.length, 3);
    }
    wt_assert_clean();
}

static void on_done(weft_task *task, void *arg)
{
    (void)task;
    add(arg, 'c');
}

struct joining {
    struct script *order;
    weft_task *task;
    char who;
};

static intptr_t join_and_say(void *arg)
{
    const struct joining *joining = arg;
    wt_check(weft_join(joining->task, NULL) == 0);
    add(joining->order, joining->who);
    return 0;
}

static intptr_t sleeps(void *arg)
{
    (void)arg;
    return weft_sleep(5);
}

/* Of one joiner before the callback and one after it each is told in its place. */
static intptr_t callback_between_joiners(void *arg)
{
    weft_task *task;
    weft_task *joiners[2];
    wt_check(weft_spawn(&task, sleeps, NULL) == 0);
    struct joining first = {arg, task, '1'};
    struct joining last = {arg, task, '2'};
    wt_check(weft_spawn(&joiners[0], join_and_say, &first) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_on_done(task, on_done, arg) == 0);
    wt_check(weft_spawn(&joiners[1], join_and_say, &last) == 0);
    wt_check(weft_join(joiners[0], NULL) == 0 && weft_join(joiners[1], NULL) == 0);
    weft_drop_all(joiners, 2);
    weft_drop(task);
    return 0;
}

Test(simulate, callbacks_and_joiners_are_told_in_the_order_of_their_coming)
{
    struct script script = {.length = 0};
    cr_assert_eq(run_seed(callback_between_joiners, &script, 0), 0);
    cr_assert_str_eq(script.text, "1c2");
    wt_assert_clean();
}

/* ---- a limit and an end in one instant ---- */

static intptr_t sleeps_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

struct ending {
    weft_task *task;
    int rc;
};

static intptr_t waits_a_second(void *arg)
{
    struct ending *ending = arg;
    intptr_t result;
    ending->rc = weft_wait_for(ending->task, WEFT_S, &result);
    return 0;
}

/* The task ends cancelled, by somebody else, in the turn in which the limit fires as well. */
static intptr_t limit_after_end(void *arg)
{
    struct ending *ending = arg;
    weft_task *waiter;
    wt_check(weft_spawn(&ending->task, sleeps_long, NULL) == 0);
    wt_check(weft_spawn(&waiter, waits_a_second, ending) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(ending->task) == 1);
    wt_check(weft_sim_advance(WEFT_S) == 0);
    wt_check(weft_join(waiter, NULL) == 0);
    weft_drop(waiter);
    weft_drop(ending->task);
    return 0;
}

Test(simulate, a_limit_that_fires_with_a_cancelled_end_is_reported)
{
    struct ending ending = {.rc = 0};
    cr_assert_eq(run_seed(limit_after_end, &ending, 0), 0);
    cr_assert_eq(ending.rc, -ETIMEDOUT);
    wt_assert_clean();
}

/* ---- blocking calls ---- */

struct blocking {
    int ran;
    int dropped;
    int64_t at;
};

static intptr_t run_blocking(void *arg)
{
    struct blocking *call = arg;
    call->ran++;
    call->at = weft_now();
    return 5;
}

static void drop_blocking(void *arg)
{
    ((struct blocking *)arg)->dropped++;
}

static struct blocking all_calls;

static intptr_t block(void *arg)
{
    struct blocking borrowed = {0};
    struct blocking owned = {0};
    intptr_t value = 0;
    int64_t start = weft_now();
    (void)arg;
    wt_check(weft_blocking(run_blocking, &borrowed, NULL, &value) == 0 && value == 5);
    wt_check(borrowed.ran == 1 && borrowed.at >= start && borrowed.at <= start + WEFT_MS);
    intptr_t rc =
        weft_within(WEFT_MS / 2, weft_blocking(run_blocking, &owned, drop_blocking, &value));
    wt_check(rc == 0 || rc == -ETIMEDOUT);
    wt_check(owned.dropped == 1 && owned.ran == (rc == 0));
    rc = weft_within(WEFT_MS / 2, weft_blocking(run_blocking, &borrowed, NULL, &value));
    wt_check(borrowed.ran == 1 + (rc == 0));
    all_calls.ran += owned.ran;
    all_calls.at += borrowed.at - start;
    return 0;
}

Test(simulate, blocking_calls_take_a_drawn_time)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cr_assert_eq(run_seed(block, NULL, seed), 0);
    }
    wt_assert_clean();
    cr_assert(all_calls.ran > SEEDS / 4 && all_calls.ran < SEEDS * 3 / 4, "%d", all_calls.ran);
    all_calls.at = 0;
    cr_assert_eq(run_seed(block, NULL, 0), 0);
    cr_assert_eq(all_calls.at, 0); /* at once */
    wt_assert_clean();
}

/* ---- calls that ask for the next one ---- */

static long calls_made;

static void call_again(void *arg)
{
    (void)arg;
    if (++calls_made < 1000000) {
        wt_check(weft_sim_after(0, call_again, NULL) == 0);
    }
}

static intptr_t start_calling(void *arg)
{
    (void)arg;
    wt_check(weft_sim_after(0, call_again, NULL) == 0);
    return weft_yield();
}

Test(simulate, calls_do_not_outlive_the_run)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};

        calls_made = 0;
        cr_assert_eq(weft_run(start_calling, NULL, &options), 0);
        cr_assert_lt(calls_made, 1000);
        wt_assert_clean();
    }
}

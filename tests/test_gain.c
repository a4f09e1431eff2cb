/* SPDX-License-Identifier: MIT */
/* test_gain.c - whether a thief leaves others alone, and for how long, and how often a worker lingers before it sleeps; of
 * workers that do not run. */
#include "sched/gain.h"
#include "sched/park.h"
#include "sched/runtime.h"
#include "weft_test.h"

#include <pthread.h>
#include <sched.h>

enum { FIRST_NS = 4000, MOST_NS = 1000000, BATCH = 32 };
enum { TINY_NS = 0, LONG_NS = 1000000 };

static weft_runtime runtime;
static struct wf_worker workers[2];
static struct wf_worker *thief = &workers[1];
static struct wf_worker *owner = &workers[0];

static void make_world(void)
{
    runtime.workers = workers;
    runtime.worker_count = 2;
    cr_assert_eq(wf_idle_init(&runtime.idle, 2), 0);
    for (uint32_t i = 0; i < 2; i++) {
        workers[i].runtime = &runtime;
        workers[i].index = i;
        wf_wheel_init(&workers[i].wheel, 0, false);
        cr_assert_eq(wf_deque_init(&workers[i].deque), 0);
        cr_assert_eq(wf_deque_init(&workers[i].woken), 0);
    }
}

static void unmake_world(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        wf_deque_destroy(&workers[i].deque);
        wf_deque_destroy(&workers[i].woken);
    }
    wf_idle_destroy(&runtime.idle);
}

/* A theft whose first turn has taken so long, after others that were so short on average that the test's own time
 * makes no difference, or as long. */
static void steal_for(int64_t took_ns)
{
    thief->until_poll = 40;
    wf_gain_note(thief, WF_GAIN_NEW);
    cr_assert_eq(thief->until_poll, 1, "the host has the turn after it");
    thief->gain.since_ns = wf_monotonic_ns() - took_ns;
    thief->gain.mean_ns[WF_GAIN_NEW] = took_ns == TINY_NS ? INT32_MIN / 2 : LONG_NS;
    wf_gain_settle(thief);
    cr_assert_eq(thief->until_poll, 39, "that turn counts");
    cr_assert_eq(thief->gain.since_ns, 0);
}

Test(gain, what_does_not_pay_is_left_alone_for_longer_each_time, .init = make_world,
     .fini = unmake_world)
{
    cr_assert_eq(wf_gain_most(thief, BATCH), BATCH);
    for (uint32_t expected = FIRST_NS; expected < MOST_NS; expected *= 2) {
        steal_for(TINY_NS);
        cr_assert_eq(thief->gain.patience_ns, expected);
        cr_assert_gt(thief->gain.until_ns, 0);
        cr_assert_eq(wf_gain_most(thief, BATCH), 1);
    }
    steal_for(TINY_NS);
    cr_assert_eq(thief->gain.patience_ns, MOST_NS);
}

Test(gain, what_pays_ends_the_wait_at_once_and_the_patience_by_and_by, .init = make_world,
     .fini = unmake_world)
{
    for (int i = 0; i < 10; i++) {
        steal_for(TINY_NS);
    }
    int thefts = 0;
    for (uint32_t before = MOST_NS; before != 0; before = thief->gain.patience_ns, thefts++) {
        steal_for(LONG_NS);
        cr_assert_eq(thief->gain.until_ns, 0);
        cr_assert_leq(thief->gain.patience_ns, before / 4);
    }
    cr_assert_eq(thefts, 4);
    cr_assert_eq(wf_gain_most(thief, BATCH), BATCH);
}

/* ---- turns that are long because of the theft ---- */

/* Gives the lock back once somebody sleeps for it. */
static void *give_back(void *arg)
{
    struct wf_lock *lock = arg;
    while (wf_load_acq(&lock->value) != 2) {
        sched_yield();
    }
    wf_unlock(lock);
    return NULL;
}

/* This thread finds a lock held. */
static void meet_at_a_lock(void)
{
    struct wf_lock lock = {0};
    pthread_t owner_of_lock;
    wf_lock(&lock);
    cr_assert_eq(pthread_create(&owner_of_lock, NULL, give_back, &lock), 0);
    wf_lock(&lock);
    wf_unlock(&lock);
    cr_assert_eq(pthread_join(owner_of_lock, NULL), 0);
}

/* What the mean of 1000 is after a theft whose first turn has taken a millisecond. */
static int32_t mean_after(uint32_t awaits, bool meets)
{
    wf_gain_note(thief, WF_GAIN_WOKEN);
    if (meets) {
        meet_at_a_lock();
    }
    thief->left_awaits = awaits;
    thief->gain.since_ns = wf_monotonic_ns() - LONG_NS;
    thief->gain.mean_ns[WF_GAIN_WOKEN] = 1000;
    wf_gain_settle(thief);
    return thief->gain.mean_ns[WF_GAIN_WOKEN];
}

Test(gain, a_turn_of_nothing_but_awaits_at_contended_locks_brings_nothing, .init = make_world,
     .fini = unmake_world)
{
    cr_assert_lt(mean_after(UINT32_MAX, true), 1000);
    cr_assert_gt(mean_after(UINT32_MAX, false), 1000, "nobody was in the way");
    cr_assert_gt(mean_after(2, true), 1000, "work enough between two awaits");
    cr_assert_gt(mean_after(0, true), 1000);
}

Test(gain, finding_a_lock_held_is_counted)
{
    uint32_t before = wf_lock_contentions();
    struct wf_lock lock = {0};
    wf_lock(&lock);
    wf_unlock(&lock);
    cr_assert_eq(wf_lock_contentions(), before, "it was free");
    meet_at_a_lock();
    cr_assert_eq(wf_lock_contentions(), before + 1);
}

Test(gain, a_long_one_makes_up_for_some_that_are_short, .init = make_world, .fini = unmake_world)
{
    thief->gain.mean_ns[WF_GAIN_NEW] = 0;
    wf_gain_note(thief, WF_GAIN_NEW);
    thief->gain.since_ns -= LONG_NS;
    wf_gain_settle(thief);
    int32_t mean_ns = thief->gain.mean_ns[WF_GAIN_NEW];
    cr_assert_eq(thief->gain.until_ns, 0);
    cr_assert_leq(mean_ns, LONG_NS / 100, "but not for all that come");
    wf_gain_note(thief, WF_GAIN_NEW);
    thief->gain.since_ns -= LONG_NS;
    wf_gain_settle(thief);
    cr_assert_gt(thief->gain.mean_ns[WF_GAIN_NEW], mean_ns);
}

/* Is a theft taken to pay, if the first turns of its kind came to so much on average, that of this one included? */
static bool pays_at(enum wf_gain_kind kind, int32_t mean_ns)
{
    int64_t took_ns;
    do {
        thief->gain = (struct wf_gain){.mean_ns = {LONG_NS, LONG_NS, LONG_NS}};
        thief->gain.mean_ns[kind] = mean_ns * 8 / 7;
        int64_t before_ns = wf_monotonic_ns();
        wf_gain_note(thief, kind);
        wf_gain_settle(thief);
        took_ns = wf_monotonic_ns() - before_ns;
    } while (took_ns > 800); /* interrupted */
    return thief->gain.until_ns == 0;
}

Test(gain, what_was_woken_must_take_longer, .init = make_world, .fini = unmake_world, .timeout = 30)
{
    cr_assert(!pays_at(WF_GAIN_NEW, 150));
    cr_assert(pays_at(WF_GAIN_NEW, 310));
    cr_assert(!pays_at(WF_GAIN_NEW_ALONE, 310));
    cr_assert(pays_at(WF_GAIN_NEW_ALONE, 500));
    cr_assert(!pays_at(WF_GAIN_WOKEN, 1000));
    cr_assert(pays_at(WF_GAIN_WOKEN, 1300));
}

/* The tests below would time out if the wait lasted for as long as it may. */
static void be_patient_for_ever(void)
{
    steal_for(TINY_NS);
    thief->gain.until_ns = INT64_MAX;
}

Test(gain, an_owner_who_does_not_get_on_is_helped, .init = make_world, .fini = unmake_world,
     .timeout = 30)
{
    be_patient_for_ever();
    cr_assert(wf_deque_push(&owner->woken, 64));
    cr_assert(wf_gain_wait(thief));
    cr_assert_eq(thief->gain.until_ns, 0, "what waits there is for the taking");
    steal_for(TINY_NS);
    cr_assert_eq(thief->gain.until_ns, 0, "all of it");
    wf_bump_own(&owner->turns, 1);
    steal_for(TINY_NS);
    cr_assert_gt(thief->gain.until_ns, 0, "until its owner is back");
}

Test(gain, two_do_not_stand_by, .init = make_world, .fini = unmake_world, .timeout = 30)
{
    be_patient_for_ever();
    for (int i = 0; i < 2; i++) {
        (void)wf_add_sc(&runtime.idle.word, UINT64_C(1));
    }
    cr_assert(!wf_gain_wait(thief));
    thief->gain.is_futile = true;
    cr_assert(!wf_gain_wait_more(thief));
    thief->gain.until_ns = 1;
    cr_assert(wf_gain_wait(thief), "it has waited");
}

Test(gain, who_waits_for_nothing_may_sleep, .init = make_world, .fini = unmake_world, .timeout = 30)
{
    be_patient_for_ever();
    cr_assert(wf_gain_wait(thief));
    cr_assert_eq(thief->gain.until_ns, INT64_MAX);
    (void)wf_idle_sleep(&runtime.idle, owner->index, false);
    cr_assert(wf_deque_push(&owner->deque, 64));
    cr_assert(wf_gain_wait(thief));
    cr_assert_eq(thief->gain.until_ns, INT64_MAX, "nobody else was awake");
}

Test(gain, messages_and_timers_end_the_wait, .init = make_world, .fini = unmake_world,
     .timeout = 30)
{
    ck_stack_entry_t message;
    be_patient_for_ever();
    cr_assert(wf_deque_push(&owner->woken, 64));
    ck_stack_push_upmc(&runtime.inject, &message);
    cr_assert(wf_gain_wait(thief));
    cr_assert_eq(thief->gain.until_ns, INT64_MAX);
    runtime.inject.head = NULL;
    wf_store_rlx(&thief->wheel.next_ns, 1);
    cr_assert(wf_gain_wait(thief));
    cr_assert_eq(thief->gain.until_ns, INT64_MAX);
}

Test(gain, who_was_woken_for_nothing_waits_once, .init = make_world, .fini = unmake_world,
     .timeout = 30)
{
    cr_assert(!wf_gain_wait_more(thief));
    thief->gain.is_futile = true;
    cr_assert(wf_gain_wait_more(thief));
    cr_assert_eq(thief->gain.patience_ns, FIRST_NS);
    cr_assert(!wf_gain_wait_more(thief));
    thief->gain.is_futile = true;
    (void)wf_idle_sleep(&runtime.idle, owner->index, false);
    cr_assert(!wf_gain_wait_more(thief), "not where all others sleep");
}

/* Before how many of so many sleeps does it linger, where nothing comes? */
static int count_lingers(int sleeps)
{
    int count = 0;
    for (int i = 0; i < sleeps; i++) {
        uint8_t before = thief->naps;
        cr_assert(!wf_linger(thief));
        count += thief->naps != before + 1 ? 1 : 0;
    }
    return count;
}

Test(linger, what_never_pays_is_tried_less_and_less, .init = make_world, .fini = unmake_world)
{
    wf_linger_init(thief);
    while (thief->linger_ns != 0) {
        cr_assert(!wf_linger(thief), "half as long each time");
    }
    cr_assert_eq(count_lingers(4), 1);
    cr_assert_eq(count_lingers(8), 1);
    cr_assert_eq(count_lingers(16 + 32 + 64 + 128), 4);
    cr_assert_eq(count_lingers(1280), 10);
    cr_assert(wf_deque_push(&owner->woken, 64));
    thief->naps = UINT8_MAX - 1;
    cr_assert(wf_linger(thief));
    cr_assert_gt(thief->linger_ns, 0, "it has paid");
    cr_assert(wf_linger(thief));
}

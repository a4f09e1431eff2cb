/* SPDX-License-Identifier: MIT */
/* test_state_waits.c - transitions of a task that waits: parking, waking, delivery, delegation, scopes, shields.
 *
 * state_test.h says how races are tested. */
#include "state_test.h"

/* Parks on the next epoch; returns it. */
static uint8_t make_parked(bool delegates)
{
    uint8_t epoch;

    make_running();
    epoch = next_epoch();
    cr_assert_eq(wf_state_park(&word, epoch, delegates), WF_PARK_DONE);
    return epoch;
}

/* ---- parking and waking ---- */

Test(state, park_then_grant)
{
    uint8_t epoch = make_parked(false);

    cr_assert_eq(life(), WF_PARKED);
    cr_assert_eq(wf_word_verdict(now()), WF_NONE);
    cr_assert_eq(wf_word_epoch(now()), epoch);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_word_verdict(now()), WF_GRANTED);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_TIMED_OUT), WF_WAKE_LOST);
    cr_assert_eq(wf_word_verdict(now()), WF_GRANTED);
}

/* RACE-11: the waker comes before the fiber is off its stack */
Test(state, an_early_grant_requeues)
{
    uint8_t epoch;

    make_running();
    epoch = next_epoch();
    cr_assert_eq(wf_state_wake(&word, epoch, WF_CLOSED), WF_WAKE_EARLY);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_LOST); /* one winner */
    cr_assert_eq(wf_state_park(&word, epoch, false), WF_PARK_REQUEUE);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_word_verdict(now()), WF_CLOSED);
}

Test(state, wakers_of_other_waits_lose)
{
    uint8_t epoch = make_parked(false);

    cr_assert_eq(wf_state_wake(&word, (uint8_t)(epoch - 1), WF_GRANTED), WF_WAKE_LOST);
    cr_assert_eq(wf_state_wake(&word, (uint8_t)(epoch + 1), WF_GRANTED), WF_WAKE_LOST);
    cr_assert_eq(life(), WF_PARKED);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    make_new();
    cr_assert_eq(wf_state_wake(&word, next_epoch(), WF_GRANTED), WF_WAKE_LOST);
}

Test(state, epochs_wrap)
{
    make_running();
    for (int i = 0; i < 600; i++) {
        uint8_t epoch = next_epoch();

        if (i % 3 == 0) {
            cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_EARLY);
            cr_assert_eq(wf_state_park(&word, epoch, false), WF_PARK_REQUEUE);
        } else {
            cr_assert_eq(wf_state_park(&word, epoch, false), WF_PARK_DONE);
            cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
        }
        cr_assert_eq(wf_word_epoch(now()), epoch);
        cr_assert_eq(wf_word_tolls(now()), 0U);
    }
}

/* ---- delivery to a parked task ---- */

/* C-4 */
Test(state, a_request_ends_a_private_wait)
{
    uint8_t epoch = make_parked(false);

    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_NOTHING);
    request(1);
    cr_assert_eq(life(), WF_PARKED); /* the kick decides */
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_READY);
    cr_assert_eq(wf_word_verdict(now()), WF_TOLD_OFF);
    cr_assert(undelivered() == 0 && count() == 1);
    cr_assert_neq(now() & WF_TOLD, 0U);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_LOST);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_NOTHING);
}

/* Request and kick in one step leave the same word as the two. */
Test(state, a_parked_task_takes_a_request_in_one_step)
{
    uint8_t epoch = make_parked(false);
    uint64_t parked = now();

    for (unsigned flags = 0; flags < 4; flags++) {
        uint64_t before = parked | ((flags & 1U) != 0 ? WF_BUSY : 0) |
                          ((flags & 2U) != 0 ? WF_JOINED | WF_SEEN | WF_DETACHED : 0) |
                          WF_TOLLS_MASK | 5 * WF_COUNT_ONE;
        wf_store_rlx(&word, before);
        request(1);
        cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_READY);
        uint64_t in_two = now();
        wf_store_rlx(&word, before);
        cr_assert(wf_state_cancel_parked(&word));
        cr_assert_eq(now(), in_two);
    }
    cr_assert_eq(wf_word_verdict(now()), WF_TOLD_OFF);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_LOST);
}

/* Where it takes two steps, or is refused, the one step changes nothing. */
Test(state, the_one_step_is_for_plainly_parked_tasks)
{
    (void)make_parked(false);
    uint64_t parked = now();
    (void)make_parked(true);
    uint64_t delegating = now();
    make_running();
    const uint64_t refused[] = {
        delegating,
        now(),
        parked | WF_SHIELDED,
        parked | WF_UNDELIVERED_ONE | WF_COUNT_ONE, /* somebody else's, whose kick is on its way */
        parked | WF_COUNT_MASK,
        wf_word_with_life(parked, WF_NEW),
        wf_word_with_life(parked, WF_OK),
        wf_word_with_life(parked, WF_FREE),
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        wf_store_rlx(&word, refused[i]);
        cr_assert(!wf_state_cancel_parked(&word), "row %zu", i);
        cr_assert_eq(now(), refused[i]);
    }
    wf_store_rlx(&word, parked | (WF_COUNT_MASK - WF_COUNT_ONE));
    cr_assert(wf_state_cancel_parked(&word));
    cr_assert_eq(count(), WF_COUNT_MAX);
}

/* The grant rule: a request after the grant stays for the next await point. */
Test(state, a_request_after_the_grant_stays)
{
    uint8_t epoch = make_parked(false);

    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_INSIDE);
    cr_assert_eq(wf_word_verdict(now()), WF_GRANTED);
    cr_assert(wf_state_observe(&word));
}

/* ... also one that is added before the grant and kicked after it. */
Test(state, a_grant_between_request_and_kick_wins)
{
    uint8_t epoch = make_parked(false);

    request(1);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_INSIDE);
    cr_assert_eq(undelivered(), 1U);
    cr_assert(wf_state_observe(&word));
}

Test(state, a_request_before_parking_ends_the_wait)
{
    make_running();
    request(2);
    cr_assert_eq(wf_state_park(&word, next_epoch(), false), WF_PARK_REQUEUE);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_word_verdict(now()), WF_TOLD_OFF);
    cr_assert(undelivered() == 0 && count() == 2);
}

Test(state, an_early_grant_beats_a_request_before_parking)
{
    uint8_t epoch;

    make_running();
    epoch = next_epoch();
    request(1);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_EARLY);
    cr_assert_eq(wf_state_park(&word, epoch, false), WF_PARK_REQUEUE);
    cr_assert_eq(wf_word_verdict(now()), WF_GRANTED);
    cr_assert_eq(undelivered(), 1U);
}

/* RACE-5 */
Test(state, uncancel_between_request_and_kick_withdraws)
{
    uint8_t epoch = make_parked(false);

    request(1);
    (void)take_back(&word);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_NOTHING);
    cr_assert_eq(life(), WF_PARKED);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_READY);
    (void)take_back(&word); /* U-4: too late */
    cr_assert_eq(wf_word_verdict(now()), WF_TOLD_OFF);
    cr_assert_eq(count(), 0U);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_LOST);
}

/* ---- delegation ---- */

Test(state, a_delegating_wait_hands_requests_on)
{
    uint8_t epoch = make_parked(true);

    request(2);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_LOCK);
    cr_assert_eq(life(), WF_PARKED);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(life(), WF_PARKED); /* D-1: not woken */
    cr_assert_neq(now() & WF_BUSY, 0U);
    cr_assert_eq(wf_state_take(&word), 2U);
    cr_assert_neq(now() & WF_BUSY, 0U);
    cr_assert_eq(wf_state_take(&word), 0U);
    cr_assert_eq(now() & WF_BUSY, 0U);
    cr_assert(undelivered() == 0 && count() == 2);
    cr_assert_eq(wf_word_tolls(now()), 1U);
    cr_assert_eq(now() & WF_TOLD, 0U); /* nobody has told the task itself yet */
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_eq(wf_word_verdict(now()), WF_GRANTED);
}

/* D-3 */
Test(state, a_refused_request_stays_undelivered)
{
    uint8_t epoch = make_parked(true);

    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    uint32_t tolls = wf_word_tolls(now());
    cr_assert_eq(wf_state_take(&word), 1U);
    wf_state_give_back(&word, 1, 0);
    cr_assert_eq(now() & WF_BUSY, 0U);
    cr_assert(undelivered() == 1 && count() == 1);
    cr_assert_eq(wf_word_tolls(now()), tolls); /* a scope finds that its request is undelivered */
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert(wf_state_observe(&word));
}

Test(state, a_request_while_one_is_handed_on_is_handed_on_too)
{
    (void)make_parked(true);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    request(1);
    cr_assert_eq(wf_state_take(&word), 1U); /* D-5: the other one as well */
    cr_assert_eq(wf_state_take(&word), 0U);
    cr_assert(undelivered() == 0 && count() == 2);
}

/* The first one was taken, then the target ended: the other one is for the task's next await point. */
Test(state, a_later_request_is_refused_alone)
{
    uint8_t epoch = make_parked(true);

    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    request(1);
    cr_assert_eq(wf_state_take(&word), 1U);
    wf_state_give_back(&word, 1, 0);
    cr_assert(undelivered() == 1 && count() == 2);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert(wf_state_observe(&word));
    cr_assert(!wf_state_observe(&word));
}

/* A request that was handed on has been delivered, whatever is taken back while the next one comes. */
Test(state, taken_back_between_two)
{
    (void)make_parked(true);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    request(1);
    (void)take_back(&word);
    (void)take_back(&word);
    cr_assert_eq(wf_state_take(&word), 0U);
    cr_assert(undelivered() == 0 && count() == 0);
}

/* The mark's bit means something else once the task has ended: nobody clears it then. */
Test(state, the_value_stays_taken)
{
    uint8_t epoch = make_parked(true);
    uint64_t before;

    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_eq(wf_state_take(&word), 1U);
    cr_assert_eq(wf_state_take(&word), 0U); /* the canceller's last look */
    cr_assert(wf_state_finish(&word, false, false, false, &before));
    wf_state_set(&word, WF_TAKEN);
    cr_assert_neq(now() & WF_TAKEN, 0U);
}

/* The joined task ends while the canceller reads the wait: the mark must outlive the wake-up. */
Test(state, a_grant_does_not_clear_busy)
{
    uint8_t epoch = make_parked(true);

    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_neq(now() & WF_BUSY, 0U);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_state_take(&word), 1U);
    wf_state_give_back(&word, 1, 0);
    cr_assert_eq(now() & WF_BUSY, 0U);
    cr_assert(wf_state_observe(&word));
}

Test(state, withdrawn_while_handed_on)
{
    (void)make_parked(true);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    (void)take_back(&word); /* the target has it all the same ... */
    cr_assert_eq(wf_state_take(&word), 0U);
    cr_assert(undelivered() == 0 && count() == 0);

    (void)make_parked(true);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    (void)take_back(&word);
    wf_state_give_back(&word, 1, 0); /* ... unless it refuses */
    cr_assert(undelivered() == 0 && count() == 0);
}

Test(state, parking_a_delegating_wait_with_a_request_kicks)
{
    make_running();
    request(1);
    cr_assert_eq(wf_state_park(&word, next_epoch(), true), WF_PARK_KICK);
    cr_assert_eq(life(), WF_PARKED);
    cr_assert_eq(undelivered(), 1U);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_HAND_ON);
    cr_assert_eq(wf_state_take(&word), 1U);
    cr_assert_eq(wf_state_take(&word), 0U);
}

Test(state, the_next_wait_does_not_inherit_delegation)
{
    uint8_t epoch = make_parked(true);

    cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
    cr_assert_eq(wf_state_park(&word, next_epoch(), false), WF_PARK_DONE);
    request(1);
    cr_assert_eq(wf_state_deliver(&word, false), WF_DELIVER_READY);
}

/* ---- a scope's own request ---- */

/* RACE-13 */
Test(state, a_scope_withdraws_its_undelivered_request)
{
    uint32_t tolls;

    make_running();
    request(1);
    tolls = wf_word_tolls(after);
    cr_assert(wf_state_withdraw(&word, tolls, &after));
    cr_assert(count() == 0 && undelivered() == 0);
    cr_assert_eq(after, now());
}

Test(state, a_scope_withdraws_its_delivered_request_from_the_count)
{
    uint32_t tolls;

    make_running();
    request(1);
    tolls = wf_word_tolls(after);
    cr_assert(wf_state_observe(&word));
    cr_assert(!wf_state_withdraw(&word, tolls, &after));
    cr_assert(count() == 0 && undelivered() == 0);
    cr_assert_eq(now() & WF_TOLD, 0U);
}

/* T-8: the other request lives on, whichever came first */
Test(state, withdrawing_leaves_other_requests)
{
    uint32_t tolls;

    make_running();
    request(1); /* from outside */
    request(1); /* the scope's */
    tolls = wf_word_tolls(after);
    cr_assert(wf_state_withdraw(&word, tolls, &after));
    cr_assert(count() == 1 && undelivered() == 1);

    make_running();
    request(1);
    tolls = wf_word_tolls(after);
    cr_assert(wf_state_observe(&word));
    request(1); /* from outside, after the delivery */
    cr_assert(!wf_state_withdraw(&word, tolls, &after));
    cr_assert(count() == 1 && undelivered() == 1);
    cr_assert_neq(now() & WF_TOLD, 0U);
}

Test(state, withdrawing_after_a_stranger_took_the_request_back)
{
    uint32_t tolls;

    make_running();
    request(1);
    tolls = wf_word_tolls(after);
    (void)take_back(&word);
    cr_assert(!wf_state_withdraw(&word, tolls, &after));
    cr_assert(count() == 0 && undelivered() == 0);
}

Test(state, rearm_restores_a_consumed_request)
{
    make_running();
    request(1);
    cr_assert(wf_state_observe(&word));
    wf_state_rearm(&word);
    cr_assert(count() == 1 && undelivered() == 1);
    wf_state_rearm(&word); /* not more than are counted */
    cr_assert_eq(undelivered(), 1U);
    (void)take_back(&word);
    wf_state_rearm(&word);
    cr_assert_eq(undelivered(), 0U);
}

/* ---- shields ---- */

Test(state, a_shielded_word_asks_for_the_lock)
{
    make_running();
    request(2);
    cr_assert_eq(wf_state_defer(&word, 0, false, true), 2U); /* the two wait in the shield */
    cr_assert(undelivered() == 0 && count() == 2);
    cr_assert_neq(now() & WF_SHIELDED, 0U);
    cr_assert_eq(wf_state_request(&word, 1, false, false, &after), WF_REQUEST_SHIELDED);
    cr_assert_eq(count(), 2U);
    cr_assert_eq(wf_state_request(&word, 1, true, true, &after), WF_REQUEST_ADDED);
    cr_assert(undelivered() == 0 && count() == 3);
    cr_assert_eq(wf_state_request(&word, 1, true, false, &after), WF_REQUEST_ADDED);
    cr_assert(undelivered() == 1 && count() == 4); /* from inside */
    cr_assert_eq(wf_state_defer(&word, 3, true, false), 1U);
    cr_assert(undelivered() == 4 && count() == 4);
    cr_assert_eq(now() & WF_SHIELDED, 0U);
}

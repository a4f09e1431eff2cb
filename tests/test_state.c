/* SPDX-License-Identifier: MIT */
/* test_state.c - every transition of the task's state word, and the races as sequences.
 *
 * A race between a waker, a canceller and the worker that parks is a sequence of transitions on one
 * word. What is tested here is each order of them; that each step is atomic is the CAS's business. */
#include "task/state.h"
#include "weft_test.h"

static uint64_t take_back(wf_au64 *word)
{
    uint64_t after = 0;
    (void)wf_state_uncancel(word, false, 0, &after);
    return after;
}

static wf_au64 word;
static uint64_t after;

static uint64_t now(void)
{
    return wf_load_acq(&word);
}

static enum wf_life life(void)
{
    return wf_word_life(now());
}

static uint32_t count(void)
{
    return wf_word_count(now());
}

static uint32_t undelivered(void)
{
    return wf_word_undelivered(now());
}

static uint8_t next_epoch(void)
{
    return (uint8_t)(wf_word_epoch(now()) + 1U);
}

static void make_new(void)
{
    wf_store_rlx(&word, 0);
    wf_state_spawn(&word, false);
}

static void make_running(void)
{
    make_new();
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_RUN);
}

/* Parks on the next epoch; returns it. */
static uint8_t make_parked(bool delegates)
{
    uint8_t epoch;

    make_running();
    epoch = next_epoch();
    cr_assert_eq(wf_state_park(&word, epoch, delegates), WF_PARK_DONE);
    return epoch;
}

static void request(uint32_t n)
{
    cr_assert_eq(wf_state_request(&word, n, false, false, &after), WF_REQUEST_ADDED);
    cr_assert_eq(after, now());
}

/* ---- birth ---- */

Test(state, spawn_and_start)
{
    uint8_t epoch;

    make_new();
    cr_assert_eq(life(), WF_NEW);
    cr_assert(count() == 0 && undelivered() == 0 && wf_word_tolls(now()) == 0);
    epoch = wf_word_epoch(now());
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_RUN);
    cr_assert_eq(life(), WF_RUN);
    cr_assert_eq(wf_word_epoch(now()), epoch);
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_LOST); /* once only */
    cr_assert_eq(life(), WF_RUN);
}

Test(state, a_slot_keeps_its_epoch_from_life_to_life)
{
    uint64_t before = 0;
    uint8_t first;

    make_running();
    first = wf_word_epoch(now());
    cr_assert(wf_state_finish(&word, false, false, false, &before));
    wf_store_rel(&word, wf_word_freed(now())); /* as freeing does */
    wf_state_spawn(&word, false);
    cr_assert_eq(wf_word_epoch(now()), (uint8_t)(first + 1U));
    cr_assert_eq(life(), WF_NEW);
    cr_assert_eq(now() & ~(WF_LIVES_MASK | WF_LIFE_MASK), 0U);
}

/* C-3, RACE-4 */
Test(state, a_request_before_the_start_cancels_it)
{
    uint64_t stale;

    make_new();
    stale = now(); /* the worker has read the word, then the request comes */
    request(1);
    cr_assert_eq(life(), WF_NEW);
    cr_assert_eq(wf_state_start(&word, stale, false), WF_START_CANCELLED);
    cr_assert_eq(life(), WF_RUN); /* to be ended unrun by its claimer */
    cr_assert_eq(count(), 1U);
}

/* What a list links is not for who has met the slot in a deque, and the other way round. */
Test(state, a_linked_task_starts_from_its_list_only)
{
    wf_store_rel(&word, 0);
    wf_state_spawn(&word, true);
    uint64_t linked = now();
    cr_assert_eq(wf_state_start(&word, linked, false), WF_START_LOST);
    cr_assert_eq(now(), linked);
    cr_assert_eq(wf_state_start(&word, linked, true), WF_START_RUN);
    cr_assert((now() & WF_LINKED) == 0);

    wf_store_rel(&word, wf_word_freed(now()));
    wf_state_spawn(&word, false);
    cr_assert_eq(wf_state_start(&word, now(), true), WF_START_LOST);
    cr_assert(wf_state_link(&word));
    request(1);
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_LOST);
    cr_assert_eq(wf_state_start(&word, now(), true), WF_START_CANCELLED);
    cr_assert_not(wf_state_link(&word));
}

/* A thief that has read the word is held up: meanwhile a joiner starts the task, and the slot is another's. */
Test(state, a_late_starter_does_not_start_the_slots_next_task)
{
    uint64_t stale, before = 0;

    make_new();
    stale = now();
    cr_assert_eq(wf_state_start(&word, stale, false), WF_START_RUN);
    cr_assert(wf_state_finish(&word, false, false, false, &before));
    wf_store_rel(&word, wf_word_freed(now())); /* as freeing does */
    wf_state_spawn(&word, false);
    cr_assert_eq(wf_state_start(&word, stale, false), WF_START_LOST);
    cr_assert_eq(life(), WF_NEW);
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_RUN);
}

/* The epoch alone comes round after 256 lives, which a worker's one hot slot lives through in microseconds. */
Test(state, nor_does_it_when_the_epoch_has_come_round)
{
    uint64_t stale;

    make_new();
    stale = now();
    for (uint64_t id = 2; id <= 1 + 256 * 1023; id++) {
        wf_store_rel(&word, wf_word_freed(now()));
        wf_state_spawn(&word, false);
        cr_assert_neq(now(), stale, "at %" PRIu64, id);
    }
    cr_assert_eq(wf_state_start(&word, stale, false), WF_START_LOST);
}

Test(state, a_withdrawn_request_lets_it_start)
{
    make_new();
    request(1);
    cr_assert_eq(wf_word_count(take_back(&word)), 0U);
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_RUN);
}

/* ---- requests ---- */

Test(state, requests_are_counted_until_the_end)
{
    uint64_t before = 0, word_then = 0;

    make_running();
    request(1);
    request(3);
    cr_assert_eq(count(), 4U);
    cr_assert_eq(undelivered(), 4U);
    cr_assert(wf_state_finish(&word, true, true, false, &before));
    word_then = now();
    cr_assert_eq(wf_state_request(&word, 1, false, false, &after), WF_REQUEST_ENDED);
    cr_assert_eq(wf_state_request(&word, 1, true, true, &after), WF_REQUEST_ENDED);
    cr_assert_eq(now(), word_then);
    cr_assert_eq(count(), 4U); /* U-1: unaffected by completion */
}

Test(state, a_free_slot_takes_no_request)
{
    wf_store_rlx(&word, UINT64_C(5) << WF_EPOCH_SHIFT);
    cr_assert_eq(wf_state_request(&word, 1, false, false, &after), WF_REQUEST_ENDED);
    cr_assert_eq(count(), 0U);
}

Test(state, the_count_has_a_limit_and_does_not_spill)
{
    uint32_t made = 0;

    make_running();
    for (;;) { /* delivered now and then, as in life */
        enum wf_request answer = wf_state_request(&word, 1000, false, false, &after);

        if (answer == WF_REQUEST_FULL) {
            break;
        }
        cr_assert_eq(answer, WF_REQUEST_ADDED);
        made += 1000;
        cr_assert_eq(count(), made);
        cr_assert(wf_state_observe(&word));
        cr_assert_eq(life(), WF_RUN);
    }
    cr_assert_geq(made, 1000000U); /* a million, the headers say */
    cr_assert_eq(count(), made);
}

/* C-7: what comes before a delivery merges into it */
Test(state, observing_takes_all_requests_at_once)
{
    make_running();
    cr_assert(!wf_state_observe(&word));
    cr_assert_eq(now() & WF_TOLD, 0U);
    request(1);
    request(1);
    cr_assert(wf_state_observe(&word));
    cr_assert_eq(undelivered(), 0U);
    cr_assert_eq(count(), 2U);
    cr_assert_eq(wf_word_tolls(now()), 1U);
    cr_assert_neq(now() & WF_TOLD, 0U);
    cr_assert(!wf_state_observe(&word)); /* C-6: once */
    cr_assert_eq(wf_word_tolls(now()), 1U);
    request(1); /* a new edge */
    cr_assert(wf_state_observe(&word));
    cr_assert_eq(count(), 3U);
}

Test(state, tolls_wrap_without_touching_their_neighbours)
{
    make_running();
    (void)wf_or_acqrel(&word, WF_DETACHED);
    for (uint32_t i = 1; i <= 2100; i++) {
        request(1);
        cr_assert(wf_state_observe(&word));
        cr_assert_eq(wf_word_tolls(now()), i % 1024);
        cr_assert_eq(count(), i);
        cr_assert_neq(now() & WF_DETACHED, 0U);
        cr_assert_eq(life(), WF_RUN);
    }
}

/* U-2, U-3 */
Test(state, uncancel_withdraws_what_is_undelivered)
{
    make_running();
    cr_assert_eq(wf_word_count(take_back(&word)), 0U); /* never negative */
    request(2);
    cr_assert_eq(wf_word_count(take_back(&word)), 1U);
    cr_assert_eq(undelivered(), 1U);
    cr_assert_eq(wf_word_count(take_back(&word)), 0U);
    cr_assert_eq(undelivered(), 0U);
    cr_assert(!wf_state_observe(&word));
}

/* With one delivered and one not, taking one back leaves the newer one undelivered. */
Test(state, uncancel_leaves_the_newer_request)
{
    make_running();
    request(1);
    cr_assert(wf_state_observe(&word));
    request(1);
    cr_assert_eq(wf_word_count(take_back(&word)), 1U);
    cr_assert_eq(undelivered(), 1U);
    cr_assert_neq(now() & WF_TOLD, 0U);
    cr_assert_eq(wf_word_count(take_back(&word)), 0U);
    cr_assert_eq(undelivered(), 0U);
    cr_assert_eq(now() & WF_TOLD, 0U); /* nothing left that could have been swallowed */
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

/* ---- the end (L-3) ---- */

Test(state, outcomes)
{
    static const struct {
        bool is_error, is_cancel, has_request;
        enum wf_life end;
    } rows[] = {
        {true, true, false, WF_CANCELLED},  {true, true, true, WF_CANCELLED},
        {false, false, true, WF_CANCELLED}, {false, false, false, WF_OK},
        {true, false, false, WF_ERROR},     {true, false, true, WF_ERROR},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t before = 0;

        make_running();
        if (rows[i].has_request) {
            request(1);
        }
        cr_assert(wf_state_finish(&word, rows[i].is_error, rows[i].is_cancel, false, &before));
        cr_assert_eq(life(), rows[i].end, "row %zu", i);
        cr_assert_eq(wf_word_undelivered(before), rows[i].has_request ? 1U : 0U);
        cr_assert_eq(undelivered(), 0U);
        cr_assert_eq(count(), rows[i].has_request ? 1U : 0U);
        cr_assert(wf_word_has_ended(now()));
    }
}

Test(state, a_delivered_request_does_not_change_a_value)
{
    uint64_t before = 0;

    make_running();
    request(1);
    cr_assert(wf_state_observe(&word));
    cr_assert(wf_state_finish(&word, false, false, false, &before));
    cr_assert_eq(life(), WF_OK);
    cr_assert_eq(count(), 1U);
    cr_assert_neq(before & WF_TOLD, 0U);
}

Test(state, joined_tasks_finish_under_the_lock)
{
    uint64_t before = 0;

    make_running();
    cr_assert(wf_state_join(&word) && wf_state_join(&word));
    cr_assert(!wf_state_finish(&word, false, false, false, &before));
    cr_assert_eq(life(), WF_RUN);
    cr_assert(wf_state_finish(&word, false, false, true, &before));
    cr_assert_eq(life(), WF_OK);
    cr_assert(!wf_state_join(&word));
}

Test(state, nothing_wakes_or_kicks_an_ended_task)
{
    uint64_t before = 0, end = 0;

    make_running();
    cr_assert(wf_state_finish(&word, false, false, false, &before));
    end = now();
    cr_assert_eq(wf_state_wake(&word, next_epoch(), WF_GRANTED), WF_WAKE_LOST);
    cr_assert_eq(wf_state_deliver(&word, true), WF_DELIVER_NOTHING);
    cr_assert_eq(wf_state_start(&word, end, false), WF_START_LOST);
    cr_assert(!wf_state_observe(&word));
    cr_assert(!wf_state_detach(&word));
    cr_assert_eq(now(), end);
}

Test(state, detaching_happens_once)
{
    make_running();
    cr_assert(wf_state_detach(&word));
    cr_assert(!wf_state_detach(&word));
    cr_assert_neq(now() & WF_DETACHED, 0U);
}

/* Flags, counts and epochs share one word: random legal steps, checked against plain variables. */
Test(state, random_steps_against_a_model)
{
    uint64_t random = wt_seed() | 1;
    uint32_t count_now = 0, waiting = 0, tolls = 0;
    uint8_t epoch;
    bool is_parked = false;

    make_running();
    epoch = wf_word_epoch(now());
    for (int i = 0; i < 200000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        switch (random % 6) {
        case 0:
            if (waiting < 4000 && count_now < 5000) {
                request(1);
                count_now++;
                waiting++;
            }
            break;
        case 1:
            (void)take_back(&word);
            count_now -= count_now > 0;
            waiting = waiting < count_now ? waiting : count_now;
            break;
        case 2:
            if (!is_parked) {
                cr_assert_eq(wf_state_observe(&word), waiting > 0);
                tolls += waiting > 0;
                waiting = 0;
            }
            break;
        case 3:
            if (!is_parked) {
                epoch++;
                cr_assert_eq(wf_state_park(&word, epoch, false),
                             waiting > 0 ? WF_PARK_REQUEUE : WF_PARK_DONE);
                is_parked = waiting == 0;
                tolls += waiting > 0;
                waiting = 0;
            }
            break;
        case 4:
            cr_assert_eq(wf_state_deliver(&word, false), waiting == 0 ? WF_DELIVER_NOTHING
                                                         : is_parked  ? WF_DELIVER_READY
                                                                      : WF_DELIVER_INSIDE);
            if (is_parked && waiting > 0) {
                is_parked = false;
                tolls++;
                waiting = 0;
            }
            break;
        default:
            if (is_parked) {
                cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_READY);
                is_parked = false;
            } else {
                epoch++;
                cr_assert_eq(wf_state_wake(&word, epoch, WF_GRANTED), WF_WAKE_EARLY);
                cr_assert_eq(wf_state_park(&word, epoch, false), WF_PARK_REQUEUE);
            }
            break;
        }
        cr_assert_eq(life(), is_parked ? WF_PARKED : WF_RUN);
        cr_assert(count() == count_now && undelivered() == waiting);
        cr_assert_eq(wf_word_epoch(now()), epoch);
        cr_assert_eq(wf_word_tolls(now()), tolls % 1024);
    }
}

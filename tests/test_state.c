/* SPDX-License-Identifier: MIT */
/* test_state.c - transitions of the task's state word: birth, requests, the end; random ones against a model.
 *
 * state_test.h says how races are tested. */
#include "state_test.h"

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

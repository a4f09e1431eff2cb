/* SPDX-License-Identifier: MIT */
/* test_solo.c - a worker that is alone, and guests: in each of its runtimes, and while these come and go. */
#include "solo_guests.h"

/* ---- rounds with guests ---- */

static void play(enum manner manner, int visits, long rounds)
{
    uint64_t random = wt_seed() | 1;
    long alone = 0;

    for (long i = 0; i < rounds; i++) {
        struct house house;
        struct desk desk = {.guests_left = GUESTS};
        struct round round = {.house = &house, .desk = &desk, .random = draw(&random)};
        struct guest guests[GUESTS] = {{0}};

        house_open(&house);
        for (int j = 0; j < GUESTS; j++) {
            guests[j].manner = manner;
            guests[j].visits = visits;
        }
        invite_guests(guests, GUESTS, &house, &desk, &random);
        run(&round);
        see_off(guests, GUESTS);
        house_close(&house);
        alone += round.was_alone;
        wt_assert_clean();
    }
    conclude(__func__, rounds, alone);
}

Test(stress_solo, guests_come_at_times, .timeout = 60)
{
    play(AT_TIMES, 10, STRESS_COUNT(400));
}

Test(stress_solo, guests_come_often, .timeout = 60)
{
    play(OFTEN, 60, STRESS_COUNT(800));
}

Test(stress_solo, guests_interrupt_the_worker, .timeout = 60)
{
    stay_on_one_processor();
    play(NAPPING, 10, STRESS_COUNT(300));
}

/* ---- guests who stay: they leave when the last round is over ---- */

static long play_rounds(struct house *house, uint64_t *random, void (*play_round)(struct round *),
                        uint64_t turns_most, long rounds)
{
    long alone = 0;

    for (long i = 0; i < rounds; i++) {
        struct round round = {
            .house = house, .random = draw(random), .turns = (long)(draw(random) % turns_most)};
        play_round(&round);
        alone += round.was_alone;
    }
    atomic_store(&house->is_over, 1);
    return alone;
}

/* ---- one word, which the worker hardly ever leaves alone ---- */

static intptr_t take_and_give(void *arg)
{
    struct round *round = arg;
    weft_sem *purse = &round->house->purse;

    for (long i = 0; i < round->turns; i++) {
        round->was_alone |= i % 64 == 0 && wf_load_acq(&wf_solo.thread) == wf_solo_self();
        if (weft_sem_try_acquire(purse, 1) == 0) {
            wt_check(weft_sem_release(purse, 1) == 0);
        }
    }
    return 0;
}

static void run_alone(struct round *round)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};

    wt_check(weft_run(take_and_give, round, &options) == 0);
}

static void *pass_by(void *arg)
{
    struct guest *guest = arg;
    weft_sem *purse = &guest->house->purse;

    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    while (atomic_load(&guest->house->is_over) == 0) {
        rest(guest->manner, &guest->tally.random);
        if (weft_sem_try_acquire(purse, 1) == 0) {
            rest(guest->manner, &guest->tally.random);
            wt_check(weft_sem_release(purse, 1) == 0);
        }
    }
    return NULL;
}

static void play_with_one_word(enum manner manner, long rounds)
{
    enum { PASSERS = 2 };
    uint64_t random = wt_seed() | 1;
    struct house house;
    struct guest guests[PASSERS] = {{0}};

    wf_solo_find(true);
    house_open(&house);
    for (int i = 0; i < PASSERS; i++) {
        guests[i].house = &house;
        guests[i].manner = manner;
        guests[i].tally.random = draw(&random) | 1;
        cr_assert_eq(pthread_create(&guests[i].thread, NULL, pass_by, &guests[i]), 0);
    }
    long alone = play_rounds(&house, &random, run_alone, 20000, rounds);
    see_off(guests, PASSERS);
    house_close(&house);
    conclude(__func__, rounds, alone);
}

Test(stress_solo, one_word_is_fought_over, .timeout = 60)
{
    play_with_one_word(AT_TIMES, STRESS_COUNT(1500));
}

Test(stress_solo, one_word_is_fought_over_on_one_processor, .timeout = 60)
{
    stay_on_one_processor();
    play_with_one_word(NAPPING, STRESS_COUNT(1500));
}

/* ---- runtimes that begin and end ---- */

static void play_on(enum manner manner, long rounds)
{
    uint64_t random = wt_seed() | 1;
    struct house house;
    struct guest guests[GUESTS] = {{0}};

    house_open(&house);
    for (int i = 0; i < GUESTS; i++) {
        guests[i].manner = manner;
    }
    invite_guests(guests, GUESTS, &house, NULL, &random);
    long alone = play_rounds(&house, &random, run, 200, rounds);
    see_off(guests, GUESTS);
    house_close(&house);
    conclude(__func__, rounds, alone);
}

Test(stress_solo, guests_stay_while_runtimes_come_and_go, .timeout = 60)
{
    play_on(AT_TIMES, STRESS_COUNT(1200));
}

Test(stress_solo, guests_who_interrupt_stay_while_runtimes_come_and_go, .timeout = 60)
{
    stay_on_one_processor();
    play_on(NAPPING, STRESS_COUNT(2000));
}

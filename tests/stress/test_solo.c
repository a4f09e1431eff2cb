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

/* The process and all it will start. */
static void stay_on_one_processor(void)
{
    cpu_set_t all, one;

    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
            return;
        }
    }
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

/* ---- runtimes that begin and end ---- */

static void play_on(enum manner manner, long rounds)
{
    uint64_t random = wt_seed() | 1;
    long alone = 0;
    struct house house;
    struct guest guests[GUESTS] = {{0}};

    house_open(&house);
    for (int i = 0; i < GUESTS; i++) {
        guests[i].manner = manner;
    }
    invite_guests(guests, GUESTS, &house, NULL, &random);
    for (long i = 0; i < rounds; i++) {
        struct round round = {
            .house = &house, .random = draw(&random), .turns = (long)(draw(&random) % 200)};
        run(&round);
        alone += round.was_alone;
    }
    atomic_store(&house.is_over, 1);
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

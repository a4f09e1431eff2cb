/* SPDX-License-Identifier: MIT */
/* solo_guests.h - plain threads who visit a worker that is alone. */
#ifndef WEFT_STRESS_SOLO_GUESTS_H
#define WEFT_STRESS_SOLO_GUESTS_H

#include <sys/prctl.h>

#include "solo.h"

/* ---- guests ---- */

WT_FN void rest(enum manner manner, uint64_t *random)
{
    if (manner == AT_TIMES) {
        for (uint64_t i = UINT64_C(1) << (draw(random) % 8); i > 0; i--) {
            dither(random);
        }
    } else if (manner == NAPPING) {
        const struct timespec nap = {.tv_nsec = draw_us(random, 150)};
        (void)nanosleep(&nap, NULL);
    }
}

/* Permits are kept over a rest: a word that soon is what it was before hides what was lost. */
WT_FN void visit_house(struct house *house, enum manner manner, struct tally *tally)
{
    uint32_t permits = 1 + (uint32_t)(draw(&tally->random) % PERMITS);

    switch (draw(&tally->random) % 4) {
    case 0:
        if (weft_sem_try_acquire(&house->door, 1) == 0) {
            enter(house, tally, draw(&tally->random) % 2 == 0);
            wt_check(weft_sem_release(&house->door, 1) == 0);
        }
        break;
    case 1:
        if (weft_sem_try_acquire(&house->purse, permits) == 0) {
            rest(manner, &tally->random);
            wt_check(weft_sem_release(&house->purse, permits) == 0);
        }
        break;
    case 2:
        try_put(house, tally);
        break;
    default:
        try_get(house, tally);
    }
}

WT_FN void upgrade_one(struct desk *desk, uint64_t *random)
{
    spin_lock(&desk->lock);
    weft_weak weak = desk->places[draw(random) % PLACES];
    spin_unlock(&desk->lock);
    weft_task *task = weft_upgrade(weak);
    if (task != NULL) {
        wt_check(weft_weak_of(task).id == weak.id);
        dither(random);
        wt_check(weft_weak_of(task).id == weak.id);
        weft_drop(task);
    }
}

WT_FN intptr_t answer(void *arg)
{
    return weft_yield() == 0 ? (intptr_t)arg : -EINTR;
}

WT_FN void submit_one(struct desk *desk, uint64_t *random)
{
    bool is_cancelled = draw(random) % 2 == 0;
    intptr_t value = 0;
    weft_task *task;

    wt_check(weft_runtime_submit(desk->runtime, &task, answer, (void *)5, NULL) == 0);
    if (is_cancelled) {
        dither(random);
        is_cancelled = weft_cancel(task) == 1;
    }
    wt_check(weft_thread_join(task, 20 * WEFT_S, &value) == 0);
    wt_check(value == 5 || (is_cancelled && (value == -ECANCELED || value == -EINTR)));
    weft_drop(task);
}

WT_FN void visit_desk(struct desk *desk, uint64_t *random)
{
    uint32_t asked = 1;
    weft_task *anvil;

    switch (draw(random) % 6) {
    case 0:
        if (atomic_exchange(&desk->asks_bell, 0) == 1) {
            wt_check(weft_event_set(&desk->bell) == 0);
        }
        break;
    case 1:
        if (atomic_compare_exchange_strong(&desk->asks_letter, &asked, 2)) {
            wt_check(weft_future_set(&desk->letter, 77) == 0);
            atomic_store(&desk->asks_letter, 0);
        }
        break;
    case 2:
        if (atomic_exchange(&desk->asks_unlock, 0) == 1) {
            desk->is_handed = false;
            wt_check(weft_mutex_unlock(&desk->handed) == 0);
        }
        break;
    case 3:
        anvil = weft_upgrade(desk->weak_anvil);
        if (wt_check(anvil != NULL)) {
            hammer_once(anvil, draw(random));
            weft_drop(anvil);
        }
        break;
    case 4:
        submit_one(desk, random);
        break;
    default:
        upgrade_one(desk, random);
    }
}

WT_FN void *be_guest(void *arg)
{
    struct guest *guest = arg;
    struct desk *desk = guest->desk;
    uint64_t *random = &guest->tally.random;

    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* naps of many lengths */
    while (desk != NULL && atomic_load(&desk->is_open) == 0) {
        sched_yield();
    }
    for (int i = 0;
         guest->visits > 0 ? i < guest->visits : atomic_load(&guest->house->is_over) == 0; i++) {
        rest(guest->manner, random);
        if (desk != NULL && draw(random) % 2 == 0) {
            visit_desk(desk, random);
        } else {
            visit_house(guest->house, guest->manner, &guest->tally);
        }
    }
    hand_in(guest->house, &guest->tally);
    if (desk != NULL) {
        atomic_fetch_sub(&desk->guests_left, 1);
    }
    return NULL;
}

WT_FN void invite_guests(struct guest *guests, int count, struct house *house, struct desk *desk,
                         uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        guests[i].house = house;
        guests[i].desk = desk;
        guests[i].tally = (struct tally){.random = draw(random) | 1};
        wt_check(pthread_create(&guests[i].thread, NULL, be_guest, &guests[i]) == 0);
    }
}

WT_FN void see_off(struct guest *guests, int count)
{
    for (int i = 0; i < count; i++) {
        wt_check(pthread_join(guests[i].thread, NULL) == 0);
    }
}

/* ---- what has come of it ---- */

WT_FN void conclude(const char *what, long rounds, long alone)
{
    wt_assert_clean();
    fprintf(stderr, "%s: %ld rounds or processes, alone in %ld rounds\n", what, rounds, alone);
    cr_assert(alone > 0);
}

#endif

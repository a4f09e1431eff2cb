/* SPDX-License-Identifier: MIT */
/* solo.h - a worker that changes words by plain stores while it is alone, and guests who stop it: what they all do.
 *
 * What each of them does to the same words is counted, and adds up in the end: entries behind a semaphore of one
 * permit, the permits of another, items of a queue, handles of a task and requests to it. Where somebody hands
 * something on there is one who waits for it, so what gets lost is missed.
 *
 * The more often a worker is stopped the longer it waits until it is alone again, so rounds are short, each with a
 * runtime of its own. A few guests on as many processors come at an instruction of the worker's by luck. Where all share
 * one processor, a guest whose nap is over takes it from the worker wherever that is.
 */
#ifndef WEFT_STRESS_SOLO_H
#define WEFT_STRESS_SOLO_H

#include <time.h>

#include <weft/event.h>
#include <weft/future.h>
#include <weft/mutex.h>
#include <weft/queue.h>
#include <weft/sem.h>
#include <weft/time.h>

#include "base/solo.h"
#include "stress.h"

enum { GUESTS = 3, PERMITS = 7, ROOM = 8, BURST = 24, DEPTH = 4, PLACES = 8 };

enum manner {
    OFTEN,    /* one visit after the other */
    AT_TIMES, /* pauses in which the worker becomes alone again */
    NAPPING,  /* the same, asleep: wakes where the worker is, and takes its processor */
};

/* Any thread and any fiber goes in and out; outlives runtimes. */
struct house {
    weft_sem door; /* one permit: guards the next two */
    uint64_t entries;
    bool is_inside;
    weft_sem purse;
    weft_queue queue;
    _Atomic uint64_t entered, put, put_sum, got, got_sum; /* what each has counted for itself */
    _Atomic uint32_t is_over;                             /* for guests who come until then */
};

struct tally {
    uint64_t random, entered, put, put_sum, got, got_sum;
};

/* What lives no longer than one runtime: asked for by fibers, answered by guests. */
struct desk {
    weft_runtime *runtime;
    weft_task *anvil; /* main's handle */
    weft_weak weak_anvil;
    weft_mutex mutex, handed;
    weft_event bell, end;
    weft_future letter;
    uint64_t locked;
    bool has_anvil, is_held, is_handed;
    _Atomic uint32_t asks_bell, asks_letter, asks_unlock, is_open, guests_left;
    uint64_t answered; /* fibers' */
    struct spin lock;
    weft_weak places[PLACES];
    uint32_t next;
};

struct guest {
    pthread_t thread;
    struct house *house;
    struct desk *desk; /* NULL: visits the house only */
    enum manner manner;
    int visits; /* 0: until it is over */
    struct tally tally;
};

/* One runtime. */
struct round {
    struct house *house;
    struct desk *
        desk; /* NULL: it ends after so many turns, and others come in the middle; else with its guests */
    uint64_t random;
    long turns;
    void (*invite)(struct round *round);
    void *others;
    _Atomic uint32_t is_over;
    bool was_alone;
};

WT_FN void barrier(void)
{
    atomic_signal_fence(
        memory_order_seq_cst); /* the compiler is to keep what stands on both sides apart */
}

/* ---- the house ---- */

WT_FN void house_open(struct house *house)
{
    memset(house, 0, sizeof *house);
    wt_check(weft_sem_init(&house->door, 1, 1) == 0);
    wt_check(weft_sem_init(&house->purse, PERMITS, PERMITS) == 0);
    wt_check(weft_queue_init(&house->queue, sizeof(uint64_t), ROOM, NULL) == 0);
}

WT_FN void hand_in(struct house *house, const struct tally *tally)
{
    atomic_fetch_add(&house->entered, tally->entered);
    atomic_fetch_add(&house->put, tally->put);
    atomic_fetch_add(&house->put_sum, tally->put_sum);
    atomic_fetch_add(&house->got, tally->got);
    atomic_fetch_add(&house->got_sum, tally->got_sum);
}

WT_FN void took(struct tally *tally, uint64_t item)
{
    tally->got++;
    tally->got_sum += item;
}

/* Nobody is in it any more. */
WT_FN void house_close(struct house *house)
{
    struct tally rest = {0};
    uint64_t item;

    while (weft_queue_try_get(&house->queue, &item) == 0) {
        took(&rest, item);
    }
    hand_in(house, &rest);
    wt_check(!house->is_inside && house->entries == atomic_load(&house->entered));
    wt_check(weft_sem_value(&house->door) == 1 && weft_sem_destroy(&house->door) == 0);
    wt_check(weft_sem_value(&house->purse) == PERMITS && weft_sem_destroy(&house->purse) == 0);
    wt_check(atomic_load(&house->put) == atomic_load(&house->got));
    wt_check(atomic_load(&house->put_sum) == atomic_load(&house->got_sum));
    wt_check(weft_queue_destroy(&house->queue) == 0);
}

/* Behind the door. */
WT_FN void enter(struct house *house, struct tally *tally, bool takes_time)
{
    wt_check(!house->is_inside);
    house->is_inside = true;
    uint64_t entries = house->entries;
    barrier();
    if (takes_time) {
        dither(&tally->random);
    }
    house->entries = entries + 1;
    barrier();
    wt_check(house->is_inside);
    house->is_inside = false;
    tally->entered++;
}

/* An item that no other is like, or hardly. */
WT_FN bool try_put(struct house *house, struct tally *tally)
{
    uint64_t item = draw(&tally->random);
    int rc = weft_queue_try_put(&house->queue, &item);

    wt_check(rc == 0 || rc == -EAGAIN);
    tally->put += rc == 0;
    tally->put_sum += rc == 0 ? item : 0;
    return rc == 0;
}

WT_FN bool try_get(struct house *house, struct tally *tally)
{
    uint64_t item;
    int rc = weft_queue_try_get(&house->queue, &item);

    wt_check(rc == 0 || rc == -EAGAIN);
    if (rc == 0) {
        took(tally, item);
    }
    return rc == 0;
}

/* ---- fibers: the house ---- */

WT_FN intptr_t go_in_and_out(void *arg)
{
    struct round *round = arg;
    struct house *house = round->house;
    struct tally tally = {.random = round->random * 3 | 1};
    int rc = 0;

    while (rc == 0 && atomic_load(&round->is_over) == 0) {
        for (int i = 0; i < BURST && rc == 0; i++) {
            rc = weft_sem_acquire(&house->door, 1);
            if (rc == 0) {
                enter(house, &tally, false);
                wt_check(weft_sem_release(&house->door, 1) == 0);
            }
        }
        rc = rc == 0 ? weft_yield() : rc;
    }
    wt_check(rc == 0);
    hand_in(house, &tally);
    return 0;
}

WT_FN intptr_t borrow(void *arg)
{
    struct round *round = arg;
    struct house *house = round->house;
    uint64_t random = round->random * 5 | 1;
    int rc = 0;

    while (rc == 0 && atomic_load(&round->is_over) == 0) {
        for (int i = 0; i < BURST && rc == 0; i++) {
            uint32_t permits = 1 + (uint32_t)(draw(&random) % PERMITS);
            rc = weft_sem_acquire(&house->purse, permits);
            if (rc == 0) {
                wt_check(weft_sem_release(&house->purse, permits) == 0);
            }
        }
        rc = rc == 0 ? weft_yield() : rc;
    }
    wt_check(rc == 0);
    return 0;
}

/* Ends when it is cancelled: there may be no room, and nobody left who takes. */
WT_FN intptr_t put_all(void *arg)
{
    struct round *round = arg;
    struct tally tally = {.random = round->random * 7 | 1};
    int rc = 0;

    for (int i = 1; rc == 0; i++) {
        uint64_t item = draw(&tally.random);
        rc = weft_queue_put(&round->house->queue, &item);
        tally.put += rc == 0;
        tally.put_sum += rc == 0 ? item : 0;
        if (rc == 0 && i % BURST == 0) {
            rc = weft_yield();
        }
    }
    wt_check(rc == -ECANCELED);
    hand_in(round->house, &tally);
    return 0;
}

WT_FN intptr_t get_all(void *arg)
{
    struct round *round = arg;
    struct tally tally = {0};
    int rc = 0;

    for (int i = 1; rc == 0; i++) {
        uint64_t item;
        rc = weft_queue_get(&round->house->queue, &item);
        if (rc == 0) {
            took(&tally, item);
        }
        if (rc == 0 && i % BURST == 0) {
            rc = weft_yield();
        }
    }
    wt_check(rc == -ECANCELED);
    hand_in(round->house, &tally);
    return 0;
}

/* ---- fibers: the desk ---- */

WT_FN intptr_t lock_all(void *arg)
{
    struct round *round = arg;
    struct desk *desk = round->desk;
    uint64_t random = round->random * 9 | 1;

    while (atomic_load(&round->is_over) == 0) {
        for (int i = 0; i < BURST; i++) {
            wt_check(weft_mutex_lock(&desk->mutex) == 0);
            wt_check(!desk->is_held);
            desk->is_held = true;
            if (draw(&random) % 32 == 0) {
                wt_check(weft_yield() == 0);
            }
            desk->locked++;
            desk->is_held = false;
            wt_check(weft_mutex_unlock(&desk->mutex) == 0);
        }
        wt_check(weft_yield() == 0);
    }
    return 0;
}

/* These three end when they are cancelled, after the guests: something is asked for then, and nobody has answered. */
WT_FN intptr_t ring(void *arg)
{
    struct desk *desk = ((struct round *)arg)->desk;
    int rc = 0;

    while (rc == 0) {
        weft_event_clear(&desk->bell);
        atomic_store(&desk->asks_bell, 1);
        rc = weft_event_wait(&desk->bell);
        desk->answered += rc == 0;
    }
    wt_check(rc == -ECANCELED && atomic_load(&desk->asks_bell) == 1);
    return 0;
}

WT_FN intptr_t read_letters(void *arg)
{
    struct desk *desk = ((struct round *)arg)->desk;
    int rc = 0;

    while (rc == 0) {
        intptr_t value = 0;
        weft_future_init(&desk->letter);
        atomic_store(&desk->asks_letter, 1);
        rc = weft_future_await(&desk->letter, &value);
        wt_check(rc < 0 || value == 77);
        while (rc == 0 && atomic_load(&desk->asks_letter) != 0) {
            rc = weft_yield(); /* who set it is still there */
        }
        desk->answered += rc == 0;
    }
    wt_check(rc == -ECANCELED && atomic_load(&desk->asks_letter) == 1);
    return 0;
}

WT_FN intptr_t hand_over(void *arg)
{
    struct desk *desk = ((struct round *)arg)->desk;
    int rc;

    while ((rc = weft_mutex_lock(&desk->handed)) == 0) {
        wt_check(!desk->is_handed);
        desk->is_handed = true;
        desk->answered++;
        atomic_store(&desk->asks_unlock, 1);
    }
    wt_check(rc == -ECANCELED);
    return 0;
}

/* What all have handles of and send requests to, each of which is taken back. */
WT_FN intptr_t be_anvil(void *arg)
{
    struct round *round = arg;
    int rc = -ECANCELED;

    round->desk->has_anvil = true;
    while (rc == -ECANCELED && atomic_load(&round->is_over) == 0) {
        rc = weft_event_wait(&round->desk->end);
    }
    return 7;
}

WT_FN void hammer_once(weft_task *anvil, uint64_t chance)
{
    if (chance % 4 != 0) {
        weft_drop(weft_retain(anvil));
    } else {
        wt_check(weft_cancel(anvil) == 1);
        wt_check(weft_uncancel(anvil) >= 0);
    }
}

WT_FN intptr_t hammer(void *arg)
{
    struct round *round = arg;
    uint64_t random = round->random * 11 | 1;

    while (atomic_load(&round->is_over) == 0) {
        for (int i = 0; i < BURST; i++) {
            hammer_once(round->desk->anvil, draw(&random));
        }
        wt_check(weft_yield() == 0);
    }
    return 0;
}

struct tree {
    struct desk *desk;
    intptr_t depth;
};

WT_FN intptr_t grow(void *arg)
{
    const struct tree *tree = arg;
    struct tree below = {tree->desk, tree->depth - 1};
    intptr_t there = 0;
    weft_task *child;

    if (tree->depth == 0) {
        return 1;
    }
    wt_check(weft_spawn(&child, grow, &below) == 0);
    if (tree->depth % 2 == 0) {
        spin_lock(&tree->desk->lock);
        tree->desk->places[tree->desk->next++ % PLACES] = weft_weak_of(child);
        spin_unlock(&tree->desk->lock);
    }
    intptr_t here = grow(&below);
    wt_check(weft_await(child, &there) == 0);
    return here + there;
}

WT_FN intptr_t grow_on(void *arg)
{
    struct round *round = arg;
    struct tree tree = {round->desk, DEPTH};

    while (atomic_load(&round->is_over) == 0) {
        wt_check(grow(&tree) == 1 << DEPTH);
        wt_check(weft_yield() == 0);
    }
    return 0;
}

/* ---- the main task of a runtime ---- */

/* Those that end by themselves, and those that are cancelled. Without a desk the first of each. */
static weft_fn *const busy_ones[] = {go_in_and_out, borrow, go_in_and_out, lock_all,
                                     lock_all,      hammer, grow_on};
static weft_fn *const waiting_ones[] = {put_all, get_all, ring, read_letters, hand_over, hand_over};

enum {
    BUSY = sizeof busy_ones / sizeof busy_ones[0],
    WAITING = sizeof waiting_ones / sizeof waiting_ones[0],
    BUSY_IN_HOUSE = 3,
    WAITING_IN_HOUSE = 2,
};

WT_FN void open_desk(struct round *round)
{
    struct desk *desk = round->desk;

    desk->runtime = weft_runtime_current();
    wt_check(weft_mutex_init(&desk->handed, WEFT_MUTEX_UNOWNED) == 0);
    wt_check(weft_spawn(&desk->anvil, be_anvil, round) == 0);
    while (!desk->has_anvil) { /* a request would keep it from running at all */
        wt_check(weft_yield() == 0);
    }
    desk->weak_anvil = weft_weak_of(desk->anvil);
    atomic_store(&desk->is_open, 1);
}

/* After the guests, and after all fibers that had to do with it. */
WT_FN void close_desk(struct desk *desk)
{
    intptr_t value = 0;

    wt_check(weft_cancelling(desk->anvil) == 0);
    weft_event_set(&desk->end);
    wt_check(weft_await(desk->anvil, &value) == 0 && value == 7);
    wt_check(weft_upgrade(desk->weak_anvil) == NULL); /* or a drop was lost */
    wt_check(!desk->is_held && !weft_mutex_is_locked(&desk->mutex));
    wt_check(desk->is_handed && weft_mutex_is_locked(&desk->handed));
    wt_check(atomic_load(&desk->asks_unlock) == 1 && weft_mutex_unlock(&desk->handed) == 0);
}

/* Until the guests are gone, or so many turns long. */
WT_FN void look_on(struct round *round)
{
    for (long i = 0;
         round->desk != NULL ? atomic_load(&round->desk->guests_left) > 0 : i < round->turns; i++) {
        round->was_alone |= wf_load_acq(&wf_solo.thread) == wf_solo_self();
        if (round->invite != NULL && i == round->turns / 2) {
            round->invite(round);
        }
        wt_check(weft_yield() == 0);
    }
    atomic_store(&round->is_over, 1);
}

WT_FN intptr_t main_task(void *arg)
{
    struct round *round = arg;
    int busy_count = round->desk != NULL ? (int)BUSY : BUSY_IN_HOUSE;
    int waiting_count = round->desk != NULL ? (int)WAITING : WAITING_IN_HOUSE;
    weft_task *busy[BUSY], *waiting[WAITING];

    if (round->desk != NULL) {
        open_desk(round);
    }
    for (int i = 0; i < busy_count; i++) {
        wt_check(weft_spawn(&busy[i], busy_ones[i], round) == 0);
    }
    for (int i = 0; i < waiting_count; i++) {
        wt_check(weft_spawn(&waiting[i], waiting_ones[i], round) == 0);
    }
    look_on(round);
    for (int i = 0; i < busy_count; i++) {
        wt_check(weft_await(busy[i], NULL) == 0);
    }
    for (int i = 0; i < waiting_count; i++) {
        wt_check(weft_cancel(waiting[i]) == 1);
        wt_check(weft_await(waiting[i], NULL) == 0);
    }
    if (round->desk != NULL) {
        close_desk(round->desk);
    }
    return 0;
}

WT_FN void run(struct round *round)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};

    wf_solo_find(true); /* whether it is worth it here or not */
    wt_check(weft_run(main_task, round, &options) == 0);
}

#endif

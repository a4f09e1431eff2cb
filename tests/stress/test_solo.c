/* SPDX-License-Identifier: MIT */
/* test_solo.c - a worker that changes words by plain stores while it is alone, and guests who stop it.
 *
 * What each of them does to the same words is counted, and adds up in the end: entries behind a semaphore of one
 * permit, the permits of another, items of a queue, handles of a task and requests to it. Where somebody hands
 * something on there is one who waits for it, so what gets lost is missed.
 *
 * The more often a worker is stopped the longer it waits until it is alone again, so rounds are short, each with a
 * runtime of its own. A few guests on as many processors come at an instruction of the worker's by luck. Where all share
 * one processor, a guest whose nap is over takes it from the worker wherever that is.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static void barrier(void)
{
    atomic_signal_fence(
        memory_order_seq_cst); /* the compiler is to keep what stands on both sides apart */
}

/* ---- the house ---- */

static void house_open(struct house *house)
{
    memset(house, 0, sizeof *house);
    wt_check(weft_sem_init(&house->door, 1, 1) == 0);
    wt_check(weft_sem_init(&house->purse, PERMITS, PERMITS) == 0);
    wt_check(weft_queue_init(&house->queue, sizeof(uint64_t), ROOM, NULL) == 0);
}

static void hand_in(struct house *house, const struct tally *tally)
{
    atomic_fetch_add(&house->entered, tally->entered);
    atomic_fetch_add(&house->put, tally->put);
    atomic_fetch_add(&house->put_sum, tally->put_sum);
    atomic_fetch_add(&house->got, tally->got);
    atomic_fetch_add(&house->got_sum, tally->got_sum);
}

static void took(struct tally *tally, uint64_t item)
{
    tally->got++;
    tally->got_sum += item;
}

/* Nobody is in it any more. */
static void house_close(struct house *house)
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
static void enter(struct house *house, struct tally *tally, bool takes_time)
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
static bool try_put(struct house *house, struct tally *tally)
{
    uint64_t item = draw(&tally->random);
    int rc = weft_queue_try_put(&house->queue, &item);

    wt_check(rc == 0 || rc == -EAGAIN);
    tally->put += rc == 0;
    tally->put_sum += rc == 0 ? item : 0;
    return rc == 0;
}

static bool try_get(struct house *house, struct tally *tally)
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

static intptr_t go_in_and_out(void *arg)
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

static intptr_t borrow(void *arg)
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
static intptr_t put_all(void *arg)
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

static intptr_t get_all(void *arg)
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

static intptr_t lock_all(void *arg)
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
static intptr_t ring(void *arg)
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

static intptr_t read_letters(void *arg)
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

static intptr_t hand_over(void *arg)
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
static intptr_t be_anvil(void *arg)
{
    struct round *round = arg;
    int rc = -ECANCELED;

    round->desk->has_anvil = true;
    while (rc == -ECANCELED && atomic_load(&round->is_over) == 0) {
        rc = weft_event_wait(&round->desk->end);
    }
    return 7;
}

static void hammer_once(weft_task *anvil, uint64_t chance)
{
    if (chance % 4 != 0) {
        weft_drop(weft_retain(anvil));
    } else {
        wt_check(weft_cancel(anvil) == 1);
        wt_check(weft_uncancel(anvil) >= 0);
    }
}

static intptr_t hammer(void *arg)
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

static intptr_t grow(void *arg)
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

static intptr_t grow_on(void *arg)
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

static void open_desk(struct round *round)
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
static void close_desk(struct desk *desk)
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
static void look_on(struct round *round)
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

static intptr_t main_task(void *arg)
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

static void run(struct round *round)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};

    wf_solo_find(true); /* whether it is worth it here or not */
    wt_check(weft_run(main_task, round, &options) == 0);
}

/* ---- guests ---- */

static void visit_house(struct house *house, struct tally *tally)
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
            dither(&tally->random);
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

static void upgrade_one(struct desk *desk, uint64_t *random)
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

static intptr_t answer(void *arg)
{
    return weft_yield() == 0 ? (intptr_t)arg : -EINTR;
}

static void submit_one(struct desk *desk, uint64_t *random)
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

static void visit_desk(struct desk *desk, uint64_t *random)
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

static void rest(enum manner manner, uint64_t *random)
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

static void *be_guest(void *arg)
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
            visit_house(guest->house, &guest->tally);
        }
    }
    hand_in(guest->house, &guest->tally);
    if (desk != NULL) {
        atomic_fetch_sub(&desk->guests_left, 1);
    }
    return NULL;
}

static void invite_guests(struct guest *guests, int count, struct house *house, struct desk *desk,
                          uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        guests[i].house = house;
        guests[i].desk = desk;
        guests[i].tally = (struct tally){.random = draw(random) | 1};
        wt_check(pthread_create(&guests[i].thread, NULL, be_guest, &guests[i]) == 0);
    }
}

static void see_off(struct guest *guests, int count)
{
    for (int i = 0; i < count; i++) {
        wt_check(pthread_join(guests[i].thread, NULL) == 0);
    }
}

/* ---- rounds with guests ---- */

static void conclude(const char *what, long rounds, long alone)
{
    wt_assert_clean();
    fprintf(stderr, "%s: %ld rounds or processes, alone in %ld rounds\n", what, rounds, alone);
    cr_assert(alone > 0);
}

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

/* Who comes in the middle of a round. */
struct others {
    struct round *round;
    struct guest guest;
    pthread_t thread;
    void *(*fn)(void *);
    uint64_t random;
};

static void invite_others(struct round *round)
{
    struct others *others = round->others;

    invite_guests(&others->guest, 1, round->house, NULL, &others->random);
    wt_check(pthread_create(&others->thread, NULL, others->fn, others) == 0);
}

static long play_with_others(void *(*fn)(void *), uint64_t *random)
{
    struct house house;
    struct others others = {.guest = {.manner = AT_TIMES}, .fn = fn, .random = draw(random) | 1};
    struct round round = {.house = &house,
                          .random = draw(random),
                          .turns = 2 + (long)(draw(random) % 400),
                          .invite = invite_others,
                          .others = &others};

    others.round = &round;
    house_open(&house);
    run(&round);
    wt_check(pthread_join(others.thread, NULL) == 0);
    atomic_store(&house.is_over, 1);
    see_off(&others.guest, 1);
    house_close(&house);
    return round.was_alone;
}

static void *run_another(void *arg)
{
    struct others *others = arg;
    uint64_t random = others->random * 3 | 1;
    struct round round = {.house = others->round->house,
                          .random = draw(&random),
                          .turns = (long)(draw(&random) % 400)};

    dither(&random);
    run(&round);
    return NULL;
}

static long with_another_runtime(uint64_t *random)
{
    return play_with_others(run_another, random);
}

static void *start_a_crowd(void *arg)
{
    const weft_options options = {.workers = 2, .diagnostic = ignore};
    struct others *others = arg;
    uint64_t random = others->random * 5 | 1;
    struct round round = {.house = others->round->house,
                          .random = draw(&random),
                          .turns = (long)(draw(&random) % 200)};
    intptr_t value = -1;
    weft_runtime *runtime;
    weft_task *task;

    dither(&random);
    wt_check(weft_runtime_start(&runtime, &options) == 0);
    wt_check(weft_runtime_submit(runtime, &task, main_task, &round, NULL) == 0);
    wt_check(weft_thread_join(task, 20 * WEFT_S, &value) == 0 && value == 0);
    weft_drop(task);
    wt_check(weft_runtime_stop(runtime) == 0);
    return NULL;
}

static long with_several_workers(uint64_t *random)
{
    return play_with_others(start_a_crowd, random);
}

static intptr_t upgrade_many(void *arg)
{
    struct round *round = arg;

    for (int i = 0; i < 2000; i++) {
        upgrade_one(round->desk, &round->random);
    }
    atomic_store(&round->is_over, 1);
    return 0;
}

/* A worker starts and stops runtimes of one worker: there are two then, however few threads there were before. */
static intptr_t start_helpers(void *arg)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};
    struct round *round = arg;
    weft_runtime *helper;

    for (long i = 0; i < round->turns; i++) {
        round->was_alone |= wf_load_acq(&wf_solo.thread) == wf_solo_self();
        wt_check(weft_runtime_start(&helper, &options) == 0);
        atomic_store(&round->is_over, 0);
        wt_check(weft_runtime_submit(helper, NULL, upgrade_many, round, NULL) == 0);
        wt_check(grow_on(round) == 0);
        wt_check(weft_runtime_stop(helper) == 0);
        for (int j = 0; j < 200; j++) {
            dither(&round->random); /* until the kernel has forgotten the thread */
        }
    }
    return 0;
}

static long with_helpers(uint64_t *random)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};
    struct desk desk = {0};
    struct round round = {.desk = &desk, .random = draw(random) | 1, .turns = 4};

    wf_solo_find(true);
    wt_check(weft_run(start_helpers, &round, &options) == 0);
    return round.was_alone;
}

/* In a process of its own, some times in a row. After a crowd one thread can be alone again where it is the only
 * one, which a process of the test framework need not be. Returns how often it was alone. */
static long play_apart(long (*play_once)(uint64_t *), uint64_t seed)
{
    enum { IN_A_ROW = 4, FAILED = 100 };
    uint64_t random = seed | 1;
    long alone = 0;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL);
        for (int i = 0; i < IN_A_ROW; i++) {
            alone += play_once(&random);
        }
        fflush(NULL);
        _exit(atomic_load(&wt_failures) != 0 ? FAILED : (int)alone);
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= IN_A_ROW,
              "seed 0x%" PRIx64 ": status %#x", seed, (unsigned)status);
    return WEXITSTATUS(status);
}

static void play_all_apart(long (*play_once)(uint64_t *), long processes)
{
    uint64_t random = wt_seed() | 1;
    long alone = 0;

    for (long i = 0; i < processes; i++) {
        alone += play_apart(play_once, draw(&random));
    }
    conclude(__func__, processes, alone);
}

Test(stress_solo, another_runtime_comes, .timeout = 60)
{
    play_all_apart(with_another_runtime, STRESS_COUNT(80));
}

Test(stress_solo, several_workers_come, .timeout = 60)
{
    play_all_apart(with_several_workers, STRESS_COUNT(80));
}

Test(stress_solo, a_fiber_starts_others, .timeout = 60)
{
    play_all_apart(with_helpers, STRESS_COUNT(80));
}

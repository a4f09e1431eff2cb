/* SPDX-License-Identifier: MIT */
/* test_select.c - selections against each other, against plain calls, timers and cancellations.
 *
 * Exactly one case takes effect: every item carries a number and a mark that says whether it is in a queue or
 * in somebody's hands, so one that is doubled, lost or taken by a call that failed is found at once. Where
 * nothing ends a wait but a grant, a wake-up that gets lost hangs the test, and the time limit says so. */
#include <weft.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(500) * WEFT_MS)

/* ---- items that go round ---- */

enum { QUEUES = 4, ITEMS = 48, PORTERS = 24 };
enum { IN_QUEUE = 1, IN_HAND = 2 };

static weft_queue queues[QUEUES];
static const size_t capacities[QUEUES] = {0, 1, 5, WEFT_QUEUE_UNBOUNDED};
static _Atomic int marks[ITEMS];
static weft_task *porters[PORTERS];
static int hands
    [PORTERS]; /* what each has, -1: nothing; a porter may end, or not start, by a cancellation */
static atomic_bool is_over;
static atomic_long moves, told_off;

static void take(int item)
{
    if (wt_check(item >= 0 && item < ITEMS)) {
        wt_check(atomic_exchange(&marks[item], IN_HAND) == IN_QUEUE);
    }
}

/* Before it is put: whoever gets it may be faster than we are. */
static void offer(int item)
{
    wt_check(atomic_exchange(&marks[item], IN_QUEUE) == IN_HAND);
}

static weft_queue *any(uint64_t *random)
{
    return &queues[draw(random) % QUEUES];
}

/* Two gets, two puts where there is something to put, a timer: whatever comes first. Not both ways at once
 * with a hand that is full: what was got would have no place. */
static int carry(uint64_t *random, int *hand)
{
    int got = -1;
    bool is_full = *hand >= 0;
    weft_case cases[] = {
        is_full ? weft_case_put(any(random), hand) : weft_case_get(any(random), &got),
        is_full ? weft_case_put(any(random), hand) : weft_case_get(any(random), &got),
        weft_case_after(draw_us(random, 200)),
    };
    if (is_full) {
        offer(*hand);
    }
    int chosen = weft_select(cases, 3, draw(random) % 8 == 0 ? WEFT_SELECT_POLL : 0);
    bool has_moved = chosen == 0 || chosen == 1;
    wt_check(!has_moved || cases[chosen].outcome == 0);
    if (is_full && !has_moved) {
        take(*hand); /* it must still be ours */
    } else if (is_full) {
        *hand = -1;
    } else if (has_moved) {
        take(got);
        *hand = got;
    }
    wt_check(has_moved || got == -1);
    atomic_fetch_add(&moves, has_moved);
    return chosen;
}

static intptr_t porter(void *arg)
{
    uint64_t random = as_seed(arg);
    int *hand = &hands[as_seed(arg) >> 8 & 0xff];
    while (!atomic_load(&is_over)) {
        weft_timeout limit;
        bool is_limited = draw(&random) % 3 == 0;
        wt_check(!is_limited || weft_timeout_enter(&limit, draw_us(&random, 100)) == 0);
        intptr_t rc = carry(&random, hand);
        rc = is_limited ? weft_timeout_leave(&limit, rc) : rc;
        wt_check(rc >= 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EAGAIN);
        rc = rc == -EAGAIN ? weft_yield() : rc;
        while (rc == -ECANCELED && weft_uncancel(weft_self()) > 0) {
        }
        atomic_fetch_add(&told_off, rc == -ECANCELED);
    }
    return 0;
}

static intptr_t disturb(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!atomic_load(&is_over)) {
        (void)weft_cancel(porters[draw(&random) % PORTERS]);
        if (weft_sleep(draw_us(&random, 60)) < 0) {
            break;
        }
    }
    return 0;
}

static void begin_round(uint64_t seed)
{
    atomic_store(&is_over, false);
    for (int i = 0; i < QUEUES; i++) {
        wt_check(weft_queue_init(&queues[i], sizeof(int), capacities[i], NULL) == 0);
    }
    for (int i = 0; i < ITEMS; i++) {
        atomic_store(&marks[i], i < PORTERS ? IN_HAND : IN_QUEUE);
        wt_check(i < PORTERS || weft_queue_try_put(&queues[QUEUES - 1], &i) == 0);
    }
    for (uintptr_t i = 0; i < PORTERS; i++) {
        hands[i] = (int)i;
        wt_check(weft_spawn(&porters[i], porter, as_arg((seed << 20) | (i << 8) | 1)) == 0);
    }
}

static void end_round(void)
{
    int found = 0;
    for (int i = 0; i < PORTERS; i++) {
        wt_check(weft_join(porters[i], NULL) == 0);
        if (hands[i] >= 0) {
            wt_check(atomic_exchange(&marks[hands[i]], 0) == IN_HAND);
            found++;
        }
        weft_drop(porters[i]);
    }
    for (int i = 0; i < QUEUES; i++) {
        int item;
        while (weft_queue_try_get(&queues[i], &item) == 0) {
            wt_check(atomic_exchange(&marks[item], 0) == IN_QUEUE);
            found++;
        }
        wt_check(weft_queue_destroy(&queues[i]) == 0);
    }
    wt_check(found == ITEMS);
}

static intptr_t items_go_round(void *arg)
{
    weft_task *disturber = NULL;
    begin_round(as_seed(arg));
    wt_check(weft_spawn(&disturber, disturb, arg) == 0);
    wt_check(weft_sleep(BUDGET_NS) == 0);
    atomic_store(&is_over, true);
    wt_check(weft_await(disturber, NULL) == 0);
    end_round();
    fprintf(stderr, "%ld moves, %ld told off\n", atomic_load(&moves), atomic_load(&told_off));
    wt_check(atomic_load(&moves) > 100 && atomic_load(&told_off) > 0);
    return 0;
}

STRESS_TEST(stress_select, items_go_round, items_go_round);

/* ---- nothing but grants: what gets lost hangs ---- */

enum { LANES = 3, PRODUCERS = 6, CONSUMERS = 6 };

static weft_queue lanes[LANES];
static long each;
static atomic_long sum;

static intptr_t produce(void *arg)
{
    uint64_t random = as_seed(arg);
    for (long i = 1; i <= each; i++) {
        weft_case cases[LANES];
        for (int k = 0; k < LANES; k++) {
            cases[k] = weft_case_put(&lanes[k], &i);
        }
        int chosen = weft_select(cases, LANES, 0);
        wt_check(chosen >= 0 && cases[chosen].outcome == 0);
        if (draw(&random) % 16 == 0) {
            wt_check(weft_yield() == 0);
        }
    }
    return 0;
}

static intptr_t consume(void *arg)
{
    (void)arg;
    for (;;) {
        weft_case cases[LANES];
        long items[LANES];
        for (int k = 0; k < LANES; k++) {
            cases[k] = weft_case_get(&lanes[k], &items[k]);
        }
        int chosen = weft_select(cases, LANES, 0);
        if (!wt_check(chosen >= 0) || cases[chosen].outcome == -ESHUTDOWN) {
            return 0;
        }
        atomic_fetch_add(&sum, items[chosen]);
    }
}

static void pass_items(uint64_t seed, size_t capacity)
{
    weft_task *makers[PRODUCERS], *takers[CONSUMERS];
    atomic_store(&sum, 0);
    for (int k = 0; k < LANES; k++) {
        wt_check(weft_queue_init(&lanes[k], sizeof(long), capacity, NULL) == 0);
    }
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        wt_check(weft_spawn(&makers[i], produce, as_arg(seed + 2 * i)) == 0);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        wt_check(weft_spawn(&takers[i], consume, NULL) == 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        wt_check(weft_await(makers[i], NULL) == 0);
    }
    for (int k = 0; k < LANES;
         k++) { /* drained first: a consumer ends at the first that is closed */
        while (weft_queue_count(&lanes[k]) > 0) {
            wt_check(weft_yield() == 0);
        }
    }
    for (int k = 0; k < LANES; k++) {
        wt_check(weft_queue_close(&lanes[k]) == 0);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        wt_check(weft_await(takers[i], NULL) == 0);
    }
    wt_check(atomic_load(&sum) == PRODUCERS * (each * (each + 1) / 2));
    for (int k = 0; k < LANES; k++) {
        wt_check(weft_queue_destroy(&lanes[k]) == 0);
    }
}

static intptr_t nothing_lost(void *arg)
{
    each = STRESS_COUNT(8000);
    for (size_t capacity = 0; capacity < 3; capacity++) {
        pass_items(as_seed(arg), capacity);
    }
    return 0;
}

STRESS_TEST(stress_select, nothing_gets_lost, nothing_lost);

/* ---- everybody both offers and asks, in one selection ---- */

enum { TRADERS = 8 };

static weft_queue market;
static atomic_long sold, bought, sold_sum, bought_sum;

static intptr_t trade(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!atomic_load(&is_over)) {
        long item = (long)(draw(&random) % 1000), got = 0;
        weft_case cases[] = {weft_case_put(&market, &item), weft_case_get(&market, &got),
                             weft_case_put(&market, &item), weft_case_after(draw_us(&random, 500))};
        int chosen = weft_select(cases, 4, 0);
        if (chosen == 0 || chosen == 2) {
            atomic_fetch_add(&sold, 1);
            atomic_fetch_add(&sold_sum, item);
        } else if (chosen == 1) {
            atomic_fetch_add(&bought, 1);
            atomic_fetch_add(&bought_sum, got);
        }
        wt_check(chosen >= 0 && (chosen == 3 || cases[chosen].outcome == 0));
    }
    return 0;
}

static intptr_t trading(void *arg)
{
    weft_task *traders[TRADERS];
    atomic_store(&is_over, false);
    wt_check(weft_queue_init(&market, sizeof(long), 0, NULL) == 0);
    for (uintptr_t i = 0; i < TRADERS; i++) {
        wt_check(weft_spawn(&traders[i], trade, as_arg(as_seed(arg) + 2 * i)) == 0);
    }
    wt_check(weft_sleep(BUDGET_NS) == 0);
    atomic_store(&is_over, true);
    for (int i = 0; i < TRADERS; i++) {
        wt_check(weft_await(traders[i], NULL) == 0);
    }
    wt_check(atomic_load(&sold) == atomic_load(&bought) && atomic_load(&sold) > 0);
    wt_check(atomic_load(&sold_sum) == atomic_load(&bought_sum));
    wt_check(weft_queue_destroy(&market) == 0);
    fprintf(stderr, "%ld trades\n", atomic_load(&sold));
    return 0;
}

STRESS_TEST(stress_select, traders, trading);

/* ---- what takes nothing against what takes an item ---- */

/* An event that comes and goes from a plain thread is found set while the get is linked already: if the item
 * has been given by then, it must not be forgotten. */
static weft_queue letters;
static weft_event flag;

static void *wave(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!atomic_load(&is_over)) {
        (void)weft_event_set(&flag);
        dither(&random);
        (void)weft_event_clear(&flag);
        for (uint64_t i = draw(&random) % 4; i > 0; i--) {
            dither(&random);
        }
    }
    return NULL;
}

static intptr_t collect(void *arg)
{
    long *seen = arg;
    for (;;) {
        long letter = 0;
        weft_case cases[] = {weft_case_get(&letters, &letter), weft_case_event(&flag),
                             weft_case_event(&flag)};
        int chosen = weft_select(cases, 3, 0);
        if (!wt_check(chosen >= 0) || (chosen == 0 && cases[0].outcome == -ESHUTDOWN)) {
            return 0;
        }
        wt_check((chosen == 0) == (letter != 0));
        *seen += letter;
        if (chosen != 0 && weft_yield() < 0) {
            return 0;
        }
    }
}

static intptr_t letters_and_flags(void *arg)
{
    enum { COLLECTORS = 3 };
    long sent = 0, got = 0, seen[COLLECTORS] = {0};
    weft_task *collectors[COLLECTORS];
    pthread_t thread;
    atomic_store(&is_over, false);
    wt_check(weft_queue_init(&letters, sizeof(long), 0, NULL) == 0);
    wt_check(pthread_create(&thread, NULL, wave, arg) == 0);
    for (int i = 0; i < COLLECTORS; i++) {
        wt_check(weft_spawn(&collectors[i], collect, &seen[i]) == 0);
    }
    for (int64_t end = wf_monotonic_ns() + BUDGET_NS; wf_monotonic_ns() < end;) {
        long next = sent + 1;
        wt_check(weft_queue_put(&letters, &next) == 0);
        sent = next;
    }
    wt_check(weft_queue_close(&letters) == 0);
    for (int i = 0; i < COLLECTORS; i++) {
        wt_check(weft_await(collectors[i], NULL) == 0);
        got += seen[i];
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    fprintf(stderr, "%ld letters\n", sent);
    wt_check(got == sent * (sent + 1) / 2);
    wt_check(weft_queue_destroy(&letters) == 0);
    return 0;
}

STRESS_TEST(stress_select, letters_and_flags, letters_and_flags);

/* ---- many on the same sources, which go when the selection returns ---- */

struct moment {
    weft_future future;
    weft_event event;
    weft_task *task;
};

enum { WATCHERS = 6 };

static intptr_t brief(void *arg)
{
    uint64_t random = as_seed(arg);
    for (uint64_t i = draw(&random) % 8; i > 0; i--) {
        dither(&random);
        wt_check(weft_yield() == 0);
    }
    return 5;
}

static intptr_t wait_for_moment(void *arg)
{
    struct moment *moment = arg;
    intptr_t value = 0, result = 0;
    weft_case cases[] = {weft_case_future(&moment->future, &value), weft_case_event(&moment->event),
                         weft_case_task(moment->task, &result), weft_case_after(20 * WEFT_US)};
    int chosen = weft_select(cases, 4, 0);
    wt_check(chosen >= 0);
    wt_check(chosen == 0 ? value == 3 && result == 0 : value == 0);
    wt_check(chosen == 2 ? result == 5 : result == 0);
    return chosen;
}

static intptr_t set_both(void *arg)
{
    struct moment *moment = arg;
    uint64_t random = (uint64_t)wf_monotonic_ns() | 1;
    bool is_event_first = draw(&random) % 2 == 0;
    dither(&random);
    wt_check(!is_event_first || weft_event_set(&moment->event) == 0);
    dither(&random);
    wt_check(weft_future_set(&moment->future, 3) == 0);
    dither(&random);
    wt_check(is_event_first || weft_event_set(&moment->event) == 0);
    return 0;
}

static intptr_t moments(void *arg)
{
    int64_t end = wf_monotonic_ns() + BUDGET_NS;
    long wins[4] = {0, 0, 0, 0};
    for (uint64_t round = as_seed(arg); wf_monotonic_ns() < end; round += 2) {
        struct moment moment = {.future = WEFT_FUTURE_INIT, .event = WEFT_EVENT_INIT};
        weft_task *watchers[WATCHERS], *setter;
        wt_check(weft_spawn(&moment.task, brief, as_arg(round)) == 0);
        for (int i = 0; i < WATCHERS; i++) {
            wt_check(weft_spawn(&watchers[i], wait_for_moment, &moment) == 0);
        }
        wt_check(weft_spawn(&setter, set_both, &moment) == 0);
        for (int i = 0; i < WATCHERS; i++) {
            intptr_t chosen = -1;
            wt_check(weft_await(watchers[i], &chosen) == 0);
            wins[chosen >= 0 && chosen < 4 ? chosen : 3]++;
        }
        wt_check(weft_await(setter, NULL) == 0);
        wt_check(weft_await(moment.task, NULL) == 0);
        wt_check(weft_event_destroy(&moment.event) == 0);
    }
    fprintf(stderr, "future %ld, event %ld, task %ld, timer %ld\n", wins[0], wins[1], wins[2],
            wins[3]);
    return 0;
}

STRESS_TEST(stress_select, many_on_the_same_sources, moments);

/* ---- what was waited for may go at once ---- */

/* The event and the future lie in the frame of the one who selects, and that ends when it has been told. */
struct frame {
    weft_event event;
    weft_future future;
};

static _Atomic(struct frame *) offered;

static void *tell(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!atomic_load(&is_over)) {
        struct frame *frame = atomic_exchange(&offered, NULL);
        if (frame == NULL) {
            sched_yield();
        } else {
            dither(&random);
            bool is_event = draw(&random) % 2 == 0;
            wt_check((is_event ? weft_event_set(&frame->event)
                               : weft_future_set(&frame->future, 1)) == 0);
        }
    }
    return NULL;
}

static intptr_t be_told(void *arg)
{
    struct frame frame = {.event = WEFT_EVENT_INIT, .future = WEFT_FUTURE_INIT};
    (void)arg;
    weft_case cases[] = {weft_case_event(&frame.event), weft_case_future(&frame.future, NULL)};
    atomic_store(&offered, &frame);
    int chosen = weft_select(cases, 2, 0);
    wt_check(chosen == 0 || chosen == 1);
    memset(&frame, 0x5a, sizeof frame);
    return chosen;
}

static intptr_t frames(void *arg)
{
    pthread_t thread;
    int64_t end = wf_monotonic_ns() + BUDGET_NS;
    atomic_store(&is_over, false);
    wt_check(pthread_create(&thread, NULL, tell, arg) == 0);
    while (wf_monotonic_ns() < end) {
        weft_task *task = NULL;
        wt_check(weft_spawn(&task, be_told, NULL) == 0);
        wt_check(weft_await(task, NULL) == 0);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    return 0;
}

STRESS_TEST(stress_select, sources_go_at_once, frames);

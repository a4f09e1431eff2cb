/* SPDX-License-Identifier: MIT */
/* test_select_queue.c - selections over queues and events: who gets what, and nobody twice. */
#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "select_test.h"

static void open_queue(weft_queue *queue, size_t capacity)
{
    wt_check(weft_queue_init(queue, sizeof(int), capacity, NULL) == 0);
}

/* ---- one queue ---- */

static intptr_t misuse(void *arg)
{
    (void)arg;
    weft_queue queue;
    open_queue(&queue, 1);
    weft_case one = weft_case_put(&queue, NULL);
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    one = weft_case_get(&queue, NULL);
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    static weft_queue zeroed;
    int item;
    one = weft_case_get(&zeroed, &item);
    wt_check(weft_select(&one, 1, 0) == -EINVAL);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(select_queue, misuse)
{
    simulate(misuse);
}

static intptr_t put_then_get(void *arg)
{
    (void)arg;
    weft_queue queue;
    open_queue(&queue, 2);
    int item = 1, got = 0;
    weft_case put = weft_case_put(&queue, &item), get = weft_case_get(&queue, &got);
    wt_check(weft_select(&get, 1, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_select(&put, 1, 0) == 0 && put.outcome == 0);
    item = 2;
    wt_check(weft_select(&put, 1, WEFT_SELECT_POLL) == 0);
    item = 3;
    wt_check(weft_select(&put, 1, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_queue_count(&queue) == 2);
    wt_check(weft_select(&get, 1, 0) == 0 && get.outcome == 0 && got == 1);
    wt_check(weft_select(&get, 1, 0) == 0 && got == 2);
    wt_check(weft_queue_done(&queue) == 0 && weft_queue_done(&queue) == 0);
    wt_check(weft_queue_join(&queue) == 0);

    /* Closed: a put fails at once, a get when there is nothing left. */
    wt_check(weft_queue_try_put(&queue, &item) == 0);
    wt_check(weft_queue_close(&queue) == 0);
    wt_check(weft_select(&put, 1, 0) == 0 && put.outcome == -ESHUTDOWN);
    wt_check(weft_select(&get, 1, 0) == 0 && get.outcome == 0 && got == 3);
    wt_check(weft_select(&get, 1, 0) == 0 && get.outcome == -ESHUTDOWN && got == 3);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(select_queue, puts_and_gets)
{
    simulate(put_then_get);
}

struct side {
    weft_queue *queue;
    int item;
    int64_t delay_ns;
};

static intptr_t put_later(void *arg)
{
    struct side *side = arg;
    int rc = weft_sleep(side->delay_ns);
    return rc < 0 ? rc : weft_queue_put(side->queue, &side->item);
}

static intptr_t get_later(void *arg)
{
    struct side *side = arg;
    int rc = weft_sleep(side->delay_ns);
    return rc < 0 ? rc : weft_queue_get(side->queue, &side->item);
}

static void wait_both_ways(size_t capacity)
{
    weft_queue queue;
    open_queue(&queue, capacity);
    struct side putter = {.queue = &queue, .item = 5, .delay_ns = WEFT_MS};
    weft_task *task = spawn(put_later, &putter);
    int got = 0;
    weft_case cases[] = {weft_case_after(WEFT_S), weft_case_get(&queue, &got)};
    wt_check(weft_select(cases, 2, 0) == 1 && got == 5 && cases[1].outcome == 0);
    wt_check(finish(task) == 0);

    int filler = 0, item = 6;
    for (size_t i = 0; i < capacity; i++) {
        wt_check(weft_queue_try_put(&queue, &filler) == 0);
    }
    struct side getter = {.queue = &queue, .delay_ns = WEFT_MS};
    task = spawn(get_later, &getter);
    cases[1] = weft_case_put(&queue, &item);
    wt_check(weft_select(cases, 2, 0) == 1 && cases[1].outcome == 0);
    wt_check(finish(task) == 0);
    wt_check(getter.item == (capacity == 0 ? 6 : 0));
    wt_check(weft_queue_count(&queue) == capacity);
    wt_check(weft_queue_destroy(&queue) == 0);
}

static intptr_t waits(void *arg)
{
    (void)arg;
    wait_both_ways(0);
    wait_both_ways(1);
    wait_both_ways(3);
    return 0;
}

Test(select_queue, waits_for_the_other_side)
{
    simulate(waits);
}

static intptr_t close_later(void *arg)
{
    int rc = weft_sleep(WEFT_MS);
    return rc < 0 ? rc : weft_queue_close(arg);
}

static intptr_t closed_meanwhile(void *arg)
{
    (void)arg;
    for (int is_put = 0; is_put < 2; is_put++) {
        weft_queue queue;
        open_queue(&queue, 0);
        weft_task *task = spawn(close_later, &queue);
        int item = 4;
        weft_case cases[] = {is_put ? weft_case_put(&queue, &item) : weft_case_get(&queue, &item),
                             weft_case_after(WEFT_S)};
        wt_check(weft_select(cases, 2, 0) == 0);
        wt_check(cases[0].outcome == -ESHUTDOWN && item == 4);
        wt_check(finish(task) == 0);
        wt_check(weft_queue_destroy(&queue) == 0);
    }
    return 0;
}

Test(select_queue, closed_meanwhile)
{
    simulate(closed_meanwhile);
}

/* ---- never with itself ---- */

static intptr_t not_with_itself(void *arg)
{
    (void)arg;
    weft_queue queue;
    open_queue(&queue, 0);
    int item = 1, got = 2;
    weft_case cases[] = {weft_case_put(&queue, &item), weft_case_get(&queue, &got),
                         weft_case_after(WEFT_MS)};
    wt_check(weft_select(cases, 3, 0) == 2);
    wt_check(item == 1 && got == 2 && weft_queue_count(&queue) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(select_queue, is_not_matched_with_itself)
{
    simulate(not_with_itself);
}

/* Both offer and ask; the one that came first is met by the other. */
struct trader {
    weft_queue *queue;
    int item;
    int got;
};

static intptr_t trade(void *arg)
{
    struct trader *trader = arg;
    weft_case cases[] = {weft_case_put(trader->queue, &trader->item),
                         weft_case_get(trader->queue, &trader->got)};
    return weft_select(cases, 2, 0);
}

static intptr_t two_traders(void *arg)
{
    (void)arg;
    weft_queue queue;
    open_queue(&queue, 0);
    struct trader a = {.queue = &queue, .item = 10}, b = {.queue = &queue, .item = 20};
    weft_task *first = spawn(trade, &a), *second = spawn(trade, &b);
    intptr_t of_a = finish(first), of_b = finish(second);
    wt_check(of_a + of_b == 1); /* one put, the other took */
    wt_check(of_a == 1 ? a.got == 20 && b.got == 0 : b.got == 10 && a.got == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(select_queue, two_selections_meet)
{
    simulate(two_traders);
}

/* ---- several queues ---- */

/* Only the chosen one loses an item, whatever is ready. */
static intptr_t only_one(void *arg)
{
    (void)arg;
    enum { QUEUES = 5, TURNS = 60 };
    weft_queue queues[QUEUES];
    size_t put = 0;
    for (int i = 0; i < QUEUES; i++) {
        open_queue(&queues[i], WEFT_QUEUE_UNBOUNDED);
        for (int k = 0; k < TURNS; k++, put++) {
            wt_check(weft_queue_try_put(&queues[i], &i) == 0);
        }
    }
    for (int k = 0; k < TURNS; k++) {
        weft_case cases[QUEUES];
        int got[QUEUES];
        for (int i = 0; i < QUEUES; i++) {
            got[i] = -1;
            cases[i] = weft_case_get(&queues[i], &got[i]);
        }
        int chosen = weft_select(cases, QUEUES, 0);
        size_t left = 0;
        for (int i = 0; i < QUEUES; i++) {
            wt_check(got[i] == (i == chosen ? i : -1));
            left += weft_queue_count(&queues[i]);
        }
        put--;
        wt_check(left == put);
    }
    for (int i = 0; i < QUEUES; i++) {
        wt_check(weft_queue_destroy(&queues[i]) == 0);
    }
    return 0;
}

Test(select_queue, one_case_takes_effect)
{
    simulate(only_one);
}

/* A hint that somebody else was faster to use: the selection waits on. Strict order: see the queue. */
static intptr_t hint_lost(void *arg)
{
    (void)arg;
    weft_queue queue;
    open_queue(&queue, 2);
    int got = 0;
    struct side second = {.queue = &queue, .item = 2, .delay_ns = 3 * WEFT_MS};
    struct side first = {.queue = &queue, .item = 1, .delay_ns = WEFT_MS};
    struct side thief = {.queue = &queue, .item = 0, .delay_ns = WEFT_MS};
    weft_task *tasks[] = {spawn(put_later, &first), spawn(get_later, &thief),
                          spawn(put_later, &second)};
    weft_case cases[] = {weft_case_get(&queue, &got), weft_case_after(WEFT_S)};
    wt_check(weft_select(cases, 2, 0) == 0);
    for (int i = 0; i < 3; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    wt_check(got + thief.item == 3);
    wt_check(weft_queue_count(&queue) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(select_queue, a_hint_that_is_lost)
{
    simulate(hint_lost);
}

/* ---- events ---- */

static void set_event(void *arg)
{
    wt_check(weft_event_set(arg) == 0);
}

static void set_and_clear(void *arg)
{
    wt_check(weft_event_set(arg) == 0);
    wt_check(weft_event_clear(arg) == 0);
}

static intptr_t events(void *arg)
{
    (void)arg;
    weft_event a = WEFT_EVENT_INIT, b = WEFT_EVENT_INIT;
    weft_case cases[] = {weft_case_event(&a), weft_case_event(&b)};
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_sim_after(WEFT_MS, set_event, &b) == 0);
    wt_check(weft_select(cases, 2, 0) == 1 && cases[1].outcome == 0);
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == 1);
    wt_check(weft_event_clear(&b) == 0);
    wt_check(weft_sim_after(WEFT_MS, set_and_clear, &a) == 0);
    wt_check(weft_select(cases, 2, 0) == 0); /* let through by then */
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(weft_event_destroy(&a) == 0 && weft_event_destroy(&b) == 0);
    return 0;
}

Test(select_queue, events)
{
    simulate(events);
}

/* ---- cancelled at every moment ---- */

static int64_t held; /* items that are in queues or in hands */

static int64_t heap(void *arg)
{
    (void)arg;
    return held;
}

static void drop_held(void *item)
{
    (void)item;
    held--;
}

/* Takes from one queue and puts into the next, by selections alone, until told to stop. */
struct stage {
    weft_queue *from;
    weft_queue *to;
    weft_event *stop;
};

static intptr_t pump(void *arg)
{
    struct stage *stage = arg;
    int item = 0;
    for (;;) {
        weft_case gets[] = {weft_case_get(stage->from, &item), weft_case_event(stage->stop)};
        int chosen = weft_select(gets, 2, 0);
        if (chosen != 0 || gets[0].outcome < 0) {
            return chosen < 0 ? chosen : 0;
        }
        weft_case puts[] = {weft_case_put(stage->to, &item), weft_case_event(stage->stop),
                            weft_case_after(5 * WEFT_MS)};
        chosen = weft_select(puts, 3, 0);
        if (chosen != 0 || puts[0].outcome < 0) {
            held--; /* it is still ours */
            return chosen < 0 ? chosen : 0;
        }
    }
}

static intptr_t pipeline(void *arg)
{
    (void)arg;
    weft_queue a, b;
    weft_event stop = WEFT_EVENT_INIT;
    weft_group group;
    int rc = weft_queue_init(&a, sizeof(int), 1, drop_held);
    wt_check(rc == 0 && weft_queue_init(&b, sizeof(int), 0, drop_held) == 0);
    struct stage stage = {.from = &a, .to = &b, .stop = &stop};
    rc = weft_group_open(&group, 0);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = weft_group_spawn(&group, NULL, pump, &stage, NULL);
    }
    for (int i = 0; rc == 0 && i < 4; i++) {
        int got = 0;
        held++;
        weft_case cases[] = {weft_case_put(&a, &i), weft_case_get(&b, &got)};
        rc = weft_select(cases, 2, 0);
        if (rc != 0) { /* not put: given up; and perhaps one has come */
            held--;
        }
        held -= rc == 1 ? 1 : 0;
        rc = rc < 0 ? rc : 0;
    }
    wt_check(weft_event_set(&stop) == 0);
    intptr_t end = weft_group_close(&group, rc);
    wt_check(weft_queue_destroy(&a) == 0 && weft_queue_destroy(&b) == 0);
    wt_check(weft_event_destroy(&stop) == 0);
    return end;
}

Test(select_queue, swept)
{
    for (uint64_t seed = 0; seed < 21; seed++) {
        weft_sweep_options options = {.seed = seed, .heap = heap};
        weft_sweep_report report = {.size = sizeof report};
        cr_assert_eq(weft_cancel_sweep(pipeline, NULL, &options, &report), 0, "seed %d", (int)seed);
        cr_assert_eq(held, 0, "seed %d", (int)seed);
        cr_assert_geq(report.points, 6);
        cr_assert_gt(report.delivered, 0);
    }
    wt_assert_clean();
}

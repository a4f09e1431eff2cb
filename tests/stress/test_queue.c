/* SPDX-License-Identifier: MIT */
/* test_queue.c - queues of all kinds, their producers and consumers cancelled and timed out at random.
 *
 * Every item carries its producer and number. A put that failed is made again, one that succeeded never is: so
 * each item must arrive once. Each producer's items must be taken in their order; since a consumer may be
 * interrupted between taking an item and noting it, that is checked within what each consumer sees. */
#include <weft/queue.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

enum { PRODUCERS = 5, CONSUMERS = 5, CANCELLERS = 2, ITEMS = 40000, BATCH = 7 };

struct item {
    uint32_t producer;
    uint32_t number;
};

static weft_queue queue;
static atomic_uchar arrived[PRODUCERS][ITEMS];
static atomic_int begun, players_left;
static atomic_long told, timed_out, dropped, refused;
static long told_ever, timed_out_ever;
static weft_task *players[PRODUCERS + CONSUMERS];
static int put_by[PRODUCERS]; /* the producer, read after its end */

struct player {
    int number;
    uint64_t seed;
};

static int each(void)
{
    return STRESS_COUNT(ITEMS);
}

/* ---- calls with chance ---- */

static int64_t put_some(const struct item *items, size_t count, uint64_t *random)
{
    switch (draw(random) % 4) {
    case 0: {
        int rc = weft_queue_try_put(&queue, items);
        return rc < 0 ? rc : 1;
    }
    case 1:
        return weft_queue_put_many(&queue, items, count);
    default: {
        int rc = weft_queue_put(&queue, items);
        return rc < 0 ? rc : 1;
    }
    }
}

static int64_t get_some(struct item *items, size_t count, uint64_t *random)
{
    switch (draw(random) % 4) {
    case 0: {
        int rc = weft_queue_try_get(&queue, items);
        return rc < 0 ? rc : 1;
    }
    case 1:
        return weft_queue_get_many(&queue, items, count);
    default: {
        int rc = weft_queue_get(&queue, items);
        return rc < 0 ? rc : 1;
    }
    }
}

/* A limit that hits a call that was granted turns nothing back: what was moved is in `moved`. */
static int64_t within(bool is_put, struct item *items, size_t count, uint64_t *random)
{
    weft_timeout limit;
    int64_t moved;

    if (draw(random) % 4 != 0) {
        return is_put ? put_some(items, count, random) : get_some(items, count, random);
    }
    wt_check(weft_timeout_enter(&limit, draw_us(random, 30)) == 0);
    moved = is_put ? put_some(items, count, random) : get_some(items, count, random);
    intptr_t rc = weft_timeout_leave(&limit, moved < 0 ? (intptr_t)moved : 0);
    wt_check(rc == (moved < 0 ? (intptr_t)moved : 0) || (moved == -ECANCELED && rc == -ETIMEDOUT));
    atomic_fetch_add(&timed_out, rc == -ETIMEDOUT);
    return moved;
}

static void note_failure(int64_t rc)
{
    wt_check(rc == -ECANCELED || rc == -EAGAIN || rc == -ESHUTDOWN);
    atomic_fetch_add(&told, rc == -ECANCELED);
    if (rc == -EAGAIN) { /* somebody has to get on */
        int yielded = weft_yield();
        wt_check(yielded == 0 || yielded == -ECANCELED);
    }
}

/* ---- players ---- */

static intptr_t produce(void *arg)
{
    const struct player *self = arg;
    uint64_t random = self->seed;
    struct item items[BATCH];
    int next = 0;

    atomic_fetch_add(&begun, 1);
    while (next < each()) {
        size_t count = (size_t)(each() - next < BATCH ? each() - next : BATCH);
        for (size_t i = 0; i < count; i++) {
            items[i] = (struct item){(uint32_t)self->number, (uint32_t)next + (uint32_t)i};
        }
        int64_t moved = within(true, items, count, &random);
        wt_check(moved != 0 && moved <= (int64_t)count);
        if (moved > 0) {
            next += (int)moved;
        } else if (moved == -ESHUTDOWN) {
            break;
        } else {
            note_failure(moved);
        }
        if (draw(&random) % 256 == 0) { /* let the others wait now and then */
            int rc = weft_sleep(draw_us(&random, 30));
            wt_check(rc == 0 || rc == -ECANCELED);
        }
    }
    put_by[self->number] = next;
    atomic_fetch_add(&refused, each() - next);
    atomic_fetch_sub(&players_left, 1);
    return 0;
}

static void note(const struct item *item)
{
    if (wt_check(item->producer < PRODUCERS && item->number < (uint32_t)each())) {
        wt_check(atomic_fetch_add(&arrived[item->producer][item->number], 1) == 0);
    }
}

static intptr_t consume(void *arg)
{
    const struct player *self = arg;
    uint64_t random = self->seed;
    struct item items[BATCH];
    int64_t last[PRODUCERS];
    int64_t moved;

    for (int i = 0; i < PRODUCERS; i++) {
        last[i] = -1;
    }
    atomic_fetch_add(&begun, 1);
    while ((moved = within(false, items, BATCH, &random)) != -ESHUTDOWN) {
        for (int64_t i = 0; i < moved; i++) {
            note(&items[i]);
            wt_check(items[i].number >
                     last[items[i].producer]); /* in the order of their producer */
            last[items[i].producer] = items[i].number;
            wt_check(weft_queue_done(&queue) == 0);
        }
        if (moved < 0) {
            note_failure(moved);
        }
        if (draw(&random) % 256 == 0) {
            int rc = weft_sleep(draw_us(&random, 30));
            wt_check(rc == 0 || rc == -ECANCELED);
        }
    }
    atomic_fetch_sub(&players_left, 1);
    return 0;
}

static intptr_t cancel_players(void *arg)
{
    uint64_t random = as_seed(arg);

    while (atomic_load(&players_left) > 0) {
        weft_task *victim = players[draw(&random) % (PRODUCERS + CONSUMERS)];

        if (weft_cancel(victim) == 1 && draw(&random) % 4 == 0) {
            wt_check(weft_uncancel(victim) >= 0); /* it may be told all the same */
        }
        wt_check(draw(&random) % 4 == 0 ? weft_sleep(draw_us(&random, 20)) == 0
                                        : weft_yield() == 0);
    }
    return 0;
}

/* ---- rounds ---- */

static void drop(void *item)
{
    note(item);
    atomic_fetch_add(&dropped, 1);
}

static void begin(size_t capacity, struct player *all, uint64_t *random)
{
    memset(arrived, 0, sizeof arrived);
    atomic_store(&begun, 0);
    atomic_store(&dropped, 0);
    atomic_store(&refused, 0);
    atomic_store(&players_left, PRODUCERS + CONSUMERS);
    wt_check(weft_queue_init(&queue, sizeof(struct item), capacity, drop) == 0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        all[i] = (struct player){i, draw(random) | 1};
        wt_check(weft_spawn(&players[i], i < PRODUCERS ? produce : consume, &all[i]) == 0);
    }
    while (atomic_load(&begun) < PRODUCERS + CONSUMERS) {
        wt_check(weft_yield() == 0);
    }
}

/* Every item that a producer says it has put has arrived once, and no other. */
static void end(weft_task **cancellers, const char *name, size_t capacity)
{
    long count = 0;

    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        wt_check(weft_join(players[i], NULL) == 0);
    }
    for (int i = 0; i < CANCELLERS; i++) {
        wt_check(weft_await(cancellers[i], NULL) == 0);
    }
    wt_check(weft_queue_count(&queue) == 0);
    wt_check(weft_queue_join(&queue) == 0);
    wt_check(weft_queue_done(&queue) == -EINVAL);
    wt_check(weft_queue_destroy(&queue) == 0);
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < each(); i++) {
            int times = atomic_load(&arrived[p][i]);
            wt_check(times == (i < put_by[p] ? 1 : 0));
            count += times;
        }
    }
    weft_drop_all(players, PRODUCERS + CONSUMERS);
    wt_check(count == (long)PRODUCERS * each() - atomic_load(&refused));
    told_ever += atomic_load(&told);
    timed_out_ever += atomic_load(&timed_out);
    fprintf(stderr, "%s, capacity %zd: %ld items, %ld dropped; told %ld, timed out %ld\n", name,
            (ssize_t)capacity, count, atomic_load(&dropped), atomic_exchange(&told, 0),
            atomic_exchange(&timed_out, 0));
}

static void trade(size_t capacity, bool closes_early, uint64_t *random)
{
    struct player all[PRODUCERS + CONSUMERS];
    weft_task *cancellers[CANCELLERS];

    begin(capacity, all, random);
    for (int i = 0; i < CANCELLERS; i++) {
        wt_check(weft_spawn(&cancellers[i], cancel_players, as_arg(draw(random))) == 0);
    }
    if (closes_early) {
        wt_check(weft_sleep(draw_us(random, 3000)) == 0);
        (void)(draw(random) % 2 == 0 ? weft_queue_close_now : weft_queue_close)(&queue);
    } else {
        for (int i = 0; i < PRODUCERS; i++) {
            wt_check(weft_join(players[i], NULL) == 0);
        }
        wt_check(weft_queue_join(&queue) == 0);
        wt_check(weft_queue_count(&queue) == 0);
        wt_check(weft_queue_close(&queue) == 0);
    }
    end(cancellers, closes_early ? "closed early" : "to the end", capacity);
}

static const size_t capacities[] = {0, 1, 128, WEFT_QUEUE_UNBOUNDED};

static intptr_t to_the_end(void *arg)
{
    uint64_t random = as_seed(arg);

    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        trade(capacities[i], false, &random);
    }
    wt_check(told_ever > 0 && timed_out_ever > 0);
    return 0;
}

static intptr_t closed_early(void *arg)
{
    uint64_t random = as_seed(arg);

    for (int round = 0; round < STRESS_COUNT(40); round++) {
        trade(capacities[round % 4], true, &random);
    }
    return 0;
}

STRESS_TEST(queue, loses_and_doubles_nothing, to_the_end);
STRESS_TEST(queue, may_be_closed_at_any_time, closed_early);

/* SPDX-License-Identifier: MIT */
/* test_channels.c - a bounded channel made of futures, its producers and consumers cancelled at random (X13).
 *
 * The channel is the test's own. An item is handed to the getter that has waited longest; a putter that waits
 * for room has its item moved into the buffer by the getter that makes the room. An await of a future that
 * succeeded is a grant, and stays one. Where the await was cancelled, the channel's inner lock tells whether the
 * grant came all the same: then the item goes back to the front, or the put counts as done. Every item arrives
 * once. */
#include <weft/future.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "base/list.h"
#include "stress.h"

enum { ROOM = 4, ROOM_MOST = 64 }; /* items given back may lie there on top */

struct waiter {
    struct wf_list link;
    weft_future future; /* a getter's: its item */
    intptr_t item;      /* a putter's */
    bool is_served;     /* under the inner lock */
};

struct channel {
    struct spin inner;
    intptr_t items[ROOM_MOST];
    unsigned first, count;
    struct wf_list getters, putters;
};

static struct waiter *take_first(struct wf_list *list)
{
    struct waiter *first;

    if (wf_list_is_empty(list)) {
        return NULL;
    }
    first = WF_CONTAINER(list->next, struct waiter, link);
    wf_list_remove(&first->link);
    first->is_served = true;
    return first;
}

static void append(struct channel *c, intptr_t item)
{
    wt_check(c->count < ROOM_MOST);
    c->items[(c->first + c->count++) % ROOM_MOST] = item;
}

/* Whatever can be moved is moved; under the inner lock. A served waiter's frame stays until it has had it too. */
static void match(struct channel *c)
{
    for (;;) {
        struct waiter *putter = c->count < ROOM ? take_first(&c->putters) : NULL;
        struct waiter *getter = putter == NULL && c->count > 0 ? take_first(&c->getters) : NULL;

        if (putter != NULL) {
            append(c, putter->item);
            wt_check(weft_future_set(&putter->future, 0) == 0);
        } else if (getter != NULL) {
            wt_check(weft_future_set(&getter->future, c->items[c->first]) == 0);
            c->first = (c->first + 1) % ROOM_MOST;
            c->count--;
        } else {
            return;
        }
    }
}

/* Returns what the await did; *is_served whether the channel did its part. */
static int wait_in(struct channel *c, struct wf_list *list, struct waiter *self)
{
    int rc;

    spin_lock(&c->inner);
    wf_list_push(list, &self->link);
    match(c);
    spin_unlock(&c->inner);
    rc = weft_future_await(&self->future, NULL);
    spin_lock(&c->inner);
    wt_check(rc < 0 || self->is_served);
    if (!self->is_served) {
        wf_list_remove(&self->link);
    }
    return rc;
}

/* *is_sent: whether the item is the channel's now. */
static int put(struct channel *c, intptr_t item, bool *is_sent)
{
    struct waiter self = {.future = WEFT_FUTURE_INIT, .item = item};
    int rc = weft_checkpoint();

    *is_sent = false;
    if (rc == 0) {
        rc = wait_in(c, &c->putters, &self);
        *is_sent = self.is_served;
        spin_unlock(&c->inner);
    }
    return rc;
}

/* 0 and the item, or -ECANCELED and nothing taken. */
static int get(struct channel *c, intptr_t *item)
{
    struct waiter self = {.future = WEFT_FUTURE_INIT};
    int rc = weft_checkpoint();

    if (rc < 0) {
        return rc;
    }
    rc = wait_in(c, &c->getters, &self);
    if (self.is_served) {
        wt_check(weft_future_result(&self.future, item) == 0);
    }
    if (rc < 0 && self.is_served) { /* back to the front */
        c->first = (c->first + ROOM_MOST - 1) % ROOM_MOST;
        c->items[c->first] = *item;
        c->count++;
        match(c);
    }
    spin_unlock(&c->inner);
    return rc;
}

/* ---- the game ---- */

enum { PRODUCERS = 6, CONSUMERS = 6, CANCELLERS = 3, ITEMS = 200000, STOP = PRODUCERS * ITEMS };

static struct channel the_channel;
static atomic_uchar arrived[PRODUCERS * ITEMS];
static atomic_int begun, players_left;
static atomic_long told_putters, told_getters, timed_out;
static weft_task *players[PRODUCERS + CONSUMERS];

struct player {
    int number;
    uint64_t seed;
};

static void put_surely(intptr_t item)
{
    bool is_sent = false;

    while (!is_sent) {
        int rc = put(&the_channel, item, &is_sent);

        wt_check(rc == -ECANCELED || (rc == 0 && is_sent));
        atomic_fetch_add(&told_putters, rc == -ECANCELED);
    }
}

static intptr_t produce(void *arg)
{
    const struct player *self = arg;
    uint64_t random = self->seed;

    atomic_fetch_add(&begun, 1);
    for (int i = 0; i < STRESS_COUNT(ITEMS); i++) {
        if (draw(&random) % 64 == 0) { /* let the consumers wait now and then */
            int rc = weft_sleep(draw_us(&random, 40));

            wt_check(rc == 0 || rc == -ECANCELED);
        }
        put_surely(self->number * ITEMS + i);
    }
    atomic_fetch_sub(&players_left, 1);
    return 0;
}

static int get_somehow(uint64_t *random, intptr_t *item)
{
    weft_timeout limit;
    int rc;

    if (draw(random) % 4 != 0) {
        return get(&the_channel, item);
    }
    wt_check(weft_timeout_enter(&limit, draw_us(random, 40)) == 0);
    rc = get(&the_channel, item);
    wt_check(rc == 0 || rc == -ECANCELED);
    return (int)weft_timeout_leave(&limit, rc);
}

static intptr_t consume(void *arg)
{
    const struct player *self = arg;
    uint64_t random = self->seed;
    intptr_t item = -1;

    atomic_fetch_add(&begun, 1);
    do {
        int rc = get_somehow(&random, &item);

        wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
        atomic_fetch_add(&told_getters, rc == -ECANCELED);
        atomic_fetch_add(&timed_out, rc == -ETIMEDOUT);
        if (rc < 0 || item == STOP) {
            item = rc < 0 ? -1 : item;
            continue;
        }
        if (wt_check(item >= 0 && item < STOP)) {
            wt_check(atomic_fetch_add(&arrived[item], 1) == 0);
        }
    } while (item != STOP);
    atomic_fetch_sub(&players_left, 1);
    return 0;
}

static intptr_t cancel_players(void *arg)
{
    uint64_t random = as_seed(arg);

    while (atomic_load(&players_left) > 0) {
        weft_task *victim = players[draw(&random) % (PRODUCERS + CONSUMERS)];
        int rc = weft_cancel(victim);

        wt_check(rc == 0 || rc == 1);
        if (rc == 1) {
            wt_check(weft_uncancel(victim) >= 0); /* it may be told all the same */
            wt_check(weft_cancel(victim) >= 0);
        }
        wt_check(draw(&random) % 4 == 0 ? weft_sleep(draw_us(&random, 20)) == 0
                                        : weft_yield() == 0);
    }
    return 0;
}

static void check_arrived(void)
{
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < ITEMS; i++) {
            wt_check(atomic_load(&arrived[p * ITEMS + i]) == (i < STRESS_COUNT(ITEMS) ? 1 : 0));
        }
    }
    wt_check(the_channel.count == 0 && wf_list_is_empty(&the_channel.getters) &&
             wf_list_is_empty(&the_channel.putters));
}

static intptr_t trade(void *arg)
{
    uint64_t random = as_seed(arg);
    struct player all[PRODUCERS + CONSUMERS];
    weft_task *cancellers[CANCELLERS];

    wf_list_init(&the_channel.getters);
    wf_list_init(&the_channel.putters);
    atomic_store(&players_left, PRODUCERS + CONSUMERS);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        all[i] = (struct player){i, draw(&random) | 1};
        wt_check(weft_spawn(&players[i], i < PRODUCERS ? produce : consume, &all[i]) == 0);
    }
    while (atomic_load(&begun) < PRODUCERS + CONSUMERS) {
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < CANCELLERS; i++) {
        wt_check(weft_spawn(&cancellers[i], cancel_players, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        wt_check(weft_join(players[i], NULL) == 0);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        put_surely(STOP);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        wt_check(weft_join(players[PRODUCERS + i], NULL) == 0);
    }
    for (int i = 0; i < CANCELLERS; i++) {
        wt_check(weft_await(cancellers[i], NULL) == 0);
    }
    weft_drop_all(players, PRODUCERS + CONSUMERS);
    check_arrived();
    fprintf(stderr, "told: %ld putters, %ld getters; %ld timed out\n", atomic_load(&told_putters),
            atomic_load(&told_getters), atomic_load(&timed_out));
    wt_check(atomic_load(&told_putters) > 0 && atomic_load(&told_getters) > 0);
    return 0;
}

STRESS_TEST(channels, lose_and_double_nothing, trade);

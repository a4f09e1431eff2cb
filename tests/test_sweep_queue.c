/* SPDX-License-Identifier: MIT */
/* test_sweep_queue.c - the queue's await points under the cancel sweep.
 *
 * An item that exists is counted in `held` until it has been taken and used, or dropped: whoever is cancelled
 * when, each is the queue's, or a task's, and never both or neither's. */
#include <errno.h>

#include <weft.h>

#include "sweep_test.h"

enum { ITEMS = 6 };

static weft_queue queue;

static void drop(void *item)
{
    (void)item;
    held--;
}

static intptr_t produce(void *arg)
{
    int rc = 0;
    (void)arg;
    for (intptr_t i = 0; i < ITEMS && rc == 0; i++) {
        held++;
        rc = weft_queue_put(&queue, &i);
        held -= rc < 0;
    }
    return rc == -ESHUTDOWN ? 0 : rc;
}

/* Nobody takes any more: whoever puts must not wait for ever. */
static intptr_t end_consumer(int64_t rc)
{
    if (rc != -ESHUTDOWN) {
        weft_queue_close_now(&queue);
    }
    return rc == -ESHUTDOWN ? 0 : (intptr_t)rc;
}

static intptr_t consume(void *arg)
{
    intptr_t last = -1, item = 0;
    int rc;
    (void)arg;
    while ((rc = weft_queue_get(&queue, &item)) == 0) {
        held--;
        wt_check(item > last); /* one producer: in its order */
        last = item;
        wt_check(weft_queue_done(&queue) == 0);
    }
    return end_consumer(rc);
}

static intptr_t produce_many(void *arg)
{
    intptr_t items[ITEMS];
    int64_t rc = 0;
    (void)arg;
    for (intptr_t i = 0; i < ITEMS; i++) {
        items[i] = i;
    }
    for (int64_t i = 0; i < ITEMS && rc >= 0; i += rc) {
        held += ITEMS - i;
        rc = weft_queue_put_many(&queue, items + i, (size_t)(ITEMS - i));
        held -= ITEMS - i - (rc > 0 ? rc : 0);
    }
    return rc < 0 && rc != -ESHUTDOWN ? (intptr_t)rc : 0;
}

static intptr_t consume_many(void *arg)
{
    intptr_t last = -1, items[4];
    int64_t rc;
    (void)arg;
    while ((rc = weft_queue_get_many(&queue, items, 4)) > 0) {
        held -= rc;
        for (int64_t i = 0; i < rc; i++) {
            wt_check(items[i] > last);
            last = items[i];
            wt_check(weft_queue_done(&queue) == 0);
        }
    }
    return end_consumer(rc);
}

/* `joins`: waits until all is done before it closes. */
static intptr_t trade(weft_fn *producer, weft_fn *consumer, size_t capacity, bool joins)
{
    weft_task *tasks[2] = {NULL, NULL};
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), capacity, drop) == 0);
    int rc = weft_spawn(&tasks[0], consumer, NULL);
    rc = rc == 0 ? weft_spawn(&tasks[1], producer, NULL) : rc;
    if (rc == 0) {
        rc = weft_join_shielded(tasks[1], NULL);
    }
    rc = rc == 0 && joins ? weft_queue_join(&queue) : rc;
    (void)(rc == 0 ? weft_queue_close : weft_queue_close_now)(&queue);
    for (int i = 0; i < 2; i++) {
        if (tasks[i] != NULL) {
            int one = weft_await(tasks[i], NULL);
            rc = one < 0 ? one : rc;
        }
    }
    wt_check(weft_queue_destroy(&queue) == 0);
    return rc;
}

#define TRADE(Name, Least, Producer, Consumer, Capacity, Joins) \
    static intptr_t Name(void *arg)                             \
    {                                                           \
        (void)arg;                                              \
        return trade(Producer, Consumer, Capacity, Joins);      \
    }                                                           \
    Test(sweep_queue, Name)                                     \
    {                                                           \
        sweep(Name, Least);                                     \
    }                                                           \
    struct sweep_semicolon

TRADE(rendezvous, 12, produce, consume, 0, false);
TRADE(bounded, 12, produce, consume, 2, false);
TRADE(unbounded, 12, produce, consume, WEFT_QUEUE_UNBOUNDED, false);
TRADE(rendezvous_many, 6, produce_many, consume_many, 0, false);
TRADE(bounded_many, 6, produce_many, consume_many, 3, false);
TRADE(mixed, 12, produce_many, consume, 1, false);
TRADE(joined, 12, produce, consume, 2, true);
TRADE(joined_many, 8, produce, consume_many, WEFT_QUEUE_UNBOUNDED, true);

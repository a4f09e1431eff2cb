// SPDX-License-Identifier: MIT
/* bench_queue.c - items of eight bytes through queues.
 *
 * What: queue_lone puts and gets in one fiber, so that nobody waits. queue_pingpong is a round trip of two
 *       fibers over two queues, on one worker and between two pinned ones. queue_4x4 and queue_4x1 are
 *       producers and consumers at one queue of 128; an operation is an item. queue_many is queue_4x4 with
 *       16 items in a call.
 */
#include "harness.h"

#include <unistd.h>

enum { CAPACITY = 128, BATCH = 16, CROWD_MOST = 4 };

static void make(struct bench *b, weft_queue *queue, size_t capacity)
{
    bench_require(b, weft_queue_init(queue, sizeof(uint64_t), capacity, NULL) == 0, "init");
}

static void lone(struct bench *b)
{
    weft_queue queue;
    uint64_t item = 0;
    make(b, &queue, CAPACITY);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_queue_put(&queue, &i) == 0, "put");
        bench_require(b, weft_queue_get(&queue, &item) == 0 && item == i, "get");
    }
    bench_stop(b);
    weft_queue_destroy(&queue);
}

/* ---- round trips ---- */

struct table {
    struct bench *b;
    weft_queue asks;
    weft_queue answers;
    weft_task *partner; /* two_workers: set by the courier */
    int partner_thread; /* atomic: 0 until the partner has started */
};

static intptr_t answer_all(void *arg)
{
    struct table *table = arg;
    uint64_t item = 0;
    __atomic_store_n(&table->partner_thread, (int)gettid(), __ATOMIC_RELEASE);
    while (weft_queue_get(&table->asks, &item) == 0) {
        bench_require(table->b, weft_queue_put(&table->answers, &item) == 0, "answer");
    }
    return 0;
}

static void play(struct table *table, weft_task *partner)
{
    struct bench *b = table->b;
    uint64_t item = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_queue_put(&table->asks, &i) == 0, "ask");
        bench_require(b, weft_queue_get(&table->answers, &item) == 0 && item == i, "answer");
    }
    bench_stop(b);
    weft_queue_close(&table->asks);
    bench_require(b, weft_await(partner, NULL) == 0, "await");
    weft_queue_destroy(&table->asks);
    weft_queue_destroy(&table->answers);
}

static void same_worker(struct bench *b)
{
    struct table table = {.b = b};
    weft_task *partner;
    make(b, &table.asks, CAPACITY);
    make(b, &table.answers, CAPACITY);
    bench_require(b, weft_spawn(&partner, answer_all, &table) == 0, "spawn");
    play(&table, partner);
}

/* A pinned task starts where it was spawned: a courier that another worker took spawns it there. */
static intptr_t send_partner(void *arg)
{
    struct table *table = arg;
    weft_spawn_options options = {.size = sizeof options, .pinned = true};
    int rc = weft_spawn_with(&table->partner, answer_all, table, &options);
    bench_require(table->b, rc == 0, "spawn");
    return 0;
}

/* Whoever spawned the courier does not leave its worker until another one took it. */
static void two_workers(struct bench *b)
{
    struct table table = {.b = b};
    weft_task *courier;
    make(b, &table.asks, CAPACITY);
    make(b, &table.answers, CAPACITY);
    bench_require(b, weft_spawn(&courier, send_partner, &table) == 0, "spawn");
    int64_t limit_ns = bench_now_ns() + WEFT_S;
    while (__atomic_load_n(&table.partner_thread, __ATOMIC_ACQUIRE) == 0 &&
           bench_now_ns() < limit_ns) {
    }
    int thread = __atomic_load_n(&table.partner_thread, __ATOMIC_ACQUIRE);
    bench_require(b, thread != 0 && thread != (int)gettid(), "no other worker took the partner");
    bench_require(b, weft_await(courier, NULL) == 0, "await");
    play(&table, table.partner);
}

/* ---- producers and consumers ---- */

struct crowd {
    struct bench *b;
    weft_queue queue;
    uint64_t each;
    size_t batch; /* items in a call */
};

static intptr_t produce(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t items[BATCH] = {0};
    for (uint64_t i = 0; i < crowd->each && crowd->batch == 1; i++) {
        bench_require(crowd->b, weft_queue_put(&crowd->queue, &i) == 0, "put");
    }
    for (uint64_t i = 0; i < crowd->each && crowd->batch > 1;) {
        uint64_t left = crowd->each - i;
        size_t most = left < crowd->batch ? (size_t)left : crowd->batch;
        int64_t moved = weft_queue_put_many(&crowd->queue, items, most);
        bench_require(crowd->b, moved > 0, "put_many");
        i += (uint64_t)moved;
    }
    return 0;
}

static intptr_t consume(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t items[BATCH];
    intptr_t count = 0;
    int64_t moved = 1;
    while (moved > 0) {
        moved = crowd->batch == 1 ? (weft_queue_get(&crowd->queue, items) == 0 ? 1 : -1)
                                  : weft_queue_get_many(&crowd->queue, items, crowd->batch);
        count += moved > 0 ? moved : 0;
    }
    return count;
}

static void trade(struct bench *b, int producers, int consumers, size_t batch)
{
    struct crowd crowd = {.b = b, .each = b->operations / (uint64_t)producers, .batch = batch};
    weft_task *putting[CROWD_MOST], *getting[CROWD_MOST];
    uint64_t count = 0;
    make(b, &crowd.queue, CAPACITY);
    bench_start(b);
    for (int i = 0; i < consumers; i++) {
        bench_require(b, weft_spawn(&getting[i], consume, &crowd) == 0, "spawn");
    }
    for (int i = 0; i < producers; i++) {
        bench_require(b, weft_spawn(&putting[i], produce, &crowd) == 0, "spawn");
    }
    for (int i = 0; i < producers; i++) {
        bench_require(b, weft_await(putting[i], NULL) == 0, "await");
    }
    weft_queue_close(&crowd.queue);
    for (int i = 0; i < consumers; i++) {
        intptr_t got = 0;
        bench_require(b, weft_await(getting[i], &got) == 0, "await");
        count += (uint64_t)got;
    }
    bench_stop(b);
    bench_require(b, count == crowd.each * (uint64_t)producers, "every item once");
    weft_queue_destroy(&crowd.queue);
}

static void four_by_four(struct bench *b)
{
    trade(b, 4, 4, 1);
}

static void four_by_one(struct bench *b)
{
    trade(b, 4, 1, 1);
}

static void many(struct bench *b)
{
    trade(b, 4, 4, BATCH);
}

static const struct bench_case cases[] = {
    {.name = "queue_lone", .operations = 1000000, .body = lone, .workers = 1},
    {.name = "queue_pingpong",
     .operations = 500000,
     .body = same_worker,
     .workers = 1,
     .programs_as = "pingpong"},
    {.name = "queue_pingpong_across",
     .operations = 50000,
     .body = two_workers,
     .workers = 2,
     .flags = BENCH_PINNED,
     .programs_as = "pingpong_across"},
    {.name = "queue_4x4", .operations = 400000, .body = four_by_four},
    {.name = "queue_4x1", .operations = 400000, .body = four_by_one},
    {.name = "queue_many", .operations = 400000, .body = many, .programs_as = "queue_4x4"},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "queue", cases, sizeof cases / sizeof *cases);
}

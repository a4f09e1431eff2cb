// SPDX-License-Identifier: MIT
/* bench_select.c - the first of several things: among many that are not ready, and by turns.
 *
 * What: select_N: an operation is an item put into one of N queues, each time another one, and a selection
 *       over all N that finds it. select_pingpong: a round trip of two fibers over two queues, each get a
 *       selection beside an event that nobody sets: two parks, two wakes, four waiters linked and unlinked.
 *       Its peer `queue` is the same by plain gets.
 * Cases are made anew for each selection, as a program would write it.
 */
#include "harness.h"

enum { WIDEST = 16 };

static void take_turns(struct bench *b, size_t width)
{
    static weft_queue queues[WIDEST];
    weft_case cases[WIDEST];
    uint64_t items[WIDEST] = {0};
    for (size_t i = 0; i < width; i++) {
        int rc = weft_queue_init(&queues[i], sizeof(uint64_t), 1, NULL);
        bench_require(b, rc == 0, "init");
    }
    bench_start(b);
    for (uint64_t k = 0; k < b->operations; k++) {
        bench_require(b, weft_queue_try_put(&queues[k % width], &k) == 0, "put");
        for (size_t i = 0; i < width; i++) {
            cases[i] = weft_case_get(&queues[i], &items[i]);
        }
        int chosen = weft_select(cases, width, 0);
        bench_require(b, chosen == (int)(k % width) && items[chosen] == k, "select");
    }
    bench_stop(b);
    for (size_t i = 0; i < width; i++) {
        bench_require(b, weft_queue_destroy(&queues[i]) == 0, "destroy");
    }
}

static void among_2(struct bench *b)
{
    take_turns(b, 2);
}

static void among_4(struct bench *b)
{
    take_turns(b, 4);
}

static void among_16(struct bench *b)
{
    take_turns(b, WIDEST);
}

/* ---- by turns ---- */

struct table {
    struct bench *b;
    weft_queue ask;
    weft_queue answer;
    weft_event stop;
    bool is_plain;
};

static uint64_t take(struct table *table, weft_queue *from)
{
    uint64_t item = 0;
    if (table->is_plain) {
        bench_require(table->b, weft_queue_get(from, &item) == 0, "get");
        return item;
    }
    weft_case cases[] = {weft_case_get(from, &item), weft_case_event(&table->stop)};
    bench_require(table->b, weft_select(cases, 2, 0) == 0, "select");
    return item;
}

static intptr_t answer_all(void *arg)
{
    struct table *table = arg;
    for (uint64_t i = 0; i < table->b->operations; i++) {
        uint64_t item = take(table, &table->ask);
        bench_require(table->b, weft_queue_put(&table->answer, &item) == 0, "put");
    }
    return 0;
}

static void play(struct bench *b, bool is_plain)
{
    struct table table = {.b = b, .stop = WEFT_EVENT_INIT, .is_plain = is_plain};
    weft_task *partner;
    bench_require(b, weft_queue_init(&table.ask, sizeof(uint64_t), 1, NULL) == 0, "init");
    bench_require(b, weft_queue_init(&table.answer, sizeof(uint64_t), 1, NULL) == 0, "init");
    bench_require(b, weft_spawn(&partner, answer_all, &table) == 0, "spawn");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_queue_put(&table.ask, &i) == 0, "put");
        bench_require(b, take(&table, &table.answer) == i, "answer");
    }
    bench_stop(b);
    bench_require(b, weft_await(partner, NULL) == 0, "await");
    bench_require(b, weft_queue_destroy(&table.ask) == 0, "destroy");
    bench_require(b, weft_queue_destroy(&table.answer) == 0, "destroy");
}

static void pingpong(struct bench *b)
{
    play(b, false);
}

static void plain_pingpong(struct bench *b)
{
    play(b, true);
}

static const struct bench_case cases[] = {
    {.name = "select_2", .operations = 1000000, .body = among_2, .workers = 1},
    {.name = "select_4", .operations = 1000000, .body = among_4, .workers = 1},
    {.name = "select_16", .operations = 500000, .body = among_16, .workers = 1},
    {.name = "select_pingpong",
     .operations = 500000,
     .body = pingpong,
     .workers = 1,
     .peers = {{.name = "queue", .body = plain_pingpong, .in_runtime = true}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "select", cases, sizeof cases / sizeof *cases);
}

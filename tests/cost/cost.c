// SPDX-License-Identifier: MIT
/* cost.c - cost CASE COUNT: does an operation COUNT times on one worker, to be counted by callgrind.
 *
 * What: check.sh runs it with two counts and takes the slope, so that start and stop drop out. The
 *       operations are those whose instructions have a written budget.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

typedef void cost_fn(long count);

static void require(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "cost: failed: %s\n", what);
        exit(1);
    }
}

static intptr_t empty(void *arg)
{
    return (intptr_t)arg;
}

static void spawn_await(long count)
{
    for (long i = 0; i < count; i++) {
        weft_task *task;
        require(weft_spawn(&task, empty, NULL) == 0, "spawn");
        require(weft_await(task, NULL) == 0, "await");
    }
}

/* A hundred at a time, awaited in the order of spawning. */
static void spawn_batch(long count)
{
    enum { BATCH = 100 };
    weft_task *tasks[BATCH];
    for (long done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            require(weft_spawn(&tasks[i], empty, NULL) == 0, "spawn");
        }
        for (int i = 0; i < BATCH; i++) {
            require(weft_await(tasks[i], NULL) == 0, "await");
        }
    }
}

/* A hundred children of a group. */
static void group_batch(long count)
{
    enum { BATCH = 100 };
    for (long done = 0; done < count; done += BATCH) {
        weft_group group;
        require(weft_group_open(&group, 0) == 0, "open");
        for (int i = 0; i < BATCH; i++) {
            require(weft_group_spawn(&group, NULL, empty, NULL, NULL) == 0, "spawn");
        }
        require(weft_group_close(&group, 0) == 0, "close");
    }
}

/* A group with one child. */
static void group_of_one(long count)
{
    for (long i = 0; i < count; i++) {
        weft_group group;
        require(weft_group_open(&group, 0) == 0, "open");
        require(weft_group_spawn(&group, NULL, empty, NULL, NULL) == 0, "spawn");
        require(weft_group_close(&group, 0) == 0, "close");
    }
}

/* A task that nobody awaits runs on a fiber of its own. */
static void spawn_detached(long count)
{
    for (long i = 0; i < count; i++) {
        require(weft_spawn(NULL, empty, NULL) == 0, "spawn");
        require(weft_yield() == 0, "yield");
    }
}

static intptr_t yield_times(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        require(weft_yield() == 0, "yield");
    }
    return 0;
}

static void yield(long count)
{
    long half = count / 2;
    weft_task *partner;
    require(weft_spawn(&partner, yield_times, &half) == 0, "spawn");
    require(weft_yield() == 0, "yield");
    yield_times(&half);
    require(weft_await(partner, NULL) == 0, "await");
}

enum { TURNS = 4 };

struct giver {
    long count;
    weft_future turns[TURNS];
};

static intptr_t give_turns(void *arg)
{
    struct giver *giver = arg;
    for (long i = 0; i < giver->count; i++) {
        weft_future_set(&giver->turns[i % TURNS], 0);
        require(weft_yield() == 0, "yield");
    }
    return 0;
}

/* One wait that parks, one wake, one yield of the waker. */
static void park_wake(long count)
{
    struct giver giver = {.count = count};
    weft_task *task;
    require(weft_spawn(&task, give_turns, &giver) == 0, "spawn");
    for (long i = 0; i < count; i++) {
        require(weft_future_await(&giver.turns[i % TURNS], NULL) == 0, "future");
        weft_future_init(&giver.turns[i % TURNS]);
    }
    require(weft_await(task, NULL) == 0, "await");
}

static void timer(long count)
{
    weft_timeout limit;
    for (long i = 0; i < count; i++) {
        require(weft_timeout_enter(&limit, 30 * WEFT_S) == 0, "enter");
        require(weft_timeout_leave(&limit, 0) == 0, "leave");
    }
}

static intptr_t sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(3600 * WEFT_S);
}

/* Ten sleepers at a time: each starts, sleeps, is cancelled and awaited. */
static void cancel_reap(long count)
{
    enum { SLEEPERS = 10 };
    weft_task *tasks[SLEEPERS];
    for (long done = 0; done < count; done += SLEEPERS) {
        for (int i = 0; i < SLEEPERS; i++) {
            require(weft_spawn(&tasks[i], sleep_long, NULL) == 0, "spawn");
        }
        require(weft_yield() == 0, "yield");
        for (int i = 0; i < SLEEPERS; i++) {
            intptr_t result = 0;
            require(weft_cancel(tasks[i]) == 1, "cancel");
            require(weft_await(tasks[i], &result) == 0 && result == -ECANCELED, "await");
        }
    }
}

static const struct {
    const char *name;
    cost_fn *run;
} cases[] = {
    {"spawn_await", spawn_await},       {"spawn_batch", spawn_batch},
    {"group_batch", group_batch},       {"group_of_one", group_of_one},
    {"spawn_detached", spawn_detached}, {"yield", yield},
    {"park_wake", park_wake},           {"timer", timer},
    {"cancel_reap", cancel_reap},
};

struct order {
    cost_fn *run;
    long count;
};

static intptr_t app(void *arg)
{
    const struct order *order = arg;
    order->run(order->count);
    return 0;
}

int main(int argc, char **argv)
{
    struct order order = {NULL, argc > 2 ? atol(argv[2]) : 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc < 2) {
            puts(cases[i].name);
        } else if (strcmp(argv[1], cases[i].name) == 0) {
            order.run = cases[i].run;
        }
    }
    if (order.run == NULL || order.count <= 0) {
        return argc < 2 ? 0 : 2;
    }
    weft_options options = {.size = sizeof options, .workers = 1};
    return weft_run(app, &order, &options) == 0 ? 0 : 1;
}

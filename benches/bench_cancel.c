// SPDX-License-Identifier: MIT
/* bench_cancel.c - cancelling many sleepers, and what structure costs: shield, gather, group.
 *
 * What: cancel_reap  a hundred thousand sleeping tasks are cancelled and awaited, for each.
 *       shield       entering and leaving a section.
 *       gather       spawning a hundred tasks and gathering them, for each; one peer awaits them.
 *       group        opening a group, spawning a hundred children, closing it, for each child.
 *       group_cancel the same with children that sleep and a group that is cancelled, for each child.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>

enum { CHILDREN = 100 };

static const int64_t hour_ns = 3600 * WEFT_S;

static intptr_t sleep_long(void *arg)
{
    uint64_t *asleep = arg;
    __atomic_add_fetch(asleep, 1, __ATOMIC_RELAXED);
    return weft_sleep(hour_ns);
}

static void cancel_reap(struct bench *b)
{
    uint64_t asleep = 0;
    weft_task **tasks = calloc(b->operations, sizeof(weft_task *));
    bench_require(b, tasks != NULL, "memory");
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_spawn(&tasks[i], sleep_long, &asleep) == 0, "spawn");
    }
    while (__atomic_load_n(&asleep, __ATOMIC_RELAXED) < b->operations) {
        bench_require(b, weft_yield() == 0, "yield");
    }
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_cancel(tasks[i]) == 1, "cancel");
    }
    for (uint64_t i = 0; i < b->operations; i++) {
        intptr_t result = 0;
        bench_require(b, weft_await(tasks[i], &result) == 0 && result == -ECANCELED, "await");
    }
    bench_stop(b);
    free(tasks);
}

static void shield(struct bench *b)
{
    weft_shield section;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_shield_enter(&section, WEFT_FOREVER) == 0, "enter");
        bench_require(b, weft_shield_leave(&section, 0) == 0, "leave");
    }
    bench_stop(b);
}

static intptr_t empty(void *arg)
{
    (void)arg;
    return 0;
}

static void spawn_children(struct bench *b, weft_task **tasks)
{
    for (int i = 0; i < CHILDREN; i++) {
        bench_require(b, weft_spawn(&tasks[i], empty, NULL) == 0, "spawn");
    }
}

static void gather_mode(struct bench *b, weft_gather_mode mode)
{
    weft_task *tasks[CHILDREN];
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += CHILDREN) {
        spawn_children(b, tasks);
        bench_require(b, weft_gather(tasks, CHILDREN, NULL, mode, NULL) == 0, "gather");
        weft_drop_all(tasks, CHILDREN);
    }
    bench_stop(b);
}

static void gather(struct bench *b)
{
    gather_mode(b, WEFT_GATHER_FIRST_ERROR);
}

static void gather_collect(struct bench *b)
{
    gather_mode(b, WEFT_GATHER_COLLECT);
}

static void await_each(struct bench *b)
{
    weft_task *tasks[CHILDREN];
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += CHILDREN) {
        spawn_children(b, tasks);
        for (int i = 0; i < CHILDREN; i++) {
            bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
        }
    }
    bench_stop(b);
}

static void group(struct bench *b)
{
    weft_group group;
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += CHILDREN) {
        bench_require(b, weft_group_open(&group, 0) == 0, "open");
        for (int i = 0; i < CHILDREN; i++) {
            bench_require(b, weft_group_spawn(&group, NULL, empty, NULL, NULL) == 0, "spawn");
        }
        bench_require(b, weft_group_close(&group, 0) == 0, "close");
    }
    bench_stop(b);
}

static void group_cancel(struct bench *b)
{
    weft_group group;
    for (uint64_t done = 0; done < b->operations; done += CHILDREN) {
        uint64_t asleep = 0;
        bench_start(b);
        bench_require(b, weft_group_open(&group, 0) == 0, "open");
        for (int i = 0; i < CHILDREN; i++) {
            bench_require(b, weft_group_spawn(&group, NULL, sleep_long, &asleep, NULL) == 0,
                          "spawn");
        }
        while (__atomic_load_n(&asleep, __ATOMIC_RELAXED) < CHILDREN) {
            bench_require(b, weft_yield() == 0, "yield");
        }
        bench_require(b, weft_group_cancel(&group) == 1, "cancel");
        bench_require(b, weft_group_close(&group, 0) == 0, "close");
        bench_stop(b);
    }
}

#define AWAIT_EACH                                                   \
    {                                                                \
        .name = "await each", .body = await_each, .in_runtime = true \
    }

static const struct bench_case cases[] = {
    {.name = "cancel_reap", .operations = 100000, .body = cancel_reap, .reps_most = 5},
    {.name = "shield", .operations = 1000000, .body = shield, .workers = 1},
    {.name = "gather", .operations = 500000, .body = gather, .peers = {AWAIT_EACH}},
    {.name = "gather_collect", .operations = 500000, .body = gather_collect, .peers = {AWAIT_EACH}},
    {.name = "group", .operations = 500000, .body = group, .peers = {AWAIT_EACH}},
    {.name = "group_cancel", .operations = 100000, .body = group_cancel},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "cancel", cases, sizeof cases / sizeof *cases);
}

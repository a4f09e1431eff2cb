// SPDX-License-Identifier: MIT
/* bench_spawn.c - what a task costs from spawn to await.
 *
 * What: one empty task at a time; ten thousand at once, in a new runtime and in a warm one, awaited
 *       (a join may run them in place) and detached (each then runs on a fiber of its own).
 * Peers: a queue of malloc'd closures is what a C program would use without fibers: the lower limit
 *       for anything that has to store a function, an argument and a result.
 */
#include "harness.h"

#include <stdlib.h>

enum { BATCH = 10000 };

static intptr_t empty(void *arg)
{
    return (intptr_t)arg;
}

static void spawn_await(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        weft_task *task;
        bench_require(b, weft_spawn(&task, empty, NULL) == 0, "spawn");
        bench_require(b, weft_await(task, NULL) == 0, "await");
    }
    bench_stop(b);
}

static void spawn_many(struct bench *b)
{
    static weft_task *tasks[BATCH];
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            bench_require(b, weft_spawn(&tasks[i], empty, NULL) == 0, "spawn");
        }
        for (int i = 0; i < BATCH; i++) {
            bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
        }
    }
    bench_stop(b);
}

struct countdown {
    int left; /* atomic: the tasks may run on any worker */
    weft_future done;
};

static intptr_t count_down(void *arg)
{
    struct countdown *countdown = arg;
    if (__atomic_sub_fetch(&countdown->left, 1, __ATOMIC_ACQ_REL) == 0) {
        weft_future_set(&countdown->done, 0);
    }
    return 0;
}

/* A future's setter may still be inside it when its waiter goes on, so each round has another one,
 * and none is freed. */
static void spawn_detached(struct bench *b)
{
    enum { ROUNDS = 64 };
    static struct countdown countdowns[ROUNDS];
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += BATCH) {
        struct countdown *countdown = &countdowns[done / BATCH % ROUNDS];
        *countdown = (struct countdown){.left = BATCH};
        for (int i = 0; i < BATCH; i++) {
            bench_require(b, weft_spawn(NULL, count_down, countdown) == 0, "spawn");
        }
        bench_require(b, weft_future_await(&countdown->done, NULL) == 0, "future");
    }
    bench_stop(b);
}

/* ---- a queue of closures --------------------------------------------------------------------- */

struct closure {
    weft_fn *fn;
    void *arg;
    intptr_t result;
    struct closure *next;
};

static struct closure *push_closure(struct closure ***tail)
{
    struct closure *closure = malloc(sizeof *closure);
    if (closure == NULL) {
        abort();
    }
    *closure = (struct closure){.fn = empty};
    **tail = closure;
    *tail = &closure->next;
    return closure;
}

static void run_closures(struct closure *first)
{
    while (first != NULL) {
        struct closure *next = first->next;
        first->result = first->fn(first->arg);
        free(first);
        first = next;
    }
}

static void closure_one(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        struct closure *first = NULL;
        struct closure **tail = &first;
        __asm__ volatile("" ::"r"(push_closure(&tail)) : "memory");
        run_closures(first);
    }
    bench_stop(b);
}

static void closure_many(struct bench *b)
{
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += BATCH) {
        struct closure *first = NULL;
        struct closure **tail = &first;
        for (int i = 0; i < BATCH; i++) {
            __asm__ volatile("" ::"r"(push_closure(&tail)) : "memory");
        }
        run_closures(first);
    }
    bench_stop(b);
}

static const struct bench_case cases[] = {
    {.name = "spawn_await",
     .operations = 500000,
     .body = spawn_await,
     .peers = {{.name = "closure", .body = closure_one}}},
    {.name = "spawn_many_cold",
     .operations = BATCH,
     .quick_operations = BATCH,
     .body = spawn_many,
     .flags = BENCH_FRESH,
     .peers = {{.name = "closure", .body = closure_many}}},
    {.name = "spawn_many_warm",
     .operations = 50 * BATCH,
     .body = spawn_many,
     .peers = {{.name = "closure", .body = closure_many}}},
    {.name = "spawn_detached", .operations = 50 * BATCH, .body = spawn_detached},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "spawn", cases, sizeof cases / sizeof *cases);
}

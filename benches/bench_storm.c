// SPDX-License-Identifier: MIT
/* bench_storm.c - bursts of small tasks at one worker: do the others help in time?
 *
 * What: a fiber spawns a thousand tasks of about a microsecond and awaits them all, again and again; an
 *       operation is a task. With more workers the ratio to one worker should near one over their
 *       number. storm_detached: the same with tasks that nobody awaits: none can run in place.
 */
#include "harness.h"

#include <stdlib.h>

#include "chain.h"

enum { BURST = 1000 };

static intptr_t work(void *arg)
{
    (void)arg;
    bench_chain(CHAIN_US);
    return 0;
}

static void storm(struct bench *b)
{
    static weft_task *tasks[BURST];
    bench_start(b);
    for (uint64_t done = 0; done < b->operations; done += BURST) {
        for (int i = 0; i < BURST; i++) {
            bench_require(b, weft_spawn(&tasks[i], work, NULL) == 0, "spawn");
        }
        for (int i = 0; i < BURST; i++) {
            bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
        }
    }
    bench_stop(b);
}

/* One for each burst: a setter may still be inside its future when the waiter goes on. */
struct burst {
    uint64_t left; /* atomic: the tasks may run on any worker */
    weft_future done;
};

static intptr_t work_and_count(void *arg)
{
    struct burst *burst = arg;
    bench_chain(CHAIN_US);
    if (__atomic_sub_fetch(&burst->left, 1, __ATOMIC_ACQ_REL) == 0) {
        weft_future_set(&burst->done, 0);
    }
    return 0;
}

static void storm_detached(struct bench *b)
{
    uint64_t count = b->operations / BURST + 1;
    struct burst *bursts = calloc(count, sizeof *bursts);
    bench_require(b, bursts != NULL, "memory");
    b->done = count * BURST;
    bench_start(b);
    for (uint64_t i = 0; i < count; i++) {
        bursts[i].left = BURST;
        for (int j = 0; j < BURST; j++) {
            bench_require(b, weft_spawn(NULL, work_and_count, &bursts[i]) == 0, "spawn");
        }
        bench_require(b, weft_future_await(&bursts[i].done, NULL) == 0, "future");
    }
    bench_stop(b);
    bench_require(b, weft_yield() == 0, "yield");
    free(bursts);
}

static void alone(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_chain(CHAIN_US);
    }
    bench_stop(b);
}

static const struct bench_case cases[] = {
    {.name = "storm",
     .operations = 100000,
     .body = storm,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = storm, .in_runtime = true, .workers = 1},
               {.name = "calls", .body = alone, .workers = 1}}},
    {.name = "storm_detached",
     .operations = 100000,
     .body = storm_detached,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = storm_detached, .in_runtime = true, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "storm", cases, sizeof cases / sizeof *cases);
}

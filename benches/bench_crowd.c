// SPDX-License-Identifier: MIT
/* bench_crowd.c - a hundred thousand fibers wait, each for something of its own; all are woken and joined.
 *
 * What: an operation is one fiber: setting what it waits for, its last few instructions, and its join.
 *       Its stack has long left the caches; that is what most of the time goes into.
 */
#include "harness.h"

#include <stdlib.h>

struct member {
    struct bench *b;
    uint64_t *parked; /* atomic: those that are about to wait */
    weft_future turn;
    weft_task *task;
};

static intptr_t wait_turn(void *arg)
{
    struct member *member = arg;
    __atomic_add_fetch(member->parked, 1, __ATOMIC_RELAXED);
    bench_require(member->b, weft_future_await(&member->turn, NULL) == 0, "future");
    return 0;
}

static void wake_crowd(struct bench *b)
{
    struct member *members = calloc(b->operations, sizeof *members);
    bench_require(b, members != NULL, "memory");
    uint64_t parked = 0;
    for (uint64_t i = 0; i < b->operations; i++) {
        members[i].b = b;
        members[i].parked = &parked;
        bench_require(b, weft_spawn(&members[i].task, wait_turn, &members[i]) == 0, "spawn");
    }
    while (__atomic_load_n(&parked, __ATOMIC_RELAXED) < b->operations) {
        bench_require(b, weft_yield() == 0, "yield");
    }
    bench_require(b, weft_sleep(20 * WEFT_MS) == 0, "sleep");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        weft_future_set(&members[i].turn, 0);
    }
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_await(members[i].task, NULL) == 0, "await");
    }
    bench_stop(b);
    free(members);
}

static const struct bench_case cases[] = {
    {.name = "wake_crowd", .operations = 100000, .body = wake_crowd, .reps_most = 5},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "crowd", cases, sizeof cases / sizeof *cases);
}

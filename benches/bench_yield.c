// SPDX-License-Identifier: MIT
/* bench_yield.c - letting others run: two fibers by turns, one alone, and the bare switch beneath. */
#include "harness.h"

#include <stdlib.h>

#include "bare_switch.h"

struct yielder {
    struct bench *b;
    uint64_t times;
};

/* One place in the code for both, as with fibers that serve alike: a fiber that goes on where the one before it did
 * not leave has its return predicted wrongly, which costs as much again. */
static __attribute__((noinline)) intptr_t yield_times(void *arg)
{
    struct yielder *yielder = arg;
    for (uint64_t i = 0; i < yielder->times; i++) {
        bench_require(yielder->b, weft_yield() == 0, "yield");
    }
    return 0;
}

/* The partner must be a fiber: once it has started, awaiting it can't run it in place. */
static void yield_two(struct bench *b)
{
    struct yielder half = {b, b->operations / 2};
    weft_task *partner;
    bench_require(b, weft_spawn(&partner, yield_times, &half) == 0, "spawn");
    bench_start(b);
    yield_times(&half);
    bench_require(b, weft_await(partner, NULL) == 0, "await");
    bench_stop(b);
}

static void yield_lone(struct bench *b)
{
    struct yielder all = {b, b->operations};
    bench_start(b);
    yield_times(&all);
    bench_stop(b);
}

static const struct bench_case cases[] = {
    {.name = "yield_two",
     .operations = 2000000,
     .body = yield_two,
     .peers = {{.name = "bare switch", .body = bare_switch}}},
    {.name = "yield_lone", .operations = 2000000, .body = yield_lone},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "yield", cases, sizeof cases / sizeof *cases);
}

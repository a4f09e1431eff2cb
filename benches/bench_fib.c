// SPDX-License-Identifier: MIT
/* bench_fib.c - fork and join with nothing else to do: Fibonacci numbers by tasks, without a cutoff.
 *
 * What: fib(n) spawns fib(n - 1), calls fib(n - 2) and awaits the child. An operation is a spawn, of
 *       which there are fib(n + 1) - 1; --operations N sets n, --full makes it 39.
 *       fib_group       the same by a group in each call, with a child for each of the two.
 *       fib_64_workers has far more workers than processors: beside two workers it should lose little.
 * Peers: the same function calls, as they would be without tasks; with more workers, one worker.
 */
#include "harness.h"

#include <stdlib.h>

/* n and the result are small numbers: they travel in the argument and the result themselves. */
static intptr_t fib(void *arg)
{
    intptr_t n = (intptr_t)arg;
    if (n < 2) {
        return n;
    }
    weft_task *left;
    intptr_t left_value;
    if (weft_spawn(&left, fib, (void *)(n - 1)) != 0) {
        abort();
    }
    intptr_t right_value = fib((void *)(n - 2));
    if (weft_await(left, &left_value) != 0) {
        abort();
    }
    return left_value + right_value;
}

struct half {
    intptr_t n;
    intptr_t value;
};

static intptr_t fib_of_half(void *arg)
{
    struct half *half = arg;
    if (half->n < 2) {
        half->value = half->n;
        return 0;
    }
    struct half left = {.n = half->n - 1};
    struct half right = {.n = half->n - 2};
    weft_group group;
    if (weft_group_open(&group, 0) != 0 ||
        weft_group_spawn(&group, NULL, fib_of_half, &left, NULL) != 0 ||
        weft_group_spawn(&group, NULL, fib_of_half, &right, NULL) != 0 ||
        weft_group_close(&group, 0) != 0) {
        abort();
    }
    half->value = left.value + right.value;
    return 0;
}

__attribute__((noinline)) static intptr_t fib_by_calls(intptr_t n)
{
    /* Opaque, so that the compiler does not unroll the recursion. */
    __asm__("" : "+r"(n));
    return n < 2 ? n : fib_by_calls(n - 1) + fib_by_calls(n - 2);
}

static intptr_t fib_by_adding(uint64_t n)
{
    intptr_t here = 0;
    intptr_t next = 1;
    for (uint64_t i = 0; i < n; i++) {
        intptr_t sum = here + next;
        here = next;
        next = sum;
    }
    return here;
}

static void finish(struct bench *b, intptr_t value)
{
    bench_require(b, value == fib_by_adding(b->operations), "wrong number");
    b->done = (uint64_t)fib_by_adding(b->operations + 1) - 1;
    b->done += b->done == 0;
}

static void by_tasks(struct bench *b)
{
    bench_start(b);
    intptr_t value = fib((void *)(intptr_t)b->operations);
    bench_stop(b);
    finish(b, value);
}

/* Twice as many spawns. */
static void by_groups(struct bench *b)
{
    struct half all = {.n = (intptr_t)b->operations};
    bench_start(b);
    (void)fib_of_half(&all);
    bench_stop(b);
    finish(b, all.value);
    b->done *= 2;
}

static void by_calls(struct bench *b)
{
    bench_start(b);
    intptr_t value = fib_by_calls((intptr_t)b->operations);
    bench_stop(b);
    finish(b, value);
}

static const struct bench_case cases[] = {
    {.name = "fib",
     .operations = 32,
     .quick_operations = 22,
     .full_operations = 39,
     .body = by_tasks,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = by_tasks, .in_runtime = true, .workers = 1},
               {.name = "calls", .body = by_calls, .workers = 1}}},
    {.name = "fib_group",
     .operations = 30,
     .quick_operations = 20,
     .full_operations = 36,
     .body = by_groups,
     .reps_most = 7,
     .programs_as = "fib",
     .peers = {{.name = "await each", .body = by_tasks, .in_runtime = true}}},
    {.name = "fib_64_workers",
     .operations = 32,
     .quick_operations = 22,
     .full_operations = 39,
     .body = by_tasks,
     .workers = 64,
     .reps_most = 5,
     .peers = {{.name = "two workers", .body = by_tasks, .in_runtime = true, .workers = 2}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "fib", cases, sizeof cases / sizeof *cases);
}

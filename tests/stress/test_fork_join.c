/* SPDX-License-Identifier: MIT */
/* test_fork_join.c - trees of tasks that spawn and await, on two workers, eight and sixty-four.
 *
 * Whatever runs where, interrupted wherever: each node's sum is the sum of its children. Some nodes yield or
 * sleep between spawning and awaiting, so that trees that run in place and trees that are stolen meet. */
#include <weft/stats.h>
#include <weft/time.h>

#include "stress.h"

enum { CHILDREN = 10 };

struct node {
    intptr_t first;
    intptr_t count;
    uint64_t random;
};

/* One in 16 nodes gives others a turn, one in 256 waits for a moment. */
static void maybe_pause(uint64_t *random)
{
    uint64_t drawn = draw(random) % 256;

    if (drawn == 0) {
        wt_check(weft_sleep(draw_us(random, 20)) == 0);
    } else if (drawn < 16) {
        wt_check(weft_yield() == 0);
    }
}

/* Awaits in an order that is drawn: oldest first or newest first. */
static intptr_t await_children(weft_task **tasks, bool is_newest_first)
{
    intptr_t sum = 0;

    for (int i = 0; i < CHILDREN; i++) {
        intptr_t value = 0;
        int at = is_newest_first ? CHILDREN - 1 - i : i;
        wt_check(weft_await(tasks[at], &value) == 0);
        sum += value;
    }
    return sum;
}

static intptr_t add_leaves(void *arg)
{
    struct node *node = arg;
    struct node children[CHILDREN];
    weft_task *tasks[CHILDREN];
    intptr_t sum;

    maybe_pause(&node->random);
    if (node->count == 1) {
        return node->first;
    }
    for (int i = 0; i < CHILDREN; i++) {
        intptr_t each = node->count / CHILDREN;
        children[i] = (struct node){node->first + i * each, each, draw(&node->random) | 1};
        if (!wt_check(weft_spawn(&tasks[i], add_leaves, &children[i]) == 0)) {
            abort();
        }
    }
    maybe_pause(&node->random);
    sum = await_children(tasks, draw(&node->random) % 2 == 0);
    wt_check(sum == node->count * (2 * node->first + node->count - 1) / 2);
    return sum;
}

static intptr_t run_trees(void *seed)
{
    enum { TREES = 8, LEAVES = 1000 };
    weft_stats_t stats = {.size = sizeof stats};
    uint64_t random = as_seed(seed);

    for (int i = 0; i < STRESS_COUNT(TREES); i++) {
        struct node root = {i * LEAVES, LEAVES, draw(&random) | 1};
        add_leaves(&root);
    }
    /* All but this one; whoever ends a task counts it a moment after its joiner has seen it. */
    do {
        wt_check(weft_yield() == 0);
        wt_check(weft_stats(NULL, &stats) == 0);
    } while (stats.tasks_spawned != stats.tasks_finished + 1);
    return 0;
}

static intptr_t fib(void *arg)
{
    intptr_t n = (intptr_t)arg;
    intptr_t left = 0;
    intptr_t right;
    weft_task *task;

    if (n < 2) {
        return n;
    }
    if (!wt_check(weft_spawn(&task, fib, as_arg((uint64_t)n - 1)) == 0)) {
        abort();
    }
    right = fib(as_arg((uint64_t)n - 2));
    wt_check(weft_await(task, &left) == 0);
    return left + right;
}

static intptr_t run_fib(void *seed)
{
    (void)seed;
    wt_check(fib(as_arg(18)) == 2584);
    return 0;
}

STRESS_TEST(fork_join, trees_add_up_with, run_trees);
STRESS_TEST(fork_join, numbers_come_out_with, run_fib);

/* Many more workers than processors: all of them steal from a few. */
Test(fork_join, trees_add_up_with_sixty_four_workers, .timeout = 60)
{
    stress_run(64, run_trees);
}

Test(fork_join, numbers_come_out_with_sixty_four_workers, .timeout = 60)
{
    stress_run(64, run_fib);
}

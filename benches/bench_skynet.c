// SPDX-License-Identifier: MIT
/* bench_skynet.c - a tree of tasks, ten children each, whose leaves are numbered; adds the numbers.
 *
 * What: each task spawns its ten children, the leaves too, and awaits them, the newest first. An
 *       operation is a leaf; --operations N sets their number (a power of ten), --full makes it 1e8.
 */
#include "harness.h"

#include <stdlib.h>

enum { CHILDREN = 10 };

struct node {
    intptr_t first; /* number of its first leaf */
    intptr_t count; /* of its leaves */
};

static intptr_t skynet(void *arg)
{
    const struct node *node = arg;
    if (node->count == 1) {
        return node->first;
    }
    struct node children[CHILDREN];
    weft_task *tasks[CHILDREN];
    intptr_t each = node->count / CHILDREN;
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = (struct node){node->first + i * each, each};
        if (weft_spawn(&tasks[i], skynet, &children[i]) != 0) {
            abort();
        }
    }
    intptr_t sum = 0;
    for (int i = CHILDREN - 1; i >= 0; i--) {
        intptr_t value;
        if (weft_await(tasks[i], &value) != 0) {
            abort();
        }
        sum += value;
    }
    return sum;
}

static intptr_t power_of_ten(uint64_t most)
{
    intptr_t power = 1;
    while ((uint64_t)power * CHILDREN <= most) {
        power *= CHILDREN;
    }
    return power;
}

static void run_skynet(struct bench *b)
{
    struct node root = {0, power_of_ten(b->operations)};
    b->done = (uint64_t)root.count;
    bench_start(b);
    intptr_t sum = skynet(&root);
    bench_stop(b);
    bench_require(b, sum == root.count * (root.count - 1) / 2, "wrong sum");
}

static const struct bench_case cases[] = {
    {.name = "skynet",
     .operations = 1000000,
     .quick_operations = 10000,
     .full_operations = 100000000,
     .body = run_skynet,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = run_skynet, .in_runtime = true, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "skynet", cases, sizeof cases / sizeof *cases);
}

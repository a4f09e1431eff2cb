// SPDX-License-Identifier: MIT
/* bench_matmul.c - work with a memory: the product of two matrices, by quarters.
 *
 * What: a block of the product is four quarters, each the sum of two products of quarters: four tasks,
 *       awaited, and four more, down to blocks of 32 by 32. An operation is a product;
 *       --operations N sets the size (a power of two), --full makes it 2048.
 */
#include "harness.h"

#include <stdlib.h>

#include "matmul.h"

struct block {
    const float *a;
    const float *b;
    float *c;
    size_t size;
    size_t stride;
};

static intptr_t multiply(void *arg);

/* The three quarters are spawned, the fourth is called. `half` is the inner half: 0 or 1. */
static void multiply_quarters(const struct block *block, size_t half)
{
    size_t size = block->size / 2;
    size_t stride = block->stride;
    struct block quarters[4];
    weft_task *tasks[4];
    for (size_t i = 0; i < 4; i++) {
        size_t row = i / 2 * size * stride;
        size_t column = i % 2 * size;
        quarters[i] =
            (struct block){block->a + row + half * size, block->b + half * size * stride + column,
                           block->c + row + column, size, stride};
        if (i < 3 && weft_spawn(&tasks[i], multiply, &quarters[i]) != 0) {
            abort();
        }
    }
    multiply(&quarters[3]);
    for (int i = 2; i >= 0; i--) {
        if (weft_await(tasks[i], NULL) != 0) {
            abort();
        }
    }
}

static intptr_t multiply(void *arg)
{
    const struct block *block = arg;
    if (block->size == MATMUL_LEAF) {
        matmul_leaf(block->a, block->b, block->c, block->stride);
        return 0;
    }
    multiply_quarters(block, 0);
    multiply_quarters(block, 1);
    return 0;
}

static void run_matmul(struct bench *b)
{
    size_t size = MATMUL_LEAF;
    while (size * 2 <= b->operations) {
        size *= 2;
    }
    float *matrices = aligned_alloc(4096, 3 * size * size * sizeof *matrices);
    bench_require(b, matrices != NULL, "memory");
    struct block all = {matrices, matrices + size * size, matrices + 2 * size * size, size, size};
    matmul_fill(matrices, matrices + size * size, all.c, size);
    int64_t start_ns = bench_now_ns();
    multiply(&all);
    bench_report(b, "", "ms", (double)(bench_now_ns() - start_ns) / 1e6);
    bench_require(b, matmul_is_right(all.a, all.b, all.c, size), "wrong product");
    free(matrices);
}

static const struct bench_case cases[] = {
    {.name = "matmul",
     .operations = 1024,
     .quick_operations = 256,
     .full_operations = 2048,
     .body = run_matmul,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = run_matmul, .in_runtime = true, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "matmul", cases, sizeof cases / sizeof *cases);
}

// SPDX-License-Identifier: MIT
/* parallel_loop.c - a loop over many elements, by halves: one half is a task, the other a plain call.
 *
 * A piece is worth some microseconds: then what a spawn and its await cost (some ten nanoseconds, more if another
 * worker takes the task) is lost in it, and there are enough pieces for all workers.
 */
#include <stdint.h>
#include <stdio.h>
#include <weft.h>

enum { COUNT = 1 << 20, PIECE = 1 << 12 };

struct range {
    uint32_t *of;
    size_t count;
    uint64_t sum; /* the result: written before the task ends, read after it has been awaited */
};

static void square(struct range *range)
{
    for (size_t i = 0; i < range->count; i++) {
        range->of[i] *= range->of[i];
        range->sum += range->of[i];
    }
}

/* Returns 0, or a negative errno: of a spawn, or since it was cancelled. */
static intptr_t run(void *arg)
{
    struct range *range = arg;
    if (range->count <= PIECE) {
        square(range);
        return 0;
    }
    struct range left = {range->of, range->count / 2, 0};
    struct range right = {range->of + left.count, range->count - left.count, 0};
    weft_task *task;
    int rc = weft_spawn(&task, run, &left);
    if (rc < 0) {
        return rc;
    }
    intptr_t mine = run(&right);
    intptr_t its = 0;
    rc = weft_await(
        task,
        &its); /* also when cancelled only once the task has ended: `left` lies in this frame */
    range->sum = left.sum + right.sum;
    return rc < 0 ? rc : mine < 0 ? mine : its;
}

static intptr_t app(void *arg)
{
    static uint32_t numbers[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i % 1000;
    }
    struct range all = {numbers, COUNT, 0};
    intptr_t rc = run(&all);
    printf("%llu\n", (unsigned long long)all.sum);
    (void)arg;
    return rc;
}

int main(void)
{
    return weft_run(app, NULL, NULL) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* sweep_test.h - a function that must leave nothing behind, wherever it is cancelled.
 *
 * `held` counts what the function's tasks hold at any time; the sweep takes it for the heap, so it must be as
 * before after each run. */
#ifndef SWEEP_TEST_H
#define SWEEP_TEST_H

#include <weft/testing.h>

#include "weft_test.h"

enum { SEEDS = 21 };

static int64_t held;

static inline int64_t heap(void *arg)
{
    (void)arg;
    return held;
}

/* Seeds 0 to 20. */
static inline void sweep(weft_fn *fn, uint64_t points_least)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        weft_sweep_options options = {.seed = seed, .heap = heap};
        weft_sweep_report report = {.size = sizeof report};
        cr_assert_eq(weft_cancel_sweep(fn, NULL, &options, &report), 0, "seed %d", (int)seed);
        cr_assert_eq(held, 0);
        cr_assert_geq(report.points, points_least);
        cr_assert_gt(report.delivered, 0);
    }
    wt_assert_clean();
}

#endif

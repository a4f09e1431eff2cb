// SPDX-License-Identifier: MIT
/* simulate_test.h - what the tests of simulations share. */
#ifndef WEFT_SIMULATE_TEST_H
#define WEFT_SIMULATE_TEST_H

#include <weft.h>

#include "weft_test.h"

enum { SEEDS = 200 };

WT_FN intptr_t run_seed(weft_fn *fn, void *arg, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed, .workers = 4};
    return weft_run(fn, arg, &options);
}

#endif

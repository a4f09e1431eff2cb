// SPDX-License-Identifier: MIT
/* local_test.h - values whose drops are counted, and tests that run everywhere.
 *
 * Most tests run in a simulation, with its seed 0 and with others, and on workers; each counts what was set and
 * what was dropped. */
#ifndef WEFT_LOCAL_TEST_H
#define WEFT_LOCAL_TEST_H

#include <stdatomic.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

/* Every value set is &values[i]; its drop counts in drops[i]. */
enum { VALUES = 64 };
static char values[VALUES];
static atomic_int drops[VALUES];

WT_FN void count_drop(void *value)
{
    atomic_fetch_add(&drops[(char *)value - values], 1);
}

static void drop_a(void *value);
static weft_local a = WEFT_LOCAL_INIT("a", drop_a);
static weft_local b = WEFT_LOCAL_INIT("b", count_drop);

/* Nobody sees the value any more, on whatever thread this is. */
WT_FN void drop_a(void *value)
{
    wt_check(weft_local_get(&a) != value);
    count_drop(value);
}

WT_FN void *val(int i)
{
    return &values[i];
}

WT_FN int got(weft_local *local)
{
    const char *value = weft_local_get(local);
    return value != NULL ? (int)(value - values) : -1;
}

/* Values from 1 to `last` were each dropped exactly once. */
WT_FN bool all_dropped(int last)
{
    bool good = true;
    for (int i = 1; i <= last; i++) {
        if (atomic_load(&drops[i]) != 1) {
            fprintf(stderr, "value %d was dropped %d times\n", i, atomic_load(&drops[i]));
            good = false;
        }
        atomic_store(&drops[i], 0);
    }
    return good;
}

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

/* In a simulation and on workers; afterwards the values 1 to `last` are gone. */
WT_FN void run_everywhere(weft_fn *fn, int last)
{
    weft_options simulated = {.simulate = true};
    for (uint64_t seed = 0; seed < 4; seed++) {
        simulated.seed = seed;
        cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
        cr_assert(all_dropped(last));
    }
    cr_assert_eq(weft_run(fn, NULL, &one_worker), 0);
    cr_assert(all_dropped(last));
    cr_assert_eq(weft_run(fn, NULL, &four_workers), 0);
    cr_assert(all_dropped(last));
    wt_assert_clean();
}

#endif

/* SPDX-License-Identifier: MIT */
/* one_processor.h - a test whose threads all share one processor. */
#ifndef WEFT_ONE_PROCESSOR_H
#define WEFT_ONE_PROCESSOR_H

#include <sched.h>

#include "weft_test.h"

/* The process and all it will start. */
WT_FN void stay_on_one_processor(void)
{
    cpu_set_t all, one;

    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
            return;
        }
    }
}

#endif

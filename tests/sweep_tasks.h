/* SPDX-License-Identifier: MIT */
/* sweep_tasks.h - tasks that hold something while they live: `held` counts it (sweep_test.h). */
#ifndef WEFT_SWEEP_TASKS_H
#define WEFT_SWEEP_TASKS_H

#include <errno.h>

#include <weft.h>

#include "sweep_test.h"

WT_FN intptr_t work(void *arg)
{
    held++;
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    held--;
    return rc < 0 ? rc : 7;
}

WT_FN intptr_t fail(void *arg)
{
    intptr_t rc = work(arg);
    return rc < 0 ? rc : -EIO;
}

/* Cleans up for a while after a cancellation. */
WT_FN intptr_t careful(void *arg)
{
    held++;
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    int last = weft_sleep(WEFT_MS);
    held--;
    return rc < 0 ? rc : last;
}

WT_FN void *ms(intptr_t n)
{
    return (void *)n;
}

WT_FN void drop_held(void *arg)
{
    (void)arg;
    held--;
}

WT_FN void drop_value(intptr_t value)
{
    (void)value;
    held--;
}

/* Gives what `arg` stands for away as a value. */
WT_FN intptr_t pass_on(void *arg)
{
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    if (rc < 0) {
        held--;
        return rc;
    }
    return 1;
}

#endif

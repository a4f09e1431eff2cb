/* SPDX-License-Identifier: MIT */
/* inside_group_test.h - a group that a task closes, for tests of children that run on its stack. */
#ifndef WEFT_INSIDE_GROUP_TEST_H
#define WEFT_INSIDE_GROUP_TEST_H

#include "inside_test.h"

static weft_group group;
static intptr_t closed; /* what weft_group_close returned */

WT_FN void open_all(void)
{
    open_events();
    closed = 77;
}

WT_FN void add(weft_fn *fn, void *arg)
{
    wt_check(weft_group_spawn(&group, NULL, fn, arg, NULL) == 0);
}

WT_FN intptr_t close_now(intptr_t rc)
{
    closed = weft_group_close(&group, rc);
    wt_check(weft_self() == parent && fiber_here() == parent_fiber);
    mark(closed == 0 ? "closed" : closed == -ECANCELED ? "close-told" : "close-error");
    return closed;
}

#endif

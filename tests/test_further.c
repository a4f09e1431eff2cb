/* SPDX-License-Identifier: MIT */
/* test_further.c - which record is guessed from two that came one after the other: never one outside its slab. */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "task/further.h"

enum { USED = 100 };

static struct wf_task_slab *slab;

static void make_slab(void)
{
    slab = aligned_alloc(WF_SLAB_BYTES, WF_SLAB_BYTES);
    cr_assert_not_null(slab);
    wf_store_rlx(&slab->carved, USED);
}

static void free_slab(void)
{
    free(slab);
}

static weft_task *slot(int index)
{
    return (weft_task *)(void *)((char *)slab + 64 + index * (int)sizeof(struct weft_task));
}

TestSuite(further, .init = make_slab, .fini = free_slab);

Test(further, goes_on_by_the_same_step)
{
    cr_assert_eq(wf_task_further(slot(10), slot(11), 8), slot(19));
    cr_assert_eq(wf_task_further(slot(50), slot(49), 8), slot(41));
    cr_assert_eq(wf_task_further(slot(0), slot(3), 8), slot(27));
}

Test(further, ends_with_what_was_used)
{
    cr_assert_eq(wf_task_further(slot(90), slot(91), 8), slot(USED - 1));
    cr_assert_null(wf_task_further(slot(91), slot(92), 8));
    cr_assert_eq(wf_task_further(slot(9), slot(8), 8), slot(0));
    cr_assert_null(wf_task_further(slot(8), slot(7), 8));
}

Test(further, guesses_nothing_across_slabs)
{
    weft_task *far = (weft_task *)(void *)((char *)slot(11) + WF_SLAB_BYTES);

    cr_assert_null(wf_task_further(far, slot(11), 8));
    cr_assert_null(wf_task_further(slot(11), far, 8));
    cr_assert_null(wf_task_further(NULL, slot(11), 8));
}

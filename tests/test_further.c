/* SPDX-License-Identifier: MIT */
/* test_further.c - where records lie: which is guessed from two that came one after the other, never one outside its
 * slab; and what each has aside. */
#include <stdlib.h>

#include "task/further.h"
#include "task/wait.h"
#include "weft_test.h"

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
    return wf_task_beside((weft_task *)(void *)slab, index + 1);
}

Test(further, goes_on_by_the_same_step, .init = make_slab, .fini = free_slab)
{
    cr_assert_eq(wf_task_further(slot(10), slot(11), 8), slot(19));
    cr_assert_eq(wf_task_further(slot(50), slot(49), 8), slot(41));
    cr_assert_eq(wf_task_further(slot(0), slot(3), 8), slot(27));
}

Test(further, ends_with_what_was_used, .init = make_slab, .fini = free_slab)
{
    cr_assert_eq(wf_task_further(slot(90), slot(91), 8), slot(USED - 1));
    cr_assert_null(wf_task_further(slot(91), slot(92), 8));
    cr_assert_eq(wf_task_further(slot(9), slot(8), 8), slot(0));
    cr_assert_null(wf_task_further(slot(8), slot(7), 8));
}

Test(further, guesses_nothing_across_slabs, .init = make_slab, .fini = free_slab)
{
    weft_task *far = (weft_task *)(void *)((char *)slot(11) + WF_SLAB_BYTES);

    cr_assert_null(wf_task_further(far, slot(11), 8));
    cr_assert_null(wf_task_further(slot(11), far, 8));
    cr_assert_null(wf_task_further(NULL, slot(11), 8));
}

/* ---- what records have aside ---- */

/* Each has a line of its own, behind all records and within the slab. */
Test(further, what_lies_aside_is_found_both_ways, .init = make_slab, .fini = free_slab)
{
    const char *records_end = (const char *)&slot(WF_SLAB_SLOTS - 1)->context + 64;
    for (int i = 0; i < WF_SLAB_SLOTS; i++) {
        struct wf_task_side *side = wf_task_side(slot(i));
        cr_assert_eq(wf_side_task(side), slot(i));
        cr_assert_geq((uintptr_t)side, (uintptr_t)records_end);
        cr_assert_leq((uintptr_t)(side + 1), (uintptr_t)wf_task_seat(slot(0)));
        cr_assert_eq((uintptr_t)wf_task_seat(slot(i)) % 64, 0);
        cr_assert_leq((uintptr_t)(wf_task_seat(slot(i)) + 1), (uintptr_t)slab + WF_SLAB_BYTES);
        cr_assert(i == 0 || side == wf_task_side(slot(i - 1)) + 1);
    }
}

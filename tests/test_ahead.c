/* SPDX-License-Identifier: MIT */
/* test_ahead.c - how far ahead of its timer a sleeper's alarm is set. */
#include "sched/ahead.h"
#include "weft_test.h"

enum { LONG = 1000 };

static void wake_up(struct wf_ahead *ahead, int64_t took_ns, int times)
{
    for (int i = 0; i < times; i++) {
        wf_ahead_note(ahead, took_ns);
    }
}

Test(ahead, nothing_is_known_at_first)
{
    struct wf_ahead ahead = {0};
    cr_assert_eq(wf_ahead_of(&ahead, 12345), 12345);
    cr_assert_eq(wf_ahead_of(&ahead, WF_FOREVER), WF_FOREVER);
}

Test(ahead, comes_to_a_bit_less_than_what_waking_up_takes)
{
    struct wf_ahead ahead = {0};
    wake_up(&ahead, 30000, LONG);
    cr_assert_geq(ahead.ahead_ns, 30000 / 2);
    cr_assert_lt(ahead.ahead_ns, 30000);
    cr_assert_eq(wf_ahead_of(&ahead, 100000), 100000 - ahead.ahead_ns);
    cr_assert_eq(wf_ahead_of(&ahead, WF_FOREVER), WF_FOREVER);
}

Test(ahead, one_quick_wake_up_counts_at_once_and_slow_ones_do_by_and_by)
{
    struct wf_ahead ahead = {0};
    wake_up(&ahead, 30000, LONG);
    wake_up(&ahead, 10000, 1);
    cr_assert_lt(ahead.ahead_ns, 10000);
    wake_up(&ahead, 30000, 4);
    cr_assert_lt(ahead.ahead_ns, 10000, "not yet");
    wake_up(&ahead, 30000, LONG);
    cr_assert_gt(ahead.ahead_ns, 10000);
}

/* An alarm that was set for the sleep after the next is of use only if that wants the same. */
Test(ahead, small_changes_change_nothing)
{
    struct wf_ahead ahead = {0};
    wake_up(&ahead, 30000, LONG);
    int64_t before_ns = ahead.ahead_ns;
    for (int i = 0; i < LONG; i++) {
        wake_up(&ahead, 30000 + i % 5 * 500, 1);
    }
    cr_assert_eq(ahead.ahead_ns, before_ns);
}

Test(ahead, has_a_bound)
{
    struct wf_ahead ahead = {0};
    wake_up(&ahead, INT64_C(1000000000), LONG);
    cr_assert_leq(ahead.ahead_ns, WF_AHEAD_MOST_NS);
    wake_up(&ahead, 0, 1);
    cr_assert_eq(ahead.ahead_ns, 0);
}

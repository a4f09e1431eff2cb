// SPDX-License-Identifier: MIT
/* test_bias.c - how soon an owner that was stopped is biased again. */
#include "base/bias.h"
#include "base/clock.h"
#include "weft_test.h"

enum { SECOND_NS = 1000000000, PATIENCE_NS = 40000 };

static struct wf_bias bias;
static struct wf_bias_owner owner;

static void begin(void)
{
    wf_bias_add(&bias, &owner);
    wf_bias_begin(&bias);
    if (wf_load_acq(&bias.is_possible) == 0) {
        wt_skip("nobody is ever biased here");
    }
    owner.patience_ns = PATIENCE_NS;
}

/* It has been biased for so long, and looked so often meanwhile; then it is stopped. */
static void be_stopped_after(int64_t held_ns, int looks)
{
    int64_t now_ns = wf_monotonic_ns();
    wf_bias_renew(&bias, &owner, now_ns);
    cr_assert_eq(wf_load_rlx(&owner.states[WF_BIAS_FIRST]), WF_BIAS_HELD);
    owner.since_ns -= held_ns;
    for (int i = 0; i < looks; i++) {
        wf_bias_look(&bias, &owner, now_ns);
    }
    wf_bias_stop(&bias, &owner);
    cr_assert_eq(wf_load_rlx(&owner.states[WF_BIAS_FIRST]), WF_BIAS_NONE);
    cr_assert_geq(wf_load_rlx(&owner.again_ns), now_ns + owner.patience_ns);
}

Test(bias, who_has_had_it_for_long_and_used_it_has_it_again_sooner, .init = begin)
{
    be_stopped_after(SECOND_NS, 1000);
    cr_assert_eq(owner.patience_ns, PATIENCE_NS / 2);
}

Test(bias, who_has_had_it_for_a_moment_waits_for_longer, .init = begin)
{
    be_stopped_after(0, 10);
    cr_assert_eq(owner.patience_ns, 2 * PATIENCE_NS);
}

/* Looks come after so many joins: somebody who computes for long pays for each stop, and has nothing of the rest. */
Test(bias, who_has_hardly_used_it_waits_for_longer, .init = begin)
{
    be_stopped_after(SECOND_NS, 10);
    cr_assert_eq(owner.patience_ns, 2 * PATIENCE_NS);
    be_stopped_after(SECOND_NS, 10); /* looks from before do not count */
    cr_assert_eq(owner.patience_ns, 4 * PATIENCE_NS);
    be_stopped_after(SECOND_NS, 30);
    cr_assert_eq(owner.patience_ns, 2 * PATIENCE_NS);
}

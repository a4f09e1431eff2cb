/* SPDX-License-Identifier: MIT */
/* test_sweep_scopes.c - time limits, shields and groups under the cancel sweep. */
#include "sweep_tasks.h"

/* ---- scopes ---- */

static intptr_t nests_timeouts(void *arg)
{
    weft_timeout outer;
    weft_timeout inner;
    (void)arg;
    intptr_t rc = weft_timeout_enter(&outer, 4 * WEFT_MS);
    if (rc == 0) {
        rc = weft_timeout_enter(&inner, WEFT_MS);
        if (rc == 0) {
            rc = weft_timeout_leave(&inner, careful(ms(3)));
        }
        rc = rc == -ETIMEDOUT ? careful(ms(9)) : rc;
        rc = weft_timeout_leave(&outer, rc);
    }
    wt_check(weft_cancelling(weft_self()) <= 1);
    return rc == -ETIMEDOUT ? weft_checkpoint() : rc;
}

Test(sweep_awaits, timeouts)
{
    sweep(nests_timeouts, 4);
}

static intptr_t within(void *arg)
{
    (void)arg;
    intptr_t rc = weft_within(WEFT_MS, careful(ms(5)));
    rc = rc == -ETIMEDOUT ? weft_within(9 * WEFT_MS, work(ms(1))) : rc;
    return rc < 0 ? rc : weft_within(0, work(ms(1)));
}

Test(sweep_awaits, within)
{
    sweep(within, 3);
}

/* Requests from outside never interrupt the inner sleep, the bound does. */
static intptr_t shields(void *arg)
{
    weft_shield section;
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    intptr_t shielded = weft_shield_enter(&section, 5 * WEFT_MS);
    if (shielded == 0) {
        int slept = weft_sleep(WEFT_MS);
        wt_check(slept == 0);
        shielded = weft_shield_leave(&section, slept);
    }
    wt_check(shielded == 0);
    shielded = weft_shield_enter(&section, WEFT_MS);
    if (shielded == 0) {
        shielded = weft_shield_leave(&section, careful(ms(9)));
    }
    wt_check(shielded == -ETIMEDOUT);
    return rc < 0 ? rc : weft_checkpoint();
}

Test(sweep_awaits, shield)
{
    sweep(shields, 5);
}

/* ---- groups ---- */

struct plan {
    weft_fn *fns[3];
    unsigned flags;
    bool drains;
    bool cancels;
};

/* Children whose argument is held until they drop it or end, as their options say. */
static int spawn_children(weft_group *group, const struct plan *plan)
{
    static const weft_spawn_options owning = {
        .name = "child", .drop_arg = drop_held, .drop_result = drop_value};
    int rc = 0;
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        bool owns = plan->fns[i] == pass_on;
        held += owns ? 1 : 0;
        rc = weft_group_spawn(group, NULL, plan->fns[i], ms((intptr_t)i), owns ? &owning : NULL);
        held -= owns && rc < 0 ? 1 : 0;
    }
    return rc;
}

static intptr_t run_group(const struct plan *plan)
{
    weft_group group;
    intptr_t rc = weft_group_open(&group, plan->flags);
    if (rc < 0) {
        return rc;
    }
    rc = spawn_children(&group, plan);
    rc = rc == 0 ? weft_sleep(WEFT_MS) : rc;
    if (rc == 0 && plan->drains) {
        rc = weft_group_drain(&group, WEFT_MS);
        rc = rc == -ETIMEDOUT ? weft_group_drain(&group, WEFT_FOREVER) : rc;
    }
    if (rc == 0 && plan->cancels) {
        (void)weft_group_cancel(&group);
        rc = weft_sleep(WEFT_MS);
    }
    return weft_group_close(&group, rc);
}

static intptr_t group_normal(void *arg)
{
    static const struct plan plan = {.fns = {work, careful, pass_on}};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_failing(void *arg)
{
    static const struct plan plan = {.fns = {pass_on, fail, careful}};
    (void)arg;
    intptr_t rc = run_group(&plan);
    wt_check(rc == -EIO || weft_is_error(rc) || weft_cancelling(weft_self()) == 0);
    return rc == -EIO ? 0 : rc;
}

static intptr_t group_cancelled(void *arg)
{
    static const struct plan plan = {.fns = {careful, pass_on, work}, .cancels = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_independent(void *arg)
{
    static const struct plan plan = {
        .fns = {fail, pass_on, careful}, .flags = WEFT_GROUP_INDEPENDENT, .drains = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_drained(void *arg)
{
    static const struct plan plan = {.fns = {work, pass_on, careful}, .drains = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_in_group(void *arg)
{
    static const struct plan plan = {.fns = {group_normal, group_failing, group_cancelled}};
    (void)arg;
    return run_group(&plan);
}

Test(sweep_awaits, group_normal)
{
    sweep(group_normal, 5);
}

Test(sweep_awaits, group_failing)
{
    sweep(group_failing, 4);
}

Test(sweep_awaits, group_cancelled)
{
    sweep(group_cancelled, 4);
}

Test(sweep_awaits, group_independent)
{
    sweep(group_independent, 6);
}

Test(sweep_awaits, group_drained)
{
    sweep(group_drained, 6);
}

Test(sweep_awaits, group_in_group)
{
    sweep(group_in_group, 15);
}

/* SPDX-License-Identifier: MIT */
/* test_shield_joins.c - shielded joins, and sections around a gather. In virtual time; S-n are the model's rules. */
#include <weft/gather.h>
#include <weft/task.h>

#include "shield_test.h"

/* ---- shielded joins ---- */

static intptr_t outcomes(void *arg)
{
    static const intptr_t ends[] = {4, -EIO, -ECANCELED};

    (void)arg;
    for (int i = 0; i < 3; i++) { /* S-1, S01, S02 */
        weft_task *task = spawn_parked(sleep_5_then, word(ends[i]));
        intptr_t result = 0;

        wt_check(weft_join_shielded(task, &result) == 0 && result == ends[i]);
        wt_check(weft_join_shielded(task, &result) == 0 && result == ends[i]);
        wt_check(weft_cancelling(weft_self()) == 0);
        weft_drop(task);
    }
    wt_check(now_s() == 15);
    return 0;
}

Test(shield, a_shielded_join_has_the_outcome)
{
    simulate(outcomes);
}

static intptr_t join_shielded(void *arg)
{
    intptr_t result = 77;
    int rc = weft_join_shielded(arg, &result);

    wt_check(rc == 0 || result == 77);
    return rc < 0 ? rc : result;
}

static intptr_t join_after_shielded(void *arg)
{
    wt_check(weft_join_shielded(arg, NULL) == -ECANCELED);
    return weft_join(arg, NULL); /* S-4: unprotected */
}

static intptr_t cancelled_joins(void *arg)
{
    weft_task *task = spawn_parked(sleep_5_then, word(4));
    weft_task *joiner = spawn_parked(join_shielded, task);

    (void)arg;
    wt_check(weft_sleep(WEFT_S) == 0); /* S-2, S03 */
    wt_check(weft_cancel(joiner) == 1);
    wt_check(finish(joiner) == -ECANCELED && now_s() == 1);
    wt_check(weft_task_state(task) == WEFT_PENDING && weft_cancelling(task) == 0);
    wt_check(finish(task) == 4 && now_s() == 5);

    task = spawn_parked(sleep_s, word(10)); /* S-3, S04: the task is cancelled */
    joiner = spawn_parked(join_shielded, task);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(joiner, NULL) == 0 && weft_cancelling(joiner) == 0);
    wt_check(finish(joiner) == -ECANCELED); /* the result, which it let through */
    wt_check(finish(task) == -ECANCELED);

    task = spawn_parked(sleep_s, word(10)); /* S12: both */
    joiner = spawn_parked(join_shielded, task);
    wt_check(weft_cancel(joiner) == 1 && weft_cancel(task) == 1);
    wt_check(finish(joiner) == -ECANCELED && finish(task) == -ECANCELED);

    task = spawn_parked(sleep_s, word(10)); /* S07 */
    joiner = spawn_parked(join_after_shielded, task);
    wt_check(weft_cancel(joiner) == 1);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(weft_cancel(joiner) == 1);
    wt_check(finish(joiner) == -ECANCELED);
    wt_check(weft_task_state(task) == WEFT_CANCELLED && now_s() == 6);
    weft_drop(task);
    return 0;
}

Test(shield, a_shielded_join_keeps_it_to_the_joiner)
{
    simulate(cancelled_joins);
}

/* S-5, S10 */
static intptr_t abandoned(void *arg)
{
    weft_task *task = spawn_parked(sleep_3_then_fail, NULL);
    weft_task *joiner = spawn_parked(join_shielded, task);

    (void)arg;
    wt_check(weft_cancel(joiner) == 1);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(errors_unseen == 0);
    weft_drop(task);
    wt_check(errors_unseen == 1);
    weft_drop(joiner);
    wt_check(errors_unseen == 1 && dropped == 0);
    return 0;
}

Test(shield, an_abandoned_task_is_like_any_other)
{
    simulate(abandoned);
}

static weft_task *protected_task;
static bool protected_was_told;

static intptr_t note_cancel(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    (void)arg;
    protected_was_told = rc == -ECANCELED;
    return rc;
}

/* S-6, S11 */
static intptr_t leave_it_behind(void *arg)
{
    weft_task *joiner;

    (void)arg;
    protected_task = spawn_parked(note_cancel, NULL);
    joiner = spawn_parked(join_shielded, protected_task);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(joiner) == 1);
    wt_check(weft_detach(joiner) == 0);
    return 0;
}

Test(shield, does_not_outlive_the_runtime)
{
    simulate(leave_it_behind);
    cr_assert(protected_was_told);
}

/* ---- composed with gather: S-8 ---- */

static intptr_t gather_two(void *arg)
{
    return weft_gather(arg, 2, NULL, WEFT_GATHER_COLLECT, NULL);
}

static intptr_t composed(void *arg)
{
    weft_task *pair[2] = {spawn_parked(sleep_s, word(4)), spawn_parked(sleep_s, word(5))};
    weft_task *gatherer = spawn_parked(gather_two, pair);
    weft_task *joiner = spawn_parked(join_shielded, gatherer);

    (void)arg;
    wt_check(weft_cancel(joiner) == 1); /* S08: protects all */
    wt_check(finish(joiner) == -ECANCELED);
    wt_check(finish(gatherer) == 0 && now_s() == 5);
    wt_check(finish(pair[0]) == 0 && finish(pair[1]) == 0);

    pair[0] = spawn_parked(sleep_s, word(4)); /* S09: loses only the shields */
    weft_task *shields[2] = {spawn_parked(join_shielded, pair[0]), NULL};
    shields[1] = spawn_parked(join_shielded, pair[0]);
    gatherer = spawn_parked(gather_two, shields);
    wt_check(weft_cancel(gatherer) == 1);
    wt_check(finish(gatherer) == -ECANCELED);
    wt_check(weft_task_state(shields[0]) == WEFT_CANCELLED);
    wt_check(weft_task_state(shields[1]) == WEFT_CANCELLED);
    wt_check(weft_task_state(pair[0]) == WEFT_PENDING && weft_cancelling(pair[0]) == 0);
    weft_drop_all(shields, 2);
    wt_check(finish(pair[0]) == 0);
    return 0;
}

Test(shield, composes_with_gather)
{
    simulate(composed);
}

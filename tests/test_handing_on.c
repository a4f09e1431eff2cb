/* SPDX-License-Identifier: MIT */
/* test_handing_on.c - requests to tasks that wait for others: who gets them, and who is told.
 *
 * Simulations: one worker, strict order, virtual time; at the end one real worker. D are the rules of handing on. */
#include <errno.h>

#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true, .diagnostic = ignore};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

static intptr_t join_and_mark(void *arg)
{
    intptr_t result = 0;
    int rc = weft_join(arg, &result);

    mark(rc == -ECANCELED ? "C" : result == -ECANCELED ? "0/C" : "0");
    wt_check(rc == 0 || result == -ECANCELED);
    return rc < 0 ? rc : result;
}

/* C14, C36 */
static intptr_t hand_on_once(void *arg)
{
    weft_task *inner = spawn_parked(clean_up, NULL);
    weft_task *outer = spawn_parked(join_and_mark, inner);

    (void)arg;
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(outer) == 1);
    wt_check(weft_cancelling(outer) == 1 && weft_cancelling(inner) == 1);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_state(outer) == WEFT_PENDING); /* D-1: the victim is not woken */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(outer) == 1); /* D-5: handed on again, into the clean-up */
    wt_check(weft_cancelling(outer) == 2 && weft_cancelling(inner) == 2);
    wt_check(finish(outer) == -ECANCELED);
    wt_check(weft_task_state(inner) == WEFT_CANCELLED);
    wt_check(now_s() == 2 && traced("again C "));
    weft_drop(inner);
    return 0;
}

Test(handing_on, a_join_hands_the_request_on)
{
    simulate(hand_on_once);
}

/* C19, and a long one: the walk is no recursion */
static intptr_t chains(void *arg)
{
    enum { LENGTH = 3000 };
    weft_task **links = calloc(LENGTH, sizeof(weft_task *));

    (void)arg;
    wt_check(weft_spawn(&links[0], sleep_s, word(9)) == 0);
    for (int i = 1; i < LENGTH; i++) {
        wt_check(weft_spawn(&links[i], join_and_mark, links[i - 1]) == 0);
    }
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(links[LENGTH - 1]) == 1);
    for (int i = 0; i < LENGTH; i++) {
        wt_check(weft_cancelling(links[i]) == 1); /* C-2: each link shows one */
        wt_check(weft_task_state(links[i]) == WEFT_PENDING);
    }
    wt_check(weft_join(links[LENGTH - 1], NULL) == 0);
    for (int i = 0; i < LENGTH; i++) {
        wt_check(weft_task_state(links[i]) == WEFT_CANCELLED);
        wt_check(weft_cancelling(links[i]) == 1);
    }
    wt_check(now_s() == 0);
    weft_drop_all(links, LENGTH);
    free(links);
    return 0;
}

Test(handing_on, down_a_chain_of_joins)
{
    simulate(chains);
}

static intptr_t swallow_and_give(void *arg)
{
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    return (intptr_t)arg;
}

static intptr_t join_then_sleep(void *arg)
{
    intptr_t result = 0;

    wt_check(weft_join(arg, &result) == 0);
    wt_check(weft_sleep(WEFT_S) == 0); /* D-2: not cancelled */
    return result;
}

static intptr_t swallowed_inside(void *arg)
{
    static const intptr_t ends[] = {42, -EIO};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        weft_task *inner = spawn_parked(swallow_and_give, word(ends[i]));
        weft_task *outer = spawn_parked(join_then_sleep, inner);

        wt_check(weft_cancel(outer) == 1);
        wt_check(weft_join(outer, NULL) == 0);
        wt_check(weft_cancelling(outer) == 1);
        wt_check(finish(outer) == ends[i]);
        weft_drop(inner);
    }
    return 0;
}

Test(handing_on, the_joined_task_may_swallow_it)
{
    simulate(swallowed_inside);
}

static intptr_t join_then_yield(void *arg)
{
    intptr_t result = 0;

    wt_check(weft_join(arg, &result) == 0);
    mark("joined");
    wt_check(weft_yield() == -ECANCELED);
    return result;
}

/* D-3 */
static intptr_t refused_by_the_ended(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *inner = spawn_parked(await_future, &future);
    weft_task *outer = spawn_parked(join_then_yield, inner);

    (void)arg;
    wt_check(weft_future_set(&future, 3) == 0);
    wt_check(weft_yield() == 0); /* inner has ended, outer may be queued behind us or be done */
    if (weft_task_state(outer) == WEFT_PENDING) {
        wt_check(weft_cancel(outer) == 1);
    }
    wt_check(weft_cancelling(inner) == 0);
    wt_check(finish(outer) == 3);
    weft_drop(inner);
    return 0;
}

Test(handing_on, an_ended_task_takes_no_request)
{
    simulate(refused_by_the_ended);
}

/* An undelivered request at the entry is handed on, not delivered: the child may use our frame. */
static intptr_t join_with_request(void *arg)
{
    weft_task *child = *(weft_task **)arg;
    intptr_t result = 0;
    int rc;

    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_join(child, &result);
    wt_check(weft_task_state(child) != WEFT_PENDING);
    mark(rc == -ECANCELED ? "C" : "0");
    if (rc == 0) {
        wt_check(weft_checkpoint() == (weft_cancelling(child) == 0 ? -ECANCELED : 0));
    }
    return result;
}

static intptr_t requests_at_a_join(void *arg)
{
    weft_task *child, *joiner;

    (void)arg;
    child = spawn_parked(clean_up, NULL);
    wt_check(finish(spawn_parked(join_with_request, &child)) == -ECANCELED);
    wt_check(now_s() == 5 && traced("cleaned C "));
    weft_drop(child);

    child = spawn_parked(swallow_and_give, word(8));
    wt_check(finish(spawn_parked(join_with_request, &child)) == 8);
    wt_check(traced("0 "));
    weft_drop(child);

    wt_check(weft_spawn(&joiner, join_with_request, &child) == 0);
    wt_check(weft_spawn(&child, must_not_run, NULL) == 0); /* has not started: never will */
    wt_check(finish(joiner) == -ECANCELED && !was_called);
    wt_check(traced("C "));
    weft_drop(child);

    child = spawn_parked(give, word(4)); /* ended: its result, and the request stays */
    wt_check(finish(spawn_parked(join_with_request, &child)) == 4);
    wt_check(traced("0 "));
    weft_drop(child);
    return 0;
}

Test(handing_on, a_join_hands_on_what_is_undelivered)
{
    simulate(requests_at_a_join);
}

/* D-4, D-6: who was cancelled? */
static intptr_t shared_child(void *arg)
{
    weft_task *child = spawn_parked(sleep_s, word(9));
    weft_task *guilty = spawn_parked(join_and_mark, child);
    weft_task *innocent = spawn_parked(join_and_mark, child);

    (void)arg;
    wt_check(weft_cancel(guilty) == 1);
    wt_check(weft_join(guilty, NULL) == 0 && weft_join(innocent, NULL) == 0);
    wt_check(traced("C 0/C "));
    wt_check(weft_cancelling(guilty) == 1 && weft_cancelling(innocent) == 0);
    wt_check(weft_cancelling(child) == 1);
    wt_check(weft_task_state(innocent) == WEFT_CANCELLED); /* it let the -ECANCELED through */
    weft_drop(guilty);
    weft_drop(innocent);
    weft_drop(child);

    child = spawn_parked(sleep_s, word(9)); /* C18: cancelled by a third party */
    innocent = spawn_parked(join_and_mark, child);
    wt_check(weft_cancel(child) == 1);
    wt_check(weft_join(innocent, NULL) == 0 && traced("0/C "));
    wt_check(weft_cancelling(innocent) == 0);
    weft_drop(innocent);
    weft_drop(child);
    return 0;
}

Test(handing_on, a_shared_child_dies_for_both)
{
    simulate(shared_child);
}

static weft_future pending_future;
static weft_task *unfinished;

static intptr_t at_some_private_wait(void *arg)
{
    switch ((intptr_t)arg) {
    case 0:
        return weft_join_shielded(unfinished, NULL);
    case 1:
        return weft_wait(&unfinished, 1, WEFT_WAIT_ALL, WEFT_FOREVER, NULL);
    case 2:
        return weft_future_await(&pending_future, NULL);
    default:
        return weft_wait(&unfinished, 1, WEFT_WAIT_FIRST_DONE, 50 * WEFT_S, NULL);
    }
}

/* D-9 */
static intptr_t private_waits(void *arg)
{
    (void)arg;
    unfinished = spawn_parked(sleep_s, word(20));
    for (intptr_t i = 0; i < 4; i++) {
        weft_task *waiter = spawn_parked(at_some_private_wait, word(i));

        wt_check(weft_cancel(waiter) == 1);
        wt_check(finish(waiter) == -ECANCELED);
    }
    wt_check(now_s() == 0);
    wt_check(weft_cancelling(unfinished) == 0);
    wt_check(weft_future_state(&pending_future) == WEFT_PENDING);
    wt_check(finish(unfinished) == 0 && now_s() == 20);
    return 0;
}

Test(handing_on, private_waits_keep_it_to_themselves)
{
    simulate(private_waits);
}

/* Joins under gathers under joins: every leaf is told once. */
static intptr_t gather_leaves(void *arg)
{
    weft_task *leaves[3];
    int rc;

    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&leaves[i], arg != NULL ? gather_leaves : mark_when_told,
                            arg != NULL ? NULL : "l") == 0);
    }
    rc = weft_gather(leaves, 3, NULL, WEFT_GATHER_COLLECT, NULL);
    for (int i = 0; i < 3; i++) {
        wt_check(weft_task_state(leaves[i]) == WEFT_CANCELLED);
        wt_check(weft_cancelling(leaves[i]) == 1);
    }
    weft_drop_all(leaves, 3);
    return rc;
}

static intptr_t trees(void *arg)
{
    weft_task *root = spawn_parked(gather_leaves, &arg);

    wt_check(weft_yield() == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(root) == 1);
    wt_check(finish(root) == -ECANCELED);
    wt_check(traced("l l l l l l l l l "));
    return 0;
}

Test(handing_on, down_a_tree_of_gathers)
{
    simulate(trees);
}

/* ---- a real worker, which starts the next task as soon as one waits ---- */

static intptr_t never_run(void *arg)
{
    mark("ran");
    return (intptr_t)arg;
}

enum way { JOIN, AWAIT, WITHIN, GATHER, GATHER_ALL, WAYS };

static int wait_by(enum way way, weft_task *task, intptr_t *result)
{
    switch (way) {
    case JOIN:
        return weft_join(task, result);
    case AWAIT:
        return weft_await(weft_retain(task), result);
    case WITHIN:
        return weft_wait_for(task, WEFT_S, result);
    case GATHER:
        return weft_gather(&task, 1, result, WEFT_GATHER_FIRST_ERROR, NULL);
    default:
        return weft_gather(&task, 1, result, WEFT_GATHER_COLLECT, NULL);
    }
}

/* The request is older than the wait, and reaches the child before that could start. */
static intptr_t new_child_hears_first(void *arg)
{
    (void)arg;
    for (int way = JOIN; way < WAYS; way++) {
        weft_task *child;
        intptr_t result = 0;
        wt_check(weft_spawn(&child, never_run, NULL) == 0);
        wt_check(weft_cancel(weft_self()) == 1);
        wt_check(wait_by((enum way)way, child, &result) == -ECANCELED);
        wt_check(weft_uncancel(weft_self()) == 0);
        wt_check(weft_task_state(child) == WEFT_CANCELLED && weft_cancelling(child) == 1);
        weft_drop(child);
        wt_check(weft_yield() == 0);
    }
    wt_check(traced(""));
    return 0;
}

Test(handing_on, a_new_child_hears_of_an_older_request_before_it_starts)
{
    const weft_options one = {.workers = 1, .diagnostic = ignore};
    cr_assert_eq(weft_run(new_child_hears_first, NULL, &one), 0);
    wt_assert_clean();
}

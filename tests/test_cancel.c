/* SPDX-License-Identifier: MIT */
/* test_cancel.c - requests: made, counted, delivered, withdrawn.
 *
 * Simulations: one worker, strict order, virtual time. The tags in comments are the rules of the
 * cancellation model: C what cancel does, U taking back. What await points do with requests:
 * test_rules.c; how they are handed on: test_handing_on.c. */
#include <errno.h>
#include <pthread.h>

#include "support.h"
#include "weft_test.h"

static atomic_int swallowed;

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    swallowed += what->kind == WEFT_DIAG_CANCEL_SWALLOWED;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* ---- C: what cancel does ---- */

static intptr_t return_values(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(4)) == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_cancel(task) == 0); /* C-1 */
    wt_check(weft_cancelling(task) == 0);
    wt_check(weft_task_state(task) == WEFT_OK);
    weft_drop(task);

    task = spawn_parked(sleep_s, word(9));
    for (int i = 1; i <= 5; i++) {
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_cancelling(task) == i); /* C-2 */
    }
    wt_check(weft_task_state(task) == WEFT_PENDING); /* C-4 */
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_cancel(task) == 0);
    wt_check(weft_cancelling(task) == 5);
    weft_drop(task);
    wt_check(now_s() == 0);
    return 0;
}

Test(cancel, accepted_or_ended)
{
    simulate(return_values);
}

/* C-3, C01, C32 */
static intptr_t before_the_start(void *arg)
{
    weft_task *task;
    intptr_t result = 0;

    (void)arg;
    wt_check(weft_spawn(&task, must_not_run, NULL) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(weft_join(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_task_state(task) == WEFT_CANCELLED && weft_cancelling(task) == 1);
    wt_check(weft_uncancel(task) == 0); /* no effect on the outcome */
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    weft_drop(task);
    wt_check(!was_called);

    wt_check(weft_spawn(&task, must_not_run, word(6)) == 0); /* withdrawn in time: it runs */
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0);
    wt_check(finish(task) == 6 && was_called);
    return 0;
}

Test(cancel, before_the_start)
{
    simulate(before_the_start);
}

/* C-1: "a million requests not withdrawn", whatever state the victim is in */
static intptr_t many_requests(void *arg)
{
    weft_task *fresh, *parked = spawn_parked(sleep_s, word(9));
    int made = 0;

    (void)arg;
    wt_check(weft_spawn(&fresh, must_not_run, NULL) == 0);
    for (int i = 1; i <= 20000; i++) {
        if (!wt_check(weft_cancel(fresh) == 1) || !wt_check(weft_cancelling(fresh) == i)) {
            break;
        }
    }
    wt_check(weft_cancel(parked) == 1);
    for (made = 1; made <= 2000000; made++) {
        int rc = weft_cancel(parked);

        if (rc != 1) {
            wt_check(rc == -EOVERFLOW);
            break;
        }
    }
    fprintf(stderr, "%d requests\n", made);
    wt_check(made >= 1000000 && made < 2000000);
    wt_check(weft_cancelling(parked) == made);
    wt_check(weft_uncancel(parked) == made - 1);
    wt_check(weft_cancel(parked) == 1); /* room again */
    wt_check(finish(fresh) == -ECANCELED);
    wt_check(finish(parked) == -ECANCELED);
    return 0;
}

Test(cancel, a_million_requests)
{
    simulate(many_requests);
}

static intptr_t swallow_once(void *arg)
{
    wt_check(weft_sleep(10 * WEFT_S) == -ECANCELED);
    mark("told");
    wt_check(weft_sleep(3 * WEFT_S) == 0); /* C-6: undisturbed, and C-10 */
    wt_check(weft_yield() == 0);
    wt_check(weft_checkpoint() == 0);
    wt_check(weft_cancelling(weft_self()) == 1);
    return (intptr_t)arg;
}

static intptr_t edges(void *arg)
{
    weft_task *task = spawn_parked(swallow_once, word(42));

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(now_s() == 3 && traced("told "));
    wt_check(weft_task_state(task) == WEFT_OK && weft_cancelling(task) == 1);
    wt_check(finish(task) == 42);
    return 0;
}

Test(cancel, one_request_is_delivered_once)
{
    simulate(edges);
    cr_assert_eq(swallowed, 1);
}

/* C-7 */
static intptr_t coalescing(void *arg)
{
    weft_task *task = spawn_parked(clean_up, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1); /* C05: one delivery */
    wt_check(weft_cancelling(task) == 2);
    wt_check(finish(task) == -ECANCELED);
    wt_check(now_s() == 5 && traced("cleaned "));

    task = spawn_parked(clean_up, NULL);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1); /* C06: a new edge, into the clean-up */
    wt_check(finish(task) == -ECANCELED);
    wt_check(now_s() == 6 && traced("again "));
    return 0;
}

Test(cancel, requests_merge_until_delivered)
{
    simulate(coalescing);
}

static intptr_t hit_three_times(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
        mark("hit");
    }
    return weft_cancelling(weft_self());
}

/* C35 */
static intptr_t repeated(void *arg)
{
    weft_task *task = spawn_parked(hit_three_times, NULL);

    (void)arg;
    for (int i = 1; i <= 3; i++) {
        wt_check(weft_sleep(WEFT_S) == 0);
        wt_check(weft_cancel(task) == 1);
    }
    wt_check(finish(task) == 3);
    wt_check(now_s() == 3 && traced("hit hit hit "));
    return 0;
}

Test(cancel, each_later_request_is_a_new_edge)
{
    simulate(repeated);
}

/* ---- C-8: oneself ---- */

static intptr_t cancel_self(void *arg)
{
    wt_check(weft_cancel(weft_self()) == 1);
    mark("on");
    if (arg != NULL) {
        return 12; /* C10: no await point any more */
    }
    wt_check(weft_sleep(100 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(WEFT_S) == 0);
    return -ECANCELED;
}

static intptr_t oneself(void *arg)
{
    weft_task *task;

    wt_check(finish(spawn_parked(cancel_self, NULL)) == -ECANCELED);
    wt_check(now_s() == 1);
    task = spawn_parked(cancel_self, &arg);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    wt_check(weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_cancel(weft_self()) == 1 && weft_uncancel(weft_self()) == 0); /* U-3 */
    wt_check(weft_yield() == 0);
    return 0;
}

Test(cancel, oneself)
{
    simulate(oneself);
}

/* ---- order and references ---- */

/* C-9, C-12 */
static intptr_t in_sequence(void *arg)
{
    weft_task *a = spawn_parked(mark_when_told, "a");
    weft_task *b = spawn_parked(mark_when_told, "b");
    weft_task *c = spawn_parked(mark_when_told, "c");

    (void)arg;
    wt_check(weft_cancel(b) == 1 && weft_cancel(c) == 1 && weft_cancel(a) == 1);
    weft_drop(b); /* right after the request */
    weft_drop(c);
    weft_drop(a);
    wt_check(weft_yield() == 0);
    wt_check(traced("b c a "));
    return 0;
}

Test(cancel, told_in_the_order_of_cancelling)
{
    simulate(in_sequence);
}

/* ---- U: taking back ---- */

static intptr_t uncancelling(void *arg)
{
    weft_task *task = spawn_parked(sleep_s, word(9));

    (void)arg;
    wt_check(weft_uncancel(task) == 0);                         /* never negative */
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1); /* C31 */
    wt_check(weft_uncancel(task) == 1);
    wt_check(weft_uncancel(task) == 0);
    wt_check(weft_uncancel(task) == 0);
    wt_check(finish(task) == -ECANCELED); /* U-4: the wait had been aborted */

    wt_check(weft_spawn(&task, yield_twice, NULL) == 0);
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1);
    wt_check(weft_uncancel(task) == 1);
    wt_check(weft_yield() == 0);
    wt_check(finish(task) == -ECANCELED); /* one remained */
    wt_check(traced(""));                 /* it never ran */

    task = spawn_parked(yield_twice, NULL); /* runnable: withdrawn before it looks */
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0);
    wt_check(finish(task) == 0 && traced("0 "));
    return 0;
}

Test(cancel, requests_can_be_taken_back)
{
    simulate(uncancelling);
}

static intptr_t uncancel_and_go_on(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
        wt_check(weft_uncancel(weft_self()) == 0);
    }
    return weft_cancelling(weft_self());
}

static intptr_t handling(void *arg)
{
    weft_task *task = spawn_parked(uncancel_and_go_on, NULL);

    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_sleep(WEFT_S) == 0);
    }
    wt_check(finish(task) == 0);
    return 0;
}

Test(cancel, a_handled_request_leaves_no_trace)
{
    simulate(handling);
    cr_assert_eq(swallowed, 0);
}

/* ---- C-11: from plain threads; C-5: the victim runs on another worker ---- */

static intptr_t spin_until_told(void *arg)
{
    atomic_bool *is_running = arg;

    atomic_store(is_running, true);
    while (weft_checkpoint() == 0) { /* the only await point, and it never switches */
        atomic_store(is_running, true);
    }
    return weft_cancelling(weft_self());
}

static intptr_t sleep_for_ever(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    return weft_sleep(WEFT_FOREVER) == -ECANCELED ? weft_cancelling(weft_self()) : -EIO;
}

Test(cancel, from_a_plain_thread)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_fn *const victims[] = {spin_until_told, sleep_for_ever};
    weft_runtime *runtime;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < 200; i++) {
        atomic_bool is_running = false;
        weft_task *task;
        intptr_t result = 0;

        cr_assert_eq(weft_runtime_submit(runtime, &task, victims[i % 2], &is_running, NULL), 0);
        while (!atomic_load(&is_running)) {
        }
        cr_assert_eq(weft_cancel(task), 1);
        cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
        cr_assert_eq(result, 1);
        cr_assert_eq(weft_cancel(task), 0);
        weft_drop(task);
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

/* RACE-9: the count is exact whoever asks. */
enum { ASKERS = 4, ASKS = 500 };

static void *ask(void *arg)
{
    for (int i = 0; i < ASKS; i++) {
        wt_check(weft_cancel(arg) == 1);
    }
    return NULL;
}

static intptr_t count_deliveries(void *arg)
{
    atomic_bool *is_running = arg;
    intptr_t deliveries = 0;

    atomic_store(is_running, true); /* one that has not started ends at the first request */
    while (weft_cancelling(weft_self()) < ASKERS * ASKS) {
        deliveries += weft_sleep(100 * WEFT_MS) == -ECANCELED;
    }
    return weft_checkpoint() == 0 ? deliveries : deliveries + 1;
}

Test(cancel, counts_are_exact_under_threads)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_runtime *runtime;
    weft_task *task;
    pthread_t threads[ASKERS];
    atomic_bool is_running = false;
    intptr_t deliveries = 0;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(runtime, &task, count_deliveries, &is_running, NULL), 0);
    while (!atomic_load(&is_running)) {
    }
    for (int i = 0; i < ASKERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, task), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &deliveries), 0);
    cr_assert_eq(weft_cancelling(task), ASKERS * ASKS);
    cr_assert_geq(deliveries, 1);
    weft_drop(task);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

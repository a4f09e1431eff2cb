// SPDX-License-Identifier: MIT
/* test_local_calls.c - values where no task runs: in callbacks, on the pool, in blocking calls.
 *
 * CX, TH are rules of the model. */
#include <errno.h>
#include <pthread.h>

#include "local_test.h"

/* ---- callbacks (CX-1) ---- */

static atomic_int calls;
static atomic_int child_saw;

static intptr_t note_a(void *arg)
{
    (void)arg;
    child_saw = got(&a);
    return 0;
}

static void on_done(weft_task *task, void *arg)
{
    (void)task;
    wt_check(got(&a) == (int)(intptr_t)arg);
    wt_check(weft_local_set(&a, val(50)) == -EPERM);
    weft_context *context = weft_context_capture();
    wt_check((context != NULL) == (arg != (void *)-1));
    weft_context_drop(context);
    calls++;
}

/* Whoever wants to have done something before the task ends closes it. */
static atomic_bool may_end = true;

static intptr_t set_own(void *arg)
{
    (void)arg;
    int rc = weft_local_set(&a, val(3)) == 0 ? weft_yield() : -EINVAL;
    while (rc == 0 && !atomic_load(&may_end)) {
        rc = weft_yield();
    }
    return rc;
}

static intptr_t callbacks(void *arg)
{
    weft_task *task;
    weft_task *dead;

    (void)arg;
    calls = 0;
    atomic_store(&may_end, false);
    wt_check(weft_spawn(&task, set_own, NULL) == 0);
    wt_check(weft_on_done(task, on_done, (void *)(intptr_t)-1) == 0); /* no values yet */
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_on_done(task, on_done, (void *)1) == 0);
    wt_check(weft_local_set(&a, val(2)) == 0);
    wt_check(weft_on_done(task, on_done, (void *)2) == 0);
    wt_check(weft_spawn(&dead, set_own, NULL) == 0);
    wt_check(weft_on_done(dead, on_done, (void *)2) == 0);
    wt_check(weft_cancel(dead) == 1);
    atomic_store(&may_end, true);
    wt_check(weft_local_set(&a, NULL) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_await(dead, NULL) == 0);
    while (calls < 4) { /* they may come just after the joiner was woken */
        wt_check(weft_yield() == 0);
    }
    return 0;
}

static intptr_t callbacks_main(void *arg)
{
    weft_task *task;
    wt_check(weft_spawn(&task, callbacks, arg) == 0);
    wt_check(weft_await(task, NULL) == 0);
    atomic_store(&drops[3], atomic_load(&drops[3]) >= 1); /* set by one or both */
    return 0;
}

Test(local, callbacks_see_the_values_of_their_registration)
{
    run_everywhere(callbacks_main, 3);
}

static void spawn_from_callback(weft_task *task, void *arg)
{
    weft_task **child = arg;
    (void)task;
    int rc = weft_spawn(child, note_a, NULL);
    wt_check(rc == 0 || rc == -EPERM); /* a simulation's callback runs in no fiber */
    calls = 1;
}

static intptr_t callback_spawns(void *arg)
{
    weft_task *task;
    weft_task *child = NULL;

    (void)arg;
    calls = 0;
    child_saw = 1;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_spawn(&task, set_own, NULL) == 0);
    wt_check(weft_on_done(task, spawn_from_callback, &child) == 0);
    wt_check(weft_local_set(&a, val(2)) == 0);
    wt_check(weft_await(task, NULL) == 0);
    while (calls == 0) {
        wt_check(weft_yield() == 0);
    }
    if (child != NULL) {
        wt_check(weft_await(child, NULL) == 0);
    }
    wt_check(child_saw == 1);
    return 0;
}

Test(local, a_task_spawned_by_a_callback_gets_the_callbacks_values)
{
    run_everywhere(callback_spawns, 3);
}

/* ---- the pool (TH-1) ---- */

static intptr_t on_pool(void *arg)
{
    wt_check(got(&a) == (int)(intptr_t)arg);
    return 0;
}

static intptr_t pool_is_strict(void *arg)
{
    (void)arg;
    wt_check(weft_local_set(&b, val(40)) == -EPERM);
    weft_context *context = weft_context_capture();
    wt_check(context != NULL);
    weft_context_drop(context);
    return 0;
}

static atomic_int args_dropped;

static void drop_on_pool(void *arg)
{
    wt_check(got(&a) == (int)(intptr_t)arg);
    args_dropped++;
}

static intptr_t blocking(void *arg)
{
    (void)arg;
    args_dropped = 0;
    wt_check(weft_blocking(on_pool, (void *)(intptr_t)-1, NULL, NULL) == 0);
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_blocking(on_pool, (void *)1, NULL, NULL) == 0);
    wt_check(weft_blocking(on_pool, (void *)1, drop_on_pool, NULL) == 0);
    wt_check(args_dropped == 1);
    wt_check(weft_blocking(pool_is_strict, NULL, NULL, NULL) == 0);
    wt_check(weft_local_set(&a, val(2)) == 0);
    wt_check(drops[1] == 1);
    wt_check(weft_blocking(on_pool, (void *)2, drop_on_pool, NULL) == 0);
    wt_check(weft_local_set(&a, NULL) == 0);
    wt_check(weft_blocking(on_pool, (void *)(intptr_t)-1, NULL, NULL) ==
             0); /* nothing stays lent */
    return 0;
}

Test(local, blocking_calls_see_the_callers_values)
{
    cr_assert_eq(weft_run(blocking, NULL, &one_worker), 0);
    cr_assert(all_dropped(2));
    cr_assert_eq(weft_run(blocking, NULL, &four_workers), 0);
    cr_assert(all_dropped(2));
    wt_assert_clean();
}

/* An abandoned call goes on with the values after its caller has gone. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int is_inside;

static intptr_t pass_gate(void *arg)
{
    is_inside = 1;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    wt_check(got(&a) == (int)(intptr_t)arg && drops[1] == 0);
    return 0;
}

static void nothing(void *arg)
{
    (void)arg;
}

static intptr_t call_pool(void *arg)
{
    return weft_blocking(pass_gate, arg, nothing, NULL);
}

static intptr_t abandon_call(void *arg)
{
    weft_task *task;

    (void)arg;
    is_inside = 0;
    pthread_mutex_lock(&gate);
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_spawn(&task, call_pool, (void *)1) == 0);
    wt_check(weft_local_set(&a, NULL) == 0);
    while (!is_inside) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(drops[1] == 0);
    pthread_mutex_unlock(&gate);
    return 0;
}

Test(local, an_abandoned_call_keeps_its_values)
{
    cr_assert_eq(weft_run(abandon_call, NULL, &one_worker), 0);
    cr_assert(all_dropped(1)); /* the runtime has waited for the call */
    wt_assert_clean();
}

/* ---- in a blocking call ---- */

static weft_local seen_inside = WEFT_LOCAL_INIT("seen inside", NULL);

static void drop_inside(void *arg)
{
    wt_check(weft_local_get(&seen_inside) == arg && weft_yield() == -EPERM);
}

/* On a thread of the pool, and where a simulation has none: no task, and values that can only be read. */
static intptr_t inside(void *arg)
{
    intptr_t result;

    wt_check(weft_local_get(&seen_inside) == arg);
    wt_check(weft_local_set(&seen_inside, NULL) == -EPERM);
    wt_check(weft_yield() == -EPERM && weft_self() == NULL);
    wt_check(weft_blocking(inside, NULL, NULL, &result) == -EPERM);
    return weft_local_get(&seen_inside) == arg ? 7 : 0;
}

static intptr_t call_inside(void *arg)
{
    static int value;
    intptr_t result = 0;

    (void)arg;
    wt_check(weft_blocking(inside, NULL, NULL, &result) == 0 && result == 7);
    wt_check(weft_local_set(&seen_inside, &value) == 0);
    wt_check(weft_blocking(inside, &value, NULL, &result) == 0 && result == 7);
    wt_check(weft_blocking(inside, &value, drop_inside, &result) == 0 && result == 7);
    wt_check(weft_local_get(&seen_inside) == &value && weft_self() != NULL);
    return weft_yield();
}

Test(local, read_only_in_a_blocking_call)
{
    const weft_options real = {.workers = 2};

    cr_assert_eq(weft_run(call_inside, NULL, &real), 0);
    for (uint64_t seed = 0; seed < 4; seed++) {
        const weft_options simulated = {.simulate = true, .seed = seed};

        cr_assert_eq(weft_run(call_inside, NULL, &simulated), 0);
    }
    wt_assert_clean();
}

/* ---- a runtime within a blocking call ---- */

static intptr_t see_own(void *arg)
{
    wt_check(got(&a) == (int)(intptr_t)arg);
    wt_check(weft_local_set(&a, val(3)) == 0 && got(&a) == 3);
    return 0;
}

static void see_registered(weft_task *task, void *arg)
{
    (void)task;
    wt_check(got(&a) == (int)(intptr_t)arg);
}

/* Its main task begins with a copy of what the call sees. */
static intptr_t run_within(void *arg)
{
    weft_task *task;
    (void)arg;
    wt_check(got(&a) == 1);
    wt_check(weft_local_set(&a, val(2)) == 0 && got(&a) == 2);
    wt_check(weft_spawn(&task, see_own, word(2)) == 0);
    wt_check(weft_on_done(task, see_registered, word(2)) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(got(&a) == 2);
    return 0;
}

static intptr_t call_a_runtime(void *arg)
{
    intptr_t rc = weft_run(run_within, NULL, arg);
    wt_check(got(&a) == 1);
    wt_check(weft_local_set(&a, val(4)) == -EPERM);
    return rc;
}

static intptr_t have_one_called(void *arg)
{
    intptr_t result = -1;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_blocking(call_a_runtime, arg, NULL, &result) == 0 && result == 0);
    return got(&a) == 1 ? 0 : -EINVAL;
}

Test(local, a_runtime_within_a_blocking_call_has_its_own)
{
    weft_options within[] = {{.workers = 1}, {.workers = 2}, {.simulate = true, .seed = 1}};
    for (size_t i = 0; i < sizeof within / sizeof *within; i++) {
        cr_assert_eq(weft_run(have_one_called, &within[i], NULL), 0);
        cr_assert(all_dropped(3));
        wt_assert_clean();
    }
}

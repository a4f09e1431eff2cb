/* SPDX-License-Identifier: MIT */
/* test_stop.c - who may not stop a runtime: what it would wait for. */
#include <errno.h>
#include <unistd.h>

#include "support.h"
#include "weft_test.h"

static const weft_options two_workers = {.workers = 2};

static atomic_int told; /* what the last call in a drop_arg said */
static atomic_bool may_end;

static intptr_t stop_it(void *runtime)
{
    return weft_runtime_stop(runtime);
}

static void stop_and_tell(void *runtime)
{
    atomic_store(&told, weft_runtime_stop(runtime));
}

static intptr_t await_leave(void *arg)
{
    (void)arg;
    while (!atomic_load(&may_end)) {
        (void)usleep(1000);
    }
    return 0;
}

/* A fiber, calls of its pool, what such a call leaves to be dropped, and a call that nobody waits for. */
static intptr_t stop_from_within(void *arg)
{
    weft_runtime *runtime = weft_runtime_current();
    intptr_t outcome = 0;
    (void)arg;
    wt_check(weft_runtime_stop(runtime) == -EDEADLK);
    wt_check(weft_blocking(stop_it, runtime, NULL, &outcome) == 0 && outcome == -EDEADLK);
    wt_check(weft_blocking(stop_it, runtime, stop_and_tell, &outcome) == 0);
    wt_check(outcome == -EDEADLK && atomic_load(&told) == -EDEADLK);
    atomic_store(&told, 0);
    intptr_t rc =
        weft_within(WEFT_MS, weft_blocking(await_leave, runtime, stop_and_tell, &outcome));
    wt_check(rc == -ETIMEDOUT);
    return 0;
}

Test(stop, from_within, .timeout = 20)
{
    weft_runtime *runtime;
    weft_task *task;
    cr_assert_eq(weft_runtime_start(&runtime, &two_workers), 0);
    cr_assert_eq(weft_runtime_submit(runtime, &task, stop_from_within, NULL, NULL), 0);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, NULL), 0);
    weft_drop(task);
    atomic_store(&may_end, true);
    cr_assert_eq(weft_runtime_stop(runtime),
                 0); /* it waits for the call, whose refusal has changed nothing */
    cr_assert_eq(atomic_load(&told), -EDEADLK);
    wt_assert_clean();
}

/* Another runtime is nothing that it would wait for. */
static intptr_t stop_another(void *arg)
{
    weft_runtime *other;
    (void)arg;
    return weft_runtime_start(&other, &two_workers) == 0 ? weft_runtime_stop(other) : -EAGAIN;
}

static intptr_t stop_from_the_pool(void *arg)
{
    intptr_t outcome = -1;
    (void)arg;
    wt_check(weft_blocking(stop_another, NULL, NULL, &outcome) == 0 && outcome == 0);
    wt_check(weft_blocking(stop_it, weft_runtime_current(), NULL, &outcome) == 0);
    wt_check(outcome == -EDEADLK);
    return 0;
}

Test(stop, another_from_the_pool, .timeout = 20)
{
    RUN(stop_from_the_pool, NULL, &two_workers);
}

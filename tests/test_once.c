/* SPDX-License-Identifier: MIT */
/* test_once.c - who does it, who waits, what an error does. */
#include "sync/once.h"
#include "sync_test.h"
#include "task/end.h"

static weft_once once;
static int calls;

static int succeed(void *arg)
{
    calls++;
    int rc = weft_sleep(WEFT_MS);
    step((char)(intptr_t)arg);
    return rc;
}

static int fail(void *arg)
{
    calls++;
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    step('x');
    return rc < 0 ? rc : -EIO;
}

static int again(void *arg)
{
    (void)arg;
    wt_check(!weft_once_is_done(&once));
    wt_check(wf_once_owner(&once) == wf_task_token(weft_self()));
    return weft_once_run(&once, again, NULL);
}

Test(once, misuse_is_told)
{
    weft_once fresh = WEFT_ONCE_INIT;
    cr_assert_eq(weft_once_run(&fresh, succeed, NULL), -EPERM);
    cr_assert_eq(weft_once_run(NULL, NULL, NULL), -EPERM);
    cr_assert(!weft_once_is_done(&fresh));
    cr_assert(!weft_once_is_done(NULL));
}

static intptr_t alone(void *arg)
{
    (void)arg;
    once = (weft_once)WEFT_ONCE_INIT;
    calls = 0;
    wt_check(weft_once_run(NULL, succeed, NULL) == -EINVAL);
    wt_check(weft_once_run(&once, NULL, NULL) == -EINVAL);
    wt_check(weft_once_run(&once, again, NULL) == -EDEADLK); /* the inner call's, returned */
    wt_check(!weft_once_is_done(&once) && wf_once_owner(&once) == 0);
    wt_check(weft_once_run(&once, fail, NULL) == -EIO && !weft_once_is_done(&once));
    wt_check(weft_once_run(&once, succeed, (void *)(intptr_t)'m') == 0 && calls == 2);
    wt_check(weft_once_is_done(&once) && weft_once_run(&once, fail, NULL) == 0 && calls == 2);
    wt_check(weft_cancel(weft_self()) == 1 && weft_once_run(&once, fail, NULL) == -ECANCELED);
    wt_check(saw("xm"));
    return 0;
}

Test(once, one_task)
{
    simulate(alone);
}

static intptr_t run_good(void *arg)
{
    return weft_once_run(&once, succeed, arg);
}

static intptr_t run_bad(void *arg)
{
    return weft_once_run(&once, fail, arg);
}

static weft_task *spawn_named(weft_fn *fn, char name)
{
    return spawn_parked(fn, (void *)(intptr_t)name);
}

static intptr_t together(void *arg)
{
    (void)arg;
    once = (weft_once)WEFT_ONCE_INIT;
    calls = 0;
    weft_task *a = spawn_named(run_bad, 'a'), *b = spawn_named(run_bad, 'b');
    weft_task *c = spawn_named(run_good, 'c'), *d = spawn_named(run_good, 'd');
    weft_task *e = spawn_named(run_good, 'e'), *f = spawn_named(run_good, 'f');
    wt_check(weft_cancel(c) == 1); /* leaves; its turn is d's */
    wt_check(finish(a) == -EIO && finish(b) == -EIO && finish(c) == -ECANCELED);
    wt_check(finish(d) == 0 && finish(e) == 0 && finish(f) == 0);
    wt_check(calls == 3 && saw("xxd") && weft_now() == 3 * WEFT_MS);
    return 0;
}

Test(once, an_error_makes_the_next_one_the_first)
{
    simulate(together);
}

/* The one at it is cancelled; so is the next one just after it got its turn. */
static intptr_t cancelled_inside(void *arg)
{
    (void)arg;
    once = (weft_once)WEFT_ONCE_INIT;
    calls = 0;
    weft_task *a = spawn_named(run_good, 'a'), *b = spawn_named(run_good, 'b');
    weft_task *c = spawn_named(run_good, 'c');
    wt_check(weft_cancel(a) == 1 && weft_yield() == 0); /* b has its turn */
    wt_check(weft_cancel(b) == 1);
    wt_check(finish(a) == -ECANCELED && finish(b) == -ECANCELED && finish(c) == 0);
    wt_check(calls == 3 && weft_once_is_done(&once) && saw("abc"));
    return 0;
}

Test(once, whoever_is_at_it_may_be_cancelled)
{
    simulate(cancelled_inside);
}

static int count_up(void *arg)
{
    (void)arg;
    calls++;
    int rc = weft_yield();
    return rc < 0 ? rc : weft_sim_random(3) == 0 ? -EIO : 0;
}

static intptr_t race(void *arg)
{
    (void)arg;
    return weft_once_run(&once, count_up, NULL);
}

static intptr_t any_order(void *arg)
{
    weft_task *tasks[8];
    int good = 0, failed = 0, told = 0;
    (void)arg;
    once = (weft_once)WEFT_ONCE_INIT;
    calls = 0;
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], race, NULL) == 0);
    }
    wt_check(weft_yield() == 0 && weft_cancel(tasks[3]) >= 0);
    for (int i = 0; i < 8; i++) {
        intptr_t result = finish(tasks[i]);
        good += result == 0;
        failed += result == -EIO;
        told += result == -ECANCELED;
    }
    wt_check(good + failed + told == 8 && told <= 1);
    wt_check(weft_once_is_done(&once) == (good > 0 || (told > 0 && calls > failed + told)));
    wt_check(calls >= failed + (good > 0) && calls <= failed + told + 1);
    return 0;
}

Test(once, any_order)
{
    simulate_seeds(any_order);
}

/* SPDX-License-Identifier: MIT */
/* test_mutex.c - who has it, who is next, who was cancelled; the turns of an event loop. */
#include <pthread.h>

#include "sync/mutex.h"
#include "sync_test.h"

static weft_mutex mutex;

/* ---- without waiting, and misuse ---- */

Test(mutex, misuse_outside_a_fiber_is_told)
{
    weft_mutex fresh = WEFT_MUTEX_INIT;
    cr_assert_eq(weft_mutex_lock(&fresh), -EPERM);
    cr_assert_eq(weft_mutex_lock(NULL), -EPERM);
    cr_assert_eq(weft_mutex_try_lock(&fresh), -EPERM);
    cr_assert_eq(weft_mutex_unlock(&fresh), -EPERM);
    cr_assert_eq(weft_mutex_unlock(NULL), -EINVAL);
    cr_assert_eq(weft_mutex_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_mutex_destroy(&fresh), 0);
    cr_assert(!weft_mutex_is_locked(&fresh));
    cr_assert(!weft_mutex_is_locked(NULL));
    cr_assert_eq(weft_mutex_init(NULL, 0), -EINVAL);
    cr_assert_eq(weft_mutex_init(&fresh, 3), -EINVAL);
    cr_assert_eq(weft_mutex_init(&fresh, 4), -EINVAL);
    memset(&fresh, 0x5a, sizeof fresh);
    cr_assert_eq(weft_mutex_init(&fresh, 0), 0);
    cr_assert_eq(weft_mutex_destroy(&fresh), 0);
    cr_assert_eq(sizeof(weft_mutex), 32);
}

static int rc_before_main;

/* Comes before a static library's own constructors. */
__attribute__((constructor)) static void lock_before_main(void)
{
    weft_mutex early = WEFT_MUTEX_INIT;
    rc_before_main = weft_mutex_lock(&early);
}

Test(mutex, is_for_tasks_before_main_too)
{
    cr_assert_eq(rc_before_main, -EPERM);
}

static intptr_t try_it(void *arg)
{
    int rc = weft_mutex_try_lock(arg);
    wt_check(rc == 0 || rc == -EBUSY);
    return rc;
}

static intptr_t unlock_it(void *arg)
{
    return weft_mutex_unlock(arg);
}

static void *unlock_on_thread(void *arg)
{
    return (void *)(intptr_t)weft_mutex_unlock(arg);
}

static intptr_t lone(void *arg)
{
    (void)arg;
    wt_check(weft_mutex_init(&mutex, 0) == 0);
    wt_check(weft_mutex_lock(NULL) == -EINVAL && weft_mutex_try_lock(NULL) == -EINVAL);
    wt_check(weft_mutex_lock(&mutex) == 0 && weft_mutex_is_locked(&mutex));
    wt_check(wf_mutex_owner(&mutex) == wf_task_token(weft_self()));
    wt_check(weft_mutex_lock(&mutex) == -EDEADLK);
    wt_check(weft_mutex_try_lock(&mutex) == -EBUSY);
    wt_check(weft_mutex_destroy(&mutex) == -EBUSY);
    wt_check(finish(spawn_parked(try_it, &mutex)) == -EBUSY);
    wt_check(finish(spawn_parked(unlock_it, &mutex)) == 0); /* K08: any task may */
    wt_check(!weft_mutex_is_locked(&mutex) && wf_mutex_owner(&mutex) == 0);
    wt_check(weft_mutex_unlock(&mutex) == -EPERM); /* K06 */
    wt_check(weft_mutex_try_lock(&mutex) == 0 && weft_mutex_unlock(&mutex) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_mutex_try_lock(&mutex) == 0); /* observes nothing */
    wt_check(weft_mutex_unlock(&mutex) == 0);
    wt_check(weft_mutex_lock(&mutex) == -ECANCELED && !weft_mutex_is_locked(&mutex));
    wt_check(weft_mutex_lock(&mutex) == 0 && weft_mutex_unlock(&mutex) == 0);
    wt_check(weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(mutex, one_task)
{
    simulate(lone);
}

static intptr_t owned(void *arg)
{
    pthread_t thread;
    void *answer = NULL;
    (void)arg;
    wt_check(weft_mutex_init(&mutex, WEFT_MUTEX_OWNED) == 0);
    wt_check(weft_mutex_lock(&mutex) == 0);
    wt_check(finish(spawn_parked(unlock_it, &mutex)) == -EPERM);
    wt_check(pthread_create(&thread, NULL, unlock_on_thread, &mutex) == 0);
    wt_check(pthread_join(thread, &answer) == 0 && (intptr_t)answer == -EPERM);
    wt_check(weft_mutex_is_locked(&mutex) && weft_mutex_unlock(&mutex) == 0);
    return 0;
}

Test(mutex, of_an_owner_is_his_to_unlock)
{
    simulate(owned);
}

/* ---- waiting ---- */

static intptr_t take(void *arg)
{
    int rc = weft_mutex_lock(&mutex);
    step(rc == 0 ? (char)(intptr_t)arg : '!');
    return rc;
}

static intptr_t take_and_give(void *arg)
{
    intptr_t rc = take(arg);
    return rc < 0 ? rc : weft_mutex_unlock(&mutex);
}

static weft_task *spawn_named(weft_fn *fn, char name)
{
    return spawn_parked(fn, (void *)(intptr_t)name);
}

static void lock_fresh(unsigned flags)
{
    wt_check(weft_mutex_init(&mutex, flags) == 0);
    wt_check(weft_mutex_lock(&mutex) == 0);
}

static intptr_t first_in_first_out(void *arg)
{
    weft_task *tasks[5];
    (void)arg;
    lock_fresh(0);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn_named(take_and_give, (char)('a' + i));
    }
    wt_check(weft_mutex_unlock(&mutex) == 0);
    for (int i = 0; i < 5; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    wt_check(saw("abcde") && weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(mutex, goes_to_who_has_waited_longest)
{
    simulate(first_in_first_out);
}

/* K07: between the unlock and the next owner's turn nobody gets in, and it is not locked. */
static intptr_t no_barging(void *arg)
{
    (void)arg;
    lock_fresh(WEFT_MUTEX_OWNED);
    weft_task *a = spawn_named(take_and_give, 'a');
    wt_check(weft_mutex_unlock(&mutex) == 0);
    wt_check(!weft_mutex_is_locked(&mutex) && weft_mutex_unlock(&mutex) == -EPERM);
    wt_check(weft_mutex_try_lock(&mutex) == -EBUSY && weft_mutex_destroy(&mutex) == -EBUSY);
    wt_check(weft_mutex_lock(&mutex) == 0);
    step('m');
    wt_check(saw("am") && wf_mutex_owner(&mutex) == wf_task_token(weft_self()));
    wt_check(weft_mutex_unlock(&mutex) == 0 && finish(a) == 0);
    return 0;
}

Test(mutex, nobody_gets_in_between)
{
    simulate(no_barging);
}

/* K02 to K05: whoever was cancelled first does not get it, whoever had it does. */
static intptr_t cancel_and_unlock(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        lock_fresh(0);
        weft_task *a = spawn_named(take, 'a');
        weft_task *b = spawn_named(take, 'b');
        if (kind == 0) {
            wt_check(weft_cancel(a) == 1 && weft_mutex_unlock(&mutex) == 0);
            wt_check(finish(a) == -ECANCELED && finish(b) == 0);
        } else {
            wt_check(weft_mutex_unlock(&mutex) == 0 && weft_cancel(a) == 1);
            wt_check(finish(a) == -ECANCELED); /* a value, with a request undelivered */
            wt_check(weft_mutex_unlock(&mutex) == 0 && finish(b) == 0);
        }
        wt_check(saw(kind == 0 ? "!b" : "ab"));
        wt_check(weft_mutex_unlock(&mutex) == 0 && weft_mutex_destroy(&mutex) == 0);
    }
    return 0;
}

Test(mutex, cancelled_before_or_after_the_grant)
{
    simulate(cancel_and_unlock);
}

/* A waiter that has been cancelled does not count, but keeps the object until its task has run. */
static intptr_t past_cancelled(void *arg)
{
    (void)arg;
    lock_fresh(0);
    weft_task *a = spawn_named(take, 'a');
    wt_check(weft_cancel(a) == 1 && weft_mutex_unlock(&mutex) == 0);
    wt_check(!weft_mutex_is_locked(&mutex) && weft_mutex_destroy(&mutex) == -EBUSY);
    wt_check(weft_mutex_lock(&mutex) == 0); /* at once */
    wt_check(saw("") && finish(a) == -ECANCELED && saw("!"));
    wt_check(weft_mutex_unlock(&mutex) == 0 && weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(mutex, newcomers_pass_who_was_cancelled)
{
    simulate(past_cancelled);
}

/* asyncio wakes the second only when the first, cancelled, has run: one turn later. */
static intptr_t late_hand_over(void *arg)
{
    (void)arg;
    lock_fresh(0);
    weft_task *a = spawn_named(take, 'a');
    weft_task *b = spawn_named(take, 'b');
    wt_check(weft_cancel(a) == 1 && weft_mutex_unlock(&mutex) == 0);
    wt_check(weft_mutex_try_lock(&mutex) == -EBUSY); /* b waits */
    wt_check(weft_yield() == 0 && saw("!"));
    wt_check(weft_yield() == 0 && saw("b"));
    wt_check(finish(a) == -ECANCELED && finish(b) == 0 && weft_mutex_unlock(&mutex) == 0);
    return 0;
}

Test(mutex, takes_the_turns_of_an_event_loop)
{
    simulate(late_hand_over);
}

static intptr_t unowned(void *arg)
{
    (void)arg;
    lock_fresh(WEFT_MUTEX_UNOWNED);
    wt_check(wf_mutex_owner(&mutex) == 0);
    wt_check(weft_within(WEFT_S, weft_mutex_lock(&mutex)) == -ETIMEDOUT);
    weft_task *other = spawn_parked(unlock_it, &mutex);
    wt_check(weft_mutex_lock(&mutex) == 0 && finish(other) == 0);
    wt_check(weft_mutex_unlock(&mutex) == 0);
    return 0;
}

Test(mutex, of_nobody_may_be_waited_for_twice)
{
    simulate(unowned);
}

/* ---- exclusion in any order ---- */

static int inside_now, entries;

static intptr_t enter_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0) {
            return rc;
        }
        wt_check(++inside_now == 1);
        entries++;
        rc = i % 3 == 0 ? weft_yield() : 0; /* held across an await point */
        inside_now--;
        wt_check(weft_mutex_unlock(&mutex) == 0);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static intptr_t exclusion(void *arg)
{
    weft_task *tasks[6];
    (void)arg;
    entries = 0;
    wt_check(weft_mutex_init(&mutex, 0) == 0);
    for (int i = 0; i < 6; i++) {
        wt_check(weft_spawn(&tasks[i], enter_often, NULL) == 0);
    }
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_cancel(tasks[2]) <= 1 && weft_cancel(tasks[4]) <= 1);
    for (int i = 0; i < 6; i++) {
        intptr_t result = finish(tasks[i]);
        wt_check(result == 0 || result == -ECANCELED);
    }
    wt_check(entries >= 80 && weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(mutex, one_at_a_time_in_any_order)
{
    simulate_seeds(exclusion);
}

Test(mutex, one_at_a_time_in_parallel)
{
    run_two(exclusion);
}

/* A token outlives its task: then it names nobody. */
static intptr_t tokens(void *arg)
{
    (void)arg;
    wt_check(weft_mutex_init(&mutex, 0) == 0);
    weft_task *a = spawn_named(take, 'a');
    struct wf_registry *registry = wf_task_registry(a);
    weft_task *owner = wf_token_hold(registry, wf_mutex_owner(&mutex));
    wt_check(owner == a && saw("a"));
    wf_task_let_go(owner, NULL);
    wt_check(finish(a) == 0 && wf_token_hold(registry, wf_mutex_owner(&mutex)) == NULL);
    const uint64_t unmapped = UINT64_C(0x1000040000001000); /* of a runtime that has gone */
    wt_check(wf_token_hold(registry, unmapped) == NULL);
    wt_check(weft_mutex_lock(NULL) == -EINVAL && weft_mutex_unlock(&mutex) == 0);
    return 0;
}

Test(mutex, names_its_owner)
{
    simulate(tokens);
}

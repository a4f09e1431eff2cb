/* SPDX-License-Identifier: MIT */
/* test_rwlock.c - readers together, writers alone, turns. */
#include "sync/rwlock.h"
#include "sync_test.h"
#include "task/end.h"

static weft_rwlock rwlock;

Test(rwlock, misuse_is_told)
{
    weft_rwlock fresh = WEFT_RWLOCK_INIT;
    cr_assert_eq(weft_rwlock_init(NULL), -EINVAL);
    memset(&fresh, 0x5a, sizeof fresh);
    cr_assert_eq(weft_rwlock_init(&fresh), 0);
    cr_assert_eq(weft_rwlock_read_lock(&fresh), -EPERM);
    cr_assert_eq(weft_rwlock_write_lock(NULL), -EPERM);
    cr_assert_eq(weft_rwlock_try_read_lock(&fresh), -EPERM);
    cr_assert_eq(weft_rwlock_try_write_lock(NULL), -EPERM);
    cr_assert_eq(weft_rwlock_unlock(&fresh), -EPERM);
    cr_assert_eq(weft_rwlock_unlock(NULL), -EINVAL);
    cr_assert_eq(weft_rwlock_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_rwlock_destroy(&fresh), 0);
    cr_assert_eq(sizeof(weft_rwlock), 64);
}

static void unlock(void)
{
    wt_check(weft_rwlock_unlock(&rwlock) == 0);
}

static intptr_t read_it(void *arg)
{
    int rc = weft_rwlock_read_lock(&rwlock);
    step(rc == 0 ? (char)(intptr_t)arg : '!');
    return rc;
}

static intptr_t write_it(void *arg)
{
    int rc = weft_rwlock_write_lock(&rwlock);
    step(rc == 0 ? (char)(intptr_t)arg : '!');
    return rc;
}

static weft_task *spawn_named(weft_fn *fn, char name)
{
    return spawn_parked(fn, (void *)(intptr_t)name);
}

static intptr_t alone(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0);
    wt_check(weft_rwlock_read_lock(NULL) == -EINVAL && weft_rwlock_write_lock(NULL) == -EINVAL);
    wt_check(weft_rwlock_try_read_lock(NULL) == -EINVAL);
    wt_check(weft_rwlock_try_write_lock(NULL) == -EINVAL);
    wt_check(weft_rwlock_write_lock(&rwlock) == 0);
    wt_check(wf_rwlock_owner(&rwlock) == wf_task_token(weft_self()));
    wt_check(weft_rwlock_write_lock(&rwlock) == -EDEADLK);
    wt_check(weft_rwlock_read_lock(&rwlock) == -EDEADLK);
    wt_check(weft_rwlock_try_read_lock(&rwlock) == -EBUSY);
    wt_check(weft_rwlock_try_write_lock(&rwlock) == -EBUSY);
    wt_check(weft_rwlock_destroy(&rwlock) == -EBUSY);
    unlock();
    wt_check(wf_rwlock_owner(&rwlock) == 0 && weft_rwlock_unlock(&rwlock) == -EPERM);
    wt_check(weft_rwlock_read_lock(&rwlock) == 0 && weft_rwlock_try_read_lock(&rwlock) == 0);
    wt_check(weft_rwlock_try_write_lock(&rwlock) == -EBUSY);
    wt_check(weft_within(WEFT_S, weft_rwlock_write_lock(&rwlock)) == -ETIMEDOUT);
    unlock();
    wt_check(weft_rwlock_destroy(&rwlock) == -EBUSY);
    unlock();
    wt_check(weft_rwlock_destroy(&rwlock) == 0 && weft_cancel(weft_self()) == 1);
    wt_check(weft_rwlock_read_lock(&rwlock) == -ECANCELED && weft_cancel(weft_self()) == 1);
    wt_check(weft_rwlock_write_lock(&rwlock) == -ECANCELED && weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(rwlock, one_task)
{
    simulate(alone);
}

/* Readers that came after a waiting writer wait; when a writer leaves, all readers before the next. */
static intptr_t turns(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0 && weft_rwlock_read_lock(&rwlock) == 0);
    weft_task *a = spawn_named(read_it, 'a');
    wt_check(saw("a"));
    weft_task *w = spawn_named(write_it, 'w'), *b = spawn_named(read_it, 'b');
    weft_task *x = spawn_named(write_it, 'x'), *c = spawn_named(read_it, 'c');
    wt_check(weft_rwlock_try_read_lock(&rwlock) == -EBUSY);
    unlock();
    settle();
    wt_check(saw("")); /* a has it */
    unlock();
    settle();
    wt_check(saw("w") && wf_rwlock_owner(&rwlock) == wf_task_token(w));
    unlock();
    settle();
    wt_check(saw("bc") && wf_rwlock_owner(&rwlock) == 0);
    unlock();
    settle();
    wt_check(saw(""));
    unlock();
    settle();
    wt_check(saw("x"));
    unlock();
    wt_check(finish(a) == 0 && finish(b) == 0 && finish(c) == 0 && finish(w) == 0);
    wt_check(finish(x) == 0 && weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(rwlock, readers_and_writers_take_turns)
{
    simulate(turns);
}

/* A writer that gives up lets in who waited for it alone. */
static intptr_t gives_up(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0 && weft_rwlock_read_lock(&rwlock) == 0);
    weft_task *w = spawn_named(write_it, 'w'), *a = spawn_named(read_it, 'a');
    weft_task *x = spawn_named(write_it, 'x'), *b = spawn_named(read_it, 'b');
    wt_check(weft_cancel(w) == 1);
    settle();
    wt_check(saw("!")); /* x still waits */
    wt_check(weft_cancel(x) == 1);
    settle();
    wt_check(saw("!ab"));
    wt_check(finish(w) == -ECANCELED && finish(x) == -ECANCELED);
    wt_check(finish(a) == 0 && finish(b) == 0);
    /* Before the cancelled one has run, newcomers and those who waited get in. */
    w = spawn_named(write_it, 'w');
    a = spawn_named(read_it, 'a');
    wt_check(weft_cancel(w) == 1 && weft_rwlock_try_read_lock(&rwlock) == 0);
    wt_check(finish(a) == 0 && finish(w) == -ECANCELED && saw("!a"));
    for (int i = 0; i < 5; i++) {
        wt_check(weft_rwlock_destroy(&rwlock) == -EBUSY);
        unlock();
    }
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(rwlock, a_writer_that_gives_up)
{
    simulate(gives_up);
}

/* Grants are final. */
static intptr_t late_cancel(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0 && weft_rwlock_write_lock(&rwlock) == 0);
    weft_task *a = spawn_named(read_it, 'a'), *w = spawn_named(write_it, 'w');
    unlock();
    wt_check(weft_cancel(a) == 1 && finish(a) == -ECANCELED && saw("a"));
    unlock();
    wt_check(weft_cancel(w) == 1 && finish(w) == -ECANCELED && saw("w"));
    unlock();
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(rwlock, a_grant_is_final)
{
    simulate(late_cancel);
}

/* ---- exclusion ---- */

static _Atomic int reading, writing;
static _Atomic int done;

static intptr_t use_often(void *arg)
{
    intptr_t number = (intptr_t)arg;
    for (int i = 0; i < 20; i++) {
        bool writes = (i + number) % 4 == 0;
        int rc = writes ? weft_rwlock_write_lock(&rwlock) : weft_rwlock_read_lock(&rwlock);
        if (rc < 0) {
            return rc;
        }
        _Atomic int *mine = writes ? &writing : &reading;
        wt_check(++*mine == 1 || !writes);
        wt_check(writes ? reading == 0 : writing == 0);
        rc = weft_yield();
        --*mine;
        done++;
        unlock();
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static intptr_t crowd(void *arg)
{
    weft_task *tasks[8];
    (void)arg;
    done = 0;
    wt_check(weft_rwlock_init(&rwlock) == 0);
    for (intptr_t i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], use_often, (void *)i) == 0);
    }
    wt_check(weft_yield() == 0 && weft_cancel(tasks[0]) >= 0 && weft_cancel(tasks[5]) >= 0);
    for (int i = 0; i < 8; i++) {
        intptr_t result = finish(tasks[i]);
        wt_check(result == 0 || result == -ECANCELED);
    }
    wt_check(done >= 120 && weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(rwlock, writers_alone_in_any_order)
{
    simulate_seeds(crowd);
}

Test(rwlock, writers_alone_in_parallel)
{
    run_two(crowd);
}

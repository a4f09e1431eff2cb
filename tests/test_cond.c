/* SPDX-License-Identifier: MIT */
/* test_cond.c - news, and the mutex after it; what a request does at each moment. */
#include "sync_test.h"

static weft_mutex mutex;
static weft_cond cond;

Test(cond, misuse_is_told)
{
    weft_cond fresh = WEFT_COND_INIT(&mutex);
    weft_cond empty = {NULL, {0}};
    cr_assert_eq(weft_cond_init(NULL, &mutex), -EINVAL);
    cr_assert_eq(weft_cond_init(&fresh, NULL), -EINVAL);
    cr_assert_eq(weft_cond_init(&fresh, &mutex), 0);
    cr_assert_eq(weft_cond_wait(&fresh), -EPERM);
    cr_assert_eq(weft_cond_wait(NULL), -EPERM);
    cr_assert_eq(weft_cond_notify(&fresh, 1), -EPERM); /* N08 */
    cr_assert_eq(weft_cond_notify_all(&fresh), -EPERM);
    cr_assert_eq(weft_cond_notify(NULL, 1), -EINVAL);
    cr_assert_eq(weft_cond_notify(&empty, 1), -EINVAL);
    cr_assert_eq(weft_cond_notify_all(NULL), -EINVAL);
    cr_assert_eq(weft_cond_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_cond_destroy(&fresh), 0);
    cr_assert_eq(sizeof(weft_cond), 32);
}

static void start(unsigned flags)
{
    wt_check(weft_mutex_init(&mutex, flags) == 0 && weft_cond_init(&cond, &mutex) == 0);
}

static void lock(void)
{
    wt_check(weft_mutex_lock(&mutex) == 0);
}

static void unlock(void)
{
    wt_check(weft_mutex_unlock(&mutex) == 0);
}

/* Waits once; comes back with the mutex, whatever it returns. */
static intptr_t wait_once(void *arg)
{
    lock();
    int rc = weft_cond_wait(&cond);
    step(rc == 0 ? (char)(intptr_t)arg : '!');
    wt_check(weft_mutex_is_locked(&mutex));
    unlock();
    return rc;
}

static weft_task *spawn_waiting(char name)
{
    return spawn_parked(wait_once, (void *)(intptr_t)name);
}

static intptr_t news(void *arg)
{
    (void)arg;
    start(WEFT_MUTEX_OWNED);
    wt_check(weft_cond_wait(NULL) == -EINVAL && weft_cond_wait(&cond) == -EPERM);
    weft_task *a = spawn_waiting('a'), *b = spawn_waiting('b'), *c = spawn_waiting('c');
    wt_check(!weft_mutex_is_locked(&mutex) && weft_cond_destroy(&cond) == -EBUSY);
    lock();
    wt_check(weft_cond_notify(&cond, 2) == 0 && saw(""));
    unlock();
    wt_check(finish(a) == 0 && finish(b) == 0 && weft_yield() == 0 && saw("ab")); /* N09 */
    a = spawn_waiting('a');
    lock();
    wt_check(weft_cond_notify_all(&cond) == 0 && weft_cond_notify(&cond, 0) == 0);
    unlock();
    wt_check(finish(c) == 0 && finish(a) == 0 && saw("ca") && weft_cond_destroy(&cond) == 0);
    return 0;
}

Test(cond, wakes_as_many_as_told_in_order)
{
    simulate(news);
}

/* Whoever has it: only its owner may wait. */
static intptr_t wait_without(void *arg)
{
    (void)arg;
    return weft_cond_wait(&cond);
}

static intptr_t of_others(void *arg)
{
    (void)arg;
    for (unsigned flags = 0; flags <= WEFT_MUTEX_OWNED; flags++) {
        start(flags);
        lock();
        wt_check(finish(spawn_parked(wait_without, NULL)) == -EPERM);
        wt_check(weft_mutex_is_locked(&mutex));
        unlock();
    }
    start(WEFT_MUTEX_UNOWNED);
    lock();
    wt_check(weft_within(WEFT_S, weft_cond_wait(&cond)) == -ETIMEDOUT);
    wt_check(weft_mutex_is_locked(&mutex));
    unlock();
    return 0;
}

Test(cond, is_for_the_owner_of_the_mutex)
{
    simulate(of_others);
}

/* ---- cancelled ---- */

/* The lock in wait_once is cancelled here, so it is checked by hand. */
static intptr_t wait_if_locked(void *arg)
{
    int rc = weft_mutex_lock(&mutex);
    if (rc == 0) {
        rc = weft_cond_wait(&cond);
        step(rc == 0 ? (char)(intptr_t)arg : '!');
        unlock();
    }
    return rc;
}

static intptr_t on_entry(void *arg)
{
    (void)arg;
    start(0);
    lock();
    weft_task *a = spawn_parked(wait_if_locked, NULL);
    wt_check(weft_cancel(weft_self()) == 1 && weft_cond_wait(&cond) == -ECANCELED);
    wt_check(saw("") && weft_mutex_is_locked(&mutex)); /* never unlocked */
    wt_check(weft_cancel(a) == 1 && finish(a) == -ECANCELED);
    unlock();
    return 0;
}

Test(cond, found_cancelled_it_never_unlocks)
{
    simulate(on_entry);
}

/* N02, N03: a request ends the wait, but the mutex comes first. */
static intptr_t before_news(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = spawn_waiting('a');
    lock();
    wt_check(weft_cancel(a) == 1);
    settle();
    wt_check(saw(""));
    unlock();
    wt_check(finish(a) == -ECANCELED && saw("!"));
    return 0;
}

Test(cond, cancelled_before_the_news)
{
    simulate(before_news);
}

/* N06: after the news, before the task runs: undelivered. */
static intptr_t after_news(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = spawn_waiting('a'), *b = spawn_waiting('b');
    lock();
    wt_check(weft_cond_notify(&cond, 1) == 0 && weft_cancel(a) == 1);
    unlock();
    wt_check(finish(a) == -ECANCELED && saw("a")); /* a value, with a request undelivered */
    settle();
    wt_check(saw("") && weft_cancel(b) == 1 && finish(b) == -ECANCELED && saw("!"));
    return 0;
}

Test(cond, cancelled_after_the_news)
{
    simulate(after_news);
}

/* The same while the mutex has to be waited for: still undelivered. */
static intptr_t after_news_contested(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = spawn_waiting('a');
    lock();
    wt_check(weft_cond_notify(&cond, 1) == 0 && weft_cancel(a) == 1);
    settle();
    unlock();
    wt_check(finish(a) == -ECANCELED && saw("a"));
    return 0;
}

Test(cond, cancelled_after_the_news_and_then_waiting_for_the_mutex)
{
    simulate(after_news_contested);
}

/* N04: while it waits for the mutex: told, with the mutex, and the news goes on to the next. */
static intptr_t while_regaining(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = NULL, *b = NULL;
    wt_check(weft_spawn(&a, wait_once, (void *)(intptr_t)'a') == 0);
    settle();
    wt_check(weft_spawn(&b, wait_once, (void *)(intptr_t)'b') == 0);
    settle();
    lock();
    wt_check(weft_cond_notify(&cond, 1) == 0);
    settle();
    wt_check(weft_cancel(a) == 1);
    settle();
    wt_check(saw(""));
    wt_check(weft_cancel(a) == 1); /* merges into the same delivery, or is another edge */
    settle();
    unlock();
    wt_check(finish(a) == -ECANCELED && finish(b) == 0 && saw("!b"));
    wt_check(weft_cond_destroy(&cond) == 0 && weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(cond, cancelled_while_it_waits_for_the_mutex)
{
    simulate_seeds(while_regaining);
}

/* As in asyncio it then waits anew, behind those who came meanwhile. */
static intptr_t lock_and_step(void *arg)
{
    lock();
    step((char)(intptr_t)arg);
    unlock();
    return 0;
}

static intptr_t place_in_queue(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = spawn_waiting('a');
    lock();
    wt_check(weft_cond_notify(&cond, 1) == 0 && weft_yield() == 0);
    weft_task *b = spawn_parked(lock_and_step, (void *)(intptr_t)'b');
    wt_check(weft_cancel(a) == 1 && weft_yield() == 0);
    unlock();
    wt_check(finish(a) == -ECANCELED && finish(b) == 0 && saw("b!"));
    return 0;
}

Test(cond, takes_the_turns_of_an_event_loop)
{
    simulate(place_in_queue);
}

/* A request that was taken back while it waited for the mutex is not told. */
static intptr_t taken_back(void *arg)
{
    (void)arg;
    start(0);
    weft_task *a = NULL;
    wt_check(weft_spawn(&a, wait_once, (void *)(intptr_t)'a') == 0);
    settle();
    lock();
    wt_check(weft_cond_notify(&cond, 1) == 0);
    settle();
    wt_check(weft_cancel(a) == 1 && weft_uncancel(a) == 0);
    settle();
    unlock();
    wt_check(finish(a) == 0 && saw("a"));
    return 0;
}

Test(cond, a_request_that_was_taken_back)
{
    for (uint64_t seed = 1; seed <= 20; seed++) { /* the event loop can't take it back any more */
        simulate_seed(taken_back, seed);
    }
}

/* ---- a bounded buffer: nothing lost, nobody hangs, in any order ---- */

enum { ITEMS = 40, ROOM = 2 };

static weft_cond not_full, not_empty;
static int stock, made, used;

static intptr_t produce(void *arg)
{
    (void)arg;
    for (int i = 0; i < ITEMS; i++) {
        lock();
        while (stock == ROOM) {
            wt_check(weft_cond_wait(&not_full) == 0);
        }
        stock++;
        made++;
        wt_check(weft_cond_notify(&not_empty, 1) == 0);
        unlock();
    }
    return 0;
}

static intptr_t consume(void *arg)
{
    int rc = 0;
    (void)arg;
    while (rc == 0) {
        rc = weft_mutex_lock(&mutex);
        if (rc < 0) {
            break;
        }
        while (rc == 0 && stock == 0) {
            rc = weft_cond_wait(&not_empty);
        }
        if (rc == 0) {
            stock--;
            used++;
            wt_check(weft_cond_notify(&not_full, 1) == 0);
        }
        unlock();
    }
    return rc;
}

static intptr_t buffer(void *arg)
{
    weft_task *makers[3], *users[4];
    (void)arg;
    start(0);
    wt_check(weft_cond_init(&not_full, &mutex) == 0 && weft_cond_init(&not_empty, &mutex) == 0);
    stock = made = used = 0;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&makers[i], produce, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&users[i], consume, NULL) == 0);
    }
    wt_check(weft_yield() == 0 && weft_cancel(users[1]) == 1); /* passes on what it got */
    for (int i = 0; i < 3; i++) {
        wt_check(finish(makers[i]) == 0);
    }
    while (used < 3 * ITEMS) {
        settle();
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_cancel(users[i]) >= 0 && finish(users[i]) == -ECANCELED);
    }
    wt_check(made == 3 * ITEMS && used == made && stock == 0);
    wt_check(weft_cond_destroy(&not_full) == 0 && weft_cond_destroy(&not_empty) == 0);
    return 0;
}

Test(cond, bounded_buffer_in_any_order)
{
    simulate_seeds(buffer);
}

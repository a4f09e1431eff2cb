/* SPDX-License-Identifier: MIT */
/* test_event.c - set, clear, who comes through. */
#include <pthread.h>
#include <sched.h>

#include "sync_test.h"

static weft_event event;

Test(event, from_a_plain_thread)
{
    weft_event fresh;
    memset(&fresh, 0x5a, sizeof fresh);
    cr_assert_eq(weft_event_init(&fresh), 0);
    cr_assert_eq(weft_event_init(NULL), -EINVAL);
    cr_assert(!weft_event_is_set(&fresh));
    cr_assert(!weft_event_is_set(NULL));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(weft_event_set(&fresh), 0);
        cr_assert(weft_event_is_set(&fresh));
        cr_assert_eq(weft_event_destroy(&fresh), 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(weft_event_clear(&fresh), 0);
        cr_assert(!weft_event_is_set(&fresh));
    }
    cr_assert_eq(weft_event_set(NULL), -EINVAL);
    cr_assert_eq(weft_event_clear(NULL), -EINVAL);
    cr_assert_eq(weft_event_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_event_wait(&fresh), -EPERM);
    cr_assert_eq(weft_event_wait(NULL), -EPERM);
    cr_assert_eq(sizeof(weft_event), 32);
}

static intptr_t wait_for_it(void *arg)
{
    int rc = weft_event_wait(&event);
    step(rc == 0 ? (char)(intptr_t)arg : '!');
    return rc;
}

static weft_task *spawn_named(char name)
{
    return spawn_parked(wait_for_it, (void *)(intptr_t)name);
}

/* E01 to E05 */
static intptr_t waiters(void *arg)
{
    (void)arg;
    wt_check(weft_event_init(&event) == 0 && weft_event_wait(NULL) == -EINVAL);
    weft_task *a = spawn_named('a');
    weft_task *b = spawn_named('b');
    weft_task *c = spawn_named('c');
    wt_check(weft_cancel(b) == 1);
    wt_check(weft_event_destroy(&event) == -EBUSY);
    wt_check(weft_event_set(&event) == 0 &&
             weft_event_clear(&event) == 0); /* they come all the same */
    wt_check(weft_cancel(c) == 1);           /* too late */
    wt_check(saw("") && finish(a) == 0 && finish(b) == -ECANCELED && finish(c) == -ECANCELED);
    wt_check(saw("!ac") && weft_event_destroy(&event) == 0);
    weft_task *d = spawn_named('d');
    wt_check(saw("") && weft_event_set(&event) == 0 && finish(d) == 0 && saw("d"));
    d = spawn_named('e'); /* does not suspend */
    wt_check(saw("e") && finish(d) == 0);
    wt_check(weft_event_wait(&event) == 0);
    wt_check(weft_cancel(weft_self()) == 1 && weft_event_wait(&event) == -ECANCELED);
    wt_check(weft_event_clear(&event) == 0);
    wt_check(weft_within(WEFT_S, weft_event_wait(&event)) == -ETIMEDOUT);
    wt_check(weft_event_destroy(&event) == 0);
    return 0;
}

Test(event, lets_through_who_waits)
{
    simulate(waiters);
}

/* ---- an event in the frame of its waiter: gone as soon as the waiter goes on ---- */

static _Atomic(weft_event *) posted;
static atomic_bool has_ended;

static void *set_posted(void *unused)
{
    (void)unused;
    while (!atomic_load(&has_ended)) {
        weft_event *at = atomic_exchange(&posted, NULL);
        if (at != NULL) {
            wt_check(weft_event_set(at) == 0);
        }
    }
    return NULL;
}

static intptr_t post(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000 / WT_TIME_SCALE; i++) {
        weft_event own = WEFT_EVENT_INIT;
        atomic_store(&posted, &own);
        if (i % 3 == 0) { /* meets the setter on the way through */
            while (!weft_event_is_set(&own)) {
                sched_yield();
            }
        }
        wt_check(weft_event_wait(&own) == 0);
        memset(&own, 0xee, sizeof own);
    }
    atomic_store(&has_ended, true);
    return 0;
}

Test(event, may_go_at_once)
{
    for (int workers = 1; workers <= 2; workers++) {
        const weft_options options = {.workers = workers};
        pthread_t thread;
        atomic_store(&has_ended, false);
        cr_assert_eq(pthread_create(&thread, NULL, set_posted, NULL), 0);
        cr_assert_eq(weft_run(post, NULL, &options), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    wt_assert_clean();
}

/* ---- clear, look, wait: no news is missed ---- */

enum { NEWS = 100000 / WT_TIME_SCALE };

static atomic_int news;

static void *tell(void *unused)
{
    (void)unused;
    for (int i = 0; i < NEWS; i++) {
        atomic_store_explicit(&news, i + 1, memory_order_relaxed);
        wt_check(weft_event_set(&event) == 0);
    }
    return NULL;
}

static intptr_t hear(void *arg)
{
    (void)arg;
    for (;;) {
        wt_check(weft_event_clear(&event) == 0);
        if (atomic_load_explicit(&news, memory_order_relaxed) == NEWS) {
            return 0;
        }
        wt_check(weft_event_wait(&event) == 0);
    }
}

Test(event, clear_look_wait_misses_nothing, .timeout = 20)
{
    const weft_options options = {.workers = 2};
    pthread_t thread;
    cr_assert_eq(weft_event_init(&event), 0);
    cr_assert_eq(pthread_create(&thread, NULL, tell, NULL), 0);
    cr_assert_eq(weft_run(hear, NULL, &options), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    wt_assert_clean();
}

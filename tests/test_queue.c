/* SPDX-License-Identifier: MIT */
/* test_queue.c - items in order, once, whoever waits, is cancelled or closes. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/queue.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "await/door.h"
#include "sync/queue.h"
#include "weft_test.h"

static weft_queue queue;

static void simulate_under(weft_fn *fn, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed};

    cr_assert_eq(weft_run(fn, NULL, &options), 0, "seed %d", (int)seed);
    wt_assert_clean();
}

/* Turns as an event loop has them, and hand-over without. */
static void simulate(weft_fn *fn)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        simulate_under(fn, seed);
    }
}

static void make(size_t capacity)
{
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), capacity, NULL) == 0);
}

static int try_put(intptr_t item)
{
    return weft_queue_try_put(&queue, &item);
}

static intptr_t try_get(void)
{
    intptr_t item = -1;
    int rc = weft_queue_try_get(&queue, &item);

    return rc < 0 ? rc : item;
}

static intptr_t get_task(void *arg)
{
    intptr_t item = -1;
    int rc = weft_queue_get(&queue, &item);

    (void)arg;
    wt_check(rc == 0 || item == -1);
    return rc < 0 ? rc : item;
}

static intptr_t put_task(void *arg)
{
    intptr_t item = (intptr_t)arg;

    return weft_queue_put(&queue, &item);
}

static intptr_t join_task(void *arg)
{
    (void)arg;
    return weft_queue_join(&queue);
}

/* Parked when this returns: nothing else is ready. */
static weft_task *spawn_parked(weft_fn *fn, intptr_t arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, (void *)arg) == 0);
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    return task;
}

static intptr_t finish(weft_task *task)
{
    intptr_t result = 0;

    wt_check(weft_join(task, &result) == 0);
    weft_drop(task);
    return result;
}

/* ---- from a plain thread ---- */

Test(queue, keeps_its_order_and_bounds)
{
    const size_t capacities[] = {1, 2, 7, 128, WEFT_QUEUE_UNBOUNDED};

    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        intptr_t most = capacities[c] == WEFT_QUEUE_UNBOUNDED ? 5000 : (intptr_t)capacities[c];
        intptr_t in = 0, out = 0;

        make(capacities[c]);
        for (int round = 0; round < 5; round++) {
            while (in - out < most) {
                cr_assert_eq(try_put(in++), 0);
                cr_assert_eq((intptr_t)weft_queue_count(&queue), in - out);
            }
            cr_assert_eq(most == 5000 || try_put(in) == -EAGAIN, true);
            for (intptr_t i = 0; i <= most / 2; i++) {
                cr_assert_eq(try_get(), out++);
            }
        }
        while (out < in) {
            cr_assert_eq(try_get(), out++);
        }
        cr_assert_eq(try_get(), -EAGAIN);
        cr_assert_eq(weft_queue_destroy(&queue), 0);
    }
    make(0);
    cr_assert_eq(try_put(1), -EAGAIN);
    cr_assert_eq(try_get(), -EAGAIN);
    cr_assert_eq(weft_queue_destroy(&queue), 0);
}

Test(queue, holds_items_of_any_size)
{
    static const size_t sizes[] = {1, 3, 4, 8, 12, 16, 24, 100, 4080, 5000, 9001};
    static const size_t capacities[] = {3, WEFT_QUEUE_UNBOUNDED};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes * 2; s++) {
        size_t bytes = sizes[s / 2];
        unsigned char *item = malloc(bytes + 1), in = 0, out = 0;

        cr_assert_eq(weft_queue_init(&queue, bytes, capacities[s % 2], NULL), 0);
        for (int step = 0; step < 200; step++) {
            if (weft_queue_count(&queue) < 3) {
                memset(item, in, bytes);
                in = (unsigned char)(in + 1) & 63;
                cr_assert_eq(weft_queue_try_put(&queue, item), 0);
            }
            if (step % 3 != 0 && weft_queue_count(&queue) > 0) {
                item[bytes] = 0xee;
                cr_assert_eq(weft_queue_try_get(&queue, item), 0);
                cr_assert(item[0] == out && item[bytes - 1] == out && item[bytes] == 0xee);
                out = (unsigned char)(out + 1) & 63;
            }
        }
        cr_assert_eq(weft_queue_destroy(&queue), 0);
        free(item);
    }
}

/* Sanitizers end a program that asks for too much memory. */
#ifndef WEFT_TEST_PLAIN

enum { BIG = 100000 };

static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    cr_assert(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

Test(queue, a_put_without_memory_changes_nothing)
{
    static unsigned char item[BIG];
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    int in = 0, rc;

    if (wt_is_emulated()) {
        wt_skip("the emulator's memory is counted too");
    }
    cr_assert_eq(weft_queue_init(&queue, BIG, WEFT_QUEUE_UNBOUNDED, NULL), 0);
    limit.rlim_cur = (rlim_t)address_space() + (1 << 24);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    for (item[0] = 0; (rc = weft_queue_try_put(&queue, item)) == 0; item[0]++) {
        in++;
        cr_assert_lt(in, 250);
    }
    cr_assert_eq(rc, -ENOMEM);
    cr_assert_gt(in, 10);
    for (int round = 0; round < 300; round++) { /* as many as before, again and again */
        cr_assert_eq((int)weft_queue_count(&queue), in);
        cr_assert_eq(weft_queue_try_get(&queue, item), 0);
        cr_assert_eq(item[0], round % 256);
        item[0] = (unsigned char)(in + round);
        cr_assert_eq(weft_queue_try_put(&queue, item), 0);
    }
    cr_assert_eq(weft_queue_destroy(&queue), 0);
}

#endif

static int64_t dropped_sum;
static int dropped_count;

static void drop(void *item)
{
    cr_assert_eq((uintptr_t)item % sizeof(intptr_t), 0);
    dropped_sum += *(intptr_t *)item;
    dropped_count++;
    cr_assert_eq(weft_queue_count(&queue), 0); /* no lock is held */
    cr_assert_eq(weft_queue_try_put(&queue, item), -ESHUTDOWN);
}

Test(queue, drops_what_is_left_once)
{
    for (int how = 0; how < 6; how++) {
        size_t capacity = how % 2 == 0 ? 2000 : WEFT_QUEUE_UNBOUNDED;

        dropped_sum = 0;
        dropped_count = 0;
        cr_assert_eq(weft_queue_init(&queue, sizeof(intptr_t), capacity, drop), 0);
        for (intptr_t i = 0; i < 2000; i++) {
            cr_assert_eq(try_put(i), 0);
        }
        for (intptr_t i = 0; i < 700; i++) {
            cr_assert_eq(try_get(), i);
        }
        for (intptr_t i = 0; i < 600; i++) { /* around the ring */
            cr_assert_eq(try_put(2000 + i), 0);
        }
        if (how < 4) {
            cr_assert_eq(weft_queue_close_now(&queue), 0);
            cr_assert_eq(dropped_count, 1900);
            cr_assert_eq(try_get(), -ESHUTDOWN);
            cr_assert_eq(weft_queue_close_now(&queue), 0);
            cr_assert_eq(weft_queue_close(&queue), 0);
        }
        cr_assert_eq(weft_queue_destroy(&queue), 0);
        cr_assert_eq(dropped_count, 1900);
        cr_assert_eq(dropped_sum, 2600 * 2599 / 2 - 700 * 699 / 2);
    }
}

Test(queue, bad_input_is_told)
{
    intptr_t item = 0;

    cr_assert_eq(weft_queue_init(NULL, 8, 1, NULL), -EINVAL);
    cr_assert_eq(weft_queue_init(&queue, 0, 1, NULL), -EINVAL);
    cr_assert_eq(weft_queue_init(&queue, 8, SIZE_MAX / 4, NULL), -ENOMEM);
    cr_assert_eq(weft_queue_init(&queue, SIZE_MAX / 2 + 1, 2, NULL), -ENOMEM);
    cr_assert_eq(weft_queue_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_queue_try_put(NULL, &item), -EINVAL);
    cr_assert_eq(weft_queue_try_get(NULL, &item), -EINVAL);
    cr_assert_eq(weft_queue_close(NULL), -EINVAL);
    cr_assert_eq(weft_queue_close_now(NULL), -EINVAL);
    cr_assert_eq(weft_queue_done(NULL), -EINVAL);
    cr_assert_eq(weft_queue_count(NULL), 0);
    cr_assert_eq(weft_queue_is_closed(NULL), false);
    make(1);
    cr_assert_eq(weft_queue_try_put(&queue, NULL), -EINVAL);
    cr_assert_eq(weft_queue_try_get(&queue, NULL), -EINVAL);
    cr_assert_eq(weft_queue_put(&queue, &item), -EPERM);
    cr_assert_eq(weft_queue_get(&queue, &item), -EPERM);
    cr_assert_eq(weft_queue_put_many(&queue, &item, 1), -EPERM);
    cr_assert_eq(weft_queue_get_many(&queue, &item, 1), -EPERM);
    cr_assert_eq(weft_queue_join(&queue), -EPERM);
    cr_assert_eq(weft_queue_done(&queue), -EINVAL);
    cr_assert_eq(try_put(5), 0);
    cr_assert_eq(weft_queue_done(&queue), 0); /* whoever takes it need not say so again */
    cr_assert_eq(weft_queue_done(&queue), -EINVAL);
    cr_assert_eq(try_get(), 5);
    cr_assert_eq(weft_queue_done(&queue), -EINVAL);
    cr_assert_eq(try_put(6), 0);
    cr_assert_eq(try_get(), 6);
    cr_assert_eq(weft_queue_done(&queue), 0);
    cr_assert_eq(weft_queue_is_closed(&queue), false);
    cr_assert_eq(weft_queue_close(&queue), 0);
    cr_assert_eq(weft_queue_is_closed(&queue), true);
    cr_assert_eq(weft_queue_close(&queue), 0);
    cr_assert_eq(try_put(1), -ESHUTDOWN);
    cr_assert_eq(weft_queue_destroy(&queue), 0);
}

/* All that needs a queue, on memory that is none. */
static intptr_t use_zeroed(void *arg)
{
    static weft_queue zeroed;
    char item = 0;

    (void)arg;
    wt_check(weft_queue_put(&zeroed, &item) == -EINVAL);
    wt_check(weft_queue_get(&zeroed, &item) == -EINVAL);
    wt_check(weft_queue_put_many(&zeroed, &item, 1) == -EINVAL);
    wt_check(weft_queue_get_many(&zeroed, &item, 1) == -EINVAL);
    wt_check(weft_queue_try_put(&zeroed, &item) == -EINVAL);
    wt_check(weft_queue_try_get(&zeroed, &item) == -EINVAL);
    wt_check(weft_queue_join(&zeroed) == -EINVAL);
    wt_check(weft_queue_done(&zeroed) == -EINVAL);
    wt_check(weft_queue_close(&zeroed) == -EINVAL);
    wt_check(weft_queue_close_now(&zeroed) == -EINVAL);
    wt_check(weft_queue_destroy(&zeroed) == -EINVAL);
    return 0;
}

Test(queue, zeroed_memory_is_none)
{
    const weft_options options = {.workers = 2};

    cr_assert_eq(weft_run(use_zeroed, NULL, &options), 0);
    wt_assert_clean();
    simulate(use_zeroed);
}

static intptr_t bad_input_in_a_fiber(void *arg)
{
    intptr_t item = 3;
    weft_task *task;

    (void)arg;
    make(1);
    wt_check(weft_queue_put(NULL, &item) == -EINVAL);
    wt_check(weft_queue_put(&queue, NULL) == -EINVAL);
    wt_check(weft_queue_get(NULL, &item) == -EINVAL);
    wt_check(weft_queue_get(&queue, NULL) == -EINVAL);
    wt_check(weft_queue_put_many(&queue, NULL, 1) == -EINVAL);
    wt_check(weft_queue_get_many(NULL, &item, 1) == -EINVAL);
    wt_check(weft_queue_put_many(&queue, NULL, 0) == 0);
    wt_check(weft_queue_get_many(&queue, &item, 0) == 0);
    wt_check(weft_queue_join(NULL) == -EINVAL);
    task = spawn_parked(get_task, 0);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_queue_put(&queue, &item) == 0);
    wt_check(finish(task) == 3);
    task = spawn_parked(join_task, 0);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(task) == 0);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_queue_destroy(&queue) == -EBUSY); /* it has not left yet */
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, bad_input_is_told_in_a_fiber)
{
    simulate(bad_input_in_a_fiber);
}

/* ---- waiting ---- */

static intptr_t in_order(void *arg)
{
    enum { TASKS = 10 };
    weft_task *tasks[TASKS];

    (void)arg;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        make(capacity);
        for (int i = 0; i < TASKS; i++) {
            tasks[i] = spawn_parked(get_task, 0);
        }
        for (intptr_t i = 0; i < TASKS; i++) {
            wt_check(put_task((void *)i) == 0);
        }
        for (int i = 0; i < TASKS; i++) {
            wt_check(finish(tasks[i]) == i);
        }
        for (size_t i = 0; i < capacity; i++) {
            wt_check(try_put(100 + (intptr_t)i) == 0);
        }
        for (int i = 0; i < TASKS; i++) {
            tasks[i] = spawn_parked(put_task, i);
        }
        for (size_t i = 0; i < capacity; i++) {
            wt_check(get_task(NULL) == 100 + (intptr_t)i);
        }
        for (int i = 0; i < TASKS; i++) {
            wt_check(get_task(NULL) == i);
            wt_check(finish(tasks[i]) == 0);
        }
        wt_check(try_get() == -EAGAIN);
        wt_check(weft_queue_destroy(&queue) == 0);
    }
    return 0;
}

Test(queue, serves_those_who_wait_in_the_order_of_their_coming)
{
    simulate(in_order);
}

static intptr_t ready(void *arg)
{
    weft_stats_t before = {.size = sizeof before}, after = {.size = sizeof after};

    (void)arg;
    make(2);
    wt_check(weft_stats(NULL, &before) == 0);
    wt_check(put_task((void *)1) == 0 && put_task((void *)2) == 0);
    wt_check(get_task(NULL) == 1 && get_task(NULL) == 2);
    wt_check(weft_queue_done(&queue) == 0 && weft_queue_done(&queue) == 0);
    wt_check(weft_queue_join(&queue) == 0);
    wt_check(weft_stats(NULL, &after) == 0);
    wt_check(after.parks == before.parks);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, does_not_suspend_without_need)
{
    simulate_under(ready, 0);
}

/* Entry rule: an undelivered request, and nothing is moved. */
static intptr_t entry(void *arg)
{
    intptr_t item = 7;

    (void)arg;
    make(2);
    wt_check(try_put(1) == 0);
    for (int call = 0; call < 5; call++) {
        wt_check(weft_cancel(weft_self()) == 1);
        int64_t rc = call == 0   ? weft_queue_put(&queue, &item)
                     : call == 1 ? weft_queue_get(&queue, &item)
                     : call == 2 ? weft_queue_put_many(&queue, &item, 1)
                     : call == 3 ? weft_queue_get_many(&queue, &item, 1)
                                 : weft_queue_join(&queue);
        wt_check(rc == -ECANCELED && item == 7);
        wt_check(weft_uncancel(weft_self()) == 0);
        wt_check(weft_queue_count(&queue) == 1);
    }
    wt_check(try_get() == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, a_request_comes_before_everything)
{
    simulate(entry);
}

/* Grant rule, [Q03] [Q08]: the request stays undelivered. */
static intptr_t get_then_look(void *arg)
{
    intptr_t item = get_task(arg);

    wt_check(weft_checkpoint() == -ECANCELED);
    return -ESHUTDOWN + item;
}

static intptr_t put_then_look(void *arg)
{
    intptr_t rc = put_task(arg);

    wt_check(weft_checkpoint() == -ECANCELED);
    return -ESHUTDOWN + rc;
}

static intptr_t grants_stand(void *arg)
{
    weft_task *task;

    (void)arg;
    weft_task *second;

    make(1);
    task = spawn_parked(get_then_look, 0);
    second = spawn_parked(get_task, 0); /* [Q04]: is not passed what the first one keeps */
    wt_check(try_put(1) == 0 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN + 1);
    wt_check(weft_task_state(second) == WEFT_PENDING && weft_queue_count(&queue) == 0);
    wt_check(try_put(2) == 0 && finish(second) == 2);
    task = spawn_parked(get_then_look, 0);
    wt_check(try_put(1) == 0 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN + 1);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_then_look, 2);
    wt_check(try_get() == 1 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN);
    wt_check(try_get() == 2 && try_get() == -EAGAIN);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_was_granted_stays_granted)
{
    simulate(grants_stand);
}

/* [Q05] [Q07] [Q18]: whoever leaves the line moves nothing and is in nobody's way. */
static intptr_t leaving(void *arg)
{
    weft_task *tasks[3];

    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        make(capacity);
        for (int i = 0; i < 3; i++) {
            tasks[i] = spawn_parked(get_task, 0);
        }
        wt_check(weft_cancel(tasks[0]) == 1);
        wt_check(try_put(1) == 0); /* the cancelled one is still in line */
        wt_check(finish(tasks[0]) == -ECANCELED);
        wt_check(finish(tasks[1]) == 1);
        wt_check(weft_cancel(tasks[2]) == 1);
        wt_check(finish(tasks[2]) == -ECANCELED);
        wt_check(try_put(2) == (capacity == 0 ? -EAGAIN : 0));
        for (int i = 0; i < 3; i++) {
            tasks[i] = spawn_parked(put_task, 10 + i);
        }
        wt_check(weft_cancel(tasks[0]) == 1);
        wt_check(capacity == 0 || try_get() == 2);
        wt_check(finish(tasks[0]) == -ECANCELED);
        wt_check(get_task(NULL) == 11);
        wt_check(finish(tasks[1]) == 0);
        wt_check(capacity == 1 || weft_cancel(tasks[2]) == 1);
        wt_check(finish(tasks[2]) == (capacity == 0 ? -ECANCELED : 0));
        wt_check(try_get() == (capacity == 0 ? -EAGAIN : 12));
        wt_check(weft_queue_destroy(&queue) == 0);
    }
    return 0;
}

Test(queue, whoever_leaves_the_line_moves_nothing)
{
    simulate(leaving);
}

static intptr_t limited(void *arg)
{
    intptr_t item = 1;

    (void)arg;
    make(1);
    wt_check(weft_within(WEFT_S, weft_queue_get(&queue, &item)) == -ETIMEDOUT && item == 1);
    wt_check(put_task((void *)1) == 0);
    wt_check(weft_within(WEFT_S, weft_queue_put(&queue, &item)) == -ETIMEDOUT);
    wt_check(weft_within(WEFT_S, weft_queue_join(&queue)) == -ETIMEDOUT);
    wt_check(weft_queue_count(&queue) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, waiting_may_have_a_limit)
{
    simulate(limited);
}

/* ---- turns as in an event loop: [Q04] [Q09] [Q10] ---- */

static intptr_t note_get(void *arg)
{
    *(intptr_t *)arg = get_task(NULL);
    return 0;
}

static intptr_t turns(void *arg)
{
    weft_task *a, *b;
    intptr_t got_a = -1, got_b = -1;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    a = spawn_parked(note_get, (intptr_t)&got_a);
    wt_check(try_put(1) == 0);
    wt_check(weft_queue_count(&queue) == 1); /* it lies there until its getter comes */
    wt_check(try_get() == 1);                /* and a late one may be faster */
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_yield() == 0);
    b = spawn_parked(note_get, (intptr_t)&got_b);
    wt_check(try_put(2) == 0 && weft_yield() == 0 && got_a == 2 && got_b == -1);
    wt_check(finish(a) == 0);
    wt_check(try_put(3) == 0 && weft_yield() == 0 && got_b == 3);
    wt_check(finish(b) == 0);

    got_a = -1;
    got_b = -1;
    a = spawn_parked(note_get, (intptr_t)&got_a);
    wt_check(weft_spawn(&b, note_get, &got_b) == 0);
    wt_check(try_put(1) == 0 && try_get() == 1);
    wt_check(weft_yield() == 0); /* b waits, then a tries, loses, and waits behind it */
    wt_check(try_put(2) == 0 && try_put(3) == 0);
    wt_check(finish(a) == 0 && finish(b) == 0);
    wt_check(got_a == 3 && got_b == 2);

    /* A loser finds the request that came meanwhile. */
    a = spawn_parked(get_task, 0);
    wt_check(try_put(1) == 0 && try_get() == 1 && weft_cancel(a) == 1);
    wt_check(finish(a) == -ECANCELED);
    wt_check(try_get() == -EAGAIN);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, has_turns_in_a_strict_simulation)
{
    simulate_under(turns, 0);
}

/* ... and hands over in all others: nobody is overtaken. */
static intptr_t no_turns(void *arg)
{
    weft_task *task;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    task = spawn_parked(get_task, 0);
    wt_check(try_put(1) == 0);
    wt_check(weft_queue_count(&queue) == 0 && try_get() == -EAGAIN);
    wt_check(finish(task) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    make(1);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(try_get() == 1 && try_put(3) == -EAGAIN && try_get() == 2);
    wt_check(finish(task) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, hands_over_otherwise)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        simulate_under(no_turns, seed);
    }
}

/* ---- closing, [Q12] ---- */

static intptr_t closing(void *arg)
{
    weft_task *get, *put, *join;

    (void)arg;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        for (int now = 0; now < 2; now++) {
            make(capacity);
            get = spawn_parked(get_task, 0);
            wt_check((now ? weft_queue_close_now : weft_queue_close)(&queue) == 0);
            wt_check(finish(get) == -ESHUTDOWN);
            wt_check(get_task(NULL) == -ESHUTDOWN);
            wt_check(put_task(NULL) == -ESHUTDOWN);
            wt_check(weft_queue_join(&queue) == 0);
            wt_check(weft_queue_destroy(&queue) == 0);
        }
    }
    make(1);
    wt_check(try_put(1) == 0);
    put = spawn_parked(put_task, 2);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close(&queue) == 0);
    wt_check(finish(put) == -ESHUTDOWN);
    wt_check(put_task(NULL) == -ESHUTDOWN);
    wt_check(get_task(NULL) == 1);
    wt_check(get_task(NULL) == -ESHUTDOWN && try_get() == -ESHUTDOWN);
    wt_check(weft_task_state(join) == WEFT_PENDING);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, closing_tells_those_who_wait)
{
    simulate(closing);
}

/* [Q14]: one item is being dealt with, one is dropped. */
static intptr_t closing_now(void *arg)
{
    weft_task *join;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    wt_check(try_put(1) == 0 && try_put(2) == 0 && try_get() == 1);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(weft_yield() == 0 && weft_task_state(join) == WEFT_PENDING);
    wt_check(weft_queue_count(&queue) == 0);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_done(&queue) == -EINVAL);
    wt_check(weft_queue_destroy(&queue) == 0);

    make(3);
    wt_check(try_put(1) == 0);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_is_dropped_is_done)
{
    simulate(closing_now);
}

/* [Q15] */
static intptr_t joining(void *arg)
{
    weft_task *joiners[3];

    (void)arg;
    make(0);
    for (int i = 0; i < 3; i++) {
        weft_task *put = spawn_parked(put_task, 5);
        wt_check(weft_queue_join(&queue) == 0); /* not put yet */
        wt_check(get_task(NULL) == 5 && finish(put) == 0);
        wt_check(weft_queue_done(&queue) == 0);
    }
    wt_check(weft_queue_destroy(&queue) == 0);
    make(4);
    wt_check(try_put(1) == 0 && try_put(2) == 0 && try_get() == 1);
    for (int i = 0; i < 3; i++) {
        joiners[i] = spawn_parked(join_task, 0);
    }
    wt_check(weft_cancel(joiners[1]) == 1);
    wt_check(finish(joiners[1]) == -ECANCELED);
    wt_check(weft_queue_done(&queue) == 0 && weft_yield() == 0);
    wt_check(weft_task_state(joiners[0]) == WEFT_PENDING);
    wt_check(try_get() == 2 && weft_queue_done(&queue) == 0);
    wt_check(finish(joiners[0]) == 0 && finish(joiners[2]) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, join_waits_for_the_end_of_the_work)
{
    simulate(joining);
}

/* ---- many at once ---- */

struct batch {
    intptr_t items[10];
    size_t count;
};

static intptr_t put_batch(void *arg)
{
    struct batch *batch = arg;

    return (intptr_t)weft_queue_put_many(&queue, batch->items, batch->count);
}

static intptr_t get_batch(void *arg)
{
    struct batch *batch = arg;

    return (intptr_t)weft_queue_get_many(&queue, batch->items, batch->count);
}

static bool holds(const struct batch *batch, size_t count, intptr_t first)
{
    for (size_t i = 0; i < count; i++) {
        if (batch->items[i] != first + (intptr_t)i) {
            return false;
        }
    }
    return true;
}

static intptr_t many(void *arg)
{
    struct batch in = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10}, out = {.count = 10};
    weft_task *task, *second;

    (void)arg;
    make(4);
    wt_check(put_batch(&in) == 4);
    wt_check(weft_queue_count(&queue) == 4);
    wt_check(get_batch(&out) == 4 && holds(&out, 4, 0));
    task = spawn_parked(get_batch, (intptr_t)&out); /* waits for the first, takes what is there */
    wt_check(put_batch(&in) >= 4);
    wt_check(finish(task) >= 4 && holds(&out, 4, 0));
    while (try_get() >= 0) {
    }
    wt_check(put_batch(&in) == 4);
    in = (struct batch){{4, 5, 6, 7, 8}, 5};
    task = spawn_parked(put_batch, (intptr_t)&in); /* likewise for room */
    out.count = 3;
    wt_check(get_batch(&out) == 3 && holds(&out, 3, 0));
    wt_check(finish(task) == 3);
    out.count = 10;
    wt_check(get_batch(&out) == 4 && holds(&out, 4, 3));
    wt_check(weft_queue_destroy(&queue) == 0);

    make(0); /* one side's rest waits for nobody */
    in = (struct batch){{1, 2, 3}, 3};
    task = spawn_parked(put_batch, (intptr_t)&in);
    out.count = 2;
    wt_check(get_batch(&out) == 2 && holds(&out, 2, 1));
    wt_check(finish(task) == 2);
    task = spawn_parked(put_task, 1);
    second = spawn_parked(put_task, 2);
    out.count = 3;
    wt_check(get_batch(&out) == 2 && holds(&out, 2, 1));
    wt_check(finish(task) == 0 && finish(second) == 0);
    task = spawn_parked(get_task, 0);
    second = spawn_parked(get_task, 0);
    wt_check(put_batch(&in) == 2);
    wt_check(finish(task) == 1 && finish(second) == 2);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, moves_many_at_once)
{
    simulate(many);
}

/* Twice what a bounded queue holds in one call: the putters behind fill it up again. */
static intptr_t get_more(void *arg)
{
    struct batch out = {.count = 10};
    weft_task *tasks[6];

    (void)arg;
    make(2);
    wt_check(try_put(0) == 0 && try_put(1) == 0);
    for (int i = 0; i < 6; i++) {
        tasks[i] = spawn_parked(put_task, 2 + i);
    }
    wt_check(get_batch(&out) == 8 && holds(&out, 8, 0));
    for (int i = 0; i < 6; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, takes_from_those_who_wait)
{
    for (uint64_t seed = 1; seed < 8; seed++) {
        simulate_under(get_more, seed);
    }
}

/* ---- from outside ---- */

static void *feed(void *arg)
{
    for (intptr_t i = 1; i <= 1000; i++) {
        while (weft_queue_try_put(arg, &i) == -EAGAIN) {
            sched_yield();
        }
    }
    weft_queue_close(arg);
    return NULL;
}

static intptr_t eat(void *arg)
{
    intptr_t sum = 0, item;
    int rc;

    (void)arg;
    while ((rc = weft_queue_get(&queue, &item)) == 0) {
        sum += item;
    }
    wt_check(rc == -ESHUTDOWN);
    return sum;
}

Test(queue, plain_threads_may_put)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        const weft_options options = {.workers = 2};
        pthread_t thread;

        make(capacity);
        cr_assert_eq(pthread_create(&thread, NULL, feed, &queue), 0);
        cr_assert_eq(weft_run(eat, NULL, &options), 500500);
        pthread_join(thread, NULL);
        cr_assert_eq(weft_queue_destroy(&queue), 0);
    }
    wt_assert_clean();
}

/* ---- what select and reports ask for ---- */

static struct wf_queue_op op_for(struct wf_wait *wait, intptr_t *item, bool is_put)
{
    return (struct wf_queue_op){
        .waiter = {.wait = wait}, .items = item, .count = 1, .is_put = is_put};
}

static intptr_t several_waiters(void *arg)
{
    weft_task *task;
    struct wf_wait wait;
    intptr_t sent = 9, got = -1;

    (void)arg;
    make(0);
    struct wf_queue_op put = op_for(&wait, &sent, true), get = op_for(&wait, &got, false);
    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_LINKED);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LINKED); /* not with itself */
    wt_check(weft_spawn(&task, put_task, (void *)4) == 0);
    wt_check(wf_door_park(&wait) == WF_GRANTED);
    wf_queue_unlink(&queue, &put);
    wf_queue_unlink(&queue, &get);
    wt_check(get.is_final && get.outcome == 1 && got == 4 && !put.is_final);
    wt_check(finish(task) == 0);

    task = spawn_parked(get_task, 0);
    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LINKED);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_DONE);
    wt_check(put.is_final && put.outcome == 1);
    wf_queue_unlink(&queue, &get);
    wt_check(!get.is_final && finish(task) == 9);

    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(weft_queue_close(&queue) == 0);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_DONE && put.outcome == -ESHUTDOWN);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LOST && !get.is_final);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, one_of_several_waiters)
{
    simulate(several_waiters);
}

static intptr_t tokens(void *arg)
{
    uint64_t self = wf_task_token(weft_self());
    weft_task *task;

    (void)arg;
    make(1);
    wt_check(wf_queue_last_put(&queue) == 0 && wf_queue_last_got(&queue) == 0);
    wt_check(try_put(1) == 0);
    wt_check(wf_queue_last_put(&queue) == self && wf_queue_last_got(&queue) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(try_get() == 1 && wf_queue_last_got(&queue) == self);
    weft_task *held = wf_token_hold(wf_task_registry(task), wf_queue_last_put(&queue));
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(wf_queue_last_put(&queue) == wf_task_token(task));
    if (held != NULL) {
        wf_task_let_go(held, NULL);
    }
    wt_check(finish(task) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, knows_who_was_there_last)
{
    simulate(tokens);
}

/* ---- counting what is being dropped ---- */

static int done_while_dropping;

static void drop_and_say_done(void *item)
{
    (void)item;
    done_while_dropping = weft_queue_done(&queue);
}

/* Reporting one that is being dropped does no harm: joins end. */
static intptr_t done_in_drop(void *arg)
{
    intptr_t items[] = {1, 2};
    (void)arg;
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), 4, drop_and_say_done) == 0);
    wt_check(weft_queue_put_many(&queue, items, 2) == 2);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(done_while_dropping == 0 || done_while_dropping == -EINVAL);
    weft_task *joiner = NULL;
    wt_check(weft_spawn(&joiner, join_task, NULL) == 0);
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(weft_task_state(joiner) == WEFT_OK);
    (void)weft_cancel(joiner);
    wt_check(weft_join(joiner, NULL) == 0);
    weft_drop(joiner);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_is_being_dropped_is_not_taken)
{
    simulate(done_in_drop);
}

/* One that was cancelled and has not run yet will still look at the queue. */
static intptr_t destroy_under_a_cancelled_one(void *arg)
{
    (void)arg;
    make(4);
    weft_task *getter = spawn_parked(get_task, 0);
    wt_check(weft_cancel(getter) == 1);
    wt_check(try_put(1) == 0); /* passes it over */
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(finish(getter) == -ECANCELED);
    wt_check(weft_queue_count(&queue) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, a_cancelled_one_keeps_it_in_use)
{
    simulate(destroy_under_a_cancelled_one);
}

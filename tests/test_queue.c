/* SPDX-License-Identifier: MIT */
/* test_queue.c - items in order, once, one or many at a time; memory; misuse; plain threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sync/queue_inside.h"

#include "queue_test.h"

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

static intptr_t put_one(void *arg)
{
    char item = 0;

    return weft_queue_put(arg, &item);
}

static intptr_t get_one(void *arg)
{
    char item = 0;

    return weft_queue_get(arg, &item);
}

/* Others are at it, too: it is looked at once they have left. */
Test(queue, zeroed_memory_that_others_are_at_is_none)
{
    static weft_queue zeroed;
    weft_fn *const calls[] = {put_one, get_one};
    const weft_options options = {.workers = 1};
    struct wf_lock *lock = &wf_queue_inside(&zeroed)->lock;
    weft_runtime *runtime;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < 2; i++) {
        weft_task *task;
        intptr_t result = 0;

        wf_lock(lock);
        cr_assert_eq(weft_runtime_submit(runtime, &task, calls[i], &zeroed, NULL), 0);
        while (wf_load_acq(&lock->value) != 2) { /* it waits for the lock */
            sched_yield();
        }
        wf_unlock(lock);
        cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
        cr_assert_eq(result, -EINVAL);
        weft_drop(task);
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
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

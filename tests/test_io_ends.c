// SPDX-License-Identifier: MIT
/* test_io_ends.c - waits that end otherwise: cancelled, timed out, closed by a task, a thread or another runtime. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "fiber/tools.h"
#include "io_test.h"

/* A pair whose first number is `number`, which is free, unless another thread has it at the moment: the
 * C library opens files in passing. */
static void make_pair_at(int fds[2], int number)
{
    make_pair(fds, SOCK_STREAM);
    if (fds[0] != number) {
        int moved = fcntl(fds[0], F_DUPFD, number);
        wt_check(weft_close(fds[0]) == 0);
        fds[0] = moved;
    }
}

/* ---- cancellation ---- */

static intptr_t cancel_reader(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = 0;
    char byte = 0;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED);
    wt_check(weft_write(fds[1], "x", 1) == 1); /* its wait has left no trace */
    wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'x');
    close_both(fds);
    return 0;
}

Test(io, cancelled_wait)
{
    RUN(cancel_reader, NULL, &one_worker);
    RUN(cancel_reader, NULL, &four_workers);
}

static intptr_t entry_rule(void *arg)
{
    int fds[2];
    char byte = 0;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(write(fds[1], "x", 1) == 1);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_close(dup(fds[0])) == 0); /* observes nothing */
    wt_check(weft_read(fds[0], &byte, 1) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'x'); /* nothing was taken */
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_write(fds[0], "y", 1) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(recv(fds[1], &byte, 1, MSG_DONTWAIT) == -1); /* nothing was written */
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_wait_fd(fds[0], WEFT_WRITABLE) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    close_both(fds);
    return 0;
}

Test(io, entry_rule)
{
    RUN(entry_rule, NULL, &one_worker);
}

static intptr_t timed_out(void *arg)
{
    int fds[2];
    char byte;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_within(2 * WEFT_MS, weft_read(fds[0], &byte, 1)) == -ETIMEDOUT);
    wt_check(weft_write(fds[1], "x", 1) == 1);
    wt_check(weft_within(60 * WEFT_S, weft_read(fds[0], &byte, 1)) == 1);
    close_both(fds);
    return 0;
}

Test(io, timeout)
{
    RUN(timed_out, NULL, &one_worker);
}

/* Data and cancellation race; whoever wins, no byte is lost. */
enum { RACE_ROUNDS = 2000 };

static intptr_t race_cancel(void *arg)
{
    int taken = 0;
    int fds[2];
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        weft_task *task;
        intptr_t raw = 0;
        char byte = 0;
        wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
        wt_check(weft_yield() == 0);
        wt_check(weft_write(fds[1], "x", 1) == 1);
        (void)weft_cancel(task);
        wt_check(weft_join(task, NULL) == 0);
        int rc = weft_task_raw_result(task, &raw);
        weft_drop(task);
        if (rc == 0 && raw == 'x') {
            taken++;
        } else {
            wt_check(rc == -ENODATA || raw == -ECANCELED);
            wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'x');
        }
    }
    fprintf(stderr, "%d of %d reads won\n", taken, RACE_ROUNDS);
    close_both(fds);
    return 0;
}

Test(io, cancel_loses_nothing, .timeout = 60)
{
    RUN(race_cancel, NULL, &one_worker);
    RUN(race_cancel, NULL, &four_workers);
}

/* ---- closing ---- */

static intptr_t close_under_waiters(void *arg)
{
    int fds[2];
    weft_task *tasks[4];
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&tasks[i], read_byte, &fds[0]) == 0);
    }
    until_parked(mark, 4);
    int number = fds[0];
    wt_check(weft_close(fds[0]) == 0);
    int next[2];
    make_pair_at(next, number);
    wt_check(weft_write(next[1], "abcd", 4) == 4);
    for (int i = 0; i < 4; i++) {
        intptr_t result = 0;
        wt_check(weft_await(tasks[i], &result) == 0);
        wt_check(result == -EBADF);
    }
    wt_check(weft_close(fds[1]) == 0);
    close_both(next);
    return 0;
}

Test(io, close_tells_waiters)
{
    RUN(close_under_waiters, NULL, &one_worker);
    RUN(close_under_waiters, NULL, &four_workers);
}

static void *close_on_thread(void *arg)
{
    const int *fd = arg;
    wt_check(weft_close(*fd) == 0);
    return NULL;
}

static intptr_t close_from_thread(void *arg)
{
    int fds[2];
    weft_task *task;
    pthread_t thread;
    intptr_t result = 0;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
    until_parked(mark, 1);
    wt_check(pthread_create(&thread, NULL, close_on_thread, &fds[0]) == 0);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -EBADF);
    wt_check(pthread_join(thread, NULL) == 0);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

Test(io, close_from_a_thread)
{
    RUN(close_from_thread, NULL, &one_worker);
}

static intptr_t return_zero(void *arg)
{
    (void)arg;
    return 0;
}

static intptr_t close_in_fiber(void *arg)
{
    return weft_close(*(const int *)arg);
}

/* A fiber of one runtime closes what a fiber of another waits for. */
Test(io, close_across_runtimes)
{
    weft_runtime *first;
    weft_runtime *second;
    weft_task *waiter;
    weft_task *probe;
    int fds[2];
    intptr_t result = 0;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cr_assert_eq(weft_runtime_start(&first, &one_worker), 0);
    cr_assert_eq(weft_runtime_start(&second, &one_worker), 0);
    cr_assert_eq(weft_runtime_submit(first, &waiter, read_byte, &fds[0], NULL), 0);
    weft_stats_t stats = {.size = sizeof stats};
    do { /* a task behind it on the same worker: then it has parked, or soon will have */
        cr_assert_eq(weft_runtime_submit(first, &probe, return_zero, NULL, NULL), 0);
        cr_assert_eq(weft_thread_join(probe, WEFT_FOREVER, NULL), 0);
        weft_drop(probe);
        cr_assert_eq(weft_stats(first, &stats), 0);
    } while (stats.parks == 0);
    cr_assert_eq(weft_runtime_submit(second, &probe, close_in_fiber, &fds[0], NULL), 0);
    cr_assert_eq(weft_thread_join(probe, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, 0);
    weft_drop(probe);
    cr_assert_eq(weft_thread_join(waiter, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, -EBADF);
    weft_drop(waiter);
    cr_assert_eq(weft_runtime_stop(second), 0);
    cr_assert_eq(weft_runtime_stop(first), 0);
    close(fds[1]);
    wt_assert_clean();
}

/* Readers that are about to wait, against a closer: each gets -EBADF, never a wait for ever. */
static intptr_t close_race(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        int fds[2];
        weft_task *tasks[2];
        make_pair(fds, SOCK_STREAM);
        for (int k = 0; k < 2; k++) {
            wt_check(weft_spawn(&tasks[k], read_byte, &fds[0]) == 0);
        }
        for (int k = i % 4; k > 0; k--) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_close(fds[0]) == 0);
        for (int k = 0; k < 2; k++) {
            intptr_t result = 0;
            wt_check(weft_await(tasks[k], &result) == 0);
            wt_check(result == -EBADF);
        }
        wt_check(weft_close(fds[1]) == 0);
    }
    return 0;
}

Test(io, close_races_with_readers, .timeout = 60)
{
    RUN(close_race, NULL, &one_worker);
    if (!WF_TSAN) { /* which objects to a close beside a recv, and that is the point here */
        RUN(close_race, NULL, &four_workers);
    }
}

/* A reader that was woken for the old descriptor must not go on with the next one of its number. */
static intptr_t close_after_grant(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++) {
        int fds[2];
        int next[2];
        weft_task *task;
        intptr_t result = 0;
        make_pair(fds, SOCK_STREAM);
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
        until_parked(mark, 1);
        wt_check(write(fds[1], "o", 1) == 1);
        for (int k = i % 3; k > 0; k--) {
            wt_check(weft_yield() == 0);
        }
        int number = fds[0];
        wt_check(weft_close(number) == 0);
        make_pair_at(next, number);
        wt_check(write(next[1], "n", 1) == 1);
        wt_check(weft_await(task, &result) == 0);
        wt_check(result == 'o' || result == -EBADF);
        wt_check(weft_close(fds[1]) == 0);
        close_both(next);
    }
    return 0;
}

Test(io, close_after_the_grant, .timeout = 60)
{
    /* One worker: else the close may come between the reader's look at the record and its recv. */
    RUN(close_after_grant, NULL, &one_worker);
}

/* A child process closes its own copy: the parent's registration is none of its business. */
static intptr_t close_in_child(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = 0;
    int status = -1;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
    until_parked(mark, 1);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        _exit(weft_close(fds[0]) == 0 && weft_close(fds[0]) == -EBADF &&
                      weft_read(fds[1], &byte, 1) == -ECHILD
                  ? 0
                  : 1);
    }
    wt_check(child > 0);
    wt_check(waitpid(child, &status, 0) == child && status == 0);
    wt_check(write(fds[1], "x", 1) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == 'x');
    close_both(fds);
    return 0;
}

Test(io, close_in_a_forked_child, .timeout = 20)
{
    RUN(close_in_child, NULL, &one_worker);
}

/* Descriptors closed behind weft's back, the number used again for one that another task waits for. */
static intptr_t plain_close(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        int fds[2];
        weft_task *task;
        intptr_t result = 0;
        make_pair(fds, SOCK_STREAM);
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
        until_parked(mark, 1);
        wt_check(write(fds[1], "x", 1) == 1);
        wt_check(weft_await(task, &result) == 0);
        wt_check(result == 'x');
        wt_check(close(fds[0]) == 0 && close(fds[1]) == 0);
    }
    return 0;
}

Test(io, plain_close_and_reuse, .timeout = 30)
{
    RUN(plain_close, NULL, &one_worker);
    RUN(plain_close, NULL, &four_workers);
}

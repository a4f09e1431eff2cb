// SPDX-License-Identifier: MIT
/* test_io.c - reading, writing, waiting for and closing descriptors.
 *
 * How it synchronises: `until_parked` yields until so many waits have suspended since a mark. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "fiber/hooks.h"
#include "support.h"
#include "weft_test.h"

/* ---- tools ---- */

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

/* Both ends non-blocking or blocking by `flags`. */
static void make_pair(int fds[2], int type)
{
    wt_check(socketpair(AF_UNIX, type, 0, fds) == 0);
}

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

static void close_both(const int fds[2])
{
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[1]) == 0);
}

static intptr_t read_one(void *arg)
{
    char byte = 0;
    ssize_t n = weft_read(*(const int *)arg, &byte, 1);
    return n == 1 ? byte : n;
}

/* ---- sockets ---- */

static intptr_t echo(void *arg)
{
    const int *fd = arg;
    char buffer[64];
    ssize_t n;
    while ((n = weft_read(*fd, buffer, sizeof buffer)) > 0) {
        wt_check(weft_write(*fd, buffer, (size_t)n) == n);
    }
    return n;
}

static intptr_t ping_pong(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = -1;
    make_pair(fds, *(const int *)arg);
    wt_check(weft_spawn(&task, echo, &fds[1]) == 0);
    for (int i = 0; i < 1000; i++) {
        char sent = (char)i;
        char got = 0;
        wt_check(weft_send(fds[0], &sent, 1, 0) == 1);
        wt_check(weft_recv(fds[0], &got, 1, 0) == 1);
        wt_check(got == sent);
    }
    wt_check(shutdown(fds[0], SHUT_WR) == 0);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == 0);
    close_both(fds);
    return 0;
}

Test(io, ping_pong, .timeout = 30)
{
    int blocking = SOCK_STREAM;
    int nonblocking = SOCK_STREAM | SOCK_NONBLOCK;
    RUN(ping_pong, &blocking, &one_worker);
    RUN(ping_pong, &nonblocking, &one_worker);
    RUN(ping_pong, &blocking, &four_workers);
}

enum { FLOOD_BYTES = 8 << 20 };

static intptr_t drain(void *arg)
{
    static char buffer[1 << 14];
    size_t sum = 0;
    ssize_t n;
    while ((n = weft_read(*(const int *)arg, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != (char)((sum + (size_t)i) % 251)) {
                return -EILSEQ;
            }
        }
        sum += (size_t)n;
    }
    return n < 0 ? n : (intptr_t)sum;
}

static void flood(int fd)
{
    static char data[1 << 15];
    for (size_t sum = 0; sum < FLOOD_BYTES;) {
        size_t length = FLOOD_BYTES - sum < sizeof data ? FLOOD_BYTES - sum : sizeof data;
        for (size_t i = 0; i < length; i++) {
            data[i] = (char)((sum + i) % 251);
        }
        ssize_t n = weft_write(fd, data, length);
        if (!wt_check(n > 0)) {
            break;
        }
        sum += (size_t)n;
    }
}

static intptr_t send_much(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = -1;
    if (*(const int *)arg == 0) {
        wt_check(pipe(fds) == 0);
    } else {
        int ends[2];
        make_pair(ends, SOCK_STREAM);
        fds[0] = ends[0];
        fds[1] = ends[1];
    }
    wt_check(weft_spawn(&task, drain, &fds[0]) == 0);
    flood(fds[1]);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == FLOOD_BYTES);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(io, writers_wait_for_room, .timeout = 60)
{
    for (int kind = 0; kind < 2; kind++) { /* pipe, socket */
        RUN(send_much, &kind, &one_worker);
        RUN(send_much, &kind, &four_workers);
    }
}

static intptr_t broken(void *arg)
{
    int fds[2];
    char byte = 0;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_read(fds[0], &byte, 1) == 0);
    wt_check(weft_write(fds[0], &byte, 1) == -EPIPE); /* and no SIGPIPE */
    wt_check(weft_send(fds[0], &byte, 1, 0) == -EPIPE);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[0]) == -EBADF);
    wt_check(weft_read(fds[0], &byte, 1) == -EBADF);
    return 0;
}

Test(io, end_and_broken_pipe)
{
    RUN(broken, NULL, &one_worker);
}

/* ---- bad calls ---- */

static intptr_t bad_calls(void *arg)
{
    int fds[2];
    char byte;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_read(-1, &byte, 1) == -EBADF);
    wt_check(weft_read(1 << 30, &byte, 1) == -EBADF);
    wt_check(weft_close(1 << 30) == -EBADF);
    wt_check(weft_close(-1) == -EBADF);
    wt_check(weft_read(fds[0], NULL, 1) == -EINVAL);
    wt_check(weft_write(fds[0], NULL, 1) == -EINVAL);
    wt_check(weft_wait_fd(fds[0], 0) == -EINVAL);
    wt_check(weft_wait_fd(fds[0], 8) == -EINVAL);
    wt_check(weft_wait_fd(-1, WEFT_READABLE) == -EBADF);
    close_both(fds);
    int file = open("/dev/null", O_RDWR);
    wt_check(weft_recv(file, &byte, 1, 0) == -ENOTSOCK);
    wt_check(weft_send(file, "x", 1, 0) == -ENOTSOCK);
    wt_check(weft_close(file) == 0);
    return 0;
}

static intptr_t simulated(void *arg)
{
    char byte;
    (void)arg;
    wt_check(weft_read(0, &byte, 1) == -ENOTSUP);
    wt_check(weft_wait_fd(0, WEFT_READABLE) == -ENOTSUP);
    wt_check(weft_close(dup(1)) == 0);
    return 0;
}

Test(io, bad_calls)
{
    static const weft_options simulation = {.simulate = true};
    char byte;
    cr_assert_eq(weft_read(0, &byte, 1), -EPERM);
    cr_assert_eq(weft_wait_fd(0, WEFT_READABLE), -EPERM);
    RUN(bad_calls, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
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
    wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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
        wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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
        wt_check(weft_spawn(&tasks[i], read_one, &fds[0]) == 0);
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
    wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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
    cr_assert_eq(weft_runtime_submit(first, &waiter, read_one, &fds[0], NULL), 0);
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
            wt_check(weft_spawn(&tasks[k], read_one, &fds[0]) == 0);
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
        wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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
    wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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
        wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
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

/* ---- several readers ---- */

enum { DATAGRAMS = 20000, READERS = 4 };

static intptr_t count_datagrams(void *arg)
{
    intptr_t count = 0;
    char byte = 0;
    while (weft_read(*(const int *)arg, &byte, 1) == 1 && byte != 'q') {
        count++;
    }
    return count;
}

/* Two datagrams may come as one event: if one reader took the event alone, another would sleep. */
static intptr_t share_datagrams(void *arg)
{
    int fds[2];
    weft_task *tasks[READERS];
    intptr_t sum = 0;
    (void)arg;
    make_pair(fds, SOCK_DGRAM);
    for (int i = 0; i < READERS; i++) {
        wt_check(weft_spawn(&tasks[i], count_datagrams, &fds[0]) == 0);
    }
    for (int i = 0; i < DATAGRAMS; i++) {
        wt_check(weft_write(fds[1], "d", 1) == 1);
    }
    for (int i = 0; i < READERS; i++) {
        wt_check(weft_write(fds[1], "q", 1) == 1);
    }
    for (int i = 0; i < READERS; i++) {
        intptr_t count = 0;
        wt_check(weft_await(tasks[i], &count) == 0);
        sum += count;
    }
    wt_check(sum == DATAGRAMS);
    close_both(fds);
    return 0;
}

Test(io, several_readers, .timeout = 60)
{
    RUN(share_datagrams, NULL, &one_worker);
    RUN(share_datagrams, NULL, &four_workers);
}

/* ---- what is no socket ---- */

static intptr_t pipes(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = 0;
    wt_check(pipe2(fds, *(const int *)arg) == 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
    until_parked(mark, 1);
    wt_check(weft_write(fds[1], "p", 1) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == 'p');
    wt_check(weft_close(fds[1]) == 0);
    char byte;
    wt_check(weft_read(fds[0], &byte, 1) == 0);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(io, pipes)
{
    int flags[] = {0, O_NONBLOCK};
    for (int i = 0; i < 2; i++) {
        RUN(pipes, &flags[i], &one_worker);
        RUN(pipes, &flags[i], &four_workers);
    }
}

static intptr_t read_number(void *arg)
{
    uint64_t number = 0;
    ssize_t n = weft_read(*(const int *)arg, &number, sizeof number);
    return n == sizeof number ? (intptr_t)number : n;
}

static intptr_t events(void *arg)
{
    weft_task *task;
    intptr_t result = 0;
    uint64_t seven = 7;
    int fd = eventfd(0, *(const int *)arg);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_number, &fd) == 0);
    until_parked(mark, 1);
    wt_check(weft_write(fd, &seven, sizeof seven) == sizeof seven);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == 7);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(io, eventfd)
{
    int flags[] = {0, EFD_NONBLOCK};
    RUN(events, &flags[0], &one_worker);
    RUN(events, &flags[1], &one_worker);
}

static intptr_t files(void *arg)
{
    char path[] = "/tmp/weft_io_XXXXXX";
    char text[6] = "";
    int fd = mkstemp(path);
    (void)arg;
    wt_check(fd >= 0 && unlink(path) == 0);
    wt_check(weft_wait_fd(fd, WEFT_READABLE) == -EPERM);
    wt_check(weft_write(fd, "hello", 5) == 5);
    wt_check(lseek(fd, 0, SEEK_SET) == 0);
    wt_check(weft_read(fd, text, 5) == 5 && strcmp(text, "hello") == 0);
    wt_check(weft_read(fd, text, 5) == 0);
    wt_check(weft_close(fd) == 0);
    fd = open("/proc/self/status", O_RDONLY);
    wt_check(weft_read(fd, text, 5) == 5 && strcmp(text, "Name:") == 0);
    wt_check(weft_write(fd, "x", 1) == -EBADF);
    wt_check(weft_close(fd) == 0);
    fd = open("/dev/zero", O_RDWR);
    wt_check(weft_read(fd, text, 5) == 5 && text[0] == 0);
    wt_check(weft_write(fd, text, 5) == 5);
    wt_check(weft_close(fd) == 0);
    fd = open("/", O_RDONLY);
    wt_check(weft_read(fd, text, 5) == -EISDIR);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(io, files)
{
    RUN(files, NULL, &one_worker);
}

static intptr_t terminals(void *arg)
{
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        return 0; /* no terminals here */
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    wt_check(slave >= 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_one, &slave) == 0);
    until_parked(mark, 1);
    wt_check(weft_write(master, "t\n", 2) == 2);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == 't');
    wt_check(weft_close(slave) == 0);
    wt_check(weft_close(master) == 0);
    return 0;
}

Test(io, terminals)
{
    RUN(terminals, NULL, &one_worker);
}

/* ---- weft_wait_fd ---- */

static intptr_t wait_readable(void *arg)
{
    return weft_wait_fd(*(const int *)arg, WEFT_READABLE);
}

static intptr_t wait_hangup(void *arg)
{
    return weft_wait_fd(*(const int *)arg, WEFT_HANGUP);
}

static intptr_t waits(void *arg)
{
    int fds[2];
    weft_task *readers[3];
    weft_task *hangup;
    intptr_t result = 0;
    char byte;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_wait_fd(fds[0], WEFT_WRITABLE) == WEFT_WRITABLE);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE | WEFT_WRITABLE) == WEFT_WRITABLE);
    uint64_t mark = parks_now();
    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&readers[i], wait_readable, &fds[0]) == 0);
    }
    wt_check(weft_spawn(&hangup, wait_hangup, &fds[0]) == 0);
    until_parked(mark, 4);
    wt_check(weft_write(fds[1], "x", 1) == 1);
    for (int i = 0; i < 3; i++) { /* readiness is nobody's own */
        wt_check(weft_await(readers[i], &result) == 0);
        wt_check(result == WEFT_READABLE);
    }
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE); /* nor an edge */
    wt_check(weft_task_state(hangup) == WEFT_PENDING);
    wt_check(weft_read(fds[0], &byte, 1) == 1);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_await(hangup, &result) == 0);
    wt_check(result == WEFT_HANGUP);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == (WEFT_READABLE | WEFT_HANGUP));
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(io, wait_fd)
{
    RUN(waits, NULL, &one_worker);
    RUN(waits, NULL, &four_workers);
}

static intptr_t wait_both(void *arg)
{
    return weft_wait_fd(*(const int *)arg, WEFT_READABLE | WEFT_WRITABLE);
}

/* A full socket: waits for both directions, and room comes first. */
static intptr_t wait_for_either(void *arg)
{
    static char block[1 << 16];
    int fds[2];
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    while (send(fds[0], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, wait_both, &fds[0]) == 0);
    until_parked(mark, 1);
    while (recv(fds[1], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == WEFT_WRITABLE);
    close_both(fds);
    return 0;
}

Test(io, wait_for_either_direction)
{
    RUN(wait_for_either, NULL, &one_worker);
    RUN(wait_for_either, NULL, &four_workers);
}

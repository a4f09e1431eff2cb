// SPDX-License-Identifier: MIT
/* test_io.c - reading, writing and waiting for descriptors: sockets, pipes, files, terminals.
 *
 * How it synchronises: `until_parked` yields until so many waits have suspended since a mark. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft.h>

#include "io_test.h"

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
    char byte;
    cr_assert_eq(weft_read(0, &byte, 1), -EPERM);
    cr_assert_eq(weft_wait_fd(0, WEFT_READABLE), -EPERM);
    RUN(bad_calls, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
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
    wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
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
    wt_check(weft_spawn(&task, read_byte, &slave) == 0);
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

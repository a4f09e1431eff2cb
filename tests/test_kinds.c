// SPDX-License-Identifier: MIT
/* test_kinds.c - what is remembered of a descriptor's kind: numbers that become something else behind our back. */
#include <fcntl.h>

#include "io_test.h"

/* ---- numbers that become something else ---- */

static int open_file(void)
{
    int fd = weft_open("/proc/self/exe", O_RDONLY, 0);
    char byte;
    wt_check(fd >= 0 && weft_read(fd, &byte, 1) == 1);
    return fd;
}

static void put_over(int fd, int other)
{
    wt_check(dup2(other, fd) == fd && close(other) == 0);
}

static intptr_t read_later(void *arg)
{
    char byte = 0;
    ssize_t n = weft_read(*(int *)arg, &byte, 1);
    return n == 1 ? byte : n;
}

/* What was a file has become a socket; each call does what it does with sockets. */
static void use_as_stream(int fd, int peer)
{
    char got[64];
    struct iovec parts[2] = {part(got, 1), part(got + 1, 1)};
    weft_task *reader;
    intptr_t result = 0;
    wt_check(weft_write(fd, "ab", 2) == 2);
    wt_check(weft_read(peer, got, sizeof got) == 2 && got[1] == 'b');
    wt_check(weft_write(peer, "cdef", 4) == 4);
    wt_check(weft_read(fd, got, 2) == 2 && got[1] == 'd');
    wt_check(weft_readv(fd, parts, 2) == 2 && got[1] == 'f');
    wt_check(weft_within(WEFT_MS, weft_read(fd, got, 1)) == -ETIMEDOUT);
    wt_check(weft_spawn(&reader, read_later, &fd) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0 && weft_write(peer, "g", 1) == 1);
    wt_check(weft_await(reader, &result) == 0 && result == 'g');
    wt_check(weft_close(peer) == 0);
    wt_check(weft_read(fd, got, 1) == 0 && weft_write(fd, "h", 1) == -EPIPE);
}

static intptr_t file_becomes_socket(void *arg)
{
    (void)arg;
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        int fds[2];
        int fd = open_file();
        make_pair(fds, SOCK_STREAM | flags);
        put_over(fd, fds[0]);
        use_as_stream(fd, fds[1]);
        wt_check(weft_close(fd) == 0);
        fd = open_file(); /* closed by close(2), and got again */
        wt_check(close(fd) == 0);
        make_pair(fds, SOCK_STREAM | flags);
        wt_check(fds[0] == fd);
        use_as_stream(fds[0], fds[1]);
        wt_check(weft_close(fd) == 0);
    }
    return 0;
}

Test(kinds, file_becomes_socket, .timeout = 20)
{
    RUN(file_becomes_socket, NULL, &one_worker);
}

/* A write of nothing is a datagram, even of what is taken for a file. */
static intptr_t nothing_is_a_datagram(void *arg)
{
    int fds[2];
    char got[8];
    int fd = open_file();
    (void)arg;
    make_pair(fds, SOCK_DGRAM);
    put_over(fd, fds[0]);
    wt_check(weft_write(fd, "", 0) == 0 && weft_write(fd, "a", 1) == 1);
    wt_check(weft_read(fds[1], got, sizeof got) == 0);
    wt_check(weft_read(fds[1], got, sizeof got) == 1);
    wt_check(weft_close(fd) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(kinds, nothing_is_a_datagram, .timeout = 20)
{
    RUN(nothing_is_a_datagram, NULL, &one_worker);
}

// SPDX-License-Identifier: MIT
/* test_kinds.c - what is remembered of a descriptor's kind: numbers that become something else behind our back, streams
 * that end their reads for their own reasons, and whose turn it is when nobody has to wait. */
#include <fcntl.h>
#include <sys/wait.h>

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

/* By another task than the one that has read the socket, which would take its registration for that one's. */
static intptr_t use_as_file(void *arg)
{
    char got[64];
    int fd = *(int *)arg;
    wt_check(weft_read(fd, got, sizeof got) == 4);
    wt_check(weft_read(fd, got, sizeof got) == 0);
    wt_check(weft_write(fd, "more", 4) == 4);
    wt_check(weft_pread(fd, got, sizeof got, 0) == 8);
    return 0;
}

static void become_file(const int fds[2])
{
    char got[64];
    weft_task *user;
    intptr_t result;
    for (int i = 0; i < 5; i++) { /* known, registered, and read empty */
        wt_check(weft_write(fds[1], "ab", 2) == 2);
        wt_check(weft_read(fds[0], got, sizeof got) == 2);
    }
    int file = make_file();
    wt_check(weft_pwrite(file, "file", 4, 0) == 4);
    put_over(fds[0], file);
    wt_check(weft_spawn(&user, use_as_file, (void *)(uintptr_t)&fds[0]) == 0);
    wt_check(weft_await(user, &result) == 0);
    close_both(fds);
}

static intptr_t socket_becomes_file(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int fds[2];
        make_pair(fds, SOCK_STREAM);
        become_file(fds);
        tcp_pair(fds);
        become_file(fds);
    }
    return 0;
}

Test(kinds, socket_becomes_file, .timeout = 20)
{
    RUN(socket_becomes_file, NULL, &one_worker);
}

/* ---- local reads that are short, and are not the end of what there is ---- */

static void write_in_child(int fd, const char *text)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(write(fd, text, strlen(text)) < 0);
    }
    int status = -1;
    wt_check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* The kernel ends a read between senders where the receiver asks who they are. */
static intptr_t two_senders(void *arg)
{
    int fds[2];
    char got[64];
    const int on = 1;
    (void)arg;
    make_pair(fds, SOCK_STREAM | SOCK_NONBLOCK);
    for (int i = 0; i < 3; i++) { /* its nature is known, and it is waited for */
        wt_check(weft_within(WEFT_MS, weft_read(fds[0], got, sizeof got)) == -ETIMEDOUT);
        wt_check(weft_write(fds[1], "a", 1) == 1);
        wt_check(weft_read(fds[0], got, sizeof got) == 1);
    }
    wt_check(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    for (int i = 0; i < 30; i++) {
        wt_check(weft_write(fds[1], "a", 1) == 1);
        write_in_child(fds[1], "b");
        wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE);
        wt_check(weft_sleep(0) == 0); /* the events of both are told by now */
        wt_check(weft_read(fds[0], got, sizeof got) == 1 && got[0] == 'a');
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 1);
        wt_check(got[0] == 'b');
    }
    close_both(fds);
    return 0;
}

Test(kinds, two_senders, .timeout = 60)
{
    if (WT_IS_SANITIZED) {
        wt_skip("a fork of several threads");
    }
    RUN(two_senders, NULL, &one_worker);
}

/* The mark of urgent data ends a read, too. Kernels may be built without. */
static intptr_t urgent_local_data(void *arg)
{
    int fds[2];
    char got[64];
    (void)arg;
    make_pair(fds, SOCK_STREAM | SOCK_NONBLOCK);
    for (int i = 0; i < 20; i++) {
        wt_check(weft_within(WEFT_MS, weft_read(fds[0], got, sizeof got)) == -ETIMEDOUT);
        wt_check(weft_send(fds[1], "abc", 3, 0) == 3);
        if (weft_send(fds[1], "x", 1, MSG_OOB) != 1) {
            break;
        }
        wt_check(weft_send(fds[1], "def", 3, 0) == 3);
        wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE);
        wt_check(weft_sleep(0) == 0);
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) ==
                 3); /* to the mark */
        wt_check(weft_within(10 * WEFT_S, weft_recv(fds[0], got, 1, MSG_OOB)) == 1);
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 3);
        wt_check(got[0] == 'd');
    }
    close_both(fds);
    return 0;
}

Test(kinds, urgent_local_data, .timeout = 60)
{
    RUN(urgent_local_data, NULL, &one_worker);
}

/* Nobody has looked at events since the mark came, and then it is taken: no event will tell of it. */
static intptr_t urgent_unseen(void *arg)
{
    int fds[2];
    char got[64];
    bool is_local = arg != NULL;
    if (is_local) {
        make_pair(fds, SOCK_STREAM | SOCK_NONBLOCK);
    } else {
        tcp_pair(fds);
    }
    for (int i = 0; i < 3; i++) { /* it is registered, and known to be what it is */
        wt_check(weft_within(WEFT_MS, weft_read(fds[0], got, sizeof got)) == -ETIMEDOUT);
        wt_check(weft_send(fds[1], "abc", 3, 0) == 3);
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 3);
    }
    wt_check(send(fds[1], "abc", 3, 0) == 3);
    if (send(fds[1], "x", 1, MSG_OOB) == 1) {
        wt_check(send(fds[1], "def", 3, 0) == 3);
        wt_check(weft_within(10 * WEFT_S, weft_recv(fds[0], got, 1, MSG_OOB)) == 1);
        wt_check(weft_sleep(WEFT_MS) == 0); /* its event is fetched, if it has not been */
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 3);
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 3);
        wt_check(got[0] == 'd');
    }
    close_both(fds);
    return 0;
}

Test(kinds, urgent_unseen, .timeout = 60)
{
    RUN(urgent_unseen, (void *)(uintptr_t)1, &one_worker);
    RUN(urgent_unseen, NULL, &one_worker);
}

/* Bytes that come in parts while they are read, by two tasks: none is lost, and the end is seen. */
struct flow {
    int fd;
    size_t bytes;
};

static intptr_t write_parts(void *arg)
{
    const struct flow *flow = arg;
    char bytes[500]; /* a read takes a packet whole */
    memset(bytes, 'p', sizeof bytes);
    for (size_t sent = 0; sent < flow->bytes;) {
        size_t left = flow->bytes - sent;
        size_t some = 1 + sent % sizeof bytes;
        ssize_t n = weft_write(flow->fd, bytes, some < left ? some : left);
        wt_check(n > 0);
        sent += n > 0 ? (size_t)n : left;
        if (sent % 3 == 0) {
            wt_check(weft_yield() == 0);
        }
    }
    return weft_close(flow->fd);
}

static intptr_t read_parts(void *arg)
{
    char got[512];
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_within(20 * WEFT_S, weft_read(*(int *)arg, got, sizeof got))) > 0) {
        sum += n;
    }
    wt_check(n == 0);
    return sum;
}

static void flow_through(int in, int out)
{
    struct flow flow = {in, 300000};
    weft_task *readers[2];
    weft_task *writer;
    intptr_t got[2] = {0, 0};
    intptr_t rc = -1;
    wt_check(weft_spawn(&readers[0], read_parts, &out) == 0);
    wt_check(weft_spawn(&readers[1], read_parts, &out) == 0);
    wt_check(weft_spawn(&writer, write_parts, &flow) == 0);
    wt_check(weft_await(writer, &rc) == 0 && rc == 0);
    wt_check(weft_await(readers[0], &got[0]) == 0 && weft_await(readers[1], &got[1]) == 0);
    wt_check((size_t)(got[0] + got[1]) == flow.bytes);
    wt_check(weft_close(out) == 0);
}

static intptr_t parts(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    flow_through(fds[1], fds[0]);
    wt_check(pipe2(fds, O_CLOEXEC) == 0);
    flow_through(fds[1], fds[0]);
    wt_check(pipe2(fds, O_CLOEXEC | O_DIRECT) == 0);
    flow_through(fds[1], fds[0]);
    return 0;
}

Test(kinds, parts, .timeout = 60)
{
    RUN(parts, NULL, &one_worker);
    RUN(parts, NULL, &four_workers);
}

/* ---- turns ---- */

/* A reader that finds something each time, beside others that are ready. */
enum { READS = 120, STREAK_MOST = 20 };

static int turns;
static bool is_over;

static intptr_t take_turns(void *arg)
{
    (void)arg;
    while (!is_over) {
        turns++;
        wt_check(weft_yield() == 0);
    }
    return 0;
}

typedef ssize_t read_fn(int fd, char *byte);

static ssize_t by_read(int fd, char *byte)
{
    return weft_read(fd, byte, 1);
}

static ssize_t by_readv(int fd, char *byte)
{
    struct iovec one = part(byte, 1);
    return weft_readv(fd, &one, 1);
}

static ssize_t by_recvfrom(int fd, char *byte)
{
    return weft_recvfrom(fd, byte, 1, 0, NULL, NULL);
}

static void read_beside_others(int in, int out, read_fn *read_one)
{
    int longest = 0;
    int streak = 0;
    int before = turns;
    char byte;
    for (int i = 0; i < READS; i++) {
        wt_check(weft_write(in, "x", 1) == 1);
    }
    wt_check(weft_yield() == 0);
    for (int i = 0; i < READS; i++) {
        wt_check(read_one(out, &byte) == 1);
        streak = turns == before ? streak + 1 : 0;
        before = turns;
        longest = streak > longest ? streak : longest;
    }
    if (!wt_check(longest <= STREAK_MOST)) {
        fprintf(stderr, "%d reads in a row\n", longest);
    }
}

static intptr_t reads_in_a_row(void *arg)
{
    int fds[2];
    weft_task *other;
    intptr_t result;
    (void)arg;
    turns = 0;
    is_over = false;
    wt_check(weft_spawn(&other, take_turns, NULL) == 0);
    make_pair(fds, SOCK_STREAM);
    read_beside_others(fds[1], fds[0], by_read);
    read_beside_others(fds[1], fds[0], by_readv);
    close_both(fds);
    tcp_pair(fds);
    read_beside_others(fds[1], fds[0], by_read);
    read_beside_others(fds[1], fds[0], by_recvfrom);
    close_both(fds);
    wt_check(pipe2(fds, O_CLOEXEC) == 0);
    read_beside_others(fds[1], fds[0], by_read);
    close_both(fds);
    is_over = true;
    wt_check(weft_await(other, &result) == 0);
    return 0;
}

Test(kinds, reads_in_a_row, .timeout = 20)
{
    RUN(reads_in_a_row, NULL, &one_worker);
}

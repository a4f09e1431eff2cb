// SPDX-License-Identifier: MIT
/* test_splice.c - bytes from descriptor to descriptor. */
#include <netinet/in.h>
#include <stdlib.h>

#include "io_test.h"

enum { BYTES = 700001 };

static char pattern(size_t at)
{
    return (char)(at * 2654435761U >> 11);
}

static int make_patterned(void)
{
    static char bytes[BYTES];
    int fd = make_file();
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = pattern(i);
    }
    wt_check(weft_pwrite(fd, bytes, BYTES, 0) == BYTES);
    return fd;
}

/* Reads to the end; returns the bytes, which must be the pattern. */
static intptr_t check_all(void *arg)
{
    char *buffer = malloc(1 << 14);
    size_t sum = 0;
    ssize_t n;
    while ((n = weft_read(*(const int *)arg, buffer, 1 << 14)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != pattern(sum + (size_t)i)) {
                n = -EILSEQ;
                break;
            }
        }
        sum += (size_t)n;
        if (n < 0) {
            break;
        }
    }
    free(buffer);
    return n < 0 ? n : (intptr_t)sum;
}

enum channel { PIPE, BLOCKING_PIPE, SOCKET, BLOCKING_SOCKET, TCP, CHANNELS };

static void make_tcp(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    wt_check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    wt_check(listen(listener, 1) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    wt_check(weft_connect(fds[1], (struct sockaddr *)&address, sizeof address) == 0);
    fds[0] = weft_accept(listener, NULL, NULL);
    wt_check(fds[0] >= 0 && weft_close(listener) == 0);
}

/* fds[1] is written to, fds[0] read from. */
static void make_channel(enum channel kind, int fds[2])
{
    if (kind == TCP) {
        make_tcp(fds);
    } else if (kind <= BLOCKING_PIPE) {
        wt_check(pipe2(fds, kind == PIPE ? O_NONBLOCK : 0) == 0);
    } else {
        make_pair(fds, kind == SOCKET ? SOCK_STREAM | SOCK_NONBLOCK : SOCK_STREAM);
    }
}

/* ---- sendfile ---- */

static intptr_t send_whole(int to, int from, bool by_offset)
{
    off_t offset = 0;
    size_t sum = 0;
    while (sum < BYTES) {
        ssize_t n = weft_sendfile(to, from, by_offset ? &offset : NULL, BYTES - sum);
        if (n <= 0) {
            return n < 0 ? n : -ENODATA;
        }
        sum += (size_t)n;
        wt_check(offset == (by_offset ? (off_t)sum : 0));
    }
    wt_check(lseek(from, 0, SEEK_CUR) == (by_offset ? 0 : BYTES));
    return 0;
}

static intptr_t send_file(void *arg)
{
    enum channel kind = *(const enum channel *)arg;
    int file = make_patterned();
    for (int way = 0; way < 4; way++) {
        int fds[2];
        weft_task *task;
        make_channel(kind, fds);
        wt_check(lseek(file, 0, SEEK_SET) == 0);
        if (way >= 2) { /* from the disk */
            wt_check(weft_fsync(file) == 0);
            wt_check(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
        }
        wt_check(weft_spawn(&task, check_all, &fds[0]) == 0);
        wt_check(send_whole(fds[1], file, way % 2 == 0) == 0);
        wt_check(weft_close(fds[1]) == 0);
        wt_check(finish(task) == BYTES);
        wt_check(weft_close(fds[0]) == 0);
    }
    off_t end = BYTES;
    int pipe_fds[2];
    wt_check(pipe(pipe_fds) == 0);
    wt_check(weft_sendfile(pipe_fds[1], file, &end, 1) == 0);
    close_both(pipe_fds);
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(splice, sendfile, .timeout = 60)
{
    for (enum channel kind = PIPE; kind < CHANNELS; kind++) {
        RUN(send_file, &kind, &one_worker);
        RUN(send_file, &kind, &four_workers);
    }
}

static intptr_t file_to_file(void *arg)
{
    int from = make_patterned();
    int to = make_file();
    (void)arg;
    wt_check(send_whole(to, from, true) == 0);
    wt_check(lseek(to, 0, SEEK_SET) == 0);
    wt_check(check_all(&to) == BYTES);
    close_both((int[2]){from, to});
    return 0;
}

Test(splice, file_to_file)
{
    RUN(file_to_file, NULL, &one_worker);
}

/* ---- splice ---- */

struct line {
    int from;
    int to;
};

/* Moves until the end, then closes what it wrote to. */
static intptr_t pump(void *arg)
{
    const struct line *line = arg;
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_splice(line->from, NULL, line->to, NULL, 1 << 16, 0)) > 0) {
        sum += n;
    }
    wt_check(weft_close(line->to) == 0);
    return n < 0 ? n : sum;
}

/* File, pipe, `kind`, pipe: each stage waits for the one before and for the one after. */
static intptr_t chain(void *arg)
{
    enum channel kind = *(const enum channel *)arg;
    int first[2];
    int middle[2];
    int last[2];
    weft_task *tasks[4];
    int file = make_patterned();
    make_channel(PIPE, first);
    make_channel(kind, middle);
    make_channel(BLOCKING_PIPE, last);
    struct line lines[] = {{file, first[1]}, {first[0], middle[1]}, {middle[0], last[1]}};
    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn(&tasks[i], pump, &lines[i]) == 0);
    }
    wt_check(weft_spawn(&tasks[3], check_all, &last[0]) == 0);
    for (int i = 0; i < 4; i++) {
        wt_check(finish(tasks[i]) == BYTES);
    }
    wt_check(weft_close(first[0]) == 0);
    wt_check(weft_close(middle[0]) == 0);
    wt_check(weft_close(last[0]) == 0);
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(splice, chains, .timeout = 60)
{
    for (enum channel kind = PIPE; kind < CHANNELS; kind++) {
        RUN(chain, &kind, &one_worker);
        RUN(chain, &kind, &four_workers);
    }
}

static intptr_t with_offsets(void *arg)
{
    int fds[2];
    char bytes[100];
    off_t from = 1000;
    off_t to = 50;
    int file = make_patterned();
    int copy = make_file();
    (void)arg;
    wt_check(pipe(fds) == 0);
    wt_check(weft_splice(file, &from, fds[1], NULL, 100, 0) == 100 && from == 1100);
    wt_check(weft_splice(fds[0], NULL, copy, &to, 100, 0) == 100 && to == 150);
    wt_check(weft_pread(copy, bytes, 100, 50) == 100);
    for (size_t i = 0; i < 100; i++) {
        wt_check(bytes[i] == pattern(1000 + i));
    }
    close_both(fds);
    close_both((int[2]){file, copy});
    return 0;
}

Test(splice, offsets)
{
    RUN(with_offsets, NULL, &one_worker);
}

/* ---- waiting, and what ends it ---- */

static intptr_t splice_once(void *arg)
{
    const struct line *line = arg;
    return weft_splice(line->from, NULL, line->to, NULL, 1 << 16, 0);
}

static void fill(int fd)
{
    static char block[4096];
    int flags = fcntl(fd, F_GETFL);
    wt_check(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    while (write(fd, block, sizeof block) > 0) {
    }
    while (write(fd, block, 1) > 0) {
    }
    wt_check(fcntl(fd, F_SETFL, flags) == 0);
}

/* For the source, then for room. */
static intptr_t cancel_waits(void *arg)
{
    enum channel kind = *(const enum channel *)arg;
    for (int full = 0; full < 2; full++) {
        int source[2];
        int sink[2];
        weft_task *task;
        char byte = 0;
        make_channel(BLOCKING_PIPE, source);
        make_channel(kind, sink);
        struct line line = {source[0], sink[1]};
        if (full != 0) {
            wt_check(weft_write(source[1], "k", 1) == 1);
            fill(sink[1]);
        }
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, splice_once, &line) == 0);
        until_parked(mark, 1);
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -ECANCELED);
        wt_check(weft_within(WEFT_MS, splice_once(&line)) == -ETIMEDOUT);
        mark = parks_now();
        wt_check(weft_spawn(&task, splice_once, &line) == 0);
        until_parked(mark, 1);
        if (full != 0) {
            wt_check(weft_close(sink[1]) == 0);
            wt_check(finish(task) == -EBADF);
            wt_check(weft_read(source[0], &byte, 1) == 1 && byte == 'k'); /* not moved */
            wt_check(weft_close(source[0]) == 0);
        } else {
            wt_check(weft_close(source[0]) == 0);
            wt_check(finish(task) == -EBADF);
            wt_check(weft_close(sink[1]) == 0);
        }
        wt_check(weft_close(source[1]) == 0);
        wt_check(weft_close(sink[0]) == 0);
    }
    return 0;
}

Test(splice, cancelled_waits, .timeout = 20)
{
    for (enum channel kind = PIPE; kind < CHANNELS; kind++) {
        RUN(cancel_waits, &kind, &one_worker);
    }
}

/* A sendfile that waits for a stalled peer. */
static intptr_t send_until_error(void *arg)
{
    const struct line *line = arg;
    ssize_t n;
    off_t offset;
    do {
        offset = 0;
        n = weft_sendfile(line->to, line->from, &offset, BYTES);
    } while (n > 0);
    return n;
}

static intptr_t stalled(void *arg)
{
    enum channel kind = *(const enum channel *)arg;
    int file = make_patterned();
    int fds[2];
    weft_task *task;
    make_channel(kind, fds);
    struct line line = {file, fds[1]};
    wt_check(weft_within(50 * WEFT_MS, send_until_error(&line)) == -ETIMEDOUT);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, send_until_error, &line) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    mark = parks_now();
    wt_check(weft_spawn(&task, send_until_error, &line) == 0);
    until_parked(mark, 1);
    wt_check(weft_close(fds[0]) == 0); /* the peer goes: an error, and no signal */
    intptr_t rc = finish(task);
    wt_check(rc == -EPIPE || (kind == TCP && rc == -ECONNRESET));
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(splice, stalled_peers, .timeout = 20)
{
    cr_assert_neq(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    for (enum channel kind = PIPE; kind < CHANNELS; kind++) {
        RUN(stalled, &kind, &one_worker);
        RUN(stalled, &kind, &four_workers);
    }
}

static intptr_t broken(void *arg)
{
    int source[2];
    int sink[2];
    sigset_t pending;
    enum channel kind = *(const enum channel *)arg;
    make_channel(BLOCKING_PIPE, source);
    make_channel(kind, sink);
    wt_check(weft_write(source[1], "k", 1) == 1);
    wt_check(weft_close(sink[0]) == 0);
    ssize_t n = weft_splice(source[0], NULL, sink[1], NULL, 1, 0);
    wt_check(n == -EPIPE || (kind == TCP && n == 1));
    wt_check(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
    wt_check(weft_close(sink[1]) == 0);
    close_both(source);
    return 0;
}

Test(splice, no_broken_pipe_signal)
{
    cr_assert_neq(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    for (enum channel kind = PIPE; kind < CHANNELS; kind++) {
        RUN(broken, &kind, &one_worker);
    }
}

/* ---- bad calls ---- */

static intptr_t bad_calls(void *arg)
{
    int fds[2];
    int ends[2];
    int file = make_file();
    (void)arg;
    wt_check(pipe(fds) == 0);
    make_pair(ends, SOCK_STREAM);
    wt_check(weft_splice(ends[0], NULL, ends[1], NULL, 1, 0) == -EINVAL); /* no pipe */
    wt_check(weft_sendfile(ends[0], fds[0], NULL, 1) == -EINVAL);         /* no file */
    wt_check(weft_splice(-1, NULL, fds[1], NULL, 1, 0) == -EBADF);
    wt_check(weft_splice(fds[0], NULL, -1, NULL, 1, 0) == -EBADF);
    wt_check(weft_sendfile(-1, file, NULL, 1) == -EBADF);
    wt_check(weft_sendfile(ends[0], -1, NULL, 1) == -EBADF);
    cancel_next();
    was_told(weft_splice(fds[0], NULL, ends[0], NULL, 1, 0));
    cancel_next();
    was_told(weft_sendfile(ends[0], file, NULL, 1));
    close_both(fds);
    wt_check(weft_splice(fds[0], NULL, ends[1], NULL, 1, 0) == -EBADF);
    close_both(ends);
    wt_check(weft_close(file) == 0);
    return 0;
}

static intptr_t simulated(void *arg)
{
    (void)arg;
    wt_check(weft_splice(0, NULL, 1, NULL, 1, 0) == -ENOTSUP);
    wt_check(weft_sendfile(1, 0, NULL, 1) == -ENOTSUP);
    return 0;
}

Test(splice, bad_calls)
{
    RUN(bad_calls, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
    cr_assert_eq(weft_splice(0, NULL, 1, NULL, 1, 0), -EPERM);
}

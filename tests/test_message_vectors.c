// SPDX-License-Identifier: MIT
/* test_message_vectors.c - vectors, whole and in part, and pipes that are broken. */
#include "io_test.h"

/* ---- vectors ---- */

static intptr_t read_parts(void *arg)
{
    char head[2] = "";
    char body[3] = "";
    struct iovec parts[] = {part(head, 2), part(NULL, 0), part(body, 3)};
    ssize_t n = weft_readv(*(const int *)arg, parts, 3);
    return n == 5 ? memcmp(head, "he", 2) != 0 || memcmp(body, "llo", 3) != 0 : n;
}

static void write_parts(int fd)
{
    char head[] = "hel";
    char body[] = "lo";
    struct iovec parts[] = {part(head, 3), part(body, 2)};
    wt_check(weft_writev(fd, parts, 2) == 5);
}

static void vectors_over(int fds[2])
{
    weft_task *task;
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_parts, &fds[0]) == 0);
    until_parked(mark, 1);
    write_parts(fds[1]);
    wt_check(finish(task) == 0);
    write_parts(fds[1]);
    wt_check(read_parts(&fds[0]) == 0);
    wt_check(weft_readv(fds[0], NULL, 0) == 0);
    wt_check(weft_read(fds[0], NULL, 0) == 0);
    wt_check(weft_close(fds[1]) == 0);
    char byte[1];
    struct iovec one = part(byte, 1);
    wt_check(weft_readv(fds[0], &one, 1) == 0); /* the end */
    wt_check(weft_close(fds[0]) == 0);
}

static intptr_t vectors(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    vectors_over(fds);
    wt_check(pipe(fds) == 0);
    vectors_over(fds);
    int file = make_file();
    write_parts(file);
    wt_check(lseek(file, 0, SEEK_SET) == 0);
    wt_check(read_parts(&file) == 0);
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(message, vectors)
{
    RUN(vectors, NULL, &one_worker);
    RUN(vectors, NULL, &four_workers);
}

enum { FLOOD_PARTS = 8, FLOOD_PART = 32 << 10, FLOOD_ROUNDS = 16 };

static intptr_t drain(void *arg)
{
    static char buffer[1 << 13];
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_read(*(const int *)arg, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != (char)((sum + i) % 251)) {
                return -EILSEQ;
            }
        }
        sum += n;
    }
    return n < 0 ? n : sum;
}

/* Partial writes: what is left of the parts goes in the next call. */
static bool write_all(int fd, struct iovec *parts, int count)
{
    bool was_short = false;
    while (count > 0) {
        ssize_t n = weft_writev(fd, parts, count);
        if (!wt_check(n > 0)) {
            break;
        }
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            was_short = true;
            *parts = part((char *)parts->iov_base + n, parts->iov_len - (size_t)n);
        }
    }
    return was_short;
}

static intptr_t flood(void *arg)
{
    static char bytes[FLOOD_PARTS * FLOOD_PART];
    int fds[2];
    weft_task *task;
    bool was_short = false;
    size_t sum = 0;
    if (*(const bool *)arg) {
        wt_check(pipe(fds) == 0);
    } else {
        make_pair(fds, SOCK_STREAM);
    }
    wt_check(weft_spawn(&task, drain, &fds[0]) == 0);
    for (int round = 0; round < FLOOD_ROUNDS; round++) {
        struct iovec parts[FLOOD_PARTS];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (char)(sum++ % 251);
        }
        for (int i = 0; i < FLOOD_PARTS; i++) {
            parts[i] = part(bytes + (size_t)i * FLOOD_PART, FLOOD_PART);
        }
        was_short = write_all(fds[1], parts, FLOOD_PARTS) || was_short;
    }
    wt_check(was_short || wt_is_emulated()); /* an emulator may have buffers of its own */
    wt_check(weft_close(fds[1]) == 0);
    wt_check(finish(task) == (intptr_t)sum);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(message, partial_writes, .timeout = 60)
{
    bool kinds[] = {false, true};
    for (int i = 0; i < 2; i++) {
        RUN(flood, &kinds[i], &one_worker);
        RUN(flood, &kinds[i], &four_workers);
    }
}

static intptr_t flood_in_storm(void *arg)
{
    begin_storm();
    while (interruptions < 100) {
        wt_check(flood(arg) == 0);
    }
    end_storm();
    return 0;
}

Test(message, never_interrupted, .timeout = 60)
{
    bool kinds[] = {false, true};
    RUN(flood_in_storm, &kinds[0], &one_worker);
    RUN(flood_in_storm, &kinds[1], &four_workers);
}

/* ---- SIGPIPE: its disposition is the default, which would end the process ---- */

static intptr_t broken(void *arg)
{
    int fds[2];
    char byte[1] = "x";
    struct iovec one = part(byte, 1);
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_writev(fds[1], &one, 1) == -EPIPE);
    wt_check(weft_sendmsg(fds[1], &message, 0) == -EPIPE);
    wt_check(weft_sendto(fds[1], byte, 1, 0, NULL, 0) == -EPIPE);
    wt_check(weft_close(fds[1]) == 0);
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        sigset_t pending;
        wt_check(pipe2(fds, flags) == 0);
        wt_check(weft_close(fds[0]) == 0);
        wt_check(weft_write(fds[1], byte, 1) == -EPIPE);
        wt_check(weft_writev(fds[1], &one, 1) == -EPIPE);
        wt_check(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
        wt_check(weft_close(fds[1]) == 0);
    }
    return 0;
}

/* A write that waits while the last reader goes. */
static intptr_t write_until_error(void *arg)
{
    static char block[1 << 16];
    ssize_t n;
    do {
        n = weft_write(*(const int *)arg, block, sizeof block);
    } while (n > 0);
    return n;
}

static intptr_t broken_while_waiting(void *arg)
{
    int fds[2];
    weft_task *task;
    (void)arg;
    wt_check(pipe(fds) == 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, write_until_error, &fds[1]) == 0);
    until_parked(mark, 1);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(finish(task) == -EPIPE);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

Test(message, no_broken_pipe_signal)
{
    cr_assert_neq(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    RUN(broken, NULL, &one_worker);
    RUN(broken_while_waiting, NULL, &one_worker);
    RUN(broken_while_waiting, NULL, &four_workers);
}

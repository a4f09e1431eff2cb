// SPDX-License-Identifier: MIT
/* test_stream.c - buffered streams: what they give, what they keep when a call fails, who may use them.
 *
 * Most of it over simulated pipes and sockets, in which time costs nothing and transfers are cut short. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft.h>
#include <weft/testing.h>

#include "net/stream.h"
#include "support.h"
#include "weft_test.h"

/* ---- tools ---- */

static const weft_options plain_sim = {.simulate = true};

static void open_pipe(weft_stream *in, weft_stream *out, const weft_stream_options *options)
{
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_stream_open(in, fds[0], -1, options) == 0);
    wt_check(weft_stream_open(out, -1, fds[1], options) == 0);
}

static void close_two(weft_stream *a, weft_stream *b)
{
    weft_stream_close(a);
    weft_stream_close(b);
}

static int put(weft_stream *stream, const char *text)
{
    int rc = weft_stream_write(stream, text, strlen(text));
    return rc == 0 ? weft_stream_flush(stream) : rc;
}

/* ---- what the calls give ---- */

static intptr_t reads_each_way(void *arg)
{
    weft_stream in;
    weft_stream out;
    char text[64];
    const void *bytes = NULL;
    (void)arg;
    open_pipe(&in, &out, NULL);
    wt_check(put(&out, "one\r\ntwo\n\nthe body;;rest") == 0);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == 3 && strcmp(text, "one") == 0);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == 3 && strcmp(text, "two") == 0);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == 0 && text[0] == '\0');
    wt_check(weft_stream_read_exactly(&in, text, 4) == 4 && memcmp(text, "the ", 4) == 0);
    wt_check(weft_stream_read_until(&in, text, sizeof text, ";;", 2) == 6);
    wt_check(memcmp(text, "body;;", 6) == 0);
    wt_check(weft_stream_peek(&in, 0, &bytes) == 4 && memcmp(bytes, "rest", 4) == 0);
    wt_check(weft_stream_buffered(&in) == 4);
    wt_check(weft_stream_skip(&in, 5) == -EINVAL);
    wt_check(weft_stream_skip(&in, 1) == 0);
    wt_check(weft_stream_read(&in, text, sizeof text) == 3 && memcmp(text, "est", 3) == 0);
    wt_check(weft_stream_read(&in, text, 0) == 0);
    weft_stream_close(&out);
    wt_check(weft_stream_read(&in, text, sizeof text) == 0);
    wt_check(weft_stream_wait(&in) == 0);
    wt_check(weft_stream_peek(&in, 1, &bytes) == 0);
    weft_stream_close(&in);
    weft_stream_close(&in);
    return 0;
}

Test(stream, reads_each_way)
{
    RUN(reads_each_way, NULL, &plain_sim);
}

/* What comes before the end of the stream, but too short, stays. */
static intptr_t ends_early(void *arg)
{
    weft_stream in;
    weft_stream out;
    char text[64];
    const void *bytes = NULL;
    (void)arg;
    open_pipe(&in, &out, NULL);
    wt_check(put(&out, "half a line") == 0);
    weft_stream_close(&out);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == -ENODATA);
    wt_check(weft_stream_read_until(&in, text, sizeof text, "xyz", 3) == -ENODATA);
    wt_check(weft_stream_read_exactly(&in, text, 12) == -ENODATA);
    wt_check(weft_stream_read_exactly(&in, text, 1 << 20) == -ENODATA);
    wt_check(weft_stream_peek(&in, 12, &bytes) == -ENODATA);
    wt_check(weft_stream_buffered(&in) == 11);
    wt_check(weft_stream_read_exactly(&in, text, 11) == 11 && memcmp(text, "half a line", 11) == 0);
    wt_check(weft_stream_read_exactly(&in, text, 1) == -ENODATA);
    weft_stream_close(&in);
    return 0;
}

Test(stream, what_ends_early_stays)
{
    RUN(ends_early, NULL, &plain_sim);
}

static intptr_t limits(void *arg)
{
    static const weft_stream_options small = {.read_bytes = 8, .write_bytes = 8};
    weft_stream in;
    weft_stream out;
    char text[64];
    const void *bytes = NULL;
    (void)arg;
    open_pipe(&in, &out, &small);
    wt_check(put(&out, "0123456789abcdef\nnext\n") == 0);
    wt_check(weft_stream_peek(&in, 9, &bytes) == -EMSGSIZE);
    wt_check(weft_stream_read_line(&in, text, 5) == -EMSGSIZE);
    wt_check(weft_stream_read_line(&in, text, 16) == -EMSGSIZE);
    wt_check(weft_stream_read_line(&in, text, 17) == 16); /* more than the buffer */
    wt_check(strcmp(text, "0123456789abcdef") == 0);
    wt_check(weft_stream_read_until(&in, text, 3, "\n", 1) == -EMSGSIZE);
    wt_check(weft_stream_read_until(&in, text, 5, "t\n", 2) == 5);
    wt_check(wf_stream_inside(&in)->in.room <= 8); /* and small again */
    close_two(&in, &out);
    return 0;
}

Test(stream, limits)
{
    RUN(limits, NULL, &plain_sim);
}

/* A delimiter of which one half comes with one transfer and the other with the next. */
static intptr_t send_in_pieces(void *arg)
{
    const char *text = "ab\r\n\r\r\n\r\nend";
    for (size_t i = 0; text[i] != '\0'; i++) {
        wt_check(weft_stream_write(arg, &text[i], 1) == 0);
        wt_check(weft_stream_flush(arg) == 0);
        wt_check(weft_sleep(WEFT_MS) == 0);
    }
    return 0;
}

static intptr_t delimiter_in_pieces(void *arg)
{
    weft_stream in;
    weft_stream out;
    weft_task *task;
    char text[64];
    (void)arg;
    open_pipe(&in, &out, NULL);
    wt_check(weft_spawn(&task, send_in_pieces, &out) == 0);
    wt_check(weft_stream_read_until(&in, text, sizeof text, "\r\n\r\n", 4) == 9);
    wt_check(memcmp(text, "ab\r\n\r\r\n\r\n", 9) == 0 || memcmp(text + 5, "\r\n\r\n", 4) == 0);
    wt_check(weft_await(task, NULL) == 0);
    close_two(&in, &out);
    return 0;
}

Test(stream, delimiter_in_pieces)
{
    RUN(delimiter_in_pieces, NULL, &plain_sim);
}

/* ---- nothing is lost ---- */

enum { SENT_BYTES = 20000 };

static char nth(uint64_t i)
{
    return i % 23 == 22 ? '\n' : (char)('a' + i * 7 % 26);
}

/* Sends the bytes in pieces of all sizes; a piece that was given up is gone on with where it stopped. */
static intptr_t send_sequence(void *arg)
{
    weft_stream *out = arg;
    char piece[700];
    while (weft_stream_written(out) < SENT_BYTES) {
        uint64_t start = weft_stream_written(out);
        size_t length = 1 + (size_t)weft_sim_random(sizeof piece);
        length = start + length > SENT_BYTES ? (size_t)(SENT_BYTES - start) : length;
        for (size_t i = 0; i < length; i++) {
            piece[i] = nth(start + i);
        }
        intptr_t rc = weft_within((int64_t)weft_sim_random(1000) * WEFT_US,
                                  weft_stream_write(out, piece, length));
        wt_check(rc == 0 || rc == -ETIMEDOUT);
        wt_check(rc != 0 || weft_stream_written(out) == start + length);
        wt_check(weft_stream_sent(out) <= weft_stream_written(out));
    }
    int rc = weft_stream_shut(out);
    return rc;
}

/* One reading call of a kind that is drawn: how many bytes it gave, in `text`. */
static ssize_t read_drawn(weft_stream *in, char *text, size_t size)
{
    size_t length = 1 + (size_t)weft_sim_random(size - 1);
    const void *bytes = NULL;
    ssize_t n;
    switch (weft_sim_random(5)) {
    case 0:
        return weft_stream_read(in, text, length);
    case 1:
        return weft_stream_read_exactly(in, text, length);
    case 2:
        return weft_stream_read_until(in, text, size, "\n", 1);
    case 3:
        n = weft_stream_read_line(in, text, size);
        if (n >= 0) {
            text[n] = '\n';
        }
        return n < 0 ? n : n + 1;
    default:
        n = weft_stream_peek(in, 1, &bytes);
        n = n > (ssize_t)length ? (ssize_t)length : n;
        if (n > 0) {
            memcpy(text, bytes, (size_t)n);
            wt_check(weft_stream_skip(in, (size_t)n) == 0);
        }
        return n;
    }
}

static uint64_t check_sequence(const char *text, size_t length, uint64_t from)
{
    for (size_t i = 0; i < length; i++) {
        if (!wt_check(text[i] == nth(from + i))) {
            break;
        }
    }
    return from + length;
}

static intptr_t loses_nothing(void *arg)
{
    static const weft_stream_options small = {.read_bytes = 300, .write_bytes = 500};
    weft_sim_faults faults = {.short_transfers = 400, .late = 300, .late_ns = WEFT_MS};
    weft_stream in;
    weft_stream out;
    weft_task *task;
    char text[1000];
    uint64_t got = 0;
    int given_up = 0;
    ssize_t n = 1;
    (void)arg;
    faults.late_cancels = 500;
    wt_check(weft_sim_set_faults(&faults) == 0);
    open_pipe(&in, &out, &small);
    wt_check(weft_spawn(&task, send_sequence, &out) == 0);
    while (got < SENT_BYTES) {
        n = weft_within((int64_t)weft_sim_random(800) * WEFT_US,
                        read_drawn(&in, text, sizeof text));
        given_up += n == -ETIMEDOUT ? 1 : 0;
        if (n > 0) {
            got = check_sequence(text, (size_t)n, got);
        } else if (!wt_check(n == -ETIMEDOUT || n == -ENODATA)) {
            break;
        }
    }
    wt_check(weft_stream_read(&in, text, sizeof text) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(given_up > 0);
    close_two(&in, &out);
    return 0;
}

Test(stream, cancelled_calls_lose_nothing, .timeout = 60)
{
    uint64_t first = wt_seed();
    for (uint64_t i = 0; i < 100; i++) {
        weft_options options = {.simulate = true, .seed = first + i};
        RUN(loses_nothing, NULL, &options);
    }
}

/* ---- writing ---- */

static intptr_t read_all(void *arg)
{
    weft_stream *in = arg;
    char text[4096];
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_stream_read(in, text, sizeof text)) > 0) {
        (void)check_sequence(text, (size_t)n, (uint64_t)sum);
        sum += n;
    }
    return n < 0 ? n : sum;
}

/* The peer does not read: the call is given up, and what has left is what arrives. */
static intptr_t says_what_left(void *arg)
{
    enum { LENGTH = 1 << 20 };
    static char much[LENGTH];
    weft_stream in;
    weft_stream out;
    weft_task *task;
    intptr_t received = 0;
    (void)arg;
    for (size_t i = 0; i < LENGTH; i++) {
        much[i] = nth(i);
    }
    open_pipe(&in, &out, NULL);
    wt_check(weft_within(WEFT_MS, weft_stream_write(&out, much, LENGTH)) == -ETIMEDOUT);
    uint64_t sent = weft_stream_sent(&out);
    wt_check(sent > 0 && weft_stream_written(&out) < LENGTH);
    wt_check(weft_stream_unwrite(&out, 0) == -EALREADY);
    weft_stream_close(&out);
    wt_check(weft_spawn(&task, read_all, &in) == 0);
    wt_check(weft_await(task, &received) == 0);
    wt_check(received == (intptr_t)sent);
    weft_stream_close(&in);
    return 0;
}

Test(stream, says_what_has_left)
{
    RUN(says_what_left, NULL, &plain_sim);
}

static intptr_t takes_back(void *arg)
{
    weft_stream in;
    weft_stream out;
    char text[64];
    (void)arg;
    open_pipe(&in, &out, NULL);
    wt_check(put(&out, "first\n") == 0);
    uint64_t start = weft_stream_written(&out);
    wt_check(start == 6 && weft_stream_sent(&out) == 6);
    wt_check(weft_stream_write(&out, "200 OK, but", 11) == 0);
    wt_check(weft_stream_sent(&out) == start && weft_stream_written(&out) == start + 11);
    wt_check(weft_stream_unwrite(&out, start + 12) == -EINVAL);
    wt_check(weft_stream_unwrite(&out, start - 1) == -EALREADY);
    wt_check(weft_stream_unwrite(&out, start) == 0);
    wt_check(put(&out, "503\n") == 0);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == 5);
    wt_check(weft_stream_read_line(&in, text, sizeof text) == 3 && strcmp(text, "503") == 0);
    close_two(&in, &out);
    return 0;
}

Test(stream, an_answer_is_taken_back)
{
    RUN(takes_back, NULL, &plain_sim);
}

/* ---- who may use it ---- */

static intptr_t read_byte(void *arg)
{
    char byte = 0;
    ssize_t n = weft_stream_read(arg, &byte, 1);
    return n == 1 ? byte : n;
}

static intptr_t one_of_each(void *arg)
{
    weft_stream stream;
    weft_stream peer;
    int fds[2];
    char byte = 0;
    intptr_t result = 0;
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_stream_open(&stream, fds[0], fds[0], NULL) == 0);
    wt_check(weft_stream_open(&peer, fds[1], fds[1], NULL) == 0);
    weft_task *reader = spawn_parked(read_byte, &stream);
    wt_check(weft_stream_read(&stream, &byte, 1) == -EBUSY);
    wt_check(weft_stream_wait(&stream) == -EBUSY);
    wt_check(weft_stream_skip(&stream, 0) == -EBUSY);
    wt_check(put(&stream, "x") == 0); /* the other side is free */
    wt_check(weft_stream_read(&peer, &byte, 1) == 1 && byte == 'x');
    wt_check(put(&peer, "y") == 0);
    result = finish(reader);
    wt_check(result == 'y');

    reader = spawn_parked(read_byte, &stream);
    wt_check(weft_cancel(reader) == 1);
    wt_check(finish(reader) == -ECANCELED);
    wt_check(put(&peer, "z") == 0);
    wt_check(weft_stream_read(&stream, &byte, 1) == 1 && byte == 'z');

    reader = spawn_parked(read_byte, &stream);
    weft_stream_close(&stream);
    wt_check(finish(reader) == -EBADF);
    wt_check(weft_stream_read(&stream, &byte, 1) == -EBADF);
    wt_check(put(&stream, "x") == -EBADF);
    weft_stream_close(&peer);
    return 0;
}

Test(stream, one_reader_and_one_writer)
{
    RUN(one_of_each, NULL, &plain_sim);
}

static intptr_t entry_rule(void *arg)
{
    weft_stream in;
    weft_stream out;
    char byte = 0;
    (void)arg;
    open_pipe(&in, &out, NULL);
    wt_check(put(&out, "ab") == 0);
    wt_check(weft_stream_read(&in, &byte, 1) == 1);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_stream_read(&in, &byte, 1) == -ECANCELED); /* though it is there */
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_stream_write(&out, "c", 1) == -ECANCELED);
    wt_check(weft_stream_written(&out) == 2);
    wt_check(weft_stream_read(&in, &byte, 1) == 1 && byte == 'b');
    wt_check(weft_uncancel(weft_self()) == 1 && weft_uncancel(weft_self()) == 0);
    close_two(&in, &out);
    return 0;
}

Test(stream, a_request_comes_first)
{
    RUN(entry_rule, NULL, &plain_sim);
}

Test(stream, misuse)
{
    weft_stream stream;
    weft_stream_options wrong = {.size = 1};
    weft_stream_options newer = {.size = sizeof newer + 8};
    weft_transport short_one = {.size = 8};
    weft_transport newer_one = {.size = sizeof newer_one + 8};
    char byte;
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(weft_stream_open(NULL, 0, 0, NULL), -EINVAL);
    cr_assert_eq(weft_stream_open(&stream, -1, -1, NULL), -EBADF);
    cr_assert_eq(weft_stream_open(&stream, fds[0], fds[1], &wrong), -EINVAL);
    cr_assert_eq(weft_stream_open_on(&stream, NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_stream_open_on(&stream, &short_one, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_stream_open(&stream, fds[0], fds[1], &newer), -EINVAL);
    cr_assert_eq(weft_stream_open_on(&stream, &newer_one, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_stream_open(&stream, fds[0], fds[1], NULL), 0);
    cr_assert_eq(weft_stream_read(&stream, &byte, 1), -EPERM);
    cr_assert_eq(weft_stream_write(&stream, "x", 1), -EPERM);
    cr_assert_eq(weft_stream_read(NULL, &byte, 1), -EINVAL);
    cr_assert_eq(weft_stream_read(&stream, NULL, 1), -EINVAL);
    cr_assert_eq(weft_stream_read_until(&stream, &byte, 1, "", 0), -EINVAL);
    cr_assert_eq(weft_stream_skip(NULL, 0), -EINVAL);
    cr_assert_eq(weft_stream_unwrite(NULL, 0), -EINVAL);
    weft_stream_close(&stream);
    cr_assert_eq(fcntl(fds[0], F_GETFD), -1);
    cr_assert_eq(fcntl(fds[1], F_GETFD), -1);
    weft_stream_close(NULL);
}

static intptr_t use_zeroed(void *arg)
{
    static weft_stream zeroed;
    const void *bytes;
    char line[8];
    (void)arg;
    wt_check(weft_stream_read(&zeroed, line, 1) == -EBADF);
    wt_check(weft_stream_read_exactly(&zeroed, line, 1) == -EBADF);
    wt_check(weft_stream_read_until(&zeroed, line, sizeof line, "x", 1) == -EBADF);
    wt_check(weft_stream_read_line(&zeroed, line, sizeof line) == -EBADF);
    wt_check(weft_stream_peek(&zeroed, 0, &bytes) == -EBADF);
    wt_check(weft_stream_wait(&zeroed) == -EBADF);
    wt_check(weft_stream_write(&zeroed, "x", 1) == -EBADF);
    wt_check(weft_stream_flush(&zeroed) == -EBADF);
    wt_check(weft_stream_shut(&zeroed) == -EBADF);
    weft_stream_close(&zeroed);
    return 0;
}

Test(stream, zeroed_memory_is_closed)
{
    RUN(use_zeroed, NULL, &plain_sim);
}

/* ---- real descriptors ---- */

static intptr_t half_close(void *arg)
{
    weft_stream near;
    weft_stream far;
    char text[64];
    int fds[2];
    (void)arg;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    wt_check(weft_stream_open(&near, fds[0], fds[0], NULL) == 0);
    wt_check(weft_stream_open(&far, fds[1], fds[1], NULL) == 0);
    wt_check(weft_stream_write(&near, "question\n", 9) == 0);
    wt_check(weft_stream_shut(&near) == 0); /* and flushes */
    wt_check(weft_stream_shut(&near) == 0);
    wt_check(weft_stream_write(&near, "x", 1) == -EPIPE);
    wt_check(weft_stream_read_line(&far, text, sizeof text) == 8);
    wt_check(weft_stream_read(&far, text, sizeof text) == 0);
    wt_check(put(&far, "answer") == 0);
    wt_check(weft_stream_read(&near, text, sizeof text) == 6);
    weft_stream_close(&far);
    wt_check(weft_stream_read(&near, text, sizeof text) == 0);
    weft_stream_close(&near);
    return 0;
}

Test(stream, half_close)
{
    static const weft_options one_worker = {.workers = 1};
    RUN(half_close, NULL, &one_worker);
}

/* The same in a simulation, over a connection: the other side goes on, reads to the end, then answers. */
static intptr_t answers_at_the_end(void *arg)
{
    weft_stream far;
    char text[64];
    size_t got = 0;
    ssize_t n;
    int fd = weft_accept(*(const int *)arg, NULL, NULL);
    wt_check(fd >= 0 && weft_stream_open(&far, fd, fd, NULL) == 0);
    while ((n = weft_stream_read(&far, text + got, sizeof text - got)) > 0) {
        got += (size_t)n;
    }
    wt_check(n == 0 && got == 9 && memcmp(text, "question\n", 9) == 0);
    wt_check(put(&far, "answer") == 0);
    weft_stream_close(&far);
    return 0;
}

static intptr_t half_close_simulated(void *arg)
{
    weft_sim_faults faults = {.short_transfers = 500, .late = 500, .late_ns = WEFT_MS};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    weft_stream near;
    weft_task *task;
    char text[64];
    (void)arg;
    wt_check(weft_sim_set_faults(&faults) == 0);
    int listener = weft_sim_listen(80);
    wt_check(weft_spawn(&task, answers_at_the_end, &listener) == 0);
    int fd = weft_sim_socket();
    wt_check(weft_connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    wt_check(weft_stream_open(&near, fd, fd, NULL) == 0);
    wt_check(weft_stream_write(&near, "question\n", 9) == 0);
    wt_check(weft_stream_shut(&near) == 0);
    wt_check(weft_stream_write(&near, "x", 1) == -EPIPE);
    wt_check(weft_stream_read_exactly(&near, text, 6) == 6 && memcmp(text, "answer", 6) == 0);
    wt_check(weft_stream_read(&near, text, sizeof text) == 0);
    weft_stream_close(&near);
    wt_check(finish(task) == 0);
    wt_check(weft_close(listener) == 0);
    return 0;
}

Test(stream, half_close_simulated)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        weft_options options = {.simulate = true, .seed = seed};
        RUN(half_close_simulated, NULL, &options);
    }
}

/* A reset is told again and again, never as an end. */
static intptr_t reset_stays(void *arg)
{
    weft_stream near;
    char byte;
    struct linger abort_it = {.l_onoff = 1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    (void)arg;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    wt_check(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    wt_check(weft_connect(fd, (struct sockaddr *)&address, size) == 0);
    int peer = weft_accept(listener, NULL, NULL);
    wt_check(setsockopt(peer, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it) == 0);
    wt_check(weft_stream_open(&near, fd, fd, NULL) == 0);
    wt_check(weft_close(peer) == 0);
    wt_check(weft_stream_read(&near, &byte, 1) == -ECONNRESET);
    wt_check(weft_stream_read(&near, &byte, 1) == -ECONNRESET);
    wt_check(put(&near, "x") == -EPIPE);
    weft_stream_close(&near);
    wt_check(weft_close(listener) == 0);
    return 0;
}

Test(stream, a_reset_is_no_end)
{
    static const weft_options one_worker = {.workers = 1};
    RUN(reset_stays, NULL, &one_worker);
}

static intptr_t read_for_ever(void *arg)
{
    char bytes[16];
    ssize_t n;
    while ((n = weft_stream_read(arg, bytes, sizeof bytes)) > 0) {
    }
    return n;
}

static intptr_t write_for_ever(void *arg)
{
    static const char bytes[5000];
    int rc;
    while ((rc = weft_stream_write(arg, bytes, sizeof bytes)) == 0) {
    }
    return rc;
}

/* A reader and a writer at work on several threads, and then the stream is closed. */
static intptr_t closes_under_users(void *arg)
{
    for (int i = 0; i < 200; i++) {
        weft_stream stream;
        weft_task *tasks[2];
        int fds[2];
        int rc = *(const int *)arg == 0 ? pipe2(fds, O_NONBLOCK)
                                        : socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
        wt_check(rc == 0);
        int writer = *(const int *)arg == 0 ? fds[1] : fds[0];
        wt_check(weft_stream_open(&stream, fds[0], writer, NULL) == 0);
        wt_check(weft_spawn(&tasks[0], read_for_ever, &stream) == 0);
        wt_check(weft_spawn(&tasks[1], write_for_ever, &stream) == 0);
        for (int turns = i % 7; turns >= 0; turns--) {
            wt_check(weft_yield() == 0);
        }
        weft_stream_close(&stream);
        wt_check(finish(tasks[0]) == -EBADF);
        wt_check(finish(tasks[1]) == -EBADF);
        if (writer == fds[0]) {
            wt_check(weft_close(fds[1]) == 0);
        }
    }
    return 0;
}

Test(stream, closing_ends_calls, .timeout = 60)
{
    int is_socket = 1;
    for (int workers = 1; workers <= 4; workers += 3) {
        weft_options options = {.workers = workers};
        RUN(closes_under_users, &is_socket, &options);
    }
}

Test(stream, closing_ends_calls_on_pipes, .timeout = 60)
{
    static const weft_options one_worker = {.workers = 1};
    int is_socket = 0;
    (void)signal(SIGPIPE, SIG_IGN); /* the reading end may be closed first */
    RUN(closes_under_users, &is_socket, &one_worker);
}

/* ---- memory ---- */

static intptr_t waits_without_memory(void *arg)
{
    weft_stream in;
    weft_stream out;
    char text[8];
    (void)arg;
    open_pipe(&in, &out, NULL);
    struct wf_stream *reader = wf_stream_inside(&in);
    struct wf_stream *writer = wf_stream_inside(&out);
    wt_check(reader->in.bytes == NULL && writer->spare == NULL);
    wt_check(put(&out, "1234") == 0);
    wt_check(writer->out.bytes == NULL && writer->spare != NULL);
    wt_check(weft_stream_read(&in, text, sizeof text) == 4);
    wt_check(reader->in.bytes != NULL);
    wt_check(weft_within(WEFT_MS, weft_stream_wait(&in)) == -ETIMEDOUT);
    wt_check(reader->in.bytes == NULL);
    wt_check(put(&out, "5678") == 0);
    wt_check(weft_stream_wait(&in) == 0);
    wt_check(weft_stream_read(&in, text, 2) == 2);
    wt_check(weft_stream_wait(&in) == 0 && reader->in.length == 2);
    wt_check(weft_stream_wait(&out) == -EBADF); /* no such side */
    wt_check(writer->spare == NULL);
    close_two(&in, &out);
    return 0;
}

Test(stream, silent_ones_hold_no_memory)
{
    RUN(waits_without_memory, NULL, &plain_sim);
}

/* ---- a transport of one's own ---- */

struct tape {
    const char *text;
    char written[64];
    size_t at;
    size_t length;
    int calls[5]; /* flush, shut, hang_up, release, wait */
    int shut_error;
};

static ssize_t tape_read(void *context, void *buffer, size_t length)
{
    struct tape *tape = context;
    size_t left = strlen(tape->text + tape->at);
    size_t n = left < length ? left : length;
    memcpy(buffer, tape->text + tape->at, n);
    tape->at += n;
    return n > 0 ? (ssize_t)n : -EIO;
}

static ssize_t tape_write(void *context, const void *buffer, size_t length)
{
    struct tape *tape = context;
    size_t n = length > 3 ? 3 : length;
    memcpy(tape->written + tape->length, buffer, n);
    tape->length += n;
    return (ssize_t)n;
}

static int tape_flush(void *context)
{
    ((struct tape *)context)->calls[0]++;
    return 0;
}

static int tape_shut(void *context)
{
    struct tape *tape = context;
    tape->calls[1]++;
    return tape->shut_error;
}

static void tape_hang_up(void *context)
{
    ((struct tape *)context)->calls[2]++;
}

static void tape_release(void *context)
{
    ((struct tape *)context)->calls[3]++;
}

static intptr_t own_transport(void *arg)
{
    static const weft_transport transport = {.read = tape_read,
                                             .write = tape_write,
                                             .flush = tape_flush,
                                             .shut = tape_shut,
                                             .hang_up = tape_hang_up,
                                             .release = tape_release};
    struct tape tape = {.text = "line\nmore", .shut_error = -EIO};
    weft_stream stream;
    char text[16];
    (void)arg;
    wt_check(weft_stream_open_on(&stream, &transport, &tape, NULL) == 0);
    wt_check(weft_stream_wait(&stream) == -EOPNOTSUPP);
    wt_check(weft_stream_read_line(&stream, text, sizeof text) == 4);
    wt_check(weft_stream_read_exactly(&stream, text, 5) == -EIO);
    tape.text = "line\nmore and more";
    wt_check(weft_stream_read_exactly(&stream, text, 5) == -EIO); /* it has ended with that */
    wt_check(weft_stream_read(&stream, text, 5) == 4);
    wt_check(put(&stream, "0123456789") == 0);
    wt_check(tape.length == 10 && memcmp(tape.written, "0123456789", 10) == 0);
    wt_check(tape.calls[0] == 1);
    wt_check(weft_stream_shut(&stream) == -EIO);
    tape.shut_error = 0;
    wt_check(weft_stream_shut(&stream) == 0);
    wt_check(tape.calls[1] == 2);
    weft_stream_close(&stream);
    weft_stream_close(&stream);
    wt_check(tape.calls[2] == 0 && tape.calls[3] == 1); /* nobody was inside */
    return 0;
}

Test(stream, own_transport)
{
    RUN(own_transport, NULL, &plain_sim);
}

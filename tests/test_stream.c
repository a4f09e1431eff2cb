// SPDX-License-Identifier: MIT
/* test_stream.c - buffered streams: what they give, what they keep when a call fails, who may use them.
 *
 * Over simulated pipes and sockets, in which time costs nothing and transfers are cut short. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "net/stream.h"
#include "stream_test.h"

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

static intptr_t take_byte(void *arg)
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
    weft_task *reader = spawn_parked(take_byte, &stream);
    wt_check(weft_stream_read(&stream, &byte, 1) == -EBUSY);
    wt_check(weft_stream_wait(&stream) == -EBUSY);
    wt_check(weft_stream_skip(&stream, 0) == -EBUSY);
    wt_check(put(&stream, "x") == 0); /* the other side is free */
    wt_check(weft_stream_read(&peer, &byte, 1) == 1 && byte == 'x');
    wt_check(put(&peer, "y") == 0);
    result = finish(reader);
    wt_check(result == 'y');

    reader = spawn_parked(take_byte, &stream);
    wt_check(weft_cancel(reader) == 1);
    wt_check(finish(reader) == -ECANCELED);
    wt_check(put(&peer, "z") == 0);
    wt_check(weft_stream_read(&stream, &byte, 1) == 1 && byte == 'z');

    reader = spawn_parked(take_byte, &stream);
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
    for (int i = 0; i < 200; i++) { /* long enough for a side to become the task's */
        wt_check(weft_stream_skip(&zeroed, 0) == -EBADF);
        wt_check(weft_stream_unwrite(&zeroed, 0) == -EBADF);
    }
    wt_check(weft_stream_read(&zeroed, line, 1) == -EBADF);
    wt_check(weft_stream_write(&zeroed, "x", 1) == -EBADF);
    weft_stream_close(&zeroed);
    return 0;
}

Test(stream, zeroed_memory_is_closed)
{
    RUN(use_zeroed, NULL, &plain_sim);
}

// SPDX-License-Identifier: MIT
/* test_stream_transport.c - what carries a stream: descriptors that end, are reset or closed; memory; a transport of
 * one's own. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream.h"
#include "stream_test.h"

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

// SPDX-License-Identifier: MIT
/* test_sim_io.c - simulated pipes and sockets, whole and at once: seed 0, so every step is known. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include <weft.h>
#include <weft/testing.h>

#include "sched/simulate.h"
#include "weft_test.h"

static const weft_options strict = {.simulate = true};

static void simulate(weft_fn *fn)
{
    intptr_t rc = weft_run(fn, NULL, &strict);
    cr_assert_eq(rc, 0, "the main task ended with %" PRIdPTR, rc);
    wt_assert_clean();
}

static uint32_t open_count(void)
{
    return wf_sim_open_descriptors(wf_here()->sim);
}

static void close_both(const int fds[2])
{
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[1]) == 0);
}

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
}

static int connect_to(int fd, uint16_t port)
{
    struct sockaddr_in address = address_of(port);
    return weft_connect(fd, (const struct sockaddr *)&address, sizeof address);
}

/* [0] accepted, [1] the one that connected. */
static void network_pair(int fds[2], uint16_t port)
{
    int listener = weft_sim_listen(port);
    fds[1] = weft_sim_socket();
    wt_check(listener >= 0 && fds[1] >= 0);
    wt_check(connect_to(fds[1], port) == 0);
    fds[0] = weft_accept(listener, NULL, NULL);
    wt_check(fds[0] >= 0);
    wt_check(weft_close(listener) == 0);
}

/* ---- pipes ---- */

static intptr_t pipes(void *arg)
{
    int fds[2];
    char text[8] = "";
    (void)arg;
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(fds[0] >= 1 << 30 && fds[1] >= 1 << 30 && fds[0] != fds[1]);
    wt_check(open_count() == 2);
    wt_check(weft_write(fds[1], "hello", 5) == 5);
    wt_check(weft_read(fds[0], text, 2) == 2 && memcmp(text, "he", 2) == 0);
    wt_check(weft_read(fds[0], text, sizeof text) == 3 && memcmp(text, "llo", 3) == 0);
    wt_check(weft_read(fds[0], text, 0) == 0);
    wt_check(weft_write(fds[1], text, 0) == 0);
    wt_check(weft_read(fds[1], text, 1) == -EBADF);
    wt_check(weft_write(fds[0], text, 1) == -EBADF);
    wt_check(weft_recv(fds[0], text, 1, 0) == -ENOTSOCK);
    wt_check(weft_send(fds[1], text, 1, 0) == -ENOTSOCK);
    wt_check(weft_accept(fds[0], NULL, NULL) == -ENOTSOCK);
    wt_check(connect_to(fds[1], 1) == -ENOTSOCK);
    wt_check(weft_read(fds[0], NULL, 1) == -EINVAL);
    wt_check(weft_write(fds[1], "end", 3) == 3);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_read(fds[0], text, sizeof text) == 3);
    wt_check(weft_read(fds[0], text, sizeof text) == 0);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[0]) == -EBADF);
    wt_check(weft_read(fds[0], text, 1) == -EBADF);
    wt_check(open_count() == 0);
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_write(fds[1], "x", 1) == -EPIPE);
    return weft_close(fds[1]);
}

Test(sim_io, pipes)
{
    simulate(pipes);
}

struct stream {
    int fd;
    size_t length;
    ssize_t result;
};

/* Writes `length` bytes that tell their place. */
static intptr_t write_all(void *arg)
{
    struct stream *stream = arg;
    char chunk[10000];
    for (size_t done = 0; done < stream->length;) {
        size_t n = stream->length - done < sizeof chunk ? stream->length - done : sizeof chunk;
        for (size_t i = 0; i < n; i++) {
            chunk[i] = (char)((done + i) % 251);
        }
        ssize_t written = weft_write(stream->fd, chunk, n);
        if (written < 0) {
            return written;
        }
        done += (size_t)written;
    }
    return 0;
}

static intptr_t read_bounded(void *arg)
{
    static const size_t rooms[2] = {64 << 10, 128 << 10};
    static char bytes[256 << 10];
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        weft_task *writer;
        wt_check((kind == 0 ? weft_sim_pipe(fds) : weft_sim_socketpair(fds)) == 0);
        struct stream stream = {.fd = fds[1], .length = 300 << 10};
        wt_check(weft_spawn(&writer, write_all, &stream) == 0);
        wt_check(weft_sleep(1) == 0);
        wt_check(weft_task_state(writer) == WEFT_PENDING);
        wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE);
        for (size_t done = 0; done < stream.length;) {
            ssize_t n = weft_read(fds[0], bytes, sizeof bytes);
            wt_check(done > 0 || n == (ssize_t)rooms[kind]);
            for (ssize_t i = 0; i < n; i++, done++) {
                if (!wt_check(bytes[i] == (char)(done % 251))) {
                    return -EIO;
                }
            }
        }
        wt_check(weft_await(writer, NULL) == 0);
        close_both(fds);
    }
    return 0;
}

Test(sim_io, buffers_are_bounded)
{
    simulate(read_bounded);
}

/* ---- sockets ---- */

static intptr_t pairs(void *arg)
{
    int fds[2];
    char text[8] = "";
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_write(fds[0], "ping", 4) == 4);
    wt_check(weft_send(fds[1], "pong", 4, MSG_NOSIGNAL | MSG_DONTWAIT) == 4);
    wt_check(weft_recv(fds[0], text, 2, MSG_PEEK) == 2 && memcmp(text, "po", 2) == 0);
    wt_check(weft_recv(fds[0], text, 8, MSG_DONTWAIT) == 4 && memcmp(text, "pong", 4) == 0);
    wt_check(weft_recv(fds[0], text, 8, MSG_OOB) == -EOPNOTSUPP);
    wt_check(weft_send(fds[0], text, 1, MSG_OOB) == -EOPNOTSUPP);
    wt_check(weft_accept(fds[0], NULL, NULL) == -EINVAL);
    wt_check(connect_to(fds[0], 1) == -EISCONN);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_write(fds[1], "x", 1) == -EPIPE);
    wt_check(weft_read(fds[1], text, 8) == 4 && memcmp(text, "ping", 4) == 0);
    wt_check(weft_read(fds[1], text, 8) == 0);
    wt_check(weft_wait_fd(fds[1], WEFT_READABLE) == (WEFT_READABLE | WEFT_HANGUP));
    return weft_close(fds[1]);
}

Test(sim_io, socketpairs)
{
    simulate(pairs);
}

static intptr_t connections(void *arg)
{
    char text[4];
    struct sockaddr_in peer = {.sin_port = 0};
    struct sockaddr unknown = {.sa_family = AF_UNIX};
    socklen_t length = sizeof peer;
    (void)arg;
    int socket = weft_sim_socket();
    wt_check(weft_read(socket, text, 1) == -ENOTCONN);
    wt_check(weft_write(socket, text, 1) == -ENOTCONN);
    wt_check(connect_to(socket, 80) == -ECONNREFUSED);
    wt_check(weft_connect(socket, &unknown, sizeof unknown) == -EAFNOSUPPORT);
    wt_check(weft_connect(socket, &unknown, 1) == -EINVAL);
    wt_check(weft_sim_listen(0) == -EINVAL);
    int listener = weft_sim_listen(80);
    wt_check(weft_sim_listen(80) == -EADDRINUSE);
    wt_check(connect_to(listener, 80) == -EINVAL);
    wt_check(weft_read(listener, text, 1) == -ENOTCONN);
    wt_check(connect_to(socket, 80) == 0);
    wt_check(connect_to(socket, 80) == -EISCONN);
    wt_check(open_count() == 2); /* what nobody has accepted is nobody's */
    wt_check(weft_write(socket, "hi", 2) == 2);
    wt_check(weft_wait_fd(listener, WEFT_READABLE) == WEFT_READABLE);
    int accepted = weft_accept(listener, (struct sockaddr *)&peer, &length);
    wt_check(accepted >= 1 << 30 && open_count() == 3);
    wt_check(length == sizeof peer && peer.sin_family == AF_INET && peer.sin_port != 0);
    wt_check(weft_read(accepted, text, sizeof text) == 2);
    wt_check(weft_close(listener) == 0);
    wt_check(weft_write(accepted, "yo", 2) == 2); /* outlives its listener */
    wt_check(weft_read(socket, text, sizeof text) == 2);
    wt_check(weft_close(accepted) == 0);
    listener = weft_sim_listen(80); /* the port is free again */
    wt_check(listener >= 0);
    wt_check(weft_close(listener) == 0);
    return weft_close(socket);
}

Test(sim_io, connections)
{
    simulate(connections);
}

static intptr_t connect_one(void *arg)
{
    struct stream *stream = arg;
    stream->result = connect_to(stream->fd, 7);
    return 0;
}

/* 128 connections fit; the next one waits for an accept, the one after that hears the listener close. */
static intptr_t backlog(void *arg)
{
    enum { MANY = 130 };
    static struct stream streams[MANY];
    weft_group group;
    char byte;
    (void)arg;
    int listener = weft_sim_listen(7);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < MANY; i++) {
        streams[i] = (struct stream){.fd = weft_sim_socket(), .result = 1};
        wt_check(weft_group_spawn(&group, NULL, connect_one, &streams[i], NULL) == 0);
    }
    wt_check(weft_sleep(1) == 0);
    wt_check(streams[127].result == 0 && streams[128].result == 1 && streams[129].result == 1);
    wt_check(connect_to(streams[129].fd, 7) == -EALREADY);
    int accepted = weft_accept(listener, NULL, NULL);
    wt_check(weft_yield() == 0);
    wt_check(streams[128].result == 0 && streams[129].result == 1);
    wt_check(weft_close(listener) == 0);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(streams[129].result == -ECONNREFUSED);
    wt_check(weft_read(streams[5].fd, &byte, 1) == -ECONNRESET);
    wt_check(weft_write(streams[5].fd, &byte, 1) == -ECONNRESET);
    wt_check(weft_write(streams[0].fd, "x", 1) == 1);
    wt_check(weft_read(accepted, &byte, 1) == 1);
    return 0; /* the rest is closed when the run ends */
}

Test(sim_io, a_backlog_is_bounded)
{
    simulate(backlog);
}

/* ---- readiness ---- */

static intptr_t readiness(void *arg)
{
    static char much[128 << 10];
    int fds[2];
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_wait_fd(fds[0], 0) == -EINVAL);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE | WEFT_WRITABLE) == WEFT_WRITABLE);
    wt_check(weft_within(5, weft_wait_fd(fds[0], WEFT_READABLE)) == -ETIMEDOUT);
    wt_check(weft_write(fds[0], much, sizeof much) == (ssize_t)sizeof much);
    wt_check(weft_within(5, weft_wait_fd(fds[0], WEFT_WRITABLE)) == -ETIMEDOUT);
    wt_check(weft_within(5, weft_write(fds[0], much, 1)) == -ETIMEDOUT);
    wt_check(weft_read(fds[1], much, 1) == 1);
    wt_check(weft_wait_fd(fds[0], WEFT_WRITABLE) == WEFT_WRITABLE);
    wt_check(weft_within(5, weft_wait_fd(fds[0], WEFT_HANGUP)) == -ETIMEDOUT);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_wait_fd(fds[0], WEFT_HANGUP) == WEFT_HANGUP);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == -EBADF);
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_HANGUP);
    return weft_close(fds[0]);
}

Test(sim_io, readiness)
{
    simulate(readiness);
}

/* ---- closing ---- */

static intptr_t read_one(void *arg)
{
    char byte;
    return weft_read(*(const int *)arg, &byte, 1);
}

static intptr_t wait_one(void *arg)
{
    return weft_wait_fd(*(const int *)arg, WEFT_READABLE);
}

static intptr_t accept_one(void *arg)
{
    return weft_accept(*(const int *)arg, NULL, NULL);
}

static intptr_t fill(void *arg)
{
    struct stream stream = {.fd = *(const int *)arg, .length = 1 << 20};
    return write_all(&stream);
}

/* What a task that waits in fn(&fd) returns when `fd` is closed. */
static intptr_t closed_under(weft_fn *fn, int fd)
{
    weft_task *task;
    intptr_t result = 0;
    wt_check(weft_spawn(&task, fn, &fd) == 0);
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(weft_close(fd) == 0);
    wt_check(weft_await(task, &result) == 0);
    return result;
}

static intptr_t closing(void *arg)
{
    int fds[2];
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(closed_under(read_one, fds[0]) == -EBADF);
    wt_check(read_one(&fds[1]) == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(closed_under(wait_one, fds[0]) == -EBADF);
    wt_check(fill(&fds[1]) == -EPIPE);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(closed_under(fill, fds[1]) == -EBADF);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(closed_under(accept_one, weft_sim_listen(1)) == -EBADF);
    wt_check(weft_close(1 << 30) == -EBADF);
    wt_check(weft_close(INT_MAX) == -EBADF);
    return open_count() == 0 ? 0 : -EBUSY;
}

Test(sim_io, closing_tells_those_who_wait)
{
    simulate(closing);
}

static void close_from_outside(void *arg)
{
    wt_check(weft_close(*(const int *)arg) == 0);
}

static intptr_t peer_closes(void *arg)
{
    int fds[2];
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_sim_after(WEFT_S, close_from_outside, &fds[1]) == 0);
    wt_check(read_one(&fds[0]) == 0);
    wt_check(weft_now() == WEFT_S);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_sim_after(WEFT_S, close_from_outside, &fds[0]) == 0);
    wt_check(fill(&fds[1]) == -EPIPE);
    wt_check(weft_now() == 2 * WEFT_S);
    return weft_close(fds[1]);
}

Test(sim_io, a_closing_peer_ends_waits)
{
    simulate(peer_closes);
}

/* ---- the two rules ---- */

static intptr_t entry_rule(void *arg)
{
    int fds[2];
    char byte = 0;
    (void)arg;
    int listener = weft_sim_listen(9);
    int socket = weft_sim_socket();
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_write(fds[1], "a", 1) == 1);
    for (int i = 0; i < 6; i++) {
        wt_check(weft_cancel(weft_self()) == 1);
        int rc = i == 0   ? (int)weft_read(fds[0], &byte, 1)
                 : i == 1 ? (int)weft_write(fds[0], "b", 1)
                 : i == 2 ? weft_wait_fd(fds[0], WEFT_WRITABLE)
                 : i == 3 ? connect_to(socket, 9)
                 : i == 4 ? weft_accept(listener, NULL, NULL)
                          : (int)weft_recv(fds[0], &byte, 1, MSG_PEEK);
        wt_check(rc == -ECANCELED);
        wt_check(byte == 0);
        wt_check(weft_uncancel(weft_self()) == 0);
    }
    wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'a');
    wt_check(weft_within(1, weft_read(fds[1], &byte, 1)) == -ETIMEDOUT); /* no 'b' */
    wt_check(weft_within(1, weft_accept(listener, NULL, NULL)) == -ETIMEDOUT);
    return 0;
}

Test(sim_io, an_undelivered_request_comes_first)
{
    simulate(entry_rule);
}

static intptr_t read_then_yield(void *arg)
{
    wt_check(read_one(arg) == 1);
    wt_check(weft_checkpoint() == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    return 1;
}

static intptr_t grant_rule(void *arg)
{
    int fds[2];
    weft_task *reader;
    intptr_t result;
    (void)arg;
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_spawn(&reader, read_then_yield, &fds[0]) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_write(fds[1], "xy", 2) == 2);
    wt_check(weft_cancel(reader) == 1);
    wt_check(weft_await(reader, &result) == 0 && result == 1);
    wt_check(weft_spawn(&reader, read_one, &fds[0]) == 0);
    wt_check(weft_await(reader, &result) == 0 && result == 1);
    close_both(fds);
    return 0;
}

Test(sim_io, a_granted_read_returns_its_bytes)
{
    simulate(grant_rule);
}

/* ---- watching ---- */

/* What becomes of a sleep of 5 ns that watches fds[0] while fds[1] is closed after 1 ns. */
static intptr_t watch_closing(int fds[2], unsigned flags)
{
    weft_watch watch;
    wt_check(weft_sim_after(1, close_from_outside, &fds[1]) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], flags) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], flags) == -EBUSY);
    intptr_t rc = weft_watch_leave(&watch, weft_sleep(5));
    wt_check(weft_watch_fired(&watch) == (rc == -ECONNRESET));
    wt_check(weft_cancelling(weft_self()) == 0);
    return rc;
}

static intptr_t watching(void *arg)
{
    int fds[2];
    weft_watch watch;
    (void)arg;
    wt_check(weft_watch_enter(&watch, 1 << 30, 0) == -EBADF);
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(watch_closing(fds, 0) == -ECONNRESET);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0); /* that was before */
    wt_check(weft_watch_leave(&watch, weft_sleep(1)) == -ECONNRESET);
    wt_check(weft_close(fds[0]) == 0);

    network_pair(fds, 80); /* there it looks like the end of one direction */
    wt_check(watch_closing(fds, 0) == 0);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE);
    wt_check(read_one(&fds[0]) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_write(fds[0], "x", 1) == -EPIPE); /* the peer answers */
    wt_check(weft_watch_leave(&watch, weft_sleep(1)) == -ECONNRESET);
    wt_check(weft_wait_fd(fds[0], WEFT_HANGUP) == WEFT_HANGUP);
    wt_check(weft_close(fds[0]) == 0);

    network_pair(fds, 80);
    wt_check(watch_closing(fds, WEFT_WATCH_HALF_CLOSE) == -ECONNRESET);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_close(fds[0]) == 0); /* one's own closing is no hang-up */
    wt_check(weft_watch_leave(&watch, weft_sleep(1)) == 0);
    network_pair(fds, 80);
    wt_check(watch_closing(fds, WEFT_WATCH_PROBE) == -ECONNRESET);
    return weft_close(fds[0]);
}

Test(sim_io, watch_scopes)
{
    simulate(watching);
}

static intptr_t shut_soon(void *arg)
{
    int rc = weft_sleep(1);
    return rc < 0 ? rc : weft_shutdown(*(const int *)arg, SHUT_WR);
}

/* A peer that has shut its sending down is still there: a probe finds it gone only when it has closed. */
static intptr_t watching_half(void *arg)
{
    static const unsigned flags[] = {0, WEFT_WATCH_PROBE, WEFT_WATCH_HALF_CLOSE};
    int fds[2];
    weft_watch watch;
    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        weft_task *task;
        network_pair(fds, 80);
        wt_check(weft_spawn(&task, shut_soon, &fds[1]) == 0);
        wt_check(weft_watch_enter(&watch, fds[0], flags[i]) == 0);
        wt_check(weft_watch_leave(&watch, weft_sleep(5)) == (i < 2 ? 0 : -ECONNRESET));
        wt_check(weft_await(task, NULL) == 0);
        wt_check(read_one(&fds[0]) == 0);
        wt_check(weft_write(fds[0], "x", 1) == 1 && read_one(&fds[1]) == 1);
        if (i < 2) {
            wt_check(watch_closing(fds, flags[i]) == (i == 0 ? 0 : -ECONNRESET));
        } else {
            wt_check(weft_close(fds[1]) == 0);
        }
        wt_check(weft_close(fds[0]) == 0);
    }
    return 0;
}

Test(sim_io, watches_of_a_half_close)
{
    simulate(watching_half);
}

/* ---- where they are not ---- */

static intptr_t real_in_simulation(void *arg)
{
    char byte;
    weft_watch watch;
    const int *fds = arg;
    wt_check(weft_read(fds[0], &byte, 1) == -ENOTSUP);
    wt_check(weft_write(fds[1], "x", 1) == -ENOTSUP);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == -ENOTSUP);
    wt_check(weft_accept(fds[0], NULL, NULL) == -ENOTSUP);
    wt_check(connect_to(fds[0], 1) == -ENOTSUP);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == -ENOTSUP);
    return weft_sim_pipe(NULL) == -EINVAL ? 0 : -EIO;
}

static intptr_t simulated_outside(void *arg)
{
    char byte;
    int fds[2];
    weft_watch watch;
    const weft_sim_faults faults = {.late = 1};
    (void)arg;
    wt_check(weft_read(1 << 30, &byte, 1) == -EBADF);
    wt_check(weft_write(1 << 30, "x", 1) == -EBADF);
    wt_check(weft_wait_fd(1 << 30, WEFT_READABLE) == -EBADF);
    wt_check(weft_watch_enter(&watch, 1 << 30, 0) == -EBADF);
    wt_check(weft_close(1 << 30) == -EBADF);
    wt_check(weft_sim_pipe(fds) == -ENOTSUP);
    wt_check(weft_sim_socketpair(fds) == -ENOTSUP);
    wt_check(weft_sim_listen(1) == -ENOTSUP);
    wt_check(weft_sim_socket() == -ENOTSUP);
    return weft_sim_set_faults(&faults) == -ENOTSUP ? 0 : -EIO;
}

Test(sim_io, the_real_and_the_simulated_do_not_mix)
{
    const weft_options one_worker = {.workers = 1};
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(weft_run(real_in_simulation, fds, &strict), 0);
    cr_assert_eq(weft_run(simulated_outside, NULL, &one_worker), 0);
    cr_assert_eq(weft_sim_pipe(fds), -EPERM);
    cr_assert_eq(weft_sim_socket(), -EPERM);
    cr_assert_eq(weft_close(1 << 30), -EBADF);
    wt_assert_clean();
}

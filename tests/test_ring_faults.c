// SPDX-License-Identifier: MIT
/* test_ring_faults.c - operations and calls of a ring fail one by one while sockets, messages, pipes and connections
 * are in use; and when there is no room for its completions. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weft.h>

#include "crowd.h"
#include "ring_sweep.h"

/* ---- bytes from one task to another ---- */

enum { BYTES = 24000 };

struct way {
    ssize_t (*read)(int fd, void *buffer, size_t length);
    ssize_t (*write)(int fd, const void *buffer, size_t length);
    int fds[2];
};

static intptr_t produce(void *arg)
{
    struct way *way = arg;
    char part[PART];
    for (size_t sent = 0; sent < BYTES;) {
        size_t count = BYTES - sent < PART ? BYTES - sent : PART;
        for (size_t i = 0; i < count; i++) {
            part[i] = byte_at(sent + i);
        }
        ssize_t n;
        CALL(n, way->write(way->fds[1], part, count));
        if (!wt_check(n > 0 && (size_t)n <= count)) {
            break;
        }
        sent += (size_t)n;
    }
    return weft_close(way->fds[1]);
}

static intptr_t consume(void *arg)
{
    struct way *way = arg;
    char part[PART];
    size_t got = 0;
    ssize_t n;
    do {
        CALL(n, way->read(way->fds[0], part, sizeof part));
        wt_check(n >= 0);
        for (ssize_t i = 0; i < n; i++) {
            wt_check(part[i] == byte_at(got + (size_t)i));
        }
        got += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    wt_check(got == BYTES);
    return weft_close(way->fds[0]);
}

static intptr_t move(struct way *way)
{
    weft_task *consumer;
    weft_task *producer;
    wt_check(weft_spawn(&consumer, consume, way) == 0 && weft_yield() == 0);
    wt_check(weft_spawn(&producer, produce, way) == 0);
    return finish(consumer) == 0 ? finish(producer) : -EIO;
}

static ssize_t receive_message(int fd, void *buffer, size_t length)
{
    struct iovec part = {buffer, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return weft_recvmsg(fd, &message, 0);
}

static ssize_t send_message(int fd, const void *buffer, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)buffer, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return weft_sendmsg(fd, &message, 0);
}

static intptr_t use_sockets(void *arg)
{
    struct way way = {.read = weft_read, .write = weft_write};
    (void)arg;
    make_pair(way.fds);
    return move(&way);
}

static intptr_t use_messages(void *arg)
{
    struct way way = {.read = receive_message, .write = send_message};
    (void)arg;
    make_pair(way.fds);
    return move(&way);
}

static intptr_t use_pipe(void *arg)
{
    struct way way = {.read = weft_read, .write = weft_write};
    (void)arg;
    wt_check(pipe2(way.fds, O_CLOEXEC) == 0 && fcntl(way.fds[1], F_SETPIPE_SZ, 4096) >= 0);
    return move(&way);
}

/* ---- connections ---- */

static intptr_t take_one(void *arg)
{
    int listener = *(int *)arg;
    int fd;
    ssize_t n;
    char byte = 0;
    CALL(fd, weft_accept(listener, NULL, NULL));
    wt_check(fd >= 0);
    CALL(n, weft_read(fd, &byte, 1));
    wt_check(n == 1 && byte == 'x');
    return weft_close(fd);
}

static intptr_t use_connections(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)arg;
    wt_check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    for (int i = 0; i < 2; i++) {
        weft_task *taker;
        int64_t rc;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        wt_check(weft_spawn(&taker, take_one, &listener) == 0 && weft_yield() == 0);
        CALL(rc, weft_connect(fd, (struct sockaddr *)&address, length));
        wt_check(rc == 0);
        CALL(rc, weft_wait_fd(fd, WEFT_WRITABLE));
        wt_check((rc & WEFT_WRITABLE) != 0);
        CALL(rc, weft_write(fd, "x", 1));
        wt_check(rc == 1 && finish(taker) == 0 && weft_close(fd) == 0);
    }
    return weft_close(listener);
}

FAULT_TEST(sockets)
FAULT_TEST(messages)
FAULT_TEST(pipe)
FAULT_TEST(connections)

/* ---- more completions than there is room for ---- */

enum { CROWD = 300 };

static intptr_t read_in_a_crowd(void *arg)
{
    static weft_task *tasks[CROWD];
    (void)arg;
    return read_in_crowd(tasks, CROWD);
}

Test(ring_faults, completions_without_room, .timeout = 100 * WT_TIME_SCALE)
{
    need_ring();
    for (unsigned entries = 1; entries <= 8; entries *= 2) {
        struct wt_ring_plan plan = {.kind = WT_RING_NOTHING, .entries = entries};
        run_once("crowd", read_in_a_crowd, 1, &plan);
        cr_assert_gt(wt_ring_seen.overflows, 0);
        run_once("crowd", read_in_a_crowd, 2, &plan);
        plan.call_nth = (int)entries;
        plan.calls = 5;
        plan.call_error = EBUSY;
        run_once("crowd", read_in_a_crowd, 1, &plan);
        cr_assert_eq(wt_ring_seen.refused, 5);
    }
}

/* ---- no room for what ends a sleep: a ring without a runtime ---- */

enum { QUEUED = 256 };

static struct wf_op queued[QUEUED];
static struct io_uring_sqe silent;
static int silence[2];

/* The next call that submits is refused, and so there will be no room before the one after it. */
static struct wf_uring *open_full_ring(const char *name)
{
    const struct wt_ring_plan plan = {
        .kind = WT_RING_NOTHING, .call_nth = 1, .calls = 1, .call_error = EAGAIN};
    struct wf_uring *ring = NULL;
    cr_assert_eq(wf_uring_create(&ring), 0);
    cr_assert_eq(wf_uring_enable(ring), 0);
    wt_ring_own = ring;
    wt_ring_begin(name, &plan);
    cr_assert_eq(pipe2(silence, O_CLOEXEC), 0);
    silent = (struct io_uring_sqe){
        .opcode = IORING_OP_POLL_ADD, .fd = silence[0], .poll32_events = POLLIN};
    cr_assert_eq(ring->sq_mask, QUEUED - 1U);
    return ring;
}

static void fill(struct wf_uring *ring)
{
    for (int i = 0; i < QUEUED; i++) {
        queued[i].entry = &silent;
        wf_uring_push(ring, &queued[i]);
    }
}

static void sleep_for_ever(struct wf_uring *ring)
{
    struct wf_uring_limit limit = {wf_monotonic_ns(), WF_FOREVER, WF_FOREVER};
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_uring_sleep(ring, &limit, &later);
}

static void close_full_ring(struct wf_uring *ring)
{
    wt_ring_end();
    wt_ring_own = NULL;
    wf_uring_leave(ring);
    wf_uring_destroy(ring);
    (void)close(silence[0]);
    (void)close(silence[1]);
}

Test(ring_faults, no_room_for_the_poll_that_ends_sleeps, .timeout = 30 * WT_TIME_SCALE)
{
    need_ring();
    struct wf_uring *ring = open_full_ring("wake");
    fill(ring);
    sleep_for_ever(ring); /* comes back, since nobody could end it */
    cr_assert_eq(wt_ring_seen.refused, 1);
    wf_uring_poke_any(ring);
    sleep_for_ever(ring);
    cr_assert_eq(wt_ring_seen.kinds[WT_RING_WAKE], 1);
    close_full_ring(ring);
}

Test(ring_faults, no_room_for_the_poll_of_the_poller, .timeout = 30 * WT_TIME_SCALE)
{
    need_ring();
    int other[2];
    struct wf_uring *ring = open_full_ring("watch");
    cr_assert_eq(pipe2(other, O_CLOEXEC), 0);
    wt_ring_plan.call_nth = 2;
    wf_uring_poke_any(ring);
    sleep_for_ever(ring); /* its own poll is there now */
    fill(ring);
    wf_uring_watch(ring, other[0]);
    cr_assert_eq(wt_ring_seen.refused, 1);
    sleep_for_ever(ring); /* comes back, and says that one should look */
    cr_assert(ring->was_ready);
    ring->was_ready = false;
    wf_uring_watch(ring, other[0]);
    cr_assert_eq(write(other[1], "x", 1), 1);
    while (!ring->was_ready) {
        sleep_for_ever(ring);
    }
    cr_assert_eq(wt_ring_seen.kinds[WT_RING_WATCH], 1);
    close_full_ring(ring);
    (void)close(other[0]);
    (void)close(other[1]);
}

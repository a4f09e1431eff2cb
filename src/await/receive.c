// SPDX-License-Identifier: MIT
/* receive.c - reading from sockets, and what a short read says of the next one.
 *
 * A read from a TCP socket that brings less than there was room for has found the end of what was there. The
 * next one, if no event has come since, begins with the wait: a system call less for each request of a
 * connection. It would be wrong where an event that was seen before that read had more to say (the end of
 * the stream, an error, the mark of urgent data), so after those every read is tried.
 *
 * Local streams end a read for two more reasons: after bytes with which descriptors were sent along, and between senders
 * where the receiver asks who they are. A read that takes no control data is told of both by MSG_CTRUNC, so there
 * it is a recvmsg, which costs half of what it saves. In a ring it need not be one: the kernel looks again before it
 * waits there, and a read that was short for another reason only costs a trip through the ring.
 * Others are short for reasons that nobody tells: SCTP and TLS of the kernel between records; pipes between packets,
 * which are the writer's affair.
 */
#include "await/receive.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "await/uring.h"

/* One read. */
struct reading {
    uint64_t stamp;  /* before it */
    bool is_all;     /* of a local stream: that it was short says that there was no more */
    bool is_emptied; /* the kernel says that it has left nothing, though it was not short */
};

/* ---- attempts ---- */

WF_ATTEMPT ssize_t try_recv(const struct wf_io_call *call)
{
    ssize_t n = recv(call->fd, call->in, call->length, call->flags | MSG_DONTWAIT);
    return n >= 0 ? n : -errno;
}

/* `in` is the message. */
WF_ATTEMPT ssize_t try_recvmsg(const struct wf_io_call *call)
{
    ssize_t n = recvmsg(call->fd, call->in, call->flags | MSG_DONTWAIT);
    return n >= 0 ? n : -errno;
}

/* *is_all: nothing was sent along, and nobody asks who has sent it. */
static __attribute__((noinline)) ssize_t receive_message(const struct wf_io *io, uint64_t *stamp,
                                                         const struct wf_io_call *call,
                                                         bool *is_all)
{
    struct iovec part = {.iov_base = call->in, .iov_len = call->length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const struct wf_io_call whole = {.fd = call->fd, .flags = call->flags, .in = &message};
    ssize_t n = wf_io_attempt(io, stamp, &whole, try_recvmsg);
    *is_all = (message.msg_flags & MSG_CTRUNC) == 0;
    return n;
}

/* ---- what kind of socket ---- */

static int ask_number(int fd, int option)
{
    int number = -1;
    socklen_t size = sizeof number;
    return getsockopt(fd, SOL_SOCKET, option, &number, &size) == 0 ? number : -1;
}

/* Of all sockets only those of TCP know this option, and say nothing unless a protocol lies on top. */
WF_ATTEMPT uint8_t ask_nature(int fd)
{
    char name[16];
    socklen_t size = sizeof name;
    if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &size) == 0 && size == 0) {
        return WF_FD_IS_TCP;
    }
    bool is_local = ask_number(fd, SO_DOMAIN) == AF_UNIX && ask_number(fd, SO_TYPE) == SOCK_STREAM;
    return WF_FD_IS_NO_TCP | (is_local ? WF_FD_IS_LOCAL : 0);
}

static uint8_t find_nature(const struct wf_io *io)
{
    const uint8_t either = WF_FD_IS_TCP | WF_FD_IS_NO_TCP;
    uint8_t nature = wf_load_rlx(&io->record->nature);
    uint64_t stamp;
    if ((nature & either) == 0 && wf_io_try_begin(io, &stamp) == 0) { /* else never mind */
        nature = ask_nature(io->fd);
        wf_fd_keep_nature(io->record, stamp, nature);
        wf_io_end(io);
    }
    return nature;
}

bool wf_receive_is_tcp(const struct wf_io *io)
{
    return (find_nature(io) & WF_FD_IS_TCP) != 0;
}

/* ---- short reads ---- */

/* Whether a read was short since the stamp, and no event has come. */
static bool is_drained(const struct wf_io *io, uint64_t stamp)
{
    return wf_load_rlx(&io->record->drained_at) == stamp + 1;
}

/* Whether that a read was short says that there was no more. `is_all`: of a local stream it does. */
static bool says_end(const struct wf_io *io, bool is_all)
{
    uint8_t nature = find_nature(io);
    return (nature & WF_FD_IS_TCP) != 0 || ((nature & WF_FD_IS_LOCAL) != 0 && is_all);
}

/* What a read found. */
static void note_read(const struct wf_io *io, const struct reading *reading,
                      const struct wf_io_call *call, ssize_t n)
{
    bool is_short = n > 0 && ((size_t)n < call->length || reading->is_emptied) &&
                    call->flags == 0 && wf_load_rlx(&io->record->seen) == 0 &&
                    says_end(io, reading->is_all);
    uint64_t now = is_short ? reading->stamp + 1 : 0;
    if (wf_load_rlx(&io->record->drained_at) != now) {
        wf_store_rlx(&io->record->drained_at, now);
    }
}

/* Whether to read where a read was short and no event has come. A server with more to do than it can finds the next
 * request there already, and saves a wait by asking; one whose clients take their time asks in vain, which is paid
 * for by each request. So the worker counts how that has turned out, and where it does not pay tries one in PROBES.
 * (An odd number: where every other read finds something, so does every other of these.) A system call that finds nothing
 * costs half as much as a wait in vain: a third of them must find something. */
enum { NEWS_MOST = 96, NEWS_ENOUGH = 48, NEWS_HIT = 2, PROBES = 17 };

static bool is_worth_asking(struct wf_worker *worker)
{
    if (worker->news >= NEWS_ENOUGH || ++worker->unread >= PROBES) {
        worker->unread = 0;
        return true;
    }
    return false;
}

static void learn(struct wf_worker *worker, bool has_found)
{
    int news = worker->news + (has_found ? NEWS_HIT : -1);
    worker->news = (uint8_t)(news < 0 ? 0 : news > NEWS_MOST ? NEWS_MOST : news);
}

/* ---- reading ---- */

/* There was nothing a moment ago: the kernel need not look before it waits. Where it tells how much is left (TCP since Linux
 * 5.19, local streams since 6.17) who reads by exact lengths need not ask in vain either; elsewhere it says "nothing", and
 * the next read takes a trip through the ring, as after one that was short for another reason. */
static __attribute__((noinline)) ssize_t receive_in_ring(const struct wf_io *io,
                                                         const struct wf_io_call *call,
                                                         struct reading *reading)
{
    const struct io_uring_sqe entry = {
        .opcode = IORING_OP_RECV,
        .ioprio = IORING_RECVSEND_POLL_FIRST,
        .fd = io->fd,
        .addr = (uint64_t)(uintptr_t)call->in,
        .len = wf_io_ring_length(call->length),
        .msg_flags = wf_io_ring_flags(call->flags),
    };
    uint32_t flags = 0;
    ssize_t n = wf_io_ring_run(io, &entry, WF_FD_READ, &flags);
    reading->is_emptied = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
    return n;
}

static ssize_t receive_now(const struct wf_io *io, struct reading *reading,
                           const struct wf_io_call *call)
{
    bool is_local = (wf_load_rlx(&io->record->nature) & WF_FD_IS_LOCAL) != 0;
    if (is_local && call->flags == 0 && !wf_uring_is_here()) {
        return receive_message(io, &reading->stamp, call, &reading->is_all);
    }
    return wf_io_attempt(io, &reading->stamp, call, try_recv);
}

/* -EAGAIN: to be waited for. */
static ssize_t receive_once(const struct wf_io *io, struct reading *reading,
                            const struct wf_io_call *call)
{
    *reading = (struct reading){.stamp = wf_fd_stamp(io->record), .is_all = wf_uring_is_here()};
    bool had_nothing = call->flags == 0 && /* else it may ask for something else */
                       is_drained(io, reading->stamp) && wf_fd_is_same(reading->stamp, io->opened);
    ssize_t n = -EAGAIN;
    if (!had_nothing || is_worth_asking(wf_here())) {
        n = receive_now(io, reading, call);
        if (had_nothing && (n >= 0 || n == -EAGAIN)) {
            learn(wf_here(), n >= 0);
        }
    }
    return n == -EAGAIN && wf_uring_is_here() ? receive_in_ring(io, call, reading) : n;
}

WF_WAKING ssize_t wf_receive(const struct wf_io *io, const struct wf_io_call *call)
{
    if ((call->flags & MSG_ERRQUEUE) != 0) {
        return wf_io_run_by_events(io, WF_FD_READ, call, try_recv);
    }
    if ((call->flags & MSG_OOB) != 0) {
        wf_fd_note_urgent(io->record);
    }
    for (;;) {
        struct reading reading;
        ssize_t n = receive_once(io, &reading, call);
        if (n != -EAGAIN && n != -EINTR) {
            note_read(io, &reading, call, n);
            return n;
        }
        int rc = n == -EAGAIN ? wf_io_wait(io, WF_FD_READ, reading.stamp, WF_WAIT_FD) : 0;
        if (rc < 0) {
            return rc == -EPERM ? -ENOTSOCK
                                : rc; /* the number has become a file's since it was read */
        }
    }
}

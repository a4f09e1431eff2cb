// SPDX-License-Identifier: MIT
/* accept.c - taking connections.
 *
 * accept4 blocks or not by the flag of the listener, which is not ours to change. It may be cleared, and the number may
 * have become another listener's, and who believes it is set then waits in the kernel. So right before each accept4
 * either the flag was asked, or poll(2) has seen a connection. On a listener that may block, a guard sees to it
 * that nobody else of this process takes that one in between: one for all listeners, for one may have several numbers.
 * What finds no connection waits in the ring, if there is one, and takes it there; but not from a listener that may
 * block: a ring takes connections without asking for the guard.
 *
 * Bursts. Connections are taken until there are no more, and an accept4 that finds none costs eight times as much as
 * a poll(2): the kernel makes a socket and a file before it looks. So after the first of a burst poll(2) looks for
 * the next, unless this burst or the one before is a long one, which is better off with one vain accept4 at its end.
 */
#include "await/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <weft/io.h>

#include "await/fake.h"
#include "await/io.h"
#include "await/uring.h"

enum { LISTENER_NONBLOCKING, LISTENER_BLOCKING };

struct peer {
    struct sockaddr *address;
    socklen_t *length;
};

WF_ATTEMPT int try_accept(int fd, const struct peer *peer)
{
    int taken = accept4(fd, peer->address, peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return taken >= 0 ? taken : -errno;
}

/* poll(2) takes what can't listen for a listener to whom nobody comes. A stream that is
 * neither listening nor connected says that it has hung up, and accept4 then says why. */
WF_ATTEMPT int refuse_others(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        return -errno;
    }
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
        return -EOPNOTSUPP;
    }
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 ? -EINVAL : 0;
}

static int find_kind(int fd)
{
    int flags = wf_io_flags(fd);
    if (flags < 0) {
        return flags;
    }
    if ((flags & O_NONBLOCK) != 0) {
        return LISTENER_NONBLOCKING;
    }
    int rc = refuse_others(fd);
    return rc < 0 ? rc : LISTENER_BLOCKING;
}

/* ---- bursts ---- */

/* From this many connections on a burst is long. Measured: 160 ns a look, 1250 a vain accept4. */
enum { BURST_LONG = 8 };

static bool is_last_perhaps(struct wf_fd *listener)
{
    uint8_t taken = wf_load_rlx(&listener->burst);
    return taken > 0 && taken < BURST_LONG && wf_load_rlx(&listener->last_burst) < BURST_LONG;
}

static void count_taken(struct wf_fd *listener)
{
    uint8_t taken = wf_load_rlx(&listener->burst);
    if (taken < BURST_LONG) {
        wf_store_rlx(&listener->burst, (uint8_t)(taken + 1));
    }
}

static void end_burst(struct wf_fd *listener)
{
    uint8_t taken = wf_load_rlx(&listener->burst);
    if (taken > 0) {
        wf_store_rlx(&listener->last_burst, taken);
        wf_store_rlx(&listener->burst, 0);
    }
}

/* ---- attempts ---- */

/* The flag has just been asked, or a connection was seen. */
static int accept_counted(const struct wf_io *io, const struct peer *peer)
{
    int rc = try_accept(io->fd, peer);
    if (rc >= 0) {
        count_taken(io->record);
    } else if (rc == -EAGAIN) {
        end_burst(io->record);
    }
    return rc;
}

/* With the guard. */
static int accept_seen(const struct wf_io *io, const struct peer *peer)
{
    int seen = wf_io_poll(io->fd, POLLIN);
    if (seen > 0) {
        return accept_counted(io, peer); /* an error shows up in accept4 */
    }
    end_burst(io->record);
    return seen == 0 ? -EAGAIN : seen;
}

static int accept_asked(const struct wf_io *io, const struct peer *peer, int *kind)
{
    *kind = find_kind(io->fd);
    if (*kind != LISTENER_BLOCKING) {
        return *kind < 0 ? *kind : accept_counted(io, peer);
    }
    wf_lock(wf_fd_accept_guard());
    int rc = accept_seen(io, peer);
    wf_unlock(wf_fd_accept_guard());
    return rc;
}

/* Where it says -EAGAIN, `kind` is what the listener has just been. The guard is not waited for
 * where asking for the flag does as well. */
static int accept_begun(const struct wf_io *io, const struct peer *peer, int *kind)
{
    if (!is_last_perhaps(io->record) || !wf_trylock(wf_fd_accept_guard())) {
        return accept_asked(io, peer, kind);
    }
    int rc = accept_seen(io, peer);
    wf_unlock(wf_fd_accept_guard());
    if (rc == -EAGAIN) { /* before a wait: what is it? The number may be another's by now */
        *kind = find_kind(io->fd);
        rc = *kind < 0 ? *kind : rc;
    }
    return rc;
}

static int accept_once(const struct wf_io *io, uint64_t *stamp, const struct peer *peer, int *kind)
{
    int rc = wf_io_begin(io, stamp);
    if (rc == 0) {
        rc = accept_begun(io, peer, kind);
        wf_io_end(io);
    }
    return rc;
}

int wf_accept_now(int fd)
{
    struct wf_io io;
    const struct peer nobody = {NULL, NULL};
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    uint64_t stamp;
    int kind = LISTENER_BLOCKING;
    rc = wf_io_find(&io, wf_self_on(worker), fd);
    rc = rc == 0 ? wf_io_try_begin(&io, &stamp) : rc;
    if (rc != 0) {
        return rc == WF_FD_RETRY ? -EBADF : rc;
    }
    rc = accept_begun(&io, &nobody, &kind);
    wf_io_end(&io);
    if (rc >= 0) {
        wf_io_adopt(io.poller, rc, WF_FD_IS_POLLABLE);
    }
    return rc;
}

static int accept_in_ring(const struct wf_io *io, const struct peer *peer)
{
    const struct io_uring_sqe entry = {
        .opcode = IORING_OP_ACCEPT,
        .fd = io->fd,
        .addr = (uint64_t)(uintptr_t)peer->address,
        .addr2 = (uint64_t)(uintptr_t)peer->length,
        .accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC,
    };
    uint32_t flags;
    return wf_io_ring_run(io, &entry, WF_FD_READ, &flags);
}

int weft_accept(int fd, struct sockaddr *address, socklen_t *address_length)
{
    struct wf_io io;
    struct peer peer = {address, address_length};
    if (address != NULL && address_length == NULL) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, __func__);
    if (rc == -ENOTSUP) {
        return wf_fake_take_connection(fd, address, address_length);
    }
    while (rc == 0) {
        uint64_t stamp;
        int kind = LISTENER_BLOCKING;
        int taken = accept_once(&io, &stamp, &peer, &kind);
        if (taken == -EAGAIN && kind == LISTENER_NONBLOCKING && wf_uring_is_here()) {
            taken = accept_in_ring(&io, &peer);
            if (taken >= 0) {
                count_taken(io.record);
            }
        }
        if (taken >= 0) {
            wf_io_adopt(io.poller, taken, WF_FD_IS_POLLABLE);
            return taken;
        }
        if (taken == -EAGAIN) {
            rc = wf_io_wait(&io, WF_FD_READ, stamp, WF_WAIT_FD);
        } else if (taken != -EINTR) {
            rc = taken;
        }
    }
    return rc;
}

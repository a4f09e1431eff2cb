// SPDX-License-Identifier: MIT
/* accept.c - taking connections.
 *
 * accept4 blocks or not by the flag of the listener, which is not ours to change. Whether it is set is
 * asked each time: it may be cleared, and the number may have become another listener's, and who believes it is set
 * then waits in the kernel. On a listener that may block, poll(2) looks for a connection first, and a guard sees to it
 * that nobody else of this process takes it in between: one for all listeners, for one may have several numbers.
 * What finds no connection waits in the ring, if there is one, and takes it there; but not from a listener that may
 * block: a ring takes connections without asking for the guard.
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

static int try_accept_guarded(const struct wf_io *io, const struct peer *peer)
{
    wf_lock(wf_fd_accept_guard());
    int rc = wf_io_poll(io->fd, POLLIN);
    if (rc >= 0) {
        rc = rc == 0 ? -EAGAIN : try_accept(io->fd, peer); /* an error shows up in accept4 */
    }
    wf_unlock(wf_fd_accept_guard());
    return rc;
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

static int accept_begun(const struct wf_io *io, const struct peer *peer, int *kind)
{
    *kind = find_kind(io->fd);
    return *kind < 0                    ? *kind
           : *kind == LISTENER_BLOCKING ? try_accept_guarded(io, peer)
                                        : try_accept(io->fd, peer);
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
    int kind;
    rc = wf_io_find(&io, wf_self_on(worker), fd);
    rc = rc == 0 ? wf_io_try_begin(&io, &stamp) : rc;
    if (rc != 0) {
        return rc == WF_FD_RETRY ? -EBADF : rc;
    }
    rc = accept_begun(&io, &nobody, &kind);
    wf_io_end(&io);
    if (rc >= 0) {
        wf_io_adopt(io.poller, rc);
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
        }
        if (taken >= 0) {
            wf_io_adopt(io.poller, taken);
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

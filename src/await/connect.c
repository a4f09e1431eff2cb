// SPDX-License-Identifier: MIT
/* connect.c - making connections.
 *
 * A non-blocking socket: connect, wait until it is writable, ask for the outcome. A blocking one is
 * connected in the ring; without one on the pool, by a duplicate of the descriptor and a copy of the address: a cancellation
 * returns at once, and then neither is the caller's to keep. Nothing tells when a local listener whose queue is full has
 * room again: a non-blocking socket tries again after a pause that grows.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/io.h>

#include "await/blocking.h"
#include "await/fake.h"
#include "await/io.h"
#include "await/uring.h"

WF_ATTEMPT int try_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return connect(fd, address, length) == 0 ? 0 : -errno;
}

/* The outcome of an attempt that is over: 0 or a negative errno. */
WF_ATTEMPT int take_outcome(const struct wf_io *io)
{
    int error = 0;
    socklen_t size = sizeof error;
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc == 0) {
        rc = getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
        wf_io_end(io);
    }
    return rc;
}

/* ---- non-blocking ---- */

/* It is over when the socket is writable, failed or not. */
static int await_outcome(const struct wf_io *io)
{
    for (;;) {
        uint64_t stamp;
        int seen = wf_io_poll_once(io, POLLOUT, &stamp);
        if (seen != 0) {
            return seen < 0 ? seen : (seen & POLLNVAL) != 0 ? -EBADF : take_outcome(io);
        }
        int rc = wf_io_wait(io, WF_FD_WRITE, stamp, WF_WAIT_FD);
        if (rc < 0) {
            return rc;
        }
    }
}

static int connect_once(const struct wf_io *io, const struct sockaddr *address, socklen_t length)
{
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc == 0) {
        rc = try_connect(io->fd, address, length);
        wf_io_end(io);
    }
    return rc;
}

static bool is_local(const struct sockaddr *address, socklen_t length)
{
    return length >= sizeof address->sa_family && address->sa_family == AF_UNIX;
}

static int connect_here(const struct wf_io *io, const struct sockaddr *address, socklen_t length)
{
    int64_t delay_ns = 0;
    int rc = connect_once(io, address, length);
    while (rc == -EAGAIN && is_local(address, length)) {
        rc = wf_io_pause(io, &delay_ns);
        rc = rc == 0 ? connect_once(io, address, length) : rc;
    }
    /* Interrupted, it goes on in the background. */
    return rc == -EINPROGRESS || rc == -EINTR ? await_outcome(io) : rc;
}

/* ---- blocking ---- */

struct attempt {
    int fd;              /* a duplicate */
    wf_au32 is_unwanted; /* the canceller stores (relaxed: a hint), the pool's thread loads */
    wf_au32 users;       /* caller and pool: whoever comes last (acq_rel) frees it */
    socklen_t length;
    struct sockaddr_storage address;
};

static void drop_attempt(void *arg)
{
    struct attempt *attempt = arg;
    if (wf_sub_acqrel(&attempt->users, 1U) == 1) {
        (void)close(attempt->fd);
        free(attempt);
    }
}

static int connect_attempt(const struct attempt *attempt)
{
    return try_connect(attempt->fd, (const struct sockaddr *)&attempt->address, attempt->length);
}

static int64_t limit_of(const struct timeval *own)
{
    int64_t limit_ns = own->tv_sec * WEFT_S + own->tv_usec * WEFT_US;
    return limit_ns > 0 ? wf_deadline_after(wf_monotonic_ns(), limit_ns) : WF_FOREVER;
}

/* A local socket waits for room in its listener's queue, and no shutdown(2) ends that: it looks up now and then. Its
 * own time limit holds all the same. */
static int connect_locally(struct attempt *attempt)
{
    const struct timeval soon = {.tv_usec = 20000};
    struct timeval own = {0};
    socklen_t size = sizeof own;
    (void)getsockopt(attempt->fd, SOL_SOCKET, SO_SNDTIMEO, &own, &size);
    int64_t end_ns = limit_of(&own);
    (void)setsockopt(attempt->fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    int rc;
    do {
        rc = connect_attempt(attempt);
    } while (rc == -EAGAIN && wf_load_rlx(&attempt->is_unwanted) == 0 &&
             wf_monotonic_ns() < end_ns);
    (void)setsockopt(attempt->fd, SOL_SOCKET, SO_SNDTIMEO, &own, sizeof own);
    return rc;
}

static intptr_t connect_on_pool(void *arg)
{
    struct attempt *attempt = arg;
    if (wf_load_rlx(&attempt->is_unwanted) != 0) {
        return -ECANCELED;
    }
    bool waits_for_room = is_local((const struct sockaddr *)&attempt->address, attempt->length);
    return waits_for_room ? connect_locally(attempt) : connect_attempt(attempt);
}

WF_ATTEMPT int duplicate(const struct wf_io *io)
{
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc == 0) {
        int copy = fcntl(io->fd, F_DUPFD_CLOEXEC, 0);
        rc = copy >= 0 ? copy : -errno;
        wf_io_end(io);
    }
    return rc;
}

/* Ends a connect(2) that waits, by shutdown(2), or that has not quite begun, by the shortest of time
 * limits. */
static void hurry(struct attempt *attempt)
{
    struct timeval limit = {.tv_sec = 0, .tv_usec = 1};
    wf_store_rlx(&attempt->is_unwanted, 1U);
    (void)setsockopt(attempt->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)shutdown(attempt->fd, SHUT_RDWR);
}

static int connect_elsewhere(const struct wf_io *io, const struct sockaddr *address,
                             socklen_t length)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL) {
        return -ENOMEM;
    }
    attempt->fd = duplicate(io);
    if (attempt->fd < 0) {
        int rc = attempt->fd;
        free(attempt);
        return rc;
    }
    attempt->length = length;
    memcpy(&attempt->address, address, length);
    wf_store_rlx(&attempt->users, 2U);
    intptr_t outcome = 0;
    int rc = wf_blocking_give(io->self, connect_on_pool, attempt, drop_attempt, &outcome);
    if (rc == -ECANCELED) {
        hurry(attempt);
    } else if (rc < 0) {
        drop_attempt(attempt); /* the pool did not take its share */
    }
    drop_attempt(attempt);
    return rc < 0 ? rc : (int)outcome;
}

static int connect_in_ring(const struct wf_io *io, const struct sockaddr *address, socklen_t length)
{
    const struct io_uring_sqe entry = {
        .opcode = IORING_OP_CONNECT,
        .fd = io->fd,
        .addr = (uint64_t)(uintptr_t)address,
        .off = length,
    };
    int rc = wf_uring_call(io->self, &entry, io);
    /* It was on its way, was ended for a request that was then taken back, and made again: as a second connect(2), it
     * is to wait for the first. */
    return rc == -EALREADY ? await_outcome(io) : rc;
}

/* ---- the call ---- */

/* It is about to become something else. The descriptor's flags, or a negative errno. */
static int renew(const struct wf_io *io)
{
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc == 0) {
        wf_fd_renew(io->record);
        rc = wf_io_flags(io->fd);
        wf_io_end(io);
    }
    return rc;
}

int weft_connect(int fd, const struct sockaddr *address, socklen_t address_length)
{
    struct wf_io io;
    if (address == NULL || address_length > sizeof(struct sockaddr_storage)) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, __func__);
    if (rc < 0) {
        return rc != -ENOTSUP ? rc : wf_fake_make_connection(fd, address, address_length);
    }
    int flags = renew(&io);
    if (flags < 0) {
        return flags;
    }
    if ((flags & O_NONBLOCK) != 0) {
        return connect_here(&io, address, address_length);
    }
    return wf_uring_is_here() ? connect_in_ring(&io, address, address_length)
                              : connect_elsewhere(&io, address, address_length);
}

// SPDX-License-Identifier: MIT
/* transfer.c - reading and writing bytes.
 *
 * Sockets: recv and send with MSG_DONTWAIT, one system call each when ready, whatever the flags of the
 * descriptor. What is no socket says so at once, and then, from the best to the worst:
 *     preadv2, pwritev2 with RWF_NOWAIT   pipes, eventfds, cached files
 *     read, write                         what is O_NONBLOCK already
 *     the same on the pool                the rest, once it says that it is ready, if it can say that
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weft/io.h>

#include "await/blocking.h"
#include "await/fake.h"
#include "await/io.h"
#include "await/quiet.h"
#include "await/transfer.h"

/* ---- attempts ---- */

WF_ATTEMPT ssize_t try_recv(const struct wf_io_call *call)
{
    ssize_t n = recv(call->fd, call->in, call->length, call->flags | MSG_DONTWAIT);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_send(const struct wf_io_call *call)
{
    ssize_t n = send(call->fd, call->out, call->length, call->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 ? n : -errno;
}

/* An offset of -1 is the current position. */
WF_ATTEMPT ssize_t try_read_nowait(const struct wf_io_call *call)
{
    struct iovec part = {.iov_base = call->in, .iov_len = call->length};
    ssize_t n = preadv2(call->fd, &part, 1, -1, RWF_NOWAIT);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_write_nowait(const struct wf_io_call *call)
{
    struct iovec part = {.iov_base = call->in, .iov_len = call->length};
    return wf_quiet_write(call->fd, &part, 1, -1, RWF_NOWAIT);
}

WF_ATTEMPT ssize_t try_read(const struct wf_io_call *call)
{
    ssize_t n = read(call->fd, call->in, call->length);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_write(const struct wf_io_call *call)
{
    struct iovec part = {.iov_base = call->in, .iov_len = call->length};
    return wf_quiet_write(call->fd, &part, 1, -1, 0);
}

/* ---- what is no socket ---- */

static intptr_t read_on_pool(void *arg)
{
    ssize_t n;
    do {
        n = try_read(arg);
    } while (n == -EINTR);
    return (intptr_t)n;
}

static intptr_t write_on_pool(void *arg)
{
    ssize_t n;
    do {
        n = try_write(arg);
    } while (n == -EINTR);
    return (intptr_t)n;
}

static const struct wf_way reading = {WF_FD_READ, POLLIN, try_read_nowait, try_read, read_on_pool};
static const struct wf_way writing = {WF_FD_WRITE, POLLOUT, try_write_nowait, try_write,
                                      write_on_pool};

/* Until it is ready, or always says so. */
static int wait_ready(const struct wf_io *io, const struct wf_way *way)
{
    for (;;) {
        uint64_t stamp;
        int rc = wf_io_stamp(io, &stamp);
        int seen = rc == 0 ? wf_io_poll(io->fd, way->poll_events) : rc;
        if (seen != 0) {
            return seen < 0 ? seen : 0;
        }
        rc = wf_io_wait(io, way->direction, stamp, WF_WAIT_FD);
        if (rc < 0) {
            return rc;
        }
    }
}

static ssize_t run_on_pool(const struct wf_io *io, const struct wf_way *way,
                           struct wf_io_call *call)
{
    intptr_t n = 0;
    int rc = wf_blocking_borrow(io->self, way->on_pool, call, &n);
    return rc < 0 ? rc : (ssize_t)n;
}

static ssize_t run_blocking(const struct wf_io *io, const struct wf_way *way,
                            struct wf_io_call *call)
{
    int flags = wf_io_flags(io->fd);
    if (flags < 0) {
        return flags;
    }
    if ((flags & O_NONBLOCK) != 0) {
        ssize_t n = wf_io_run(io, way->direction, call, way->plain);
        if (n != -EPERM) {
            return n;
        }
    }
    int rc = wait_ready(io, way);
    return rc < 0 ? rc : run_on_pool(io, way, call);
}

ssize_t wf_transfer_other(const struct wf_io *io, const struct wf_way *way, struct wf_io_call *call)
{
    for (;;) {
        uint64_t stamp;
        int rc = wf_io_stamp(io, &stamp);
        ssize_t n = rc == 0 ? way->nowait(call) : rc;
        if (n == -EOPNOTSUPP || n == -ENOSYS) {
            return run_blocking(io, way, call);
        }
        if (n == -EINTR) {
            continue;
        }
        if (n != -EAGAIN) {
            return n;
        }
        rc = wf_io_wait(io, way->direction, stamp, WF_WAIT_FD);
        if (rc == -EPERM) {
            return run_on_pool(io, way, call); /* a file that must be read from the disk */
        }
        if (rc < 0) {
            return rc;
        }
    }
}

/* ---- the calls ---- */

static ssize_t receive(int fd, void *buffer, size_t length, int flags, bool only_sockets)
{
    struct wf_io io;
    struct wf_io_call call = {.fd = fd, .flags = flags, .in = buffer, .length = length};
    if (buffer == NULL && length > 0) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, only_sockets ? "weft_recv" : "weft_read");
    if (rc < 0) {
        return rc != -ENOTSUP ? rc : wf_fake_receive(fd, buffer, length, flags, only_sockets);
    }
    if (length == 0 && !only_sockets) { /* waits for nothing, whereas a recv would */
        return try_read(&call);
    }
    ssize_t n = wf_io_run(&io, WF_FD_READ, &call, try_recv);
    return n == -ENOTSOCK && !only_sockets ? wf_transfer_other(&io, &reading, &call) : n;
}

static ssize_t transmit(int fd, const void *buffer, size_t length, int flags, bool only_sockets)
{
    struct wf_io io;
    struct wf_io_call call = {.fd = fd, .flags = flags, .out = buffer, .length = length};
    if (buffer == NULL && length > 0) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, only_sockets ? "weft_send" : "weft_write");
    if (rc < 0) {
        return rc != -ENOTSUP ? rc : wf_fake_transmit(fd, buffer, length, flags, only_sockets);
    }
    ssize_t n = wf_io_run(&io, WF_FD_WRITE, &call, try_send);
    return n == -ENOTSOCK && !only_sockets ? wf_transfer_other(&io, &writing, &call) : n;
}

ssize_t weft_read(int fd, void *buffer, size_t length)
{
    return receive(fd, buffer, length, 0, false);
}

ssize_t weft_write(int fd, const void *buffer, size_t length)
{
    return transmit(fd, buffer, length, 0, false);
}

ssize_t weft_recv(int fd, void *buffer, size_t length, int flags)
{
    return receive(fd, buffer, length, flags, true);
}

ssize_t weft_send(int fd, const void *buffer, size_t length, int flags)
{
    return transmit(fd, buffer, length, flags, true);
}

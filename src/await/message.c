// SPDX-License-Identifier: MIT
/* message.c - datagrams and control data: the calls of sockets that take a struct msghdr, or could.
 *
 * A local datagram socket that is not connected has nobody to tell it when the receiver's queue has room
 * again: it always says that it is writable. Such a send tries again after a pause that grows.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include <weft/io.h>

#include "await/fake.h"
#include "await/message.h"
#include "await/uring.h"

/* ---- attempts; `in` is the message ---- */

WF_ATTEMPT ssize_t try_recvmsg(const struct wf_io_call *call)
{
    ssize_t n = recvmsg(call->fd, call->in, call->flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_sendmsg(const struct wf_io_call *call)
{
    ssize_t n = sendmsg(call->fd, call->out, call->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 ? n : -errno;
}

/* What recvfrom and sendto have parameters for, one part and no control data, costs the kernel less without a header
 * that it has to fetch and check. */
WF_ATTEMPT ssize_t try_recvfrom(const struct wf_io_call *call)
{
    struct msghdr *message = call->in;
    ssize_t n = recvfrom(call->fd, message->msg_iov->iov_base, message->msg_iov->iov_len,
                         call->flags | MSG_DONTWAIT, message->msg_name, &message->msg_namelen);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_sendto(const struct wf_io_call *call)
{
    const struct msghdr *message = call->out;
    ssize_t n =
        sendto(call->fd, message->msg_iov->iov_base, message->msg_iov->iov_len,
               call->flags | MSG_DONTWAIT | MSG_NOSIGNAL, message->msg_name, message->msg_namelen);
    return n >= 0 ? n : -errno;
}

/* ---- moving ---- */

typedef ssize_t attempt_fn(const struct wf_io_call *call);

/* There was nothing, or no room, a moment ago: the kernel need not look before it waits. */
static ssize_t move_in_ring(const struct wf_io *io, const struct wf_io_call *call,
                            unsigned direction)
{
    bool reads = direction == WF_FD_READ;
    const struct io_uring_sqe entry = {
        .opcode = reads ? IORING_OP_RECVMSG : IORING_OP_SENDMSG,
        .ioprio = IORING_RECVSEND_POLL_FIRST,
        .fd = io->fd,
        .addr = (uint64_t)(uintptr_t)call->in,
        .len = 1,
        .msg_flags = wf_io_ring_flags(call->flags) |
                     (reads ? (unsigned)MSG_CMSG_CLOEXEC : (unsigned)MSG_NOSIGNAL),
    };
    uint32_t flags;
    return wf_io_ring_run(io, &entry, direction, &flags);
}

static ssize_t move(const struct wf_io *io, const struct wf_io_call *call, unsigned direction,
                    attempt_fn *attempt)
{
    if ((call->flags & MSG_ERRQUEUE) != 0) {
        return wf_io_run_by_events(io, direction, call, attempt);
    }
    if (wf_uring_is_here()) {
        uint64_t stamp;
        ssize_t n = wf_io_attempt(io, &stamp, call, attempt);
        n = n == -EAGAIN || n == -EINTR ? move_in_ring(io, call, direction) : n;
        if (n != -ENOSYS) {
            return n;
        }
    }
    return wf_io_run(io, direction, call, attempt);
}

ssize_t wf_message_receive(const struct wf_io *io, struct msghdr *message, int flags)
{
    struct wf_io_call call = {.fd = io->fd, .flags = flags, .in = message};
    return move(io, &call, WF_FD_READ, try_recvmsg);
}

ssize_t wf_message_send(const struct wf_io *io, const struct msghdr *message, int flags)
{
    struct wf_io_call call = {.fd = io->fd, .flags = flags, .out = message};
    return move(io, &call, WF_FD_WRITE, try_sendmsg);
}

/* ---- sending ---- */

/* To an address. A socket without room for more says so to poll, and is waited for like any other. */
static ssize_t send_to_address(const struct wf_io *io, const struct wf_io_call *call,
                               attempt_fn *attempt)
{
    int64_t delay_ns = 0;
    for (;;) {
        uint64_t stamp;
        ssize_t n = wf_io_attempt(io, &stamp, call, attempt);
        if (n == -EINTR) {
            continue;
        }
        if (n != -EAGAIN) {
            return n;
        }
        uint64_t now;
        int rc;
        int seen = wf_io_poll_once(io, POLLOUT, &now);
        if (seen > 0) {
            rc = wf_io_pause(io, &delay_ns);
        } else {
            rc = seen == 0 ? wf_io_wait(io, WF_FD_WRITE, stamp, WF_WAIT_FD) : seen;
        }
        if (rc < 0) {
            return rc;
        }
    }
}

/* A message says -EINVAL to more, where recvfrom and sendto move what they can: the same from both. */
static size_t part_length(size_t length)
{
    return length < SSIZE_MAX ? length : SSIZE_MAX;
}

static bool is_message(const struct msghdr *message)
{
    return message != NULL && (message->msg_iov != NULL || message->msg_iovlen == 0);
}

static struct wf_fake_way fake_way(const char *name, bool writes, int flags)
{
    return (struct wf_fake_way){
        .call = name, .writes = writes, .only_sockets = true, .flags = flags};
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags, const char *name,
                            attempt_fn *attempt)
{
    struct wf_io io;
    struct wf_io_call call = {.fd = fd, .flags = flags, .out = message};
    int rc = wf_io_enter(&io, fd, name);
    if (rc == -ENOTSUP) {
        struct wf_fake_way way = fake_way(name, true, flags);
        return wf_fake_move(fd, message->msg_iov, (int)message->msg_iovlen, &way);
    }
    if (rc < 0) {
        return rc;
    }
    return message->msg_namelen > 0 ? send_to_address(&io, &call, attempt)
                                    : move(&io, &call, WF_FD_WRITE, attempt);
}

ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_message(message) ? send_message(fd, message, flags, __func__, try_sendmsg) : -EINVAL;
}

ssize_t weft_sendto(int fd, const void *buffer, size_t length, int flags,
                    const struct sockaddr *address, socklen_t address_length)
{
    union {
        const void *out;
        void *in;
    } data = {buffer}, name = {address};
    struct iovec part = {.iov_base = data.in, .iov_len = part_length(length)};
    struct msghdr message = {.msg_name = name.in,
                             .msg_namelen = address != NULL ? address_length : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    return buffer != NULL || length == 0 ? send_message(fd, &message, flags, __func__, try_sendto)
                                         : -EINVAL;
}

/* ---- receiving ---- */

/* With SO_PASSPIDFD (Linux 6.5) the sender's; for system headers that do not know it. */
enum { PIDFD_CAME = 4 }; /* SCM_PIDFD */

static bool is_of_descriptors(const struct cmsghdr *part)
{
    return part->cmsg_level == SOL_SOCKET &&
           (part->cmsg_type == SCM_RIGHTS || part->cmsg_type == PIDFD_CAME);
}

/* Numbers that came with it belong to descriptors that are new to this process. */
static void adopt_rights(const struct wf_io *io, struct msghdr *message)
{
    for (struct cmsghdr *part = message->msg_controllen > 0 ? CMSG_FIRSTHDR(message) : NULL;
         part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (!is_of_descriptors(part)) {
            continue;
        }
        size_t bytes = part->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
            wf_io_adopt(io->poller, fd, 0);
        }
    }
}

static ssize_t receive_message(int fd, struct msghdr *message, int flags, const char *name,
                               attempt_fn *attempt)
{
    struct wf_io io;
    struct wf_io_call call = {.fd = fd, .flags = flags, .in = message};
    int rc = wf_io_enter(&io, fd, name);
    if (rc == -ENOTSUP) {
        struct wf_fake_way way = fake_way(name, false, flags);
        ssize_t n = wf_fake_move(fd, message->msg_iov, (int)message->msg_iovlen, &way);
        if (n >= 0) { /* connected streams only: they tell no address, and carry nothing else */
            message->msg_namelen = 0;
            message->msg_controllen = 0;
            message->msg_flags = 0;
        }
        return n;
    }
    if (rc < 0) {
        return rc;
    }
    if ((flags & MSG_OOB) != 0) {
        wf_fd_note_urgent(io.record);
    }
    ssize_t n = move(&io, &call, WF_FD_READ, attempt);
    if (n >= 0) {
        adopt_rights(&io, message);
        wf_door_spend_more(io.self);
    }
    return n;
}

ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_message(message) ? receive_message(fd, message, flags, __func__, try_recvmsg)
                               : -EINVAL;
}

ssize_t weft_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                      socklen_t *address_length)
{
    struct iovec part = {.iov_base = buffer, .iov_len = part_length(length)};
    struct msghdr message = {.msg_name = address,
                             .msg_namelen =
                                 address != NULL && address_length != NULL ? *address_length : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    if ((buffer == NULL && length > 0) || (address != NULL && address_length == NULL) ||
        message.msg_namelen > INT_MAX) { /* recvfrom(2) would say so after it has taken something */
        return -EINVAL;
    }
    ssize_t n = receive_message(fd, &message, flags, __func__, try_recvfrom);
    if (n >= 0 && address_length != NULL) {
        *address_length = message.msg_namelen;
    }
    return n;
}

/* ---- shutting down ---- */

WF_ATTEMPT int try_shutdown(int fd, int how)
{
    return shutdown(fd, how) == 0 ? 0 : -errno;
}

int weft_shutdown(int fd, int how)
{
    struct wf_io io;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, __func__);
    if (rc == -ENOTSUP) {
        return wf_fake_shut(fd, how);
    }
    uint64_t stamp;
    rc = rc == 0 ? wf_io_begin(&io, &stamp) : rc;
    if (rc == 0) {
        rc = try_shutdown(fd, how);
        wf_io_end(&io);
    }
    return rc;
}

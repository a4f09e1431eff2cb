// SPDX-License-Identifier: MIT
/* vector.c - reading and writing several parts at once.
 *
 * As transfer.c does it for one part: sockets first, with a flag for this one call, and what says that it is
 * none by the other ways.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include <weft/io.h>

#include "await/fake.h"
#include "await/message.h"
#include "await/quiet.h"
#include "await/transfer.h"
#include "await/uring.h"

/* In these calls `in` is the array of parts and `length` their number. */
static const struct iovec *parts_of(const struct wf_io_call *call)
{
    return call->in;
}

/* ---- attempts ---- */

WF_ATTEMPT ssize_t try_readv_nowait(const struct wf_io_call *call)
{
    ssize_t n = preadv2(call->fd, parts_of(call), (int)call->length, -1, RWF_NOWAIT);
    return n >= 0 ? n : -errno;
}

WF_ATTEMPT ssize_t try_readv(const struct wf_io_call *call)
{
    ssize_t n = readv(call->fd, parts_of(call), (int)call->length);
    return n >= 0 ? n : -errno;
}

static ssize_t try_writev_nowait(const struct wf_io_call *call)
{
    return wf_quiet_write(call->fd, parts_of(call), (int)call->length, -1, RWF_NOWAIT);
}

static ssize_t try_writev(const struct wf_io_call *call)
{
    return wf_quiet_write(call->fd, parts_of(call), (int)call->length, -1, 0);
}

/* ---- the calls ---- */

/* One of the two. */
struct side {
    const char *name;
    struct wf_way way;
};

static const struct side reading = {
    .name = "weft_readv",
    .way = {WF_FD_READ, POLLIN, IORING_OP_READV, try_readv_nowait, try_readv},
};
static const struct side writing = {
    .name = "weft_writev",
    .way = {WF_FD_WRITE, POLLOUT, IORING_OP_WRITEV, try_writev_nowait, try_writev},
};

/* Bytes in all parts, or -EINVAL. */
static ssize_t sum_up(const struct iovec *parts, int count)
{
    if (count < 0 || count > IOV_MAX || (parts == NULL && count > 0)) {
        return -EINVAL;
    }
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        if ((parts[i].iov_base == NULL && parts[i].iov_len > 0) ||
            parts[i].iov_len > (size_t)SSIZE_MAX - sum) {
            return -EINVAL;
        }
        sum += parts[i].iov_len;
    }
    return (ssize_t)sum;
}

static ssize_t move(int fd, const struct iovec *parts, int count, const struct side *side)
{
    struct wf_io io;
    struct wf_io_call call = {.fd = fd, .out = parts, .length = (size_t)count};
    ssize_t n = sum_up(parts, count);
    if (n < 0) {
        return n;
    }
    bool is_nothing = n == 0;
    int rc = wf_io_enter(&io, fd, side->name);
    if (rc == -ENOTSUP) {
        bool writes = side == &writing;
        return wf_fake_move(fd, parts, count, &(struct wf_fake_way){side->name, writes, false, 0});
    }
    if (rc < 0) {
        return rc;
    }
    if (is_nothing) { /* waits for nothing, and is no empty datagram, as with a recvmsg or a sendmsg it would */
        uint64_t stamp;
        return wf_io_attempt(&io, &stamp, &call, side->way.plain);
    }
    struct msghdr message = {.msg_iov = call.in, .msg_iovlen = call.length};
    n = wf_transfer_is_other(&io) ? -ENOTSOCK
        : side == &reading        ? wf_message_receive(&io, &message, 0)
                                  : wf_message_send(&io, &message, 0);
    n = n == -ENOTSOCK ? wf_transfer_other(&io, &side->way, &call) : n;
    if (n > 0 && side == &reading) {
        wf_door_spend_more(io.self);
    }
    return n;
}

ssize_t weft_readv(int fd, const struct iovec *parts, int count)
{
    return move(fd, parts, count, &reading);
}

ssize_t weft_writev(int fd, const struct iovec *parts, int count)
{
    return move(fd, parts, count, &writing);
}

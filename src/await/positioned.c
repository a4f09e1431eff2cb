// SPDX-License-Identifier: MIT
/* positioned.c - reading and writing files at an offset, and seeing to it that they are on the disk.
 *
 * What is in the page cache is copied on the spot, which RWF_NOWAIT promises not to wait for; the rest is
 * for wf_file_run. Large transfers go there at once: copying them would hold the worker for long.
 */
#include <errno.h>

#include <weft/file.h>

#include "await/file.h"
#include "await/quiet.h"

enum { ON_THE_SPOT_MOST = 1 << 20 };

WF_ATTEMPT ssize_t try_read(const struct wf_file_call *call, size_t done)
{
    struct iovec part = {.iov_base = (char *)call->in + done, .iov_len = call->length - done};
    ssize_t n = preadv2(call->fd, &part, 1, call->offset + (off_t)done, RWF_NOWAIT);
    return n >= 0 ? n : -errno;
}

static bool is_for_a_thread(ssize_t n)
{
    return n == -EAGAIN || n == -EOPNOTSUPP || n == -ENOSYS;
}

/* The bytes that could be read on the spot; *last is how the last attempt went. */
static size_t read_cached(const struct wf_file_call *call, ssize_t *last)
{
    size_t done = 0;
    *last = -EAGAIN;
    if (call->length > ON_THE_SPOT_MOST) {
        return 0;
    }
    do {
        uint64_t stamp;
        *last = wf_io_begin(call->io, &stamp);
        if (*last == 0) {
            *last = try_read(call, done);
            wf_io_end(call->io);
        }
        done += *last > 0 ? (size_t)*last : 0;
    } while (*last == -EINTR || (*last > 0 && done < call->length));
    return done;
}

/* Short only at the end of the file, as users of files expect. */
ssize_t weft_pread(int fd, void *buffer, size_t length, off_t offset)
{
    struct wf_io io;
    struct wf_file_call call = {
        .op = WF_FILE_READ, .fd = fd, .in = buffer, .length = length, .offset = offset, .io = &io};
    if ((buffer == NULL && length > 0) || offset < 0) {
        return -EINVAL;
    }
    int rc = wf_file_enter(&io, fd, __func__);
    if (rc < 0) {
        return rc;
    }
    ssize_t last;
    size_t done = read_cached(&call, &last);
    if (!is_for_a_thread(last)) {
        return done > 0 ? (ssize_t)done : last;
    }
    call.in = (char *)buffer + done;
    call.length -= done;
    call.offset += (off_t)done;
    last = wf_file_run(io.self, &call);
    if (last < 0) {
        return last == -ECANCELED || done == 0 ? last : (ssize_t)done;
    }
    return last + (ssize_t)done;
}

static ssize_t try_write(const struct wf_file_call *call)
{
    struct iovec part = {.iov_base = call->in, .iov_len = call->length};
    uint64_t stamp;
    ssize_t n;
    do {
        n = wf_io_begin(call->io, &stamp);
        if (n == 0) {
            n = wf_quiet_write(call->fd, &part, 1, call->offset, RWF_NOWAIT);
            wf_io_end(call->io);
        }
    } while (n == -EINTR);
    return n;
}

ssize_t weft_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
    struct wf_io io;
    struct wf_file_call call = {.op = WF_FILE_WRITE,
                                .fd = fd,
                                .out = buffer,
                                .length = length,
                                .offset = offset,
                                .io = &io};
    if ((buffer == NULL && length > 0) || offset < 0) {
        return -EINVAL;
    }
    int rc = wf_file_enter(&io, fd, __func__);
    if (rc < 0) {
        return rc;
    }
    ssize_t n = length <= ON_THE_SPOT_MOST ? try_write(&call) : -EAGAIN;
    return is_for_a_thread(n) ? wf_file_run(io.self, &call) : n;
}

/* ---- to the disk ---- */

static int sync_file(int fd, enum wf_file_op op, const char *name)
{
    struct wf_io io;
    struct wf_file_call call = {.op = op, .fd = fd, .io = &io};
    int rc = wf_file_enter(&io, fd, name);
    return rc < 0 ? rc : (int)wf_file_run(io.self, &call);
}

int weft_fsync(int fd)
{
    return sync_file(fd, WF_FILE_SYNC, __func__);
}

int weft_fdatasync(int fd)
{
    return sync_file(fd, WF_FILE_DATASYNC, __func__);
}

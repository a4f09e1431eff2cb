// SPDX-License-Identifier: MIT
/* file.c - how operations on files are done: each system call, and the way over the pool.
 *
 * With a ring the kernel does most of them (file_ring.c). Else:
 * A queued call is withdrawn by a cancellation, a running one is waited for: disks answer. Opening is the
 * exception, for a FIFO may have no other end for ever: the pool then has a copy of the name, and the
 * fiber leaves at once.
 */
#include "await/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "await/blocking.h"
#include "await/file_ring.h"
#include "await/quiet.h"

/* ---- the system calls ---- */

static ssize_t splice_quietly(const struct wf_file_call *call)
{
    struct wf_quiet quiet;
    wf_quiet_begin(&quiet);
    ssize_t n = call->op == WF_FILE_SPLICE
                    ? splice(call->fd, call->offsets[0], call->other_fd, call->offsets[1],
                             call->length, call->flags)
                    : sendfile(call->other_fd, call->fd, call->offsets[0], call->length);
    n = n >= 0 ? n : -errno;
    wf_quiet_end(&quiet, n);
    return n;
}

static intptr_t do_with_descriptor(const struct wf_file_call *call)
{
    switch (call->op) {
    case WF_FILE_READ:
        return pread(call->fd, call->in, call->length, call->offset);
    case WF_FILE_WRITE:
        return pwrite(call->fd, call->out, call->length, call->offset);
    case WF_FILE_SYNC:
        return fsync(call->fd);
    default:
        return fdatasync(call->fd);
    }
}

static intptr_t do_with_name(const struct wf_file_call *call)
{
    switch (call->op) {
    case WF_FILE_OPEN:
        return openat(call->fd, call->path, (int)call->flags | O_CLOEXEC, (mode_t)call->mode);
    case WF_FILE_STATX:
        return statx(call->fd, call->path, (int)call->flags, call->mode, call->status);
    case WF_FILE_UNLINK:
        return unlinkat(call->fd, call->path, (int)call->flags);
    case WF_FILE_RENAME:
        return renameat2(call->fd, call->path, call->other_fd, call->other_path, call->flags);
    default:
        return mkdirat(call->fd, call->path, (mode_t)call->mode);
    }
}

__attribute__((noinline)) intptr_t wf_file_do(const struct wf_file_call *call)
{
    if (call->op == WF_FILE_SPLICE || call->op == WF_FILE_SENDFILE) {
        return splice_quietly(call);
    }
    intptr_t rc = call->op < WF_FILE_SPLICE ? do_with_descriptor(call) : do_with_name(call);
    return rc >= 0 ? rc : -errno;
}

/* ---- attempts ---- */

static int begin(const struct wf_file_call *call)
{
    uint64_t stamp;
    int rc = call->io != NULL ? wf_io_begin(call->io, &stamp) : 0;
    if (rc < 0 || call->other_io == NULL) {
        return rc;
    }
    rc = wf_io_begin(call->other_io, &stamp);
    if (rc < 0 && call->io != NULL) {
        wf_io_end(call->io);
    }
    return rc;
}

static void end(const struct wf_file_call *call)
{
    if (call->io != NULL) {
        wf_io_end(call->io);
    }
    if (call->other_io != NULL) {
        wf_io_end(call->other_io);
    }
}

static bool is_gone(const struct wf_io *io)
{
    return io != NULL && !wf_fd_is_same(wf_fd_stamp(io->record), io->opened);
}

static bool is_closed(const struct wf_file_call *call)
{
    return is_gone(call->io) || is_gone(call->other_io);
}

/* A number that is held stands for a descriptor that can't be read or written, is no directory, and has a status. */
static intptr_t outcome(const struct wf_file_call *call, intptr_t rc)
{
    bool may_be_that = rc == -ENOTDIR || (rc >= 0 && call->op == WF_FILE_STATX);
    return may_be_that && is_closed(call) ? -EBADF : rc;
}

/* With the numbers held until it is over, however long it waits. */
static intptr_t run_held(weft_task *self, const struct wf_file_call *call,
                         intptr_t (*run)(weft_task *self, const struct wf_file_call *call))
{
    intptr_t rc = begin(call);
    if (rc == 0) {
        rc = outcome(call, run(self, call));
        end(call);
    }
    return rc;
}

intptr_t wf_file_attempt(const struct wf_file_call *call,
                         intptr_t (*attempt)(const struct wf_file_call *call))
{
    intptr_t rc = begin(call);
    if (rc == 0) {
        rc = outcome(call, attempt(call));
        end(call);
    }
    return rc;
}

/* ---- over the pool ---- */

/* A number that has been closed while the job was queued names nothing that the call could be made on. */
static intptr_t do_on_pool(void *arg)
{
    const struct wf_file_call *call = arg;
    intptr_t rc;
    do {
        rc = is_closed(call) ? -EBADF : wf_file_do(call);
    } while (rc == -EINTR);
    return rc;
}

static intptr_t borrow_thread(weft_task *self, const struct wf_file_call *call)
{
    union {
        const struct wf_file_call *call;
        void *arg;
    } job = {call};
    intptr_t result = 0;
    int rc = wf_blocking_borrow(self, do_on_pool, job.arg, &result);
    return rc == -EAGAIN ? -ENOMEM : rc < 0 ? rc : result;
}

struct opening {
    /* Its fd is AT_FDCWD or a duplicate: the caller may close the directory meanwhile. */
    struct wf_file_call call;
    wf_au32 users; /* caller and pool: whoever comes last (acq_rel) frees it */
    int fd;        /* nobody's yet, or -1 */
    char path[];
};

static void drop_opening(void *arg)
{
    struct opening *opening = arg;
    if (wf_sub_acqrel(&opening->users, 1U) == 1) {
        if (opening->fd >= 0) {
            (void)close(opening->fd);
        }
        if (opening->call.fd >= 0) {
            (void)close(opening->call.fd);
        }
        free(opening);
    }
}

static intptr_t open_on_pool(void *arg)
{
    struct opening *opening = arg;
    intptr_t rc = do_on_pool(&opening->call);
    opening->fd = rc >= 0 ? (int)rc : -1;
    return rc;
}

static intptr_t duplicate_directory(const struct wf_file_call *call)
{
    int copy = call->fd == AT_FDCWD ? AT_FDCWD : fcntl(call->fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 || copy == AT_FDCWD ? copy : -errno;
}

static intptr_t open_elsewhere(weft_task *self, const struct wf_file_call *call)
{
    size_t bytes = strlen(call->path) + 1;
    intptr_t directory = wf_file_attempt(call, duplicate_directory);
    if (directory < 0 && directory != AT_FDCWD) {
        return directory;
    }
    struct opening *opening = malloc(sizeof *opening + bytes);
    if (opening == NULL) {
        if (directory >= 0) {
            (void)close((int)directory);
        }
        return -ENOMEM;
    }
    opening->call = *call;
    opening->call.fd = (int)directory;
    opening->call.path = memcpy(opening->path, call->path, bytes);
    opening->call.io = NULL; /* on a stack that may be gone by then */
    opening->fd = -1;
    wf_store_rlx(&opening->users, 2U);
    intptr_t result = 0;
    int rc = wf_blocking_give(self, open_on_pool, opening, drop_opening, &result);
    if (rc == 0) {
        opening->fd = -1;
    } else if (rc != -ECANCELED) {
        drop_opening(opening); /* the pool did not take its share */
    }
    drop_opening(opening);
    return rc == -EAGAIN ? -ENOMEM : rc < 0 ? rc : result;
}

/* But for reads and writes the kernel looks a number up when it gets to the operation, whatever has become of the
 * number by then: so it is held. */
static intptr_t run_in_ring(weft_task *self, const struct wf_file_call *call)
{
    if (call->op == WF_FILE_READ || call->op == WF_FILE_WRITE) {
        return wf_file_run_in_ring(self, call);
    }
    return run_held(self, call, wf_file_run_in_ring);
}

intptr_t wf_file_run(weft_task *self, const struct wf_file_call *call)
{
    intptr_t rc = run_in_ring(self, call);
    if (rc != -ENOSYS) {
        return rc;
    }
    return call->op == WF_FILE_OPEN ? open_elsewhere(self, call)
                                    : run_held(self, call, borrow_thread);
}

/* ---- entering ---- */

int wf_file_enter(struct wf_io *io, int fd, const char *call)
{
    int rc = wf_io_enter(io, fd, call);
    if (rc == -ENOTSUP) {
        rc = wf_door_enter(io->self, call);
        rc = rc == 0 ? -ENOTSUP : rc;
    }
    return rc;
}

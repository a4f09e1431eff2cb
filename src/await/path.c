// SPDX-License-Identifier: MIT
/* path.c - files by name: opening, looking at, removing, renaming, making directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <weft/file.h>

#include "await/cached.h"
#include "await/file.h"

/* Passes the door. What the directories' numbers stand for is looked up now. */
static int enter(struct wf_io *io, struct wf_io *other_io, struct wf_file_call *call,
                 const char *name)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    /* Whose directory does not count. */
    call->fd = call->path[0] == '/' ? AT_FDCWD : call->fd;
    bool has_other = call->other_path != NULL && call->other_path[0] != '/';
    call->other_fd = has_other ? call->other_fd : AT_FDCWD;
    io->self = wf_self_on(worker);
    bool is_simulated = wf_runtime_of(io->self)->poller == NULL;
    if (!is_simulated && call->fd != AT_FDCWD) {
        rc = wf_io_find(io, io->self, call->fd);
        call->io = io;
    }
    if (rc == 0 && !is_simulated && call->other_path != NULL && call->other_fd != AT_FDCWD) {
        rc = wf_io_find(other_io, io->self, call->other_fd);
        call->other_io = other_io;
    }
    rc = rc == 0 ? wf_door_enter(io->self, name) : rc;
    return rc == 0 && is_simulated ? -ENOTSUP : rc;
}

static int run(struct wf_file_call *call, const char *name)
{
    struct wf_io io;
    struct wf_io other_io;
    if (call->path == NULL) {
        return -EINVAL;
    }
    int rc = enter(&io, &other_io, call, name);
    if (rc == 0) {
        rc = (int)wf_file_attempt(call, wf_file_try_cached);
        rc = rc == -EAGAIN ? (int)wf_file_run(io.self, call) : rc;
    }
    if (rc >= 0 && call->op == WF_FILE_OPEN) {
        wf_io_adopt(wf_runtime_of(io.self)->poller, rc, WF_FD_IS_NO_SOCKET);
    }
    call->io = NULL; /* they lie in this frame */
    call->other_io = NULL;
    return rc;
}

/* ---- opening ---- */

static int open_at(int directory, const char *path, int flags, mode_t mode, const char *name)
{
    struct wf_file_call call = {
        .op = WF_FILE_OPEN, .fd = directory, .path = path, .flags = (unsigned)flags, .mode = mode};
    return run(&call, name);
}

int weft_open(const char *path, int flags, mode_t mode)
{
    return open_at(AT_FDCWD, path, flags, mode, __func__);
}

int weft_openat(int directory, const char *path, int flags, mode_t mode)
{
    return open_at(directory, path, flags, mode, __func__);
}

/* ---- looking ---- */

int weft_statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
{
    struct wf_file_call call = {.op = WF_FILE_STATX,
                                .fd = directory,
                                .path = path,
                                .flags = (unsigned)flags,
                                .mode = mask,
                                .status = status};
    return status != NULL ? run(&call, __func__) : -EINVAL;
}

/* ---- changing ---- */

static int unlink_at(int directory, const char *path, int flags, const char *name)
{
    struct wf_file_call call = {
        .op = WF_FILE_UNLINK, .fd = directory, .path = path, .flags = (unsigned)flags};
    return run(&call, name);
}

int weft_unlink(const char *path)
{
    return unlink_at(AT_FDCWD, path, 0, __func__);
}

int weft_unlinkat(int directory, const char *path, int flags)
{
    return unlink_at(directory, path, flags, __func__);
}

static int rename_at(struct wf_file_call *call, const char *name)
{
    call->op = WF_FILE_RENAME;
    return call->other_path != NULL ? run(call, name) : -EINVAL;
}

int weft_rename(const char *from, const char *to)
{
    struct wf_file_call call = {
        .fd = AT_FDCWD, .path = from, .other_fd = AT_FDCWD, .other_path = to};
    return rename_at(&call, __func__);
}

int weft_renameat(int from_directory, const char *from, int to_directory, const char *to,
                  unsigned flags)
{
    struct wf_file_call call = {.fd = from_directory,
                                .path = from,
                                .other_fd = to_directory,
                                .other_path = to,
                                .flags = flags};
    return rename_at(&call, __func__);
}

static int mkdir_at(int directory, const char *path, mode_t mode, const char *name)
{
    struct wf_file_call call = {.op = WF_FILE_MKDIR, .fd = directory, .path = path, .mode = mode};
    return run(&call, name);
}

int weft_mkdir(const char *path, mode_t mode)
{
    return mkdir_at(AT_FDCWD, path, mode, __func__);
}

int weft_mkdirat(int directory, const char *path, mode_t mode)
{
    return mkdir_at(directory, path, mode, __func__);
}

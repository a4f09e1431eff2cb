// SPDX-License-Identifier: MIT
/* cached.c - what the kernel can say of a file without asking a disk or a server.
 *
 * RESOLVE_CACHED (Linux 5.12) resolves a name from memory or not at all. The result is first held without
 * opening it (O_PATH), which has no effect on anything, to see what it is: opening waits for the other end of a
 * FIFO, for a device, or for the server of a file system that has one, so only regular files and
 * directories of the file systems below are opened. A trip to another thread and back costs ten times as much.
 *
 * Which file system it is is asked once for each mount: Linux 6.8 gives mounts numbers that are never given again,
 * so what has been found out stays true. The number of a device, or of a mount before that, may come back as
 * another's after an unmount.
 */
#include "await/cached.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/atomic.h"

/* For C libraries and headers that do not know them. */
enum { RESOLVE_FROM_MEMORY = 0x20, STATUS_MOUNT = 0x4000 }; /* STATX_MNT_ID_UNIQUE */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define XFS_MAGIC 0x58465342

static int open_cached(int directory, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_FROM_MEMORY};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* Keeps its inodes in memory, and asks nobody about them. */
static bool is_local(int fd)
{
    static const long magics[] = {EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC,     TMPFS_MAGIC,
                                  F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, XFS_MAGIC};
    struct statfs system;
    bool is_known = false;
    if (fstatfs(fd, &system) == 0) {
        for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
            is_known = is_known || (long)system.f_type == magics[i];
        }
    }
    return is_known;
}

/* Numbers of mounts that are local: any thread stores and loads them (relaxed: there is nothing behind them). No
 * mount has the number 0. */
enum { MOUNTS = 16 };
static wf_au64 local_mounts[MOUNTS];

static bool is_on_local_mount(int fd, const struct statx *status)
{
    if ((status->stx_mask & STATUS_MOUNT) == 0 || status->stx_mnt_id == 0) {
        return is_local(fd);
    }
    wf_au64 *known = &local_mounts[status->stx_mnt_id % MOUNTS];
    if (wf_load_rlx(known) == status->stx_mnt_id) {
        return true;
    }
    bool is_so = is_local(fd);
    if (is_so) {
        wf_store_rlx(known, (uint64_t)status->stx_mnt_id);
    }
    return is_so;
}

/* A server is not asked, nor are times and sizes. */
static bool opens_at_once(int fd)
{
    struct statx status;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATUS_MOUNT, &status) ==
               0 &&
           (S_ISREG(status.stx_mode) || S_ISDIR(status.stx_mode)) && is_on_local_mount(fd, &status);
}

/* -1: not so. O_NONBLOCK, for which somebody else's lease is a reason to give up, does not stay. */
static int open_on_the_spot(const struct wf_file_call *call)
{
    const unsigned changes = O_CREAT | O_TRUNC | O_TMPFILE | O_PATH;
    if ((call->flags & changes & ~(unsigned)O_DIRECTORY) != 0) {
        return -1;
    }
    int held = open_cached(call->fd, call->path, O_PATH | (call->flags & O_NOFOLLOW));
    if (held < 0) {
        return -1;
    }
    int fd = -1;
    if (opens_at_once(held)) {
        fd = open_cached(call->fd, call->path, call->flags | O_NONBLOCK);
    }
    (void)close(held);
    if (fd >= 0 && (call->flags & O_NONBLOCK) == 0) {
        (void)fcntl(fd, F_SETFL, (int)call->flags);
    }
    return fd;
}

/* An empty name is the descriptor itself. */
static int look_on_the_spot(const struct wf_file_call *call)
{
    bool is_itself = call->path[0] == '\0';
    const unsigned follow = (call->flags & AT_SYMLINK_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
    int fd = is_itself ? call->fd : open_cached(call->fd, call->path, O_PATH | follow);
    int rc = -1;
    if (fd >= 0 && (!is_itself || (call->flags & AT_EMPTY_PATH) != 0) && is_local(fd)) {
        int flags = (int)(call->flags | AT_EMPTY_PATH) & ~AT_SYMLINK_NOFOLLOW;
        rc = statx(fd, "", flags, call->mode, call->status);
    }
    if (fd >= 0 && !is_itself) {
        (void)close(fd);
    }
    return rc;
}

__attribute__((noinline)) intptr_t wf_file_try_cached(const struct wf_file_call *call)
{
    int rc = call->op == WF_FILE_OPEN    ? open_on_the_spot(call)
             : call->op == WF_FILE_STATX ? look_on_the_spot(call)
                                         : -1;
    return rc >= 0 ? rc : -EAGAIN;
}

// SPDX-License-Identifier: MIT
/* file.h - operations that may have to wait for a disk, and the one function that has them done.
 *
 * Nothing tells when a file is ready, so such a call is handed over whole, to a thread of the pool. Whatever
 * it works on (buffers, names, offsets) is the caller's and may lie on the fiber's stack: the call
 * returns only when nobody touches that any more.
 */
#ifndef WF_AWAIT_FILE_H
#define WF_AWAIT_FILE_H

#include <sys/types.h>

#include "await/io.h"

struct statx;

enum wf_file_op {
    WF_FILE_READ, /* fd, in, length, offset */
    WF_FILE_WRITE,
    WF_FILE_SYNC, /* fd */
    WF_FILE_DATASYNC,
    WF_FILE_SPLICE,   /* fd, offsets[0], other_fd, offsets[1], length, flags */
    WF_FILE_SENDFILE, /* fd, offsets[0], other_fd, length */
    WF_FILE_OPEN,     /* fd (directory), path, flags, mode */
    WF_FILE_STATX,    /* fd, path, flags, mode (mask), status */
    WF_FILE_UNLINK,   /* fd, path, flags */
    WF_FILE_RENAME,   /* fd, path, other_fd, other_path, flags */
    WF_FILE_MKDIR,    /* fd, path, mode */
};

struct wf_file_call {
    enum wf_file_op op;
    int fd;
    int other_fd;
    unsigned flags;
    unsigned mode;
    size_t length;
    union {
        void *in;
        const void *out;
        struct statx *status;
    };
    off_t offset;
    off_t *offsets[2];
    const char *path;
    const char *other_path;

    /* The descriptors as they were found, to notice that they have been closed; NULL: no descriptor. */
    const struct wf_io *io;
    const struct wf_io *other_io;
};

/* What the operation returned, or a negative errno; -EBADF also if a descriptor was closed before it
 * began. -ECANCELED: it has not begun; but WF_FILE_OPEN may have, and then goes on without the caller,
 * and what it opens is closed. -ENOMEM: no thread could be had. Never interrupted. In a call that has
 * passed the door. */
intptr_t wf_file_run(weft_task *self, const struct wf_file_call *call);

/* The same on the calling thread, which it may block; -EINTR too. Inside an attempt. */
intptr_t wf_file_do(const struct wf_file_call *call);

/* One attempt on the call's descriptors: what it says, or what wf_io_begin does. */
intptr_t wf_file_attempt(const struct wf_file_call *call,
                         intptr_t (*attempt)(const struct wf_file_call *call));

/* wf_io_enter for calls that take no simulated descriptors: -ENOTSUP in a simulation. */
int wf_file_enter(struct wf_io *io, int fd, const char *call);

#endif

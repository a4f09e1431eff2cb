// SPDX-License-Identifier: MIT
/* file_ring.c - how operations on files look in a ring.
 *
 * Opening is marked to be done by a thread of the kernel's: tried on the spot, it would be tried without
 * blocking, and a FIFO would then be open before it has another end. Splices stay on the pool: they move the
 * caller's offsets, and the kernel has a thread do them anyway.
 */
#include "await/file_ring.h"

#include <errno.h>
#include <fcntl.h>

#include "await/uring.h"

static uint64_t address(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static uint32_t length_of(const struct wf_file_call *call)
{
    const size_t most = 0x7ffff000; /* as the system calls have it */
    return (uint32_t)(call->length < most ? call->length : most);
}

static void fill_transfer(struct io_uring_sqe *entry, const struct wf_file_call *call)
{
    bool reads = call->op == WF_FILE_READ;
    entry->opcode = reads ? IORING_OP_READ : IORING_OP_WRITE;
    entry->addr = address(call->in);
    entry->len = length_of(call);
    entry->off = (uint64_t)call->offset;
}

static void fill_open(struct io_uring_sqe *entry, const struct wf_file_call *call)
{
    entry->opcode = IORING_OP_OPENAT;
    entry->flags = IOSQE_ASYNC;
    entry->addr = address(call->path);
    entry->len = call->mode;
    entry->open_flags = call->flags | O_CLOEXEC;
}

static void fill_status(struct io_uring_sqe *entry, const struct wf_file_call *call)
{
    entry->opcode = IORING_OP_STATX;
    entry->addr = address(call->path);
    entry->len = call->mode;
    entry->off = address(call->status);
    entry->statx_flags = call->flags;
}

static void fill_name(struct io_uring_sqe *entry, const struct wf_file_call *call)
{
    entry->addr = address(call->path);
    if (call->op == WF_FILE_UNLINK) {
        entry->opcode = IORING_OP_UNLINKAT;
        entry->unlink_flags = call->flags;
    } else if (call->op == WF_FILE_RENAME) {
        entry->opcode = IORING_OP_RENAMEAT;
        entry->len = (uint32_t)call->other_fd;
        entry->off = address(call->other_path);
        entry->rename_flags = call->flags;
    } else {
        entry->opcode = IORING_OP_MKDIRAT;
        entry->len = call->mode;
    }
}

static void fill(struct io_uring_sqe *entry, const struct wf_file_call *call)
{
    entry->fd = call->fd;
    switch (call->op) {
    case WF_FILE_READ:
    case WF_FILE_WRITE:
        fill_transfer(entry, call);
        break;
    case WF_FILE_SYNC:
    case WF_FILE_DATASYNC:
        entry->opcode = IORING_OP_FSYNC;
        entry->fsync_flags = call->op == WF_FILE_DATASYNC ? IORING_FSYNC_DATASYNC : 0;
        break;
    case WF_FILE_OPEN:
        fill_open(entry, call);
        break;
    case WF_FILE_STATX:
        fill_status(entry, call);
        break;
    default:
        fill_name(entry, call);
    }
}

intptr_t wf_file_run_in_ring(weft_task *self, const struct wf_file_call *call)
{
    struct io_uring_sqe entry = {.opcode = IORING_OP_NOP};
    if (call->op == WF_FILE_SPLICE || call->op == WF_FILE_SENDFILE || !wf_uring_is_here()) {
        return -ENOSYS;
    }
    fill(&entry, call);
    return wf_uring_call(self, &entry, call->io);
}

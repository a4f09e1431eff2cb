// SPDX-License-Identifier: MIT
/* splice.c - bytes that go from one descriptor to another without passing through the program.
 *
 * Where it is done, by what the two ends are:
 *     pipes, and sockets with O_NONBLOCK       on the spot, for it does not block; then either end is waited for
 *     files all of whose bytes are cached      on the spot too
 *     other files                              by wf_file_run
 *     sockets and terminals without O_NONBLOCK by wf_file_run too, once they say that they are ready, and so little
 *                                              at a time that one which said so has the room: it can't be
 *                                              asked not to block for just one call
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/file.h>

#include "await/file.h"

enum { AT_ONCE_MOST = 1 << 20, BLOCKING_MOST = 4096 };

/* cachestat(2), for C libraries that do not know it. */
enum { CACHESTAT = 451 };

enum kind { KIND_PIPE, KIND_FILE, KIND_OTHER };

struct end {
    struct wf_io io;
    uint64_t stamp;
    enum kind kind;
    bool may_block;
    unsigned direction;
    short event;
};

struct route {
    struct end from;
    struct end to;
    struct wf_file_call call;
};

/* ---- what the ends are ---- */

WF_ATTEMPT int look_begun(struct end *end)
{
    struct stat status;
    int flags = wf_io_flags(end->io.fd);
    if (flags < 0 || fstat(end->io.fd, &status) < 0) {
        return flags < 0 ? flags : -errno;
    }
    bool is_file = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
    end->kind = S_ISFIFO(status.st_mode) ? KIND_PIPE : is_file ? KIND_FILE : KIND_OTHER;
    end->may_block = end->kind == KIND_OTHER && (flags & O_NONBLOCK) == 0;
    return 0;
}

static int look_at(struct end *end)
{
    uint64_t stamp;
    int rc = wf_io_begin(&end->io, &stamp);
    if (rc == 0) {
        rc = look_begun(end);
        wf_io_end(&end->io);
    }
    return rc;
}

static int find_ends(struct route *route, const char *name)
{
    int rc = wf_file_enter(&route->from.io, route->call.fd, name);
    rc = rc == 0 ? wf_io_find(&route->to.io, route->from.io.self, route->call.other_fd) : rc;
    rc = rc == 0 ? look_at(&route->from) : rc;
    rc = rc == 0 ? look_at(&route->to) : rc;
    route->from.direction = WF_FD_READ;
    route->from.event = POLLIN;
    route->to.direction = WF_FD_WRITE;
    route->to.event = POLLOUT;
    route->call.io = &route->from.io;
    route->call.other_io = &route->to.io;
    return rc;
}

/* ---- files that need no disk ---- */

struct cache_range {
    uint64_t offset;
    uint64_t length;
};

struct cache_state {
    uint64_t cached;
    uint64_t rest[4];
};

/* Whether every page of the file that is asked for is in the cache. False where the kernel does not say. */
WF_ATTEMPT intptr_t is_cached(const struct wf_file_call *call)
{
    int fd = call->fd;
    struct stat status;
    const off_t *given = call->offsets[0];
    off_t offset = given != NULL ? *given : lseek(fd, 0, SEEK_CUR);
    if (fstat(fd, &status) < 0) {
        return false;
    }
    off_t end = offset + (off_t)call->length;
    end = end < status.st_size ? end : status.st_size;
    if (offset < 0 || offset >= end) {
        return offset >= 0;
    }
    struct cache_range range = {.offset = (uint64_t)offset, .length = (uint64_t)(end - offset)};
    struct cache_state state = {0};
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t pages = (uint64_t)((end - 1) / page_bytes - offset / page_bytes + 1);
    return syscall(CACHESTAT, fd, &range, &state, 0) == 0 && state.cached >= pages;
}

/* ---- waiting ---- */

/* 0: it says that it is ready, or has said so since; 1: it was waited for. */
static int wait_for(struct end *end)
{
    uint64_t now; /* the older stamp counts: what has come since ends the wait */
    int seen = wf_io_poll_once(&end->io, end->event, &now);
    if (seen != 0) {
        return seen < 0 ? seen : 0;
    }
    int rc = wf_io_wait(&end->io, end->direction, end->stamp, WF_WAIT_FD);
    return rc == -EPERM ? 0 : rc < 0 ? rc : 1;
}

static void stamp_both(struct route *route)
{
    route->from.stamp = wf_fd_stamp(route->from.io.record);
    route->to.stamp = wf_fd_stamp(route->to.io.record);
}

/* After -EAGAIN. Both may be ready by now. */
static int wait_for_either(struct route *route)
{
    int rc = wait_for(&route->from);
    rc = rc == 0 ? wait_for(&route->to) : rc;
    return rc == 0 ? wf_door_yield(route->from.io.self) : rc;
}

/* Both at the same time, stamps included. */
static int wait_for_both(struct route *route)
{
    int rc;
    do {
        stamp_both(route);
        rc = route->from.may_block ? wait_for(&route->from) : 0;
        rc = rc == 0 && route->to.may_block ? wait_for(&route->to) : rc;
    } while (rc > 0);
    return rc;
}

/* ---- moving ---- */

static ssize_t move(struct route *route)
{
    struct wf_file_call *call = &route->call;
    bool blocks = route->from.may_block || route->to.may_block;
    size_t most = blocks ? BLOCKING_MOST : AT_ONCE_MOST;
    call->length = call->length < most ? call->length : most;
    bool on_the_spot = !blocks && route->to.kind != KIND_FILE &&
                       (route->from.kind != KIND_FILE || wf_file_attempt(call, is_cached) == 1);
    for (;;) {
        int rc = wait_for_both(route);
        ssize_t n = rc < 0        ? rc
                    : on_the_spot ? wf_file_attempt(call, wf_file_do)
                                  : wf_file_run(route->from.io.self, call);
        if (n == -EINTR) {
            continue;
        }
        if (n != -EAGAIN) {
            return n;
        }
        rc = wait_for_either(route);
        if (rc < 0) {
            return rc;
        }
    }
}

/* ---- the calls ---- */

ssize_t weft_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
                    unsigned flags)
{
    struct route route = {.call = {.op = WF_FILE_SPLICE,
                                   .fd = from,
                                   .other_fd = to,
                                   .offsets = {from_offset, to_offset},
                                   .length = length,
                                   .flags = flags | SPLICE_F_NONBLOCK}};
    int rc = find_ends(&route, __func__);
    if (rc < 0) {
        return rc;
    }
    bool has_pipe = route.from.kind == KIND_PIPE || route.to.kind == KIND_PIPE;
    return has_pipe ? move(&route) : -EINVAL;
}

/* Into a pipe it is a splice, which can be told not to block. */
ssize_t weft_sendfile(int to, int from, off_t *offset, size_t length)
{
    struct route route = {.call = {.op = WF_FILE_SENDFILE,
                                   .fd = from,
                                   .other_fd = to,
                                   .offsets = {offset, NULL},
                                   .length = length}};
    int rc = find_ends(&route, __func__);
    if (rc < 0) {
        return rc;
    }
    if (route.from.kind != KIND_FILE) {
        return -EINVAL;
    }
    if (route.to.kind == KIND_PIPE) {
        route.call.op = WF_FILE_SPLICE;
        route.call.flags = SPLICE_F_NONBLOCK;
    }
    return move(&route);
}

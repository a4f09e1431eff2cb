// SPDX-License-Identifier: MIT
/* fake_transfer.c - reading and writing simulated pipes and sockets. */
#include <errno.h>

#include "await/fake.h"

/* Flags that change nothing here are taken: no call blocks, and there is no SIGPIPE. */
#define FLAGS_TAKEN \
    (MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | MSG_MORE | MSG_CMSG_CLOEXEC)

struct call {
    const struct iovec *parts;
    int count;
    size_t length; /* of all parts */
    bool writes;
    bool keeps; /* MSG_PEEK: of the first part */
};

/* A part of what could be moved, if so drawn. */
static size_t shorten(const struct wf_fake_io *io, const struct call *call)
{
    size_t most = wf_fake_most(io->fake, call->writes);
    most = most < call->length ? most : call->length;
    if (most < 2 || !wf_sim_chance(io->sim, wf_sim_faults(io->sim)->short_transfers)) {
        return call->length;
    }
    return 1 + (size_t)wf_sim_draw(io->sim, most);
}

/* Up to `most` bytes of one part. */
static ssize_t move_part(const struct wf_fake_io *io, const struct call *call,
                         const struct iovec *part, size_t most)
{
    struct wf_later later;
    wf_later_init(&later);
    size_t length = part->iov_len < most ? part->iov_len : most;
    ssize_t n = call->writes ? wf_fake_write(io->fake, part->iov_base, length, &later)
                             : wf_fake_read(io->fake, part->iov_base, length, call->keeps, &later);
    wf_later_run(&later);
    return n;
}

static ssize_t move(const struct wf_fake_io *io, const struct call *call)
{
    static const struct iovec nothing;
    size_t most = shorten(io, call);
    size_t moved = 0;
    int at = 0;
    ssize_t n;
    do {
        const struct iovec *part = call->count > 0 ? &call->parts[at] : &nothing;
        n = move_part(io, call, part, most - moved);
        moved += n > 0 ? (size_t)n : 0;
        at++;
    } while (n >= 0 && at < call->count && moved < most && !call->keeps);
    return n < 0 && moved == 0 ? n : (ssize_t)moved;
}

static bool meets_reset(const struct wf_fake_io *io)
{
    if (!wf_fake_is_stream(io->fake) || io->fake->is_reset ||
        !wf_sim_chance(io->sim, wf_sim_faults(io->sim)->resets)) {
        return false;
    }
    struct wf_later later;
    wf_later_init(&later);
    wf_fake_reset(io->fake, &later);
    wf_later_run(&later);
    return true;
}

/* The transfer could be made, for the first time. True: it was, *n. False: *n is 0 or what ended it. */
static bool begin(const struct wf_fake_io *io, const struct call *call, ssize_t *n)
{
    *n = 0;
    if (meets_reset(io)) {
        *n = -ECONNRESET;
        return true;
    }
    switch (wf_fake_draw(io)) {
    case WF_LUCK_LATE:
        *n = wf_fake_delay(io);
        return *n < 0;
    case WF_LUCK_TOLD_LATE:
        *n = move(io, call);
        wf_fake_hold(io);
        return true;
    case WF_LUCK_WHOLE:
        break;
    }
    return false;
}

static ssize_t transfer(const struct wf_fake_io *io, const struct call *call)
{
    bool has_begun = false;
    int rc = wf_fake_check(io->fake, call->writes);
    while (rc == 0) {
        ssize_t n;
        if (!io->fake->is_open) { /* since it was woken */
            return -EBADF;
        }
        if (call->length > 0 && wf_fake_must_wait(io->fake, call->writes)) {
            rc = wf_fake_wait(io, call->writes ? &io->fake->writers : &io->fake->readers, NULL);
        } else if (has_begun) {
            return move(io, call);
        } else if (has_begun = true, begin(io, call, &n)) {
            return n;
        }
    }
    return rc;
}

static int check(const struct wf_fake_io *io, const struct wf_fake_way *way)
{
    if (way->only_sockets && wf_fake_is_pipe(io->fake)) {
        return -ENOTSOCK;
    }
    return (way->flags & ~FLAGS_TAKEN) != 0 ? -EOPNOTSUPP : 0;
}

ssize_t wf_fake_move(int fd, const struct iovec *parts, int count, const struct wf_fake_way *way)
{
    struct wf_fake_io io;
    struct call call = {.parts = parts,
                        .count = count,
                        .writes = way->writes,
                        .keeps = !way->writes && (way->flags & MSG_PEEK) != 0};
    for (int i = 0; i < count; i++) {
        call.length += parts[i].iov_len;
    }
    int rc = wf_fake_enter(&io, fd, way->call);
    rc = rc == 0 ? check(&io, way) : rc;
    return rc < 0 ? rc : transfer(&io, &call);
}

__attribute__((noinline)) ssize_t wf_fake_receive(int fd, void *buffer, size_t length, int flags,
                                                  bool only_sockets)
{
    struct wf_fake_way way = {.call = only_sockets ? "weft_recv" : "weft_read",
                              .only_sockets = only_sockets,
                              .flags = flags};
    struct iovec part = {.iov_base = buffer, .iov_len = length};
    return wf_fake_move(fd, &part, 1, &way);
}

__attribute__((noinline)) ssize_t wf_fake_transmit(int fd, const void *buffer, size_t length,
                                                   int flags, bool only_sockets)
{
    struct wf_fake_way way = {.call = only_sockets ? "weft_send" : "weft_write",
                              .writes = true,
                              .only_sockets = only_sockets,
                              .flags = flags};
    union {
        const void *out;
        void *in;
    } data = {buffer};
    struct iovec part = {.iov_base = data.in, .iov_len = length};
    return wf_fake_move(fd, &part, 1, &way);
}

int wf_fake_shut(int fd, int how)
{
    struct wf_fake_io io;
    int rc = wf_fake_enter(&io, fd, "weft_shutdown");
    if (rc < 0 || wf_fake_is_pipe(io.fake)) {
        return rc < 0 ? rc : -ENOTSOCK;
    }
    struct wf_later later;
    wf_later_init(&later);
    rc = wf_fake_shutdown(io.fake, how != SHUT_WR, how != SHUT_RD, &later);
    wf_later_run(&later);
    return rc;
}

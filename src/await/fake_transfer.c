// SPDX-License-Identifier: MIT
/* fake_transfer.c - reading and writing simulated pipes and sockets. */
#include <errno.h>

#include "await/fake.h"

/* Flags that change nothing here are taken: no call blocks, and there is no SIGPIPE. */
#define FLAGS_TAKEN (MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | MSG_MORE)

struct call {
    void *in;        /* or */
    const void *out; /* NULL for reading */
    size_t length;
    bool writes;
    bool keeps; /* MSG_PEEK */
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

static ssize_t move(const struct wf_fake_io *io, const struct call *call)
{
    struct wf_later later;
    wf_later_init(&later);
    size_t length = shorten(io, call);
    ssize_t n = call->writes ? wf_fake_write(io->fake, call->out, length, &later)
                             : wf_fake_read(io->fake, call->in, length, call->keeps, &later);
    wf_later_run(&later);
    return n;
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

static int check(const struct wf_fake_io *io, int flags, bool only_sockets)
{
    if (only_sockets && wf_fake_is_pipe(io->fake)) {
        return -ENOTSOCK;
    }
    return (flags & ~FLAGS_TAKEN) != 0 ? -EOPNOTSUPP : 0;
}

ssize_t wf_fake_receive(int fd, void *buffer, size_t length, int flags, bool only_sockets)
{
    struct wf_fake_io io;
    struct call call = {.in = buffer, .length = length, .keeps = (flags & MSG_PEEK) != 0};
    int rc = wf_fake_enter(&io, fd, only_sockets ? "weft_recv" : "weft_read");
    rc = rc == 0 ? check(&io, flags, only_sockets) : rc;
    return rc < 0 ? rc : transfer(&io, &call);
}

ssize_t wf_fake_transmit(int fd, const void *buffer, size_t length, int flags, bool only_sockets)
{
    struct wf_fake_io io;
    struct call call = {.out = buffer, .length = length, .writes = true};
    int rc = wf_fake_enter(&io, fd, only_sockets ? "weft_send" : "weft_write");
    rc = rc == 0 ? check(&io, flags, only_sockets) : rc;
    return rc < 0 ? rc : transfer(&io, &call);
}

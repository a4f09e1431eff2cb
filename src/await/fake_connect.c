// SPDX-License-Identifier: MIT
/* fake_connect.c - accepting and connecting simulated sockets. A connection exists once the one side
 * has connected; until the other accepts it, it waits with the listener. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "await/fake.h"

/* ---- accepting ---- */

static void tell_address(const struct wf_fake *fake, struct sockaddr *address, socklen_t *length)
{
    struct sockaddr_in own = {.sin_family = AF_INET,
                              .sin_port = htons(fake->peer_port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (address != NULL) {
        memcpy(address, &own, *length < sizeof own ? *length : sizeof own);
        *length = sizeof own;
    }
}

static struct wf_fake *take(const struct wf_fake_io *io)
{
    struct wf_later later;
    wf_later_init(&later);
    struct wf_fake *taken = wf_fake_accept(io->world, io->fake, &later);
    wf_later_run(&later);
    return taken;
}

/* A connection is there, for the first time. NULL, with *rc: not taken, 0: look again. */
static struct wf_fake *begin_accept(const struct wf_fake_io *io, int *rc)
{
    struct wf_fake *taken = NULL;
    switch (wf_fake_draw(io)) {
    case WF_LUCK_LATE:
        *rc = wf_fake_delay(io);
        break;
    case WF_LUCK_TOLD_LATE:
        taken = take(io);
        wf_fake_hold(io);
        break;
    case WF_LUCK_WHOLE:
        break;
    }
    return taken;
}

static struct wf_fake *await_connection(const struct wf_fake_io *io, int *rc)
{
    bool has_begun = false;
    struct wf_fake *taken = NULL;
    while (*rc == 0 && taken == NULL) {
        if (!io->fake->is_open) {
            *rc = -EBADF;
        } else if (io->fake->pending_count == 0) {
            *rc = wf_fake_wait(io, &io->fake->readers, NULL);
        } else if (has_begun) {
            taken = take(io);
        } else {
            has_begun = true;
            taken = begin_accept(io, rc);
        }
    }
    return taken;
}

int wf_fake_take_connection(int fd, struct sockaddr *address, socklen_t *address_length)
{
    struct wf_fake_io io;
    int rc = wf_fake_enter(&io, fd, "weft_accept");
    if (rc < 0) {
        return rc;
    }
    if (io.fake->kind != WF_FAKE_LISTENER) {
        return wf_fake_is_pipe(io.fake) ? -ENOTSOCK : -EINVAL;
    }
    struct wf_fake *taken = await_connection(&io, &rc);
    if (taken == NULL) {
        return rc;
    }
    tell_address(taken, address, address_length);
    return taken->number;
}

/* ---- connecting ---- */

static int connect_now(const struct wf_fake_io *io, struct wf_fake *listener)
{
    struct wf_later later;
    wf_later_init(&later);
    int rc = wf_fake_connect(io->world, io->fake, listener, &later);
    wf_later_run(&later);
    return rc;
}

static int await_room(const struct wf_fake_io *io, uint16_t port)
{
    struct wf_fake *listener = wf_fake_listener(io->world, port);
    while (listener != NULL && listener->pending_count == WF_FAKE_BACKLOG) {
        int rc = wf_fake_wait(io, &listener->writers, &io->fake->busy);
        if (rc < 0) {
            return rc;
        }
        listener = wf_fake_listener(io->world, port);
    }
    return !io->fake->is_open ? -EBADF : listener == NULL ? -ECONNREFUSED : 0;
}

/* Somebody listens, and has room. */
static int connect_drawn(const struct wf_fake_io *io, uint16_t port)
{
    enum wf_fake_luck luck = wf_fake_draw(io);
    int rc = 0;
    if (luck == WF_LUCK_LATE) {
        rc = wf_fake_delay(io);
        rc = rc == 0 ? await_room(io, port) : rc;
    }
    rc = rc == 0 ? connect_now(io, wf_fake_listener(io->world, port)) : rc;
    if (luck == WF_LUCK_TOLD_LATE) {
        wf_fake_hold(io);
    }
    return rc;
}

static int check_connect(const struct wf_fake *fake, const struct sockaddr *address,
                         socklen_t length)
{
    if (wf_fake_is_pipe(fake)) {
        return -ENOTSOCK;
    }
    if (length < sizeof address->sa_family) {
        return -EINVAL;
    }
    if (address->sa_family != AF_INET) {
        return -EAFNOSUPPORT;
    }
    if (length < sizeof(struct sockaddr_in) || fake->kind == WF_FAKE_LISTENER) {
        return -EINVAL;
    }
    return wf_fake_is_stream(fake) ? -EISCONN : fake->is_connecting ? -EALREADY : 0;
}

int wf_fake_make_connection(int fd, const struct sockaddr *address, socklen_t address_length)
{
    struct wf_fake_io io;
    int rc = wf_fake_enter(&io, fd, "weft_connect");
    rc = rc == 0 ? check_connect(io.fake, address, address_length) : rc;
    if (rc < 0) {
        return rc;
    }
    struct sockaddr_in where;
    memcpy(&where, address, sizeof where);
    io.fake->is_connecting = true;
    rc = await_room(&io, ntohs(where.sin_port));
    rc = rc == 0 ? connect_drawn(&io, ntohs(where.sin_port)) : rc;
    io.fake->is_connecting = false;
    return rc;
}

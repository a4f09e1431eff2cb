// SPDX-License-Identifier: MIT
/* server_accept.c - taking connections, and what to do when there is no room for them.
 *
 * A client that can't be taken stays in the queue, which keeps the listener readable: trying again at once
 * would spin. So each round without success waits, for a connection that ends or for a while. Clients that
 * have waited for too long are told so: one descriptor is kept for that, with which they are accepted and
 * closed one by one. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/time.h>

#include "await/accept.h"
#include "net/server.h"

#define PAUSE_NS (50 * WEFT_MS) /* when nothing is known to wait for */

enum { SHED_MOST = 1000 }; /* in one go */

enum { LAST_MOST = 1000 }; /* those who come while the last of the queue are taken */

static bool is_out_of_descriptors(int rc)
{
    return rc == -EMFILE || rc == -ENFILE;
}

static bool is_out_of_memory(int rc)
{
    return rc == -ENOBUFS || rc == -ENOMEM;
}

/* Errors of the client that was to be accepted: the next one may do better. */
static bool is_clients_fault(int rc)
{
    return rc == -ECONNABORTED || rc == -EPROTO || rc == -EINTR || rc == -ENETDOWN ||
           rc == -EHOSTUNREACH || rc == -ENETUNREACH || rc == -ENOPROTOOPT || rc == -EHOSTDOWN ||
           rc == -ENONET || rc == -EPERM;
}

int wf_server_wait_for_end(struct wf_server *server, uint64_t least, int64_t delay_ns)
{
    weft_future ended = WEFT_FUTURE_INIT;
    wf_lock(&server->lock);
    bool waits = server->active >= least && server->ended == NULL;
    if (waits) {
        /* cppcheck-suppress autoVariables - taken back before this call returns */
        server->ended = &ended;
    }
    bool is_full = server->active >= least;
    wf_unlock(&server->lock);
    if (!waits) { /* not full any more, or another listener's task waits already */
        return is_full ? (int)weft_within(delay_ns, weft_sleep(PAUSE_NS)) : 0;
    }
    int rc = (int)weft_within(delay_ns, weft_future_await(&ended, NULL));
    /* The future lies in this frame: once the lock has been had, nobody touches it any more. */
    wf_lock(&server->lock);
    if (server->ended == &ended) {
        server->ended = NULL;
    }
    wf_unlock(&server->lock);
    return rc;
}

/* ---- one client ---- */

/* Waits for one where there is none. Returns 0 or a negative errno. */
static int accept_one(struct wf_server *server, int listener)
{
    int rc = 0;
    while (rc == 0 && wf_server_is_full(server)) {
        rc = wf_server_wait_for_end(server, server->options.connections_max, WEFT_FOREVER);
    }
    int fd = rc == 0 ? weft_accept(listener, NULL, NULL) : rc;
    rc = fd < 0 ? fd : 0;
    while (rc == 0 && !wf_server_enter(server)) { /* another listener's client took the place */
        rc = wf_server_wait_for_end(server, server->options.connections_max, WEFT_FOREVER);
    }
    if (rc < 0 && fd >= 0) {
        weft_close(fd);
    }
    return rc < 0 ? rc : wf_server_begin(server, fd);
}

/* A limit of 0 ends the first call that would have to wait; and, by a yield for fairness, now and then one that
 * has not tried. The next one has a new budget. */
static int at_once(struct wf_server *server, int listener,
                   int (*one)(struct wf_server *server, int listener))
{
    intptr_t rc = -ETIMEDOUT;
    for (int i = 0; i < 2 && rc == -ETIMEDOUT; i++) {
        rc = weft_within(0, one(server, listener));
    }
    return (int)rc;
}

/* ---- no room ---- */

/* The reserve is given up for the while; somebody else may get it, then it was for nothing. */
static int take_reserve(struct wf_server *server)
{
    wf_lock(&server->lock);
    int fd = server->reserve;
    server->reserve = -1;
    wf_unlock(&server->lock);
    return fd;
}

void wf_server_open_reserve(struct wf_server *server)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wf_lock(&server->lock);
    bool is_kept = server->reserve < 0;
    if (is_kept) {
        server->reserve = fd;
    }
    wf_unlock(&server->lock);
    if (!is_kept && fd >= 0) {
        close(fd);
    }
}

static int shed_one(struct wf_server *server, int listener)
{
    int fd = weft_accept(listener, NULL, NULL);
    if (fd >= 0) {
        weft_close(fd);
        wf_add_rlx(&server->shed, 1);
    }
    return fd < 0 ? fd : 0;
}

/* Returns 0 or -ECANCELED. */
static int shed(struct wf_server *server, int listener)
{
    int rc = 0;
    int reserve = take_reserve(server);
    if (reserve < 0) { /* another listener's task is at it, or somebody got the number */
        wf_server_open_reserve(server);
        return 0;
    }
    close(reserve);
    for (int i = 0; i < SHED_MOST && rc == 0; i++) {
        rc = at_once(server, listener, shed_one);
    }
    wf_server_open_reserve(server);
    return rc == -ECANCELED ? -ECANCELED : 0;
}

/* After an accept that found no descriptors: the next one may be tried when this returns 0. */
static int make_room(struct wf_server *server, int listener, int64_t *since_ns)
{
    int64_t now_ns = weft_now();
    *since_ns = *since_ns != 0 ? *since_ns : now_ns;
    int64_t patience_ns = server->options.shed_after_ns;
    if (patience_ns != WEFT_FOREVER && now_ns - *since_ns >= patience_ns) {
        *since_ns = 0;
        return shed(server, listener);
    }
    int rc = wf_server_wait_for_end(server, 0, PAUSE_NS);
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* ---- all clients ---- */

int wf_server_accept(struct wf_server *server, int listener)
{
    int64_t since_ns = 0; /* when descriptors ran out; 0: they have not */
    for (;;) {
        int rc = accept_one(server, listener);
        if (is_out_of_descriptors(rc)) {
            rc = make_room(server, listener, &since_ns);
        } else {
            since_ns = 0;
            rc = is_out_of_memory(rc) ? weft_sleep(PAUSE_NS) : rc;
        }
        if (rc < 0 && !is_clients_fault(rc)) {
            return rc;
        }
    }
}

/* Those whom the kernel has accepted for us may have sent their requests already. Not for ever: as many as there
 * may be, for others come all the time. */
int wf_server_accept_backlog(struct wf_server *server, int listener)
{
    int rc = 0;
    for (size_t i = 0; i < server->options.connections_max && rc == 0; i++) {
        rc = at_once(server, listener, accept_one);
        rc = is_clients_fault(rc) ? 0 : rc;
    }
    return rc == -ECANCELED ? -ECANCELED : 0;
}

void wf_server_accept_last(struct wf_server *server, int listener)
{
    int rc = 0;
    for (int i = 0; i < LAST_MOST && rc == 0 && wf_server_enter(server); i++) {
        int fd = wf_accept_now(listener);
        if (fd < 0) {
            wf_server_leave(server);
        }
        rc = fd < 0 ? fd : wf_server_begin(server, fd);
        rc = is_clients_fault(rc) ? 0 : rc;
    }
}

// SPDX-License-Identifier: MIT
/* server.c - the life of a server: it accepts until it is stopped, then lets all come to their end.
 *
 * The connections are children of an independent group that is open as long as the server runs; the tasks
 * that accept are children of a group inside it, which closing ends. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <weft/io.h>

#include "base/sized.h"
#include "fiber/stack.h"
#include "net/server.h"
#include "sched/sched.h"

#define CONNECTIONS_MAX 10000
#define GRACE_NS (10 * WEFT_S)
#define SHED_AFTER_NS WEFT_S

_Static_assert(sizeof(struct wf_server) <= sizeof(weft_server), "weft_server is too small");

static bool are_good(const weft_server_options *options)
{
    return options != NULL && wf_size_is_known(options->size, sizeof *options) &&
           options->serve != NULL && options->grace_ns >= 0 && options->shed_after_ns >= 0 &&
           options->stack_bytes <= WF_STACK_MAX;
}

int weft_server_init_at(const char *site, weft_server *out, const int *listeners, size_t count,
                        const weft_server_options *options)
{
    bool is_good = site != NULL && out != NULL && listeners != NULL && count > 0 &&
                   count <= WEFT_SERVER_LISTENERS_MAX && are_good(options);
    for (size_t i = 0; is_good && i < count; i++) {
        is_good = listeners[i] >= 0;
    }
    if (!is_good) {
        return -EINVAL;
    }
    struct wf_server *server = wf_server_inside(out);
    memset(out, 0, sizeof *out);
    server->site = site;
    server->options = *options;
    server->options.connections_max =
        options->connections_max != 0 ? options->connections_max : CONNECTIONS_MAX;
    server->options.grace_ns = options->grace_ns != 0 ? options->grace_ns : GRACE_NS;
    server->options.shed_after_ns =
        options->shed_after_ns != 0 ? options->shed_after_ns : SHED_AFTER_NS;
    server->options.name = options->name != NULL ? options->name : "connection";
    server->reserve = -1;
    server->listener_count = count;
    memcpy(server->listeners, listeners, count * sizeof *listeners);
    for (size_t i = 0; i < WF_SERVER_SHARDS; i++) {
        wf_list_init(&server->idle[i].waits);
    }
    return 0;
}

/* ---- accepting ---- */

struct door {
    struct wf_server *server;
    int listener;
};

static intptr_t accept_all(void *arg)
{
    const struct door *door = arg;
    int rc = wf_server_accept(door->server, door->listener);
    if (rc ==
        -ECANCELED) { /* by somebody outside, perhaps: a server that accepts nobody is to end */
        weft_event_set(&door->server->stop);
    }
    return rc;
}

static void tell(const struct wf_server *server, const char *state)
{
    if (server->options.notify) {
        (void)weft_notify(state);
    }
}

/* Returns 0 when it is to stop, or a negative errno. */
static intptr_t accept_until_stopped(struct wf_server *server)
{
    static const weft_spawn_options options = {.name = "accept"};
    struct door doors[WEFT_SERVER_LISTENERS_MAX];
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < server->listener_count && rc == 0; i++) {
        doors[i] = (struct door){server, server->listeners[i]};
        rc = weft_group_spawn(&group, NULL, accept_all, &doors[i], &options);
    }
    if (rc == 0) {
        tell(server, "READY=1");
        rc = weft_event_wait(&server->stop);
    }
    if (rc == 0) {
        weft_group_cancel(&group);
    }
    return weft_group_close(&group, rc);
}

/* ---- the end ---- */

static void close_listener(struct wf_server *server, size_t i)
{
    if (server->listeners[i] >= 0) {
        weft_close(server->listeners[i]);
        server->listeners[i] = -1;
    }
}

static void close_listeners(struct wf_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        close_listener(server, i);
    }
}

/* The tasks that accept have ended: nobody else is at the reserve. */
static void close_reserve(struct wf_server *server)
{
    if (server->reserve >= 0) {
        close(server->reserve);
        server->reserve = -1;
    }
}

/* Returns 0, -ETIMEDOUT when the grace is over, or another negative errno. */
static int drain(struct wf_server *server)
{
    int rc = 0;
    close_reserve(server); /* telling takes a descriptor, and there may be no other */
    tell(server, "STOPPING=1");
    for (size_t i = 0; i < server->listener_count && rc == 0; i++) {
        rc = wf_server_accept_backlog(server, server->listeners[i]);
        if (rc == 0) {
            wf_server_accept_last(server, server->listeners[i]);
            close_listener(server, i);
        }
    }
    close_listeners(server);
    wf_store_sc(&server->is_stopping, 1);
    wf_server_rouse_idle(server);
    return rc == 0 ? weft_group_drain(&server->connections, server->options.grace_ns) : rc;
}

static intptr_t run(struct wf_server *server)
{
    intptr_t rc = weft_group_open(&server->connections, WEFT_GROUP_INDEPENDENT);
    if (rc < 0) {
        return rc;
    }
    rc = accept_until_stopped(server);
    int drained = rc == -ECANCELED ? -ECANCELED : drain(server);
    if (drained == -ETIMEDOUT) { /* no error of the body: the group closes in order */
        weft_group_cancel(&server->connections);
        drained = 0;
        rc = rc == 0 ? -ETIMEDOUT : rc;
    }
    intptr_t closed = weft_group_close(&server->connections, drained);
    return closed < 0 ? closed : rc;
}

/* False for NULL and for zeroed memory. */
static bool was_made(const weft_server *server)
{
    return server != NULL && wf_server_inside(server)->site != NULL;
}

intptr_t weft_server_run(weft_server *out)
{
    int error = 0;
    if (!was_made(out) || wf_fiber_worker(&error) == NULL) {
        return was_made(out) ? error
                             : -EINVAL; /* the listeners stay open: a fiber may still call */
    }
    struct wf_server *server = wf_server_inside(out);
    int has_run = 0;
    if (!wf_cas_acqrel(&server->has_run, &has_run, 1)) {
        return -EBUSY;
    }
    wf_server_open_reserve(server);
    intptr_t rc = run(server);
    close_listeners(server);
    close_reserve(server);
    return rc;
}

/* ---- what others call ---- */

int weft_server_stop(weft_server *server)
{
    return was_made(server) ? weft_event_set(&wf_server_inside(server)->stop) : -EINVAL;
}

bool weft_server_is_stopping(const weft_server *server)
{
    return server != NULL && wf_load_sc(&wf_server_inside(server)->is_stopping) != 0;
}

int weft_server_count(const weft_server *out, weft_server_counts *counts)
{
    if (!was_made(out) || counts == NULL || counts->size > sizeof *counts) {
        return -EINVAL;
    }
    struct wf_server *server = wf_server_inside(out);
    size_t size = counts->size != 0 ? counts->size : sizeof *counts;
    weft_server_counts now = {.size = size};
    now.accepted = wf_load_rlx(&server->accepted);
    now.shed = wf_load_rlx(&server->shed);
    wf_lock(&server->lock);
    now.active = server->active;
    wf_unlock(&server->lock);
    memcpy(counts, &now, size);
    return 0;
}

// SPDX-License-Identifier: MIT
/* server.h - what the files of the server helper share: server.c, server_accept.c, server_connection.c. */
#ifndef WF_NET_SERVER_H
#define WF_NET_SERVER_H

#include <weft/event.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/server.h>
#include <weft/timeout.h>

#include "base/list.h"
#include "base/lock.h"

enum { WF_SERVER_SHARDS = 8 };

/* Connections that wait for their clients. Sharded: each wait takes the lock twice. */
struct wf_server_idle {
    struct wf_lock lock;
    struct wf_list waits; /* of struct wf_idle_wait; under the lock */
};

/* In the frame of weft_connection_wait. Its limit is over at once when the server stops. */
struct wf_idle_wait {
    struct wf_list link; /* under the shard's lock */
    weft_timeout limit;
    /* Set before it is linked: a client that has just come is waited for until then all the same, but not beyond
     * `limit_ns`, the limit's own end; 0: no such client. */
    int64_t patient_until_ns;
    int64_t limit_ns;
};

struct wf_server {
    /* set by weft_server_init */
    const char *site;
    weft_server_options options;
    int listeners[WEFT_SERVER_LISTENERS_MAX]; /* -1 once closed, by the task that runs it */
    size_t listener_count;

    /* the task that runs it */
    weft_group connections;
    weft_event stop;
    int reserve; /* a descriptor to be given up when there are no others; under `lock`, -1: in use */

    /* any thread adds (relaxed), any reads: statistics */
    wf_au64 accepted;
    wf_au64 shed;

    /* the one who runs it stores (sequentially consistent), connections load: pairs with the shards' locks,
     * see weft_connection_wait */
    wf_aint is_stopping;
    /* weft_server_run sets it, once (CAS). */
    wf_aint has_run;

    struct wf_lock lock;
    uint64_t active; /* under `lock` */
    weft_future
        *ended; /* under `lock`: set when a connection ends; NULL while nobody waits for that */

    struct wf_server_idle idle[WF_SERVER_SHARDS];
};

struct weft_connection {
    struct wf_server *server;
    int fd; /* its task's, but for a task that never runs */
    /* Of a client that has not sent anything yet: until when it may still do so although the server stops; 0: it has.
     * Its task's. */
    int64_t patient_until_ns;
};

static inline struct wf_server *wf_server_inside(const weft_server *server)
{
    return (struct wf_server *)(uintptr_t)server;
}

static inline bool wf_server_is_full(struct wf_server *server)
{
    wf_lock(&server->lock);
    bool is_full = server->active >= server->options.connections_max;
    wf_unlock(&server->lock);
    return is_full;
}

/* ---- server_connection.c ---- */

/* Counts one connection more, if there is room for it; and takes back that one was counted. */
bool wf_server_enter(struct wf_server *server);
void wf_server_leave(struct wf_server *server);

/* Spawns the task of a connection that has been counted. It owns `fd` from here on, whatever this returns. */
int wf_server_begin(struct wf_server *server, int fd);

/* Wakes the connections that wait for their clients. */
void wf_server_rouse_idle(struct wf_server *server);

/* ---- server_accept.c ---- */

/* Accepts on one listener until it is cancelled or fails. Await point. */
int wf_server_accept(struct wf_server *server, int listener);

/* Accepts those who are in the listener's queue. Returns 0 or -ECANCELED. Await point. */
int wf_server_accept_backlog(struct wf_server *server, int listener);

/* The same for those who have come meanwhile, without a switch: right before the listener is closed, which resets
 * whoever is in its queue. */
void wf_server_accept_last(struct wf_server *server, int listener);

/* Takes a descriptor that is only there to be given up. */
void wf_server_open_reserve(struct wf_server *server);

/* Waits until a connection has ended, but not for more than `delay_ns` (-ETIMEDOUT), if there are at least
 * `least` of them; else it does not wait. Returns 0 or a negative errno. Await point. */
int wf_server_wait_for_end(struct wf_server *server, uint64_t least, int64_t delay_ns);

#endif

// SPDX-License-Identifier: MIT
/* server.h - accepting connections, a task for each, and an end that loses nothing.
 *
 *     static intptr_t serve(weft_connection *connection, int fd, void *arg)
 *     {
 *         int rc;
 *         while ((rc = weft_connection_wait(connection, fd, 60 * WEFT_S)) > 0) { read, answer }
 *         weft_close(fd);
 *         return 0;
 *     }
 *
 *     weft_server server;
 *     int rc = weft_server_init(&server, &listener, 1, &(weft_server_options){.serve = serve});
 *     intptr_t end = weft_server_run(&server);       until somebody calls weft_server_stop
 *
 * Overload. At connections_max nobody is accepted until a connection has ended: clients wait in the
 * listener's queue. When descriptors run out it is the same, but only for shed_after_ns: then those who wait
 * are accepted and closed at once, so that they know.
 *
 * The end. weft_server_stop makes weft_server_run take those who are in the listeners' queues by then, as far as
 * there is room for them, close the listeners, wake the connections that wait in weft_connection_wait, and wait
 * until all have ended; after grace_ns the rest is cancelled. Who was accepted less than a fifth of a second ago and
 * has not sent anything yet has that long for it, or half the grace: the first request may be on its way.
 */
#ifndef WEFT_SERVER_H
#define WEFT_SERVER_H

#include <weft/base.h>

WEFT_BEGIN

/* Must not move or go away until weft_server_run has returned. */
typedef struct weft_server {
    uint64_t reserved[160];
} weft_server;

/* One connection, while its task runs. Opaque. */
typedef struct weft_connection weft_connection;

/* What a connection's task runs. It owns `fd`, and closes it before it ends. A negative result is counted,
 * and told to the diagnostics hook as a child's of an independent group. */
typedef intptr_t weft_serve_fn(weft_connection *connection, int fd, void *arg);

/* Zero means the default throughout. */
typedef struct weft_server_options {
    size_t size; /* sizeof(weft_server_options), or 0 for the fields listed here */
    weft_serve_fn *serve;
    void *arg;
    size_t connections_max; /* at once; 0 = 10,000 */
    int64_t
        grace_ns; /* for connections, once stopped; 0 = 10 s, WEFT_FOREVER = as long as they like */
    int64_t shed_after_ns; /* 0 = 1 s, WEFT_FOREVER = never */
    const char *name;      /* of the connections' tasks, borrowed; NULL = "connection" */
    size_t stack_bytes;    /* of the connections' tasks, as in weft_spawn_options */
    bool notify;           /* tells a service manager READY=1 and STOPPING=1 (weft_notify) */
} weft_server_options;

enum { WEFT_SERVER_LISTENERS_MAX = 16 };

/* Prepares a server: weft_server_init(&server, listeners, count, &options). Reports name the place of this call as
 * that at which the connections' tasks were spawned.
 *
 * listeners  `count` listening sockets. The server owns them if this returns 0, and closes them when it stops: one
 *            that is not to run after all is stopped, and then run. They should be non-blocking
 *            (weft_listen_tcp and its like are). Nobody is accepted yet
 * returns    0 or -EINVAL
 * context    any thread; never switches */
#define weft_server_init(...) weft_server_init_at(WEFT_SITE, __VA_ARGS__)
WEFT_API WEFT_NODISCARD int weft_server_init_at(const char *site, weft_server *server,
                                                const int *listeners, size_t count,
                                                const weft_server_options *options);

/* Serves until it is stopped and all connections have ended. Once for each weft_server_init.
 *
 * returns  0: stopped, and all ended within the grace; -ETIMEDOUT: some had to be cancelled, and have ended;
 *          -ECANCELED: the caller was, and so were the connections; what a listener failed of, after
 *          the connections have ended as if stopped; -EPERM, nothing done; -EBUSY (called before); -EINVAL; -ENOMEM
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD intptr_t weft_server_run(weft_server *server);

/* Begins the end, once. Any thread, not a signal handler, also before weft_server_run; never switches.
 * Returns 0 or -EINVAL. */
WEFT_API int weft_server_stop(weft_server *server);

/* True from the moment on at which the connections are to come to their end. Any thread. */
WEFT_API bool weft_server_is_stopping(const weft_server *server);

typedef struct weft_server_counts {
    size_t size;       /* set by the caller, as in weft_stats_t: 0 = all that is below */
    uint64_t accepted; /* connections whose task was spawned */
    uint64_t shed;     /* closed at once */
    uint64_t active;   /* now */
} weft_server_counts;

/* Advisory while it runs. Returns 0 or -EINVAL. Any thread. */
WEFT_API int weft_server_count(const weft_server *server, weft_server_counts *counts);

/* ---- in a connection's task ---- */

/* The server that accepted it. Never switches. */
WEFT_API weft_server *weft_connection_server(const weft_connection *connection);

/* Waits, idle, until `fd` has something to read, or its end; holds no buffer, so this is the way to wait
 * for a request. When the server stops it does not wait any longer, but for the first request of a client that
 * has just come (see above). It looks at the descriptor alone: what a stream or TLS has taken out of it already is
 * to be asked for first, by weft_within(0, weft_stream_wait(&stream)), say, which is 0 then.
 *
 * delay_ns how long to wait; 0 or less only looks, WEFT_FOREVER has no limit
 * returns  1: something to read; 0: nothing, and the server stops: the end; -ETIMEDOUT; -ECANCELED; -EBADF;
 *          what else weft_wait_fd returns
 * context  the connection's task; await point */
WEFT_API WEFT_NODISCARD int weft_connection_wait(weft_connection *connection, int fd,
                                                 int64_t delay_ns);

/* ---- service managers ---- */

/* Tells the service manager something, by the socket that NOTIFY_SOCKET names: "READY=1", "STOPPING=1",
 * "STATUS=...", as systemd's sd_notify(3), whose library is not needed. Never waits.
 * Returns 1 when it was sent, 0 without NOTIFY_SOCKET, or a negative errno. Any thread. */
WEFT_API int weft_notify(const char *state);

WEFT_END

#endif

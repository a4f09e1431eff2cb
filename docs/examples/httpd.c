// SPDX-License-Identifier: MIT
/* httpd.c - an HTTP server on weft: one fiber a connection, and a shutdown that loses nothing.
 *
 * The main task waits for a signal while a child accepts clients. The connections are children of an
 * independent group: each lives and fails for itself, and closing the group waits for all of them.
 * At the first SIGINT or SIGTERM nobody is accepted any more, idle connections are hung up, and
 * requests in flight may finish within the grace; then the rest is cancelled. A second signal ends
 * the program at once. */
#include "httpd.h"

#include "command_line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#define ACCEPT_PAUSE_NS (50 * WEFT_MS)

/* ---- listening ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t make_address(const struct options *options, union address *address)
{
    *address = (union address){0};
    in_port_t port = htons((uint16_t)options->port);
    if (inet_pton(AF_INET, options->host, &address->in.sin_addr) == 1) {
        address->in.sin_family = AF_INET;
        address->in.sin_port = port;
        return sizeof address->in;
    }
    *address = (union address){0};
    if (inet_pton(AF_INET6, options->host, &address->in6.sin6_addr) == 1) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = port;
        return sizeof address->in6;
    }
    usage_error("--host: '%s' is not a numeric address", options->host);
}

/* Returns a listening socket or a negative errno. */
static int open_listener(const struct options *options)
{
    union address address;
    socklen_t length = make_address(options, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (bind(fd, &address.any, length) < 0 || listen(fd, SOMAXCONN) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static void announce(int listener)
{
    union address address;
    socklen_t length = sizeof address;
    getsockname(listener, &address.any, &length);
    char host[INET6_ADDRSTRLEN] = "?";
    if (address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address.in.sin_addr, host, sizeof host);
        printf("listening on %s:%u\n", host, ntohs(address.in.sin_port));
    } else {
        inet_ntop(AF_INET6, &address.in6.sin6_addr, host, sizeof host);
        printf("listening on [%s]:%u\n", host, ntohs(address.in6.sin6_port));
    }
    fflush(stdout);
}

/* ---- accepting ---- */

/* Starts the task of a connection, which owns the descriptor from here on. */
static int start_connection(struct server *server, int fd)
{
    static const weft_spawn_options options = {.name = "connection", .drop_arg = connection_drop};
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        weft_close(fd);
        return -ENOMEM;
    }
    connection->server = server;
    connection->fd = fd;
    connection->shard = (unsigned)fd;
    registry_add(&server->registry, connection);
    int rc = weft_group_spawn(&server->connections, NULL, connection_run, connection, &options);
    if (rc < 0) {
        connection_drop(connection); /* a refused spawn leaves it to us */
    }
    return rc;
}

/* Errors that pass: descriptors or memory have run out. The client stays in the queue, which keeps
 * the listener readable: trying again at once would spin. */
static bool is_exhaustion(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

/* Errors of the client that was to be accepted: the next one may do better. */
static bool is_clients_fault(int rc)
{
    return rc == -ECONNABORTED || rc == -EPROTO || rc == -EINTR || rc == -ENETDOWN ||
           rc == -EHOSTUNREACH || rc == -ENETUNREACH;
}

/* Returns 0 or a negative errno. */
static int accept_client(struct server *server)
{
    int rc = registry_wait_for_room(&server->registry, server->options.connections_max);
    if (rc == 0) {
        rc = weft_accept(server->listener, NULL, NULL);
    }
    return rc < 0 ? rc : start_connection(server, rc);
}

static intptr_t accept_clients(void *arg)
{
    struct server *server = arg;
    for (;;) {
        int rc = accept_client(server);
        if (is_exhaustion(rc)) {
            rc = weft_sleep(ACCEPT_PAUSE_NS);
        }
        if (rc < 0 && !is_clients_fault(rc)) {
            return rc;
        }
    }
}

/* Clients that the kernel has accepted for us may have sent their requests already. A limit of 0
 * ends the first call that would have to wait. */
static void accept_backlog(struct server *server)
{
    intptr_t rc;
    do {
        rc = weft_within(0, accept_client(server));
    } while (rc == 0 || is_clients_fault((int)rc));
}

/* ---- the main task ---- */

static sigset_t stop_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

/* Accepts until a signal comes. Closing the group ends the child, and hands on what it failed of. */
static intptr_t accept_until_signal(struct server *server)
{
    sigset_t signals = stop_signals();
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, NULL, accept_clients, server, NULL);
    if (rc == 0) {
        /* The first wait catches the signals, even one that is over at once. From then on none is
         * lost, and whoever reads the line may send one. */
        rc = weft_within(0, weft_signal_wait(&signals));
        announce(server->listener);
    }
    if (rc == -ETIMEDOUT) {
        rc = weft_signal_wait(&signals);
    }
    if (rc > 0) {
        weft_group_cancel(&group);
        rc = 0;
    }
    return weft_group_close(&group, rc);
}

static intptr_t exit_at_second_signal(void *arg)
{
    (void)arg;
    sigset_t signals = stop_signals();
    int rc = weft_signal_wait(&signals);
    if (rc > 0) {
        _exit(128 + rc);
    }
    return rc;
}

/* Lets requests in flight finish within the grace, cancels the rest. */
static int drain(struct server *server)
{
    weft_group guard;
    int rc = weft_group_open(&guard, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&guard, NULL, exit_at_second_signal, NULL, NULL);
    if (rc == 0) {
        accept_backlog(server);
        weft_close(server->listener);
        atomic_store(&server->is_draining, true);
        registry_hang_up_idle(&server->registry);
        rc = weft_group_drain(&server->connections, server->options.grace_ns);
    }
    weft_group_cancel(&guard);
    return (int)weft_group_close(&guard, rc);
}

static void print_summary(const struct counts *counts)
{
    printf("requests=%llu", (unsigned long long)counts->requests);
    for (int i = 0; i < STATUS_COUNT; i++) {
        if (counts->by_status[i] > 0) {
            printf(" %.3s=%llu", status_text((enum status)i),
                   (unsigned long long)counts->by_status[i]);
        }
    }
    printf(" disconnects=%llu cancelled=%llu connections=%llu\n",
           (unsigned long long)counts->disconnects, (unsigned long long)counts->cancelled,
           (unsigned long long)counts->connections);
}

static void print_stats(void)
{
    weft_stats_t stats = {.size = sizeof stats};
    if (weft_stats(NULL, &stats) == 0) {
        printf(
            "workers=%llu tasks=%llu steals=%llu parks=%llu cancels=%llu timers=%llu polls=%llu\n",
            (unsigned long long)stats.workers, (unsigned long long)stats.tasks_spawned,
            (unsigned long long)stats.steals, (unsigned long long)stats.parks,
            (unsigned long long)stats.cancels_delivered, (unsigned long long)stats.timers_armed,
            (unsigned long long)stats.polls);
    }
}

static intptr_t serve(void *arg)
{
    struct server *server = arg;
    intptr_t rc = weft_group_open(&server->connections, WEFT_GROUP_INDEPENDENT);
    if (rc < 0) {
        return rc;
    }
    rc = accept_until_signal(server);
    if (rc == 0) {
        rc = drain(server);
    }
    if (rc == -ETIMEDOUT) { /* the grace is over: an expected end */
        weft_group_cancel(&server->connections);
        rc = 0;
    }
    rc = weft_group_close(&server->connections, rc);
    if (!server->options.is_quiet) {
        print_summary(&server->registry.counts);
    }
    if (server->options.has_stats) {
        print_stats();
    }
    return rc;
}

/* Each connection is a descriptor, and the usual limit is a thousand. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    options_parse(&server.options, argc, argv);
    raise_descriptor_limit();
    server.listener = open_listener(&server.options);
    if (server.listener < 0) {
        fprintf(stderr, "httpd: can't listen on %s port %ld: %s\n", server.options.host,
                server.options.port, strerror(-server.listener));
        return EXIT_FAILURE;
    }
    registry_init(&server.registry);
    pool_init(&server.pool);
    weft_options options = {.workers = server.options.workers};
    intptr_t rc = weft_run(serve, &server, &options);
    pool_free(&server.pool);
    if (rc < 0) {
        fprintf(stderr, "httpd: %s\n", strerror((int)-rc));
    }
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* httpd.c - an HTTP server on weft: one fiber a connection, and a shutdown that loses nothing.
 *
 * The server helper accepts clients and runs a task for each; the main task waits for a signal. At the
 * first SIGINT or SIGTERM nobody is accepted any more, idle connections are hung up, and requests in
 * flight may finish within the grace; then the rest is cancelled. A second signal ends the program at
 * once. */
#include "httpd.h"

#include "command_line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- listening ---- */

/* Returns a listening socket or a negative errno. */
static int open_listener(const struct options *options)
{
    const weft_listen_options how = {.reuse_port = options->shares_port};
    int fd = weft_listen_tcp(options->host, (uint16_t)options->port, &how);
    int on = 1;
    if (fd == -EINVAL) {
        usage_error("--host: '%s' is not a numeric address", options->host);
    }
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    }
    return fd;
}

static void announce(int listener)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address;
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

/* ---- serving, until a signal comes ---- */

static sigset_t stop_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

static intptr_t run_helper(void *arg)
{
    struct server *server = arg;
    return weft_server_run(&server->helper);
}

/* The first wait catches the signals, even one that is over at once. From then on none is lost, and
 * whoever reads the line may send one. */
static intptr_t wait_for_signal(const struct server *server)
{
    sigset_t signals = stop_signals();
    intptr_t rc = weft_within(0, weft_signal_wait(&signals));
    announce(server->listener);
    return rc == -ETIMEDOUT ? weft_signal_wait(&signals) : rc;
}

static intptr_t stop_at_signal(void *arg)
{
    struct server *server = arg;
    sigset_t signals = stop_signals();
    intptr_t rc = wait_for_signal(server);
    weft_server_stop(&server->helper);
    rc = rc > 0 ? weft_signal_wait(&signals) : rc;
    if (rc > 0) {
        _exit(128 + (int)rc);
    }
    return rc;
}

/* Returns 0 when the server has been stopped and all clients are gone, or a negative errno. */
static intptr_t serve_until_signal(struct server *server)
{
    weft_group group;
    weft_task *helper;
    intptr_t result = 0;
    int rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, &helper, run_helper, server, NULL);
    if (rc == 0) {
        rc = weft_group_spawn(&group, NULL, stop_at_signal, server, NULL);
        int ended = rc == 0 ? weft_await(helper, &result) : 0;
        rc = ended < 0 ? ended : rc;
        weft_group_cancel(&group); /* nobody waits for a second signal any more */
    }
    intptr_t closed = weft_group_close(&group, rc);
    return closed < 0 && closed != -ETIMEDOUT ? closed : result == -ETIMEDOUT ? 0 : result;
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
    const weft_server_options options = {
        .serve = connection_run,
        .arg = server,
        .connections_max = server->options.connections_max,
        .grace_ns = server->options.grace_ns > 0 ? server->options.grace_ns : 1,
        .notify = true,
    };
    intptr_t rc = weft_server_init(&server->helper, &server->listener, 1, &options);
    rc = rc == 0 ? serve_until_signal(server) : rc;
    if (!server->options.is_quiet) {
        print_summary(&server->totals.counts);
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
    static struct server server = {.totals = {.lock = PTHREAD_MUTEX_INITIALIZER}};
    options_parse(&server.options, argc, argv);
    raise_descriptor_limit();
    server.tls =
        secure_load(&server.options); /* first: who can't serve must not take connections */
    server.listener = open_listener(&server.options);
    if (server.listener < 0) {
        fprintf(stderr, "httpd: can't listen on %s port %ld: %s\n", server.options.host,
                server.options.port, strerror(-server.listener));
        secure_unload(server.tls);
        return EXIT_FAILURE;
    }
    pool_init(&server.pool);
    weft_options options = {.workers = server.options.workers, .io = server.options.io};
    intptr_t rc = weft_run(serve, &server, &options);
    pool_free(&server.pool);
    secure_unload(server.tls);
    if (rc < 0) {
        fprintf(stderr, "httpd: %s\n", strerror((int)-rc));
    }
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/* test_faults_net.c - system calls fail one by one under names, servers and listeners. What for is in faults.h. */
#include "faults.h"
#include "support.h"
#include "weft_test.h"

/* ---- names ---- */

/* Where the hosts file can't be read somebody else is asked, here where nobody answers. */
#define NAME_ERRORS \
    WAIT_ERRORS, ENOENT, ENODATA, ETIMEDOUT, ECONNREFUSED, EREMOTEIO, EMFILE, EBADMSG

static void look_up(const char *host, const weft_resolve_options *options)
{
    weft_addresses *found = NULL;
    int rc = weft_resolve(host, 80, options, &found);

    if (WT_MAY(rc, NAME_ERRORS)) {
        wt_check(found->count >= 1);
        weft_addresses_free(found);
    }
}

static intptr_t look_up_some(void *arg)
{
    const weft_resolve_options pool = {.resolver = WEFT_RESOLVE_POOL};
#ifdef WEFT_HAVE_CARES
    const weft_resolve_options cares = {
        .servers = "127.0.0.1:1", .search = "", .timeout_ns = 20 * WEFT_MS, .tries = 1};
    look_up("localhost", &cares);
#endif
    (void)arg;
    look_up("127.0.0.1", &pool);
    return 0;
}

FAULT_TEST(faults_net, names, look_up_some, 250)

/* ---- listeners ---- */

static intptr_t open_listeners(void *arg)
{
    char name[64]; /* of this process alone: others run the same test */
    snprintf(name, sizeof name, "@weft faults %d", (int)getpid());
    const int fds[] = {
        weft_listen_tcp(NULL, 0, NULL),
        weft_bind_udp("127.0.0.1", 0, NULL),
        weft_listen_unix(name, NULL),
    };

    (void)arg;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (WT_MAY(fds[i])) {
            WT_MAY(weft_close(fds[i]));
        }
    }
    return 0;
}

static void listeners(void)
{
    const weft_options options = {.workers = 1, .diagnostic = ignore};
    WT_MAY(weft_run(open_listeners, NULL, &options), START_ERRORS);
}

Test(faults_net, listeners, .timeout = 300 * WT_TIME_SCALE)
{
    wt_sweep_faults("listeners", listeners, 150);
}

/* ---- a server ---- */

static intptr_t answer(weft_connection *connection, int fd, void *arg)
{
    char byte;
    int rc = weft_connection_wait(connection, fd, WEFT_S);

    (void)arg;
    rc = rc == 1 ? (int)weft_recv(fd, &byte, 1, 0) : rc;
    rc = rc == 1 ? (int)weft_send(fd, &byte, 1, 0) : rc;
    (void)weft_close(fd);
    return rc < 0 ? rc : 0;
}

static intptr_t run_server(void *arg)
{
    return weft_server_run(arg);
}

static int ask(int port)
{
    char byte = 'x';
    int fd = weft_connect_host("127.0.0.1", (uint16_t)port, NULL);
    int rc = fd;

    if (fd >= 0) {
        rc = (int)weft_send(fd, &byte, 1, 0);
        rc = rc == 1 ? (int)weft_recv(fd, &byte, 1, 0) : rc; /* 0: it has given up */
        (void)weft_close(fd);
    }
    return rc;
}

static intptr_t be_served(void *arg)
{
    const weft_server_options options = {.serve = answer, .grace_ns = 100 * WEFT_MS};
    static weft_server server;
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    int port = listener >= 0 ? weft_local_port(listener) : -1;
    weft_task *task;
    intptr_t result = 0;

    (void)arg;
    if (!WT_MAY(listener) || !WT_MAY(port)) {
        (void)(listener >= 0 ? weft_close(listener) : 0);
        return 0;
    }
    wt_check(weft_server_init(&server, &listener, 1, &options) == 0);
    if (WT_MAY(weft_spawn(&task, run_server, &server))) {
        for (int i = 0; i < 3; i++) {
            WT_MAY(ask(port), PEER_ERRORS);
        }
        wt_check(weft_server_stop(&server) == 0);
        wt_check(weft_await(task, &result) == 0);
        WT_MAY(result, PEER_ERRORS, ETIMEDOUT);
    }
    return 0;
}

FAULT_TEST(faults_net, serving, be_served, 250)

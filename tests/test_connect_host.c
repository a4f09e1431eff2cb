// SPDX-License-Identifier: MIT
/* test_connect_host.c - connecting to a host by name or address: simulated, and over loopback with real sockets. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include <weft/testing.h>

#include "dns_server.h"
#include "connect_host_test.h"
#include "net_test.h"

/* ---- simulated sockets ---- */

static intptr_t accepts_one(void *arg)
{
    int fd = weft_accept(*(const int *)arg, NULL, NULL);
    return fd < 0 ? fd : weft_close(fd);
}

static intptr_t simulated(void *arg)
{
    weft_address unreachable = v6(7);
    (void)arg;
    int listener = weft_sim_listen(80);
    weft_task *task = spawn_parked(accepts_one, &listener);
    int fd = weft_connect_host("localhost", 80, NULL);
    wt_check(fd >= 0 && weft_close(fd) == 0);
    wt_check(finish(task) == 0);
    wt_check(weft_connect_host("localhost", 81, NULL) == -ECONNREFUSED);
    wt_check(weft_connect_any(&unreachable, 1, NULL) == -EAFNOSUPPORT);
    wt_check(weft_close(listener) == 0);
    return 0;
}

Test(connect_host, simulated)
{
    RUN(simulated, NULL, &plain_sim);
}

/* ---- loopback ---- */

/* A port of 127.0.0.1 that nobody listens to. */
static uint16_t closed_port(void)
{
    int fd = weft_listen_tcp("127.0.0.1", 0, NULL);
    int port = weft_local_port(fd);
    wt_check(weft_close(fd) == 0);
    return (uint16_t)port;
}

static intptr_t over_loopback(void *arg)
{
    static const weft_connect_options no_delay = {.no_delay = true};
    weft_address addresses[2];
    int value = 0;
    socklen_t size = sizeof value;
    (void)arg;
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    uint16_t port = (uint16_t)weft_local_port(listener);
    wt_check(wf_address_parse("127.0.0.1", closed_port(), &addresses[0]) == 0);
    wt_check(wf_address_parse("127.0.0.1", port, &addresses[1]) == 0);
    wt_check(weft_connect_any(addresses, 1, NULL) == -ECONNREFUSED);
    int fd = weft_connect_any(addresses, 2, &no_delay);
    wt_check(fd >= 0);
    wt_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    wt_check(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0 && value != 0);
    int peer = weft_accept(listener, NULL, NULL);
    wt_check(weft_write(fd, "x", 1) == 1);
    wt_check(weft_close(fd) == 0 && weft_close(peer) == 0);
    fd = weft_connect_host("127.0.0.1", port, NULL);
    wt_check(fd >= 0 && weft_close(fd) == 0);
    wt_check(weft_close(listener) == 0);
    return 0;
}

Test(connect_host, over_loopback)
{
    RUN(over_loopback, NULL, &one_worker);
}

/* A name with an address of each family, of which only that of IPv4 is listened to. */
static intptr_t by_name(void *arg)
{
    struct dns_server server = {0};
    (void)arg;
    dns_start(&server);
    weft_resolve_options resolve = {.servers = server.address, .search = "", .tries = 2};
    weft_connect_options options = {.resolve = &resolve};
    int before = count_sockets();
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    uint16_t port = (uint16_t)weft_local_port(listener);
    int fd = weft_connect_host("home.test", port, &options);
    wt_check(fd >= 0 && weft_close(fd) == 0);
    wt_check(weft_connect_host("home.test", closed_port(), &options) == -ECONNREFUSED);
    wt_check(weft_connect_host("none.test", port, &options) == -ENOENT);
    wt_check(weft_close(listener) == 0);
    wt_check(count_sockets() == before);
    dns_stop(&server);
    return 0;
}

/* Whose server never says whether there are addresses of IPv6: nobody waits for its time-out. */
static intptr_t by_half_a_name(void *arg)
{
    struct dns_server server = {0};
    (void)arg;
    dns_start(&server);
    weft_resolve_options resolve = {.servers = server.address, .search = ""};
    weft_connect_options options = {.resolve = &resolve};
    int before = count_sockets();
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    int64_t start_ns = weft_now();
    int fd = weft_connect_host("half.test", (uint16_t)weft_local_port(listener), &options);
    int64_t took_ns = weft_now() - start_ns;
    wt_check(fd >= 0 && weft_close(fd) == 0);
    wt_check(took_ns >= 50 * WEFT_MS && took_ns < 5 * WEFT_S);
    wt_check(weft_close(listener) == 0);
    wt_check(count_sockets() == before);
    dns_stop(&server);
    return 0;
}

Test(connect_host, by_half_a_name, .timeout = 30)
{
    NEED_CARES();
    RUN(by_half_a_name, NULL, &one_worker);
}

/* Names that are asked for as one: the hosts file has it, or a domain makes it complete, at once or after all. */
static intptr_t by_joint_names(void *arg)
{
    struct dns_server server = {0};
    (void)arg;
    dns_start(&server);
    weft_resolve_options resolve = {.servers = server.address, .search = "test", .tries = 2};
    weft_connect_options options = {.resolve = &resolve};
    static const char *const names[] = {"localhost", "home", "none.no"};
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    for (int i = 0; i < 3; i++) {
        int before = atomic_load(&server.queries);
        int fd = weft_connect_host(names[i], (uint16_t)weft_local_port(listener), &options);
        int queries = atomic_load(&server.queries) - before;
        wt_check(i == 0 ? queries == 0 : i == 1 ? queries == 2 : queries > 2);
        wt_check(i < 2 ? fd >= 0 && weft_close(fd) == 0 : fd == -ENOENT);
    }
    wt_check(strcmp(server.last, "none.no.test") == 0);
    wt_check(weft_close(listener) == 0);
    dns_stop(&server);
    return 0;
}

Test(connect_host, by_joint_names, .timeout = 30)
{
    NEED_CARES();
    RUN(by_joint_names, NULL, &one_worker);
}

Test(connect_host, by_name, .timeout = 30)
{
    NEED_CARES();
    RUN(by_name, NULL, &one_worker);
}

/* A listener whose backlog is full lets nobody through: the attempts hang, and are given up. */
static intptr_t connect_in_vain(void *arg)
{
    return weft_connect_any(arg, 1, NULL);
}

static intptr_t cancelled(void *arg)
{
    static const weft_listen_options narrow = {.backlog = 1};
    weft_address addresses[2];
    int fillers[4];
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    int listener = weft_listen_tcp("127.0.0.1", 0, &narrow);
    uint16_t port = (uint16_t)weft_local_port(listener);
    for (int i = 0; i < 2; i++) {
        wt_check(wf_address_parse("127.0.0.1", port, &addresses[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        fillers[i] = wf_socket_make(AF_INET, SOCK_STREAM);
        (void)connect(fillers[i], &addresses[0].as.any, addresses[0].length);
    }
    int before = count_sockets();
    weft_connect_options quick = {.stagger_ns = WEFT_MS, .attempt_ns = 20 * WEFT_MS};
    int rc = weft_connect_any(addresses, 2, &quick);
    wt_check(rc == -ETIMEDOUT);
    wt_check(weft_within(10 * WEFT_MS, weft_connect_any(addresses, 2, NULL)) == -ETIMEDOUT);
    wt_check(weft_spawn(&task, connect_in_vain, addresses) == 0);
    uint64_t parked = parks_now();
    until_parked(parked, 2);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);
    wt_check(count_sockets() == before);
    for (int i = 0; i < 4; i++) {
        wt_check(weft_close(fillers[i]) == 0);
    }
    wt_check(weft_close(listener) == 0);
    return 0;
}

Test(connect_host, cancelled, .timeout = 30)
{
    RUN(cancelled, NULL, &one_worker);
}

/* Wins and cancellations at the same time on several threads: no descriptor is left. */
static intptr_t connect_and_close(void *arg)
{
    weft_connect_options quick = {.stagger_ns = WEFT_US};
    int fd = weft_connect_any(arg, 4, &quick);
    return fd < 0 ? fd : weft_close(fd);
}

static intptr_t accepts_all(void *arg)
{
    for (;;) {
        int fd = weft_accept(*(const int *)arg, NULL, NULL);
        if (fd < 0) {
            return fd;
        }
        (void)weft_close(fd);
    }
}

static intptr_t races(void *arg)
{
    weft_address addresses[4];
    weft_task *acceptor;
    weft_task *tasks[8];
    int won = 0;
    (void)arg;
    int before = count_sockets();
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    for (int i = 0; i < 4; i++) {
        wt_check(
            wf_address_parse("127.0.0.1", (uint16_t)weft_local_port(listener), &addresses[i]) == 0);
    }
    wt_check(weft_spawn(&acceptor, accepts_all, &listener) == 0);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++) {
            wt_check(weft_spawn(&tasks[i], connect_and_close, addresses) == 0);
        }
        for (int i = 0; i < 8; i++) {
            if (i % 4 == round % 4) {
                wt_check(weft_yield() == 0);
            }
            if (i % 2 == 0) {
                (void)weft_cancel(tasks[i]);
            }
        }
        for (int i = 0; i < 8; i++) {
            intptr_t result = finish(tasks[i]);
            wt_check(result == 0 || result == -ECANCELED);
            won += result == 0 ? 1 : 0;
        }
    }
    wt_check(won >= 400);
    (void)weft_cancel(acceptor);
    wt_check(finish(acceptor) == -ECANCELED);
    wt_check(weft_close(listener) == 0);
    wt_check(count_sockets() == before);
    return 0;
}

Test(connect_host, races, .timeout = 60)
{
    static const weft_options four_workers = {.workers = 4};
    RUN(races, NULL, &four_workers);
}

/* ---- misuse ---- */

static intptr_t misuse(void *arg)
{
    weft_address address = v4(80);
    weft_address wrong = {0};
    weft_connect_options options[] = {
        {.size = 1}, {.size = sizeof *options + 8}, {.stagger_ns = -1}, {.attempt_ns = -1}};
    (void)arg;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        wt_check(weft_connect_any(&address, 1, &options[i]) == -EINVAL);
        wt_check(weft_connect_host("192.0.2.1", 80, &options[i]) == -EINVAL);
    }
    wt_check(weft_connect_any(NULL, 1, NULL) == -EINVAL);
    wt_check(weft_connect_any(&address, 0, NULL) == -EINVAL);
    wt_check(weft_connect_any(&wrong, 1, NULL) == -EINVAL);
    wt_check(weft_connect_host(NULL, 80, NULL) == -EINVAL);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_connect_any(&address, 1, NULL) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    return 0;
}

Test(connect_host, misuse)
{
    weft_address address = v4(80);
    cr_assert_eq(weft_connect_any(&address, 1, NULL), -EPERM);
    cr_assert_eq(weft_connect_host("192.0.2.1", 80, NULL), -EPERM);
    RUN(misuse, NULL, &plain_sim);
}

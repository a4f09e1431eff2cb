// SPDX-License-Identifier: MIT
/* test_listen.c - listening sockets: what they are bound to, their options, what refuses them. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft.h>
#include <weft/testing.h>

#include "net/socket.h"
#include "support.h"
#include "weft_test.h"

/* ---- tools ---- */

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : -errno;
}

/* Connects to a port of a numeric host: the descriptor or a negative errno. In a fiber. */
static int reach(const char *host, int port, int type)
{
    weft_address address;
    wt_check(wf_address_parse(host, (uint16_t)port, &address) == 0);
    int fd = wf_socket_make(address.as.any.sa_family, type);
    int rc = fd < 0 ? fd : weft_connect(fd, &address.as.any, address.length);
    if (rc < 0 && fd >= 0) {
        (void)weft_close(fd);
    }
    return rc < 0 ? rc : fd;
}

static bool has_v6(void)
{
    int fd = weft_listen_tcp("::1", 0, NULL);
    if (fd >= 0) {
        (void)weft_close(fd);
    }
    return fd >= 0;
}

/* A byte from one end to the other, over a connection that `listener` accepts. */
static void check_passes(int listener, int fd)
{
    char byte = 0;
    wt_check(fd >= 0);
    int peer = weft_accept(listener, NULL, NULL);
    wt_check(peer >= 0);
    wt_check(weft_write(fd, "x", 1) == 1);
    wt_check(weft_read(peer, &byte, 1) == 1 && byte == 'x');
    wt_check(weft_close(fd) == 0 && weft_close(peer) == 0);
}

/* ---- TCP ---- */

static intptr_t tcp(void *arg)
{
    (void)arg;
    int fd = weft_listen_tcp("127.0.0.1", 0, NULL);
    wt_check(fd >= 0);
    wt_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    wt_check((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    wt_check(option(fd, SOL_SOCKET, SO_REUSEADDR) == 1);
    wt_check(option(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    int port = weft_local_port(fd);
    wt_check(port > 0);
    check_passes(fd, reach("127.0.0.1", port, SOCK_STREAM));
    wt_check(weft_listen_tcp("127.0.0.1", (uint16_t)port, NULL) == -EADDRINUSE);
    wt_check(weft_close(fd) == 0);
    /* Connections of the old one linger in TIME_WAIT or not: the port is free. */
    fd = weft_listen_tcp("127.0.0.1", (uint16_t)port, NULL);
    wt_check(fd >= 0 && weft_local_port(fd) == port);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(listen, tcp)
{
    RUN(tcp, NULL, NULL);
}

static intptr_t shares_port(void *arg)
{
    static const weft_listen_options sharing = {.reuse_port = true, .backlog = 7};
    int fds[2];
    int met = 0;
    (void)arg;
    fds[0] = weft_listen_tcp("127.0.0.1", 0, &sharing);
    wt_check(fds[0] >= 0);
    int port = weft_local_port(fds[0]);
    fds[1] = weft_listen_tcp("127.0.0.1", (uint16_t)port, &sharing);
    wt_check(fds[1] >= 0);
    wt_check(option(fds[1], SOL_SOCKET, SO_REUSEPORT) == 1);
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    wt_check(getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    wt_check(info.tcpi_sacked == 7 || wt_is_emulated()); /* of a listener: its backlog */
    for (int i = 0; i < 40 && met != 3; i++) { /* the kernel picks by a hash: both, soon */
        int fd = reach("127.0.0.1", port, SOCK_STREAM);
        weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE),
                             weft_case_fd(fds[1], WEFT_READABLE)};
        int chosen = weft_select(cases, 2, 0);
        wt_check(chosen >= 0);
        met |= 1 << chosen;
        check_passes(fds[chosen == 1], fd);
    }
    wt_check(met == 3);
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(listen, two_share_a_port)
{
    RUN(shares_port, NULL, NULL);
}

static intptr_t dual_stack(void *arg)
{
    static const weft_listen_options only = {.v6_only = true};
    (void)arg;
    int fd = weft_listen_tcp(NULL, 0, NULL);
    wt_check(fd >= 0);
    int port = weft_local_port(fd);
    check_passes(fd, reach("127.0.0.1", port, SOCK_STREAM));
    if (has_v6()) {
        check_passes(fd, reach("::1", port, SOCK_STREAM));
        wt_check(weft_close(fd) == 0);
        fd = weft_listen_tcp(NULL, 0, &only);
        port = weft_local_port(fd);
        check_passes(fd, reach("::1", port, SOCK_STREAM));
        wt_check(reach("127.0.0.1", port, SOCK_STREAM) == -ECONNREFUSED);
        wt_check(weft_close(fd) == 0);
        fd = weft_listen_tcp("::", 0, NULL);
        check_passes(fd, reach("127.0.0.1", weft_local_port(fd), SOCK_STREAM));
    } else {
        fprintf(stderr, "no IPv6 here: its half is not tried\n");
    }
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(listen, dual_stack)
{
    RUN(dual_stack, NULL, NULL);
}

/* ---- datagrams ---- */

static intptr_t udp(void *arg)
{
    static const weft_listen_options reusing = {.reuse_address = 1};
    char byte = 0;
    (void)arg;
    int fd = weft_bind_udp("127.0.0.1", 0, NULL);
    wt_check(fd >= 0);
    wt_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    wt_check(option(fd, SOL_SOCKET, SO_REUSEADDR) == 0);
    wt_check(option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    int port = weft_local_port(fd);
    wt_check(weft_bind_udp("127.0.0.1", (uint16_t)port, NULL) == -EADDRINUSE);
    int peer = reach("127.0.0.1", port, SOCK_DGRAM);
    wt_check(weft_send(peer, "d", 1, 0) == 1);
    wt_check(weft_recv(fd, &byte, 1, 0) == 1 && byte == 'd');
    int second = weft_bind_udp(NULL, 0, &reusing);
    wt_check(second >= 0 && option(second, SOL_SOCKET, SO_REUSEADDR) == 1);
    wt_check(weft_close(fd) == 0 && weft_close(peer) == 0 && weft_close(second) == 0);
    return 0;
}

Test(listen, udp)
{
    RUN(udp, NULL, NULL);
}

/* ---- local sockets ---- */

static int reach_local(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = wf_socket_make(AF_UNIX, type);
    int rc = weft_connect(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    if (rc < 0) {
        (void)weft_close(fd);
    }
    return rc < 0 ? rc : fd;
}

static intptr_t local(void *arg)
{
    static const weft_listen_options replacing = {.replace = true};
    char directory[] = "/tmp/weft-listen-XXXXXX";
    char path[64];
    char name[64];
    char byte = 0;
    (void)arg;
    wt_check(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof path, "%s/socket", directory);
    int fd = weft_listen_unix(path, NULL);
    wt_check(fd >= 0 && weft_local_port(fd) == -EAFNOSUPPORT);
    check_passes(fd, reach_local(path, SOCK_STREAM));
    wt_check(weft_listen_unix(path, &replacing) == -EADDRINUSE); /* somebody listens */
    wt_check(weft_close(fd) == 0);
    wt_check(weft_listen_unix(path, NULL) == -EADDRINUSE); /* the file is there */
    fd = weft_listen_unix(path, &replacing);
    check_passes(fd, reach_local(path, SOCK_STREAM));
    wt_check(weft_close(fd) == 0 && unlink(path) == 0);

    fd = weft_bind_unix(path, NULL);
    int peer = reach_local(path, SOCK_DGRAM);
    wt_check(weft_send(peer, "u", 1, 0) == 1);
    wt_check(weft_recv(fd, &byte, 1, 0) == 1 && byte == 'u');
    wt_check(weft_close(fd) == 0 && weft_close(peer) == 0 && unlink(path) == 0);

    (void)snprintf(name, sizeof name, "@weft-listen-%d", (int)getpid());
    fd = weft_listen_unix(name, NULL);
    check_passes(fd, reach_local(name, SOCK_STREAM));
    wt_check(weft_listen_unix(name, &replacing) == -EADDRINUSE);
    wt_check(weft_close(fd) == 0 && rmdir(directory) == 0);
    return 0;
}

Test(listen, local_sockets)
{
    RUN(local, NULL, NULL);
}

/* ---- refusals ---- */

Test(listen, misuse)
{
    static const weft_listen_options wrong[] = {{.size = 1},
                                                {.size = sizeof(weft_listen_options) + 8},
                                                {.backlog = -1},
                                                {.reuse_address = 2},
                                                {.reuse_address = -2}};
    char path[200];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(weft_listen_tcp(NULL, 0, &wrong[i]), -EINVAL);
        cr_assert_eq(weft_listen_unix("@x", &wrong[i]), -EINVAL);
    }
    cr_assert_eq(weft_listen_tcp("localhost", 0, NULL), -EINVAL);
    cr_assert_eq(weft_listen_tcp("", 0, NULL), -EINVAL);
    cr_assert_eq(weft_bind_udp("300.1.1.1", 0, NULL), -EINVAL);
    cr_assert_eq(weft_listen_tcp("fe80::1%no-such-zone", 0, NULL), -EINVAL);
    cr_assert_eq(weft_listen_tcp("192.0.2.1", 0, NULL), -EADDRNOTAVAIL);
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    cr_assert_eq(weft_listen_unix(path, NULL), -ENAMETOOLONG);
    cr_assert_eq(weft_listen_unix(NULL, NULL), -EINVAL);
    cr_assert_eq(weft_bind_unix("", NULL), -EINVAL);
    cr_assert_eq(weft_listen_unix("/no/such/directory/socket", NULL), -ENOENT);
    cr_assert_eq(weft_local_port(-1), -EBADF);
}

Test(listen, out_of_descriptors)
{
    struct rlimit limit;
    int first = open("/dev/null", O_RDONLY);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)first + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int rc = weft_listen_tcp("127.0.0.1", 0, NULL);
    limit.rlim_cur = soft;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(rc, -EMFILE);
    cr_assert_eq(close(first), 0);
}

static intptr_t simulated(void *arg)
{
    (void)arg;
    wt_check(weft_listen_tcp(NULL, 0, NULL) == -ENOTSUP);
    wt_check(weft_listen_unix("@x", NULL) == -ENOTSUP);
    return 0;
}

Test(listen, not_in_a_simulation)
{
    static const weft_options plain_sim = {.simulate = true};
    RUN(simulated, NULL, &plain_sim);
}

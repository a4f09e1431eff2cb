// SPDX-License-Identifier: MIT
/* listen.c - sockets that wait for others. */
#include <weft/listen.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft/io.h>

#include "base/sized.h"
#include "net/socket.h"

struct plan {
    weft_listen_options options;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
};

static int plan_init(struct plan *plan, int type, const weft_listen_options *options)
{
    memset(plan, 0, sizeof *plan);
    plan->type = type;
    if (options != NULL) {
        if (!wf_size_is_known(options->size, sizeof *options)) {
            return -EINVAL;
        }
        plan->options = *options;
    }
    if (plan->options.backlog < 0 || plan->options.reuse_address < -1 ||
        plan->options.reuse_address > 1) {
        return -EINVAL;
    }
    return wf_socket_is_simulated() ? -ENOTSUP : 0;
}

static int switch_on(int fd, int level, int option, bool on)
{
    int value = on;
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* ---- any socket ---- */

static int bind_and_listen(int fd, const struct plan *plan, const void *address, socklen_t length)
{
    if (bind(fd, address, length) != 0) {
        return -errno;
    }
    int backlog = plan->options.backlog > 0 ? plan->options.backlog : SOMAXCONN;
    return plan->type != SOCK_STREAM || listen(fd, backlog) == 0 ? 0 : -errno;
}

/* ---- addresses and ports ---- */

static int set_options(int fd, const struct plan *plan, int family)
{
    int asked = plan->options.reuse_address;
    bool reuse = asked > 0 || (asked == 0 && plan->type == SOCK_STREAM);
    int rc = switch_on(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
    if (rc == 0 && plan->options.reuse_port) {
        rc = switch_on(fd, SOL_SOCKET, SO_REUSEPORT, true);
    }
    if (rc == 0 && family == AF_INET6) {
        rc = switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, plan->options.v6_only);
    }
    return rc;
}

static int open_at(const struct plan *plan, const weft_address *address)
{
    int family = address->as.any.sa_family;
    int fd = wf_socket_make(family, plan->type);
    if (fd < 0) {
        return fd;
    }
    int rc = set_options(fd, plan, family);
    rc = rc == 0 ? bind_and_listen(fd, plan, &address->as, address->length) : rc;
    if (rc < 0) {
        (void)weft_close(fd);
        return rc;
    }
    return fd;
}

static int open_inet(const char *host, uint16_t port, int type, const weft_listen_options *options)
{
    struct plan plan;
    weft_address address;
    int rc = plan_init(&plan, type, options);
    rc = rc == 0 ? wf_address_parse(host != NULL ? host : "::", port, &address) : rc;
    rc = rc == 0 ? open_at(&plan, &address) : rc;
    bool has_no_v6 = rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL;
    if (has_no_v6 && host == NULL && !plan.options.v6_only) {
        rc = wf_address_parse("0.0.0.0", port, &address);
        rc = rc == 0 ? open_at(&plan, &address) : rc;
    }
    return rc;
}

int weft_listen_tcp(const char *host, uint16_t port, const weft_listen_options *options)
{
    return open_inet(host, port, SOCK_STREAM, options);
}

int weft_bind_udp(const char *host, uint16_t port, const weft_listen_options *options)
{
    return open_inet(host, port, SOCK_DGRAM, options);
}

int weft_local_port(int fd)
{
    weft_address address = {0};
    address.length = sizeof address.as;
    if (getsockname(fd, &address.as.any, &address.length) != 0) {
        return -errno;
    }
    switch (address.as.any.sa_family) {
    case AF_INET:
        return ntohs(address.as.v4.sin_port);
    case AF_INET6:
        return ntohs(address.as.v6.sin6_port);
    default:
        return -EAFNOSUPPORT;
    }
}

/* ---- local sockets ---- */

static int name_local(const char *path, struct sockaddr_un *address, socklen_t *length)
{
    if (path == NULL || path[0] == '\0') {
        return -EINVAL;
    }
    size_t size = strlen(path);
    if (size >= sizeof address->sun_path) {
        return -ENAMETOOLONG;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    bool is_abstract = path[0] == '@';
    if (is_abstract) {
        address->sun_path[0] = '\0';
    }
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (is_abstract ? 0 : 1));
    return 0;
}

/* True when there is a socket's file and nobody behind it. */
static bool is_abandoned(const struct sockaddr_un *address, socklen_t length, int type)
{
    int fd = wf_socket_make(AF_UNIX, type);
    if (fd < 0) {
        return false;
    }
    bool is_refused =
        connect(fd, (const struct sockaddr *)address, length) != 0 && errno == ECONNREFUSED;
    (void)weft_close(fd);
    return is_refused;
}

static int open_local(const char *path, int type, const weft_listen_options *options)
{
    struct plan plan;
    struct sockaddr_un address;
    socklen_t length = 0;
    int rc = plan_init(&plan, type, options);
    rc = rc == 0 ? name_local(path, &address, &length) : rc;
    int fd = rc == 0 ? wf_socket_make(AF_UNIX, type) : rc;
    if (fd < 0) {
        return fd;
    }
    rc = bind_and_listen(fd, &plan, &address, length);
    if (rc == -EADDRINUSE && plan.options.replace && address.sun_path[0] != '\0' &&
        is_abandoned(&address, length, type) && unlink(address.sun_path) == 0) {
        rc = bind_and_listen(fd, &plan, &address, length);
    }
    if (rc < 0) {
        (void)weft_close(fd);
        return rc;
    }
    return fd;
}

int weft_listen_unix(const char *path, const weft_listen_options *options)
{
    return open_local(path, SOCK_STREAM, options);
}

int weft_bind_unix(const char *path, const weft_listen_options *options)
{
    return open_local(path, SOCK_DGRAM, options);
}

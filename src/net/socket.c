// SPDX-License-Identifier: MIT
/* socket.c - making sockets, and numeric addresses. */
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "await/fake.h"
#include "await/io.h"

/* ---- sockets ---- */

WF_ATTEMPT int make(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

/* The number may be known from a descriptor that was closed behind the runtime's back. */
static void forget(int fd)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    struct wf_poller *poller = worker != NULL ? worker->runtime->poller : NULL;
    if (poller != NULL) {
        wf_io_adopt(poller, fd, WF_FD_IS_POLLABLE);
    }
}

int wf_socket_make(int family, int type)
{
    int fd = make(family, type);
    if (fd >= 0) {
        forget(fd);
    }
    return fd;
}

bool wf_socket_is_simulated(void)
{
    int rc = 0;
    return wf_sim_here(&rc) != NULL;
}

/* ---- numeric addresses ---- */

/* The index of a zone by name or number; 0: there is no such. */
static uint32_t zone_index(const char *zone)
{
    char *end;
    unsigned long number = strtoul(zone, &end, 10);
    bool is_number = end != zone && *end == '\0' && number <= UINT32_MAX;
    return is_number ? (uint32_t)number : if_nametoindex(zone);
}

static int parse_v6(const char *host, struct sockaddr_in6 *address)
{
    char text[INET6_ADDRSTRLEN];
    const char *percent = strchr(host, '%');
    size_t length = percent != NULL ? (size_t)(percent - host) : strlen(host);
    if (length >= sizeof text) {
        return -EINVAL;
    }
    memcpy(text, host, length);
    text[length] = '\0';
    if (inet_pton(AF_INET6, text, &address->sin6_addr) != 1) {
        return -EINVAL;
    }
    address->sin6_scope_id = percent != NULL ? zone_index(percent + 1) : 0;
    return percent != NULL && address->sin6_scope_id == 0 ? -EINVAL : 0;
}

int wf_address_parse(const char *host, uint16_t port, weft_address *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->as.v4.sin_addr) == 1) {
        address->as.v4.sin_family = AF_INET;
        address->as.v4.sin_port = htons(port);
        address->length = sizeof address->as.v4;
        return 0;
    }
    address->as.v6.sin6_family = AF_INET6;
    address->as.v6.sin6_port = htons(port);
    address->length = sizeof address->as.v6;
    return parse_v6(host, &address->as.v6);
}

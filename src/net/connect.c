// SPDX-License-Identifier: MIT
/* connect.c - connections to hosts: look up, race, set up. */
#include <weft/connect.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <weft/io.h>
#include <weft/testing.h>
#include <weft/timeout.h>

#include "await/door.h"
#include "base/sized.h"
#include "net/race.h"
#include "net/resolve.h"
#include "net/socket.h"

#define STAGGER_NS (250 * WEFT_MS)

/* ---- one address ---- */

static int make_socket(int family)
{
    if (wf_socket_is_simulated()) {
        return family == AF_INET ? weft_sim_socket() : -EAFNOSUPPORT;
    }
    return wf_socket_make(family, SOCK_STREAM);
}

static int connect_within(int fd, const weft_address *address, int64_t limit_ns)
{
    if (limit_ns == 0) {
        return weft_connect(fd, &address->as.any, address->length);
    }
    return (int)weft_within(limit_ns, weft_connect(fd, &address->as.any, address->length));
}

static void set_up(int fd, const weft_connect_options *options)
{
    int on = 1;
    if (options->no_delay && !wf_socket_is_simulated()) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

static int attempt(const weft_address *address, const void *context)
{
    const weft_connect_options *options = context;
    int fd = make_socket(address->as.any.sa_family);
    if (fd < 0) {
        return fd;
    }
    set_up(fd, options);
    int rc = connect_within(fd, address, options->attempt_ns);
    if (rc < 0) {
        (void)weft_close(fd);
        return rc;
    }
    return fd;
}

/* ---- the calls ---- */

static int check_options(const weft_connect_options *given, weft_connect_options *options)
{
    *options = given != NULL ? *given : (weft_connect_options){0};
    bool is_good = wf_size_is_known(options->size, sizeof *options) && options->stagger_ns >= 0 &&
                   options->attempt_ns >= 0;
    if (options->stagger_ns == 0) {
        options->stagger_ns = STAGGER_NS;
    }
    return is_good ? 0 : -EINVAL;
}

static bool are_addresses(const weft_address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int family = addresses[i].as.any.sa_family;
        if (family != AF_INET && family != AF_INET6) {
            return false;
        }
    }
    return addresses != NULL && count > 0;
}

int weft_connect_any(const weft_address *addresses, size_t count,
                     const weft_connect_options *options)
{
    weft_connect_options checked;
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    if (addresses == NULL || !are_addresses(addresses, count) ||
        check_options(options, &checked) < 0) {
        return -EINVAL;
    }
    rc = wf_door_enter(wf_self_on(worker), __func__);
    return rc < 0 ? rc : wf_race(addresses, count, checked.stagger_ns, attempt, &checked);
}

static int connect_found(const char *host, uint16_t port, const weft_connect_options *options)
{
    weft_addresses *found = NULL;
    int rc = weft_resolve(host, port, options->resolve, &found);
    if (rc < 0) {
        return rc;
    }
    rc = weft_connect_any(found->items, found->count, options);
    weft_addresses_free(found);
    return rc;
}

#ifdef WEFT_HAVE_CARES

int weft_connect_host(const char *host, uint16_t port, const weft_connect_options *options)
{
    weft_connect_options checked;
    struct wf_question question;
    int rc = 0;
    if (check_options(options, &checked) < 0) {
        return -EINVAL;
    }
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || !wf_resolve_is_split(&question, host, port, checked.resolve)) {
        return connect_found(host, port, &checked);
    }
    rc = wf_door_enter(wf_self_on(worker), __func__);
    return rc < 0 ? rc
                  : wf_race_answers(wf_resolve_each_by_cares, &question, checked.stagger_ns,
                                    attempt, &checked);
}

#else

int weft_connect_host(const char *host, uint16_t port, const weft_connect_options *options)
{
    weft_connect_options checked;
    return check_options(options, &checked) == 0 ? connect_found(host, port, &checked) : -EINVAL;
}

#endif

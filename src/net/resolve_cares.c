// SPDX-License-Identifier: MIT
/* resolve_cares.c - looking up names by c-ares, driven by the fiber that asks.
 *
 * What: a channel of c-ares for each lookup, in the hands of one fiber alone. It waits for the channel's
 *       sockets and for its next time-out by one weft_select, and lets c-ares look.
 * Why this way: no thread, no lock, nothing that two lookups share, changes of /etc/resolv.conf are seen at
 *       once; and destroying the channel ends everything on the spot: when the call returns, cancelled or
 *       not, c-ares knows neither its sockets nor its memory any more. The price is reading a few small files
 *       for each lookup, which is little beside the way to a server and back. Rejected: one channel a
 *       runtime, with a task of its own that all lookups hand their questions to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <weft/io.h>
#include <weft/select.h>
#include <weft/time.h>

#include "await/io.h"
#include "net/cares.h"
#include "net/socket.h"

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
        return -ENOENT;
    case ARES_ENODATA:
        return -ENODATA;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ECONNREFUSED:
    case ARES_EFORMERR: /* what the last server said, where c-ares passes it on */
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
    case ARES_EREFUSED:
        return -ECONNREFUSED;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_EBADNAME:
    case ARES_EBADSTR:
    case ARES_EBADFAMILY:
        return -EINVAL;
    case ARES_EBADRESP:
    case ARES_EBADQUERY:
        return -EBADMSG;
    default:
        return -EREMOTEIO;
    }
}

/* ---- the channel's sockets: known to the runtime by their right names ---- */

static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
    struct wf_cares *cares = arg;
    (void)protocol;
    int fd = wf_socket_make(family, type);
    if (fd < 0) {
        cares->socket_error = fd;
        errno = -fd;
    }
    return fd >= 0 ? fd : -1;
}

static int close_socket(ares_socket_t fd, void *arg)
{
    (void)arg;
    return weft_close(fd) == 0 ? 0 : -1;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t length,
                          void *arg)
{
    (void)arg;
    return connect(fd, address, length);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *address, ares_socklen_t *length, void *arg)
{
    (void)arg;
    return recvfrom(fd, buffer, size, flags, address, length);
}

static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *parts, int count, void *arg)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    (void)arg;
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {open_socket, close_socket,
                                                              connect_socket, receive, transmit};

/* ---- the channel ---- */

/* "a.example, b.example" as c-ares wants it: pointers into a copy. NULL: no memory. */
struct domains {
    char *text;
    char *names[16];
    int count;
};

static int split_domains(const char *search, struct domains *domains)
{
    char *rest = NULL;
    memset(domains, 0, sizeof *domains);
    if (search == NULL) {
        return 0;
    }
    domains->text = strdup(search);
    if (domains->text == NULL) {
        return -ENOMEM;
    }
    char *name = strtok_r(domains->text, ", ", &rest);
    while (name != NULL && domains->count < 16) {
        domains->names[domains->count++] = name;
        name = strtok_r(NULL, ", ", &rest);
    }
    return 0;
}

static int milliseconds(int64_t ns)
{
    int64_t ms = (ns + WEFT_MS - 1) / WEFT_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static int init_channel(ares_channel *channel, const weft_resolve_options *given,
                        struct domains *domains)
{
    struct ares_options options = {0};
    int mask = 0;
    if (given->timeout_ns > 0) {
        options.timeout = milliseconds(given->timeout_ns);
        mask |= ARES_OPT_TIMEOUTMS;
    }
    if (given->tries > 0) {
        options.tries = given->tries;
        mask |= ARES_OPT_TRIES;
    }
    if (given->dots > 0) {
        options.ndots = given->dots;
        mask |= ARES_OPT_NDOTS;
    }
    if (given->search != NULL) {
        options.domains = domains->names;
        options.ndomains = domains->count;
        mask |= ARES_OPT_DOMAINS;
    }
    return error_of(ares_init_options(channel, &options, mask));
}

int wf_cares_open(struct wf_cares *cares, const struct wf_question *question, bool searches)
{
    struct domains domains;
    weft_resolve_options given = question->options;
    *cares = (struct wf_cares){.question = question};
    given.search = searches ? given.search : "";
    int rc = split_domains(given.search, &domains);
    rc = rc == 0 ? init_channel(&cares->channel, &given, &domains) : rc;
    free(domains.text);
    if (rc < 0) {
        return rc;
    }
    ares_set_socket_functions(cares->channel, &socket_functions, cares);
    if (given.servers != NULL && ares_set_servers_ports_csv(cares->channel, given.servers) != 0) {
        ares_destroy(cares->channel);
        return -EINVAL;
    }
    return 0;
}

void wf_cares_close(struct wf_cares *cares)
{
    ares_destroy(cares->channel);
}

int wf_cares_check(const struct wf_question *question)
{
    struct wf_cares cares;
    int rc = wf_cares_open(&cares, question, true);
    if (rc == 0) {
        wf_cares_close(&cares);
    }
    return rc;
}

void wf_cares_ask(struct wf_cares *cares, int family, ares_addrinfo_callback take, void *arg)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_ENVHOSTS,
        .ai_family = family,
        .ai_socktype = SOCK_STREAM,
    };
    ares_getaddrinfo(cares->channel, cares->question->host, NULL, &hints, take, arg);
}

/* ---- the answer ---- */

weft_addresses *wf_cares_copy(const struct wf_cares *cares, const struct ares_addrinfo *found)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *item = found->nodes; item != NULL; item = item->ai_next) {
        count++;
    }
    weft_addresses *list = wf_addresses_make(count);
    for (const struct ares_addrinfo_node *item = found->nodes; list != NULL && item != NULL;
         item = item->ai_next) {
        wf_addresses_add(list, item->ai_addr, cares->question->port);
    }
    return list;
}

int wf_cares_error(const struct wf_cares *cares, int status)
{
    int rc = error_of(status);
    return rc == -ECONNREFUSED && cares->socket_error < 0 ? cares->socket_error : rc;
}

/* ---- the loop ---- */

struct watched {
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    weft_case cases[ARES_GETSOCK_MAXNUM + 1];
    size_t count; /* of cases; the last one is the time */
};

static int64_t time_left(ares_channel channel)
{
    struct timeval left;
    if (ares_timeout(channel, NULL, &left) == NULL) {
        return WEFT_FOREVER;
    }
    return (int64_t)left.tv_sec * WEFT_S + (int64_t)left.tv_usec * WEFT_US;
}

static void collect(ares_channel channel, struct watched *watched)
{
    unsigned bits = (unsigned)ares_getsock(channel, watched->fds, ARES_GETSOCK_MAXNUM);
    watched->count = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        unsigned reads = bits >> i & 1U;
        unsigned writes = bits >> (i + ARES_GETSOCK_MAXNUM) & 1U;
        unsigned events = (reads != 0 ? (unsigned)WEFT_READABLE : 0U) |
                          (writes != 0 ? (unsigned)WEFT_WRITABLE : 0U);
        if (events == 0) {
            break;
        }
        watched->cases[watched->count++] = weft_case_fd(watched->fds[i], events);
    }
    watched->cases[watched->count++] = weft_case_after(time_left(channel));
}

int wf_cares_step(struct wf_cares *cares)
{
    struct watched watched;
    collect(cares->channel, &watched);
    int chosen = weft_select(watched.cases, watched.count, 0);
    if (chosen < 0) {
        return chosen;
    }
    ares_socket_t reads = ARES_SOCKET_BAD;
    ares_socket_t writes = ARES_SOCKET_BAD;
    if ((size_t)chosen < watched.count - 1) {
        int seen = watched.cases[chosen].outcome; /* an error shows in the system call */
        bool is_writable = seen > 0 && (seen & (WEFT_WRITABLE | WEFT_HANGUP)) != 0;
        reads =
            seen < 0 || (seen & (WEFT_READABLE | WEFT_HANGUP)) != 0 ? watched.fds[chosen] : reads;
        writes = is_writable ? watched.fds[chosen] : writes;
    }
    ares_process_fd(cares->channel, reads, writes);
    return 0;
}

/* ---- one answer ---- */

struct lookup {
    struct wf_cares cares;
    weft_addresses *list;
    int status; /* of c-ares */
    bool is_over;
};

static void take_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct lookup *lookup = arg;
    (void)timeouts;
    lookup->is_over = true;
    lookup->status = status;
    lookup->list = status == ARES_SUCCESS ? wf_cares_copy(&lookup->cares, result) : NULL;
    ares_freeaddrinfo(result);
}

int wf_resolve_by_cares(const struct wf_question *question, weft_addresses **found)
{
    struct lookup lookup = {.list = NULL};
    int rc = wf_cares_open(&lookup.cares, question, true);
    if (rc < 0) {
        return rc;
    }
    wf_cares_ask(&lookup.cares, question->options.family, take_answer, &lookup);
    while (rc == 0 && !lookup.is_over) {
        rc = wf_cares_step(&lookup.cares);
    }
    wf_cares_close(&lookup.cares);
    if (rc < 0) {
        weft_addresses_free(lookup.list);
        return rc;
    }
    rc = wf_cares_error(&lookup.cares, lookup.status);
    return rc < 0 ? rc : wf_addresses_give(lookup.list, found);
}

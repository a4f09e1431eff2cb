// SPDX-License-Identifier: MIT
/* resolve.h - from names to addresses.
 *
 *     weft_addresses *found;
 *     int rc = weft_resolve("example.org", 443, NULL, &found);
 *     if (rc == 0) {
 *         ... found->items[0 .. found->count - 1], the best first
 *         weft_addresses_free(found);
 *     }
 *
 * Names are looked up by c-ares inside the calling fiber: no thread waits for a server. Without c-ares
 * (WEFT_RESOLVE_POOL, or a build that lacks it) getaddrinfo of the C library runs on the blocking pool.
 * Both read /etc/hosts, /etc/resolv.conf with its search list, and /etc/nsswitch.conf, c-ares only "files"
 * and "dns" of it, and the file that the environment's CARES_HOSTS names instead of /etc/hosts. Nothing is
 * kept between two calls.
 */
#ifndef WEFT_RESOLVE_H
#define WEFT_RESOLVE_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <weft/base.h>

WEFT_BEGIN

/* An address of IPv4 or IPv6 with its port, as bind and connect take it. */
typedef struct weft_address {
    socklen_t length; /* of what is in `as` */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } as;
} weft_address;

typedef struct weft_addresses {
    size_t count; /* at least 1 */
    const weft_address *items;
} weft_addresses;

typedef enum weft_resolver {
    WEFT_RESOLVE_AUTO, /* c-ares where it was built in, else the pool */
    WEFT_RESOLVE_CARES,
    WEFT_RESOLVE_POOL,
} weft_resolver;

/* Zero means the default throughout. Those marked * are of c-ares: getaddrinfo has its own way, and a call
 * that gives one of them to it is -EINVAL. */
typedef struct weft_resolve_options {
    size_t size;            /* sizeof(weft_resolve_options), or 0 for the fields listed here */
    weft_resolver resolver; /* -ENOTSUP: not built in */
    int family;             /* AF_INET, AF_INET6; 0 = both */
    int64_t timeout_ns;     /* * for the first answer of each server; 0 = 5 s, or resolv.conf's */
    int tries;              /* * at each server, the later ones with more patience; 0 = as above */
    const char *servers;    /* * "192.0.2.1,[2001:db8::1]:5353"; NULL = resolv.conf's */
    const char *
        search; /* * domains for short names, "a.example,b.example"; NULL = resolv.conf's; "" none */
    int dots;   /* * names with fewer dots are first sought in the domains; 0 = 1, or as above */
} weft_resolve_options;

/* Looks up `host`: a name, or a numeric address, which is returned as it is.
 *
 * port     goes into each address
 * found    receives the addresses, in the order in which they are best tried (RFC 6724); to be freed.
 *          Unwritten unless 0 is returned
 * returns  0; -ECANCELED: nothing of the attempt is left, on the pool it ends unattended; -ENOENT: there
 *          is no such name; -ENODATA: it has no address of that family; -ETIMEDOUT: no server answers;
 *          -ECONNREFUSED: none is there, or each one fails or refuses; -EREMOTEIO: the same on the pool;
 *          -EBADMSG: an answer makes no sense; -EINVAL (also a name that is none, and bad options where
 *          `host` is numeric and needs none); -ENOMEM, -EAGAIN,
 *          -EMFILE; -EPERM; -ENOTSUP: a resolver that was not built in; in a simulation a name other than
 *          "localhost"
 * context  fiber only; await point. Reads the files named above on the worker */
WEFT_API WEFT_NODISCARD int weft_resolve(const char *host, uint16_t port,
                                         const weft_resolve_options *options,
                                         weft_addresses **found);

/* NULL is allowed. Any thread. */
WEFT_API void weft_addresses_free(weft_addresses *found);

/* "192.0.2.1:80", "[2001:db8::1]:443": the length, as snprintf; -EAFNOSUPPORT, -EINVAL. Any thread. */
WEFT_API int weft_address_text(const weft_address *address, char *text, size_t size);

WEFT_END

#endif

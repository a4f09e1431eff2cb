// SPDX-License-Identifier: MIT
/* connect.h - connections to hosts by name: happy eyeballs (RFC 8305).
 *
 *     int fd = weft_connect_host("example.org", 443, NULL);
 *
 * The addresses of a host are tried by turns, IPv6 and IPv4, each a quarter of a second after the one before
 * or as soon as that has failed; the first connection wins, the other attempts end. Those of IPv6 are tried
 * as soon as they are known; those of IPv4 that are known first wait for them for 50 ms. */
#ifndef WEFT_CONNECT_H
#define WEFT_CONNECT_H

#include <weft/resolve.h>

WEFT_BEGIN

/* Zero means the default throughout. */
typedef struct weft_connect_options {
    size_t size;        /* sizeof(weft_connect_options), or 0 for the fields listed here */
    int64_t stagger_ns; /* until the next attempt begins beside one that goes on; 0 = 250 ms */
    int64_t attempt_ns; /* for each attempt; 0 = as long as the system tries */
    bool no_delay;      /* TCP_NODELAY */
    const weft_resolve_options
        *resolve; /* of weft_connect_host, as for weft_resolve; may be NULL */
} weft_connect_options;

/* Connects to one of `count` addresses, in their order but for the turns of the families; of more than 64
 * the first 64 are tried.
 *
 * returns  the descriptor: TCP, non-blocking, closed on exec; -ECANCELED; when all have failed the error of
 *          the last one that says most: -ECONNREFUSED, -ETIMEDOUT and so on rather than that there is no way
 *          (-ENETUNREACH, -EHOSTUNREACH, -EADDRNOTAVAIL, -EAFNOSUPPORT); -EINVAL, -EPERM, -ENOMEM, -EMFILE
 * cancel   no descriptor is left
 * context  fiber only; await point. In a simulation to addresses of IPv4, as weft_sim_socket does */
WEFT_API WEFT_NODISCARD int weft_connect_any(const weft_address *addresses, size_t count,
                                             const weft_connect_options *options);

/* Looks up `host`, its addresses of both families, and connects to one of them. Errors of weft_resolve or as
 * above. */
WEFT_API WEFT_NODISCARD int weft_connect_host(const char *host, uint16_t port,
                                              const weft_connect_options *options);

WEFT_END

#endif

// SPDX-License-Identifier: MIT
/* listen.h - sockets that wait for others: for connections, or for datagrams.
 *
 * Plain descriptors, non-blocking and closed on exec, for weft_accept, weft_recv and weft_close. Hosts are
 * numeric addresses here; names are looked up by weft_resolve (resolve.h). The calls return the descriptor or
 * a negative errno: -EINVAL (not an address, a bad option), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE,
 * -ENFILE, and what else the kernel says. Any thread; they never switch. In a simulation -ENOTSUP: see
 * weft_sim_listen.
 */
#ifndef WEFT_LISTEN_H
#define WEFT_LISTEN_H

#include <weft/base.h>

WEFT_BEGIN

/* Zero means the default throughout. */
typedef struct weft_listen_options {
    size_t size;     /* sizeof(weft_listen_options), or 0 for the fields listed here */
    int backlog;     /* connections that wait to be accepted; 0 = as many as the system allows */
    bool reuse_port; /* SO_REUSEPORT: several sockets share the port, the kernel spreads the load */
    /* SO_REUSEADDR: 1 on, -1 off; 0: on for TCP, whose port is then free at once after a restart, off for
     * UDP, where two would share the datagrams */
    int reuse_address;
    bool v6_only; /* an IPv6 socket takes no IPv4 */
    bool replace; /* local sockets: a file that nobody listens to any more makes way */
} weft_listen_options;

/* Listens for TCP connections.
 *
 * host  "127.0.0.1", "::1", "fe80::1%eth0" ...; NULL: all addresses, of IPv6 and IPv4 (with v6_only of IPv6
 *       alone, where there is no IPv6 of IPv4). "::" too takes both
 * port  0: a free one, see weft_local_port */
WEFT_API WEFT_NODISCARD int weft_listen_tcp(const char *host, uint16_t port,
                                            const weft_listen_options *options);

/* Receives UDP datagrams; `backlog` means nothing. As above. */
WEFT_API WEFT_NODISCARD int weft_bind_udp(const char *host, uint16_t port,
                                          const weft_listen_options *options);

/* Listens for local connections: a path, or "@name" for a name without a file (abstract). Closing leaves
 * the file. -ENAMETOOLONG: more than 107 bytes. */
WEFT_API WEFT_NODISCARD int weft_listen_unix(const char *path, const weft_listen_options *options);

/* Receives local datagrams. As above. */
WEFT_API WEFT_NODISCARD int weft_bind_unix(const char *path, const weft_listen_options *options);

/* The port that a TCP or UDP socket is bound to; -EAFNOSUPPORT for others, -EBADF, -ENOTSOCK. */
WEFT_API WEFT_NODISCARD int weft_local_port(int fd);

WEFT_END

#endif

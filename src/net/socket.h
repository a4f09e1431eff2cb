// SPDX-License-Identifier: MIT
/* socket.h - making sockets, and numeric addresses. */
#ifndef WF_NET_SOCKET_H
#define WF_NET_SOCKET_H

#include <weft/resolve.h>

/* A non-blocking socket that is closed on exec, or a negative errno. What the calling runtime knows of the
 * number is forgotten: it was about another descriptor. */
int wf_socket_make(int family, int type);

/* Whether the caller is in a simulation, where there are no real sockets. */
bool wf_socket_is_simulated(void);

/* A numeric address, IPv6 with "%zone" too: 0, or -EINVAL. */
int wf_address_parse(const char *host, uint16_t port, weft_address *address);

#endif

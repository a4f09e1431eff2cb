// SPDX-License-Identifier: MIT
/* cares.h - a channel of c-ares in the hands of one fiber (resolve_cares.c), for all who ask by it. */
#ifndef WF_NET_CARES_H
#define WF_NET_CARES_H

#include <ares.h>

#include "net/resolve.h"

/* On the stack of its fiber, from open to close. */
struct wf_cares {
    const struct wf_question *question;
    ares_channel channel;
    int socket_error; /* why no socket could be made, which c-ares does not tell */
};

/* 0 or a negative errno, and then there is nothing to be closed. `searches`: the question's search list, or
 * that of the system, is used. */
int wf_cares_open(struct wf_cares *cares, const struct wf_question *question, bool searches);

/* Asks for addresses of `family`. `take` is called once, at the latest by the close. */
void wf_cares_ask(struct wf_cares *cares, int family, ares_addrinfo_callback take, void *arg);

/* Waits until c-ares has something to do, and lets it: 0 or -ECANCELED and the like. */
int wf_cares_step(struct wf_cares *cares);

void wf_cares_close(struct wf_cares *cares);

/* What a status means. */
int wf_cares_error(const struct wf_cares *cares, int status);

/* A copy of what was found; NULL: no memory. */
weft_addresses *wf_cares_copy(const struct wf_cares *cares, const struct ares_addrinfo *found);

#endif

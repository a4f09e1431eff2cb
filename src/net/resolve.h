// SPDX-License-Identifier: MIT
/* resolve.h - what the ways to look up a name share. */
#ifndef WF_NET_RESOLVE_H
#define WF_NET_RESOLVE_H

#include <netdb.h>

#include "net/answers.h"

/* One lookup, its arguments checked. */
struct wf_question {
    const char *host;
    uint16_t port;
    weft_resolve_options options;
};

/* A list for `most` addresses, empty; NULL: no memory. */
weft_addresses *wf_addresses_make(size_t most);

/* Adds a copy of an address of IPv4 or IPv6, with the port; others are left out. */
void wf_addresses_add(weft_addresses *list, const struct sockaddr *address, uint16_t port);

/* 0 and the list; -ENODATA, and it is freed, when it is empty; -ENOMEM for NULL. */
int wf_addresses_give(weft_addresses *list, weft_addresses **found);

/* getaddrinfo, or what stands for it in a test. */
typedef int wf_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **found);

/* On the pool (resolve_pool.c). An await point. */
int wf_resolve_on_pool(const struct wf_question *question, wf_getaddrinfo *ask,
                       weft_addresses **found);

#ifdef WEFT_HAVE_CARES
/* In the calling fiber (resolve_cares.c). An await point. */
int wf_resolve_by_cares(const struct wf_question *question, weft_addresses **found);

/* 0, -EINVAL for options that c-ares does not understand, or -ENOMEM. Never switches. */
int wf_cares_check(const struct wf_question *question);

/* A wf_look_up, for a wf_question of both families (resolve_each.c). */
int wf_resolve_each_by_cares(const void *question, struct wf_answers *answers);

/* Whether the answers for the two families can be had one by one, by wf_resolve_each_by_cares: fills in the
 * question. False also if something is wrong: weft_resolve knows what. */
bool wf_resolve_is_split(struct wf_question *question, const char *host, uint16_t port,
                         const weft_resolve_options *options);
#endif

#endif

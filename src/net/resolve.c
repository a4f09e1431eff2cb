// SPDX-License-Identifier: MIT
/* resolve.c - weft_resolve: what needs no server, and who is asked for the rest. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "await/door.h"
#include "base/sized.h"
#include "net/socket.h"

/* ---- lists of addresses ---- */

struct list {
    weft_addresses given;
    size_t room;
    weft_address items[];
};

weft_addresses *wf_addresses_make(size_t most)
{
    struct list *list = calloc(1, sizeof *list + most * sizeof list->items[0]);
    if (list == NULL) {
        return NULL;
    }
    list->room = most;
    list->given.items = list->items;
    return &list->given;
}

void wf_addresses_add(weft_addresses *given, const struct sockaddr *address, uint16_t port)
{
    struct list *list = (struct list *)(void *)given;
    if (given->count == list->room) {
        return;
    }
    weft_address *item = &list->items[given->count];
    if (address->sa_family == AF_INET) {
        item->length = sizeof item->as.v4;
        memcpy(&item->as.v4, address, sizeof item->as.v4);
        item->as.v4.sin_port = htons(port);
    } else if (address->sa_family == AF_INET6) {
        item->length = sizeof item->as.v6;
        memcpy(&item->as.v6, address, sizeof item->as.v6);
        item->as.v6.sin6_port = htons(port);
    } else {
        return;
    }
    given->count++;
}

int wf_addresses_give(weft_addresses *list, weft_addresses **found)
{
    if (list == NULL) {
        return -ENOMEM;
    }
    if (list->count == 0) {
        weft_addresses_free(list);
        return -ENODATA;
    }
    *found = list;
    return 0;
}

void weft_addresses_free(weft_addresses *found)
{
    free(found); /* the head of its struct list */
}

int weft_address_text(const weft_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    if (address == NULL || (text == NULL && size > 0)) {
        return -EINVAL;
    }
    switch (address->as.any.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &address->as.v4.sin_addr, host, sizeof host);
        return snprintf(text, size, "%s:%u", host, ntohs(address->as.v4.sin_port));
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address->as.v6.sin6_addr, host, sizeof host);
        return snprintf(text, size, "[%s]:%u", host, ntohs(address->as.v6.sin6_port));
    default:
        return -EAFNOSUPPORT;
    }
}

/* ---- what needs no server ---- */

static int give_one(const weft_address *address, const struct wf_question *question,
                    weft_addresses **found)
{
    int family = question->options.family;
    if (family != AF_UNSPEC && family != address->as.any.sa_family) {
        return -ENODATA;
    }
    weft_addresses *list = wf_addresses_make(1);
    if (list != NULL) {
        wf_addresses_add(list, &address->as.any, question->port);
    }
    return wf_addresses_give(list, found);
}

/* In a simulation there is one host, and its sockets are of IPv4. */
static int give_simulated(const struct wf_question *question, weft_addresses **found)
{
    weft_address address;
    if (strcmp(question->host, "localhost") != 0) {
        return -ENOTSUP;
    }
    int rc = wf_address_parse("127.0.0.1", question->port, &address);
    return rc == 0 ? give_one(&address, question, found) : rc;
}

/* ---- who is asked ---- */

#ifdef WEFT_HAVE_CARES

enum { IS_CARES_HERE = 1 };

static int ask(const struct wf_question *question, weft_addresses **found)
{
    return question->options.resolver == WEFT_RESOLVE_POOL
               ? wf_resolve_on_pool(question, getaddrinfo, found)
               : wf_resolve_by_cares(question, found);
}

/* What only c-ares can tell, of a host for which it is not asked. */
static int check_servers(const struct wf_question *question)
{
    return question->options.servers != NULL ? wf_cares_check(question) : 0;
}

#else

enum { IS_CARES_HERE = 0 };

static int ask(const struct wf_question *question, weft_addresses **found)
{
    return wf_resolve_on_pool(question, getaddrinfo, found);
}

static int check_servers(const struct wf_question *question)
{
    (void)question;
    return 0;
}

#endif

/* getaddrinfo has its own way. */
static int check_resolver(const weft_resolve_options *given)
{
    bool is_asked = given->resolver == WEFT_RESOLVE_POOL || !IS_CARES_HERE;
    bool is_plain = given->timeout_ns == 0 && given->tries == 0 && given->servers == NULL &&
                    given->search == NULL && given->dots == 0;
    if (given->resolver == WEFT_RESOLVE_CARES && !IS_CARES_HERE) {
        return -ENOTSUP;
    }
    return is_asked && !is_plain ? -EINVAL : 0;
}

static bool are_options(const weft_resolve_options *given)
{
    bool is_family =
        given->family == AF_UNSPEC || given->family == AF_INET || given->family == AF_INET6;
    bool is_resolver = given->resolver >= WEFT_RESOLVE_AUTO && given->resolver <= WEFT_RESOLVE_POOL;
    return is_family && is_resolver && given->timeout_ns >= 0 && given->tries >= 0 &&
           given->dots >= 0;
}

static int question_init(struct wf_question *question, const char *host, uint16_t port,
                         const weft_resolve_options *options)
{
    memset(question, 0, sizeof *question);
    question->host = host;
    question->port = port;
    if (options != NULL) {
        if (!wf_size_is_known(options->size, sizeof *options)) {
            return -EINVAL;
        }
        question->options = *options;
    }
    return are_options(&question->options) ? check_resolver(&question->options) : -EINVAL;
}

#ifdef WEFT_HAVE_CARES
bool wf_resolve_is_split(struct wf_question *question, const char *host, uint16_t port,
                         const weft_resolve_options *options)
{
    weft_address address;
    return host != NULL && host[0] != '\0' && question_init(question, host, port, options) == 0 &&
           question->options.family == AF_UNSPEC &&
           question->options.resolver != WEFT_RESOLVE_POOL && !wf_socket_is_simulated() &&
           wf_address_parse(host, port, &address) != 0;
}
#endif

int weft_resolve(const char *host, uint16_t port, const weft_resolve_options *options,
                 weft_addresses **found)
{
    struct wf_question question;
    weft_address address;
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    bool is_whole = host != NULL && host[0] != '\0' && found != NULL;
    rc = is_whole ? question_init(&question, host, port, options) : -EINVAL;
    rc = rc == 0 ? wf_door_enter(wf_self_on(worker), __func__) : rc;
    if (rc < 0) {
        return rc;
    }
    if (wf_address_parse(host, port, &address) == 0) {
        rc = check_servers(&question);
        return rc == 0 ? give_one(&address, &question, found) : rc;
    }
    return wf_socket_is_simulated() ? give_simulated(&question, found) : ask(&question, found);
}

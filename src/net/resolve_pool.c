// SPDX-License-Identifier: MIT
/* resolve_pool.c - looking up names by getaddrinfo, which blocks a thread of the pool.
 *
 * The lookup owns all that the C library reads and writes. It belongs to the caller and to the pool;
 * whoever is done with it last frees it. So a cancelled caller leaves at once, and what getaddrinfo
 * finds later is freed on the pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/blocking.h>

#include "base/atomic.h"
#include "net/resolve.h"

struct lookup {
    wf_au32 users; /* caller and pool: whoever comes last (acq_rel) frees it */
    wf_getaddrinfo *ask;
    struct addrinfo hints;
    struct addrinfo *found; /* the pool's thread writes it before its call ends */
    char host[];
};

static struct lookup *make_lookup(const struct wf_question *question, wf_getaddrinfo *ask)
{
    size_t size = strlen(question->host) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + size);
    if (lookup != NULL) {
        wf_store_rlx(&lookup->users, 2U);
        lookup->ask = ask;
        lookup->hints.ai_family = question->options.family;
        lookup->hints.ai_socktype = SOCK_STREAM; /* each address once */
        memcpy(lookup->host, question->host, size);
    }
    return lookup;
}

static void drop_lookup(void *arg)
{
    struct lookup *lookup = arg;
    if (wf_sub_acqrel(&lookup->users, 1U) == 1) {
        if (lookup->found != NULL) {
            freeaddrinfo(lookup->found);
        }
        free(lookup);
    }
}

static int error_of(int status)
{
    switch (status) {
    case 0:
        return 0;
    case EAI_NONAME:
        return -ENOENT;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_FAMILY:
        return -ENODATA;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno != 0 ? -errno : -EREMOTEIO;
    default:
        return -EREMOTEIO;
    }
}

static intptr_t look_up(void *arg)
{
    struct lookup *lookup = arg;
    errno = 0;
    return error_of(lookup->ask(lookup->host, NULL, &lookup->hints, &lookup->found));
}

static int copy_found(const struct addrinfo *first, uint16_t port, weft_addresses **found)
{
    size_t count = 0;
    for (const struct addrinfo *item = first; item != NULL; item = item->ai_next) {
        count++;
    }
    weft_addresses *list = wf_addresses_make(count);
    for (const struct addrinfo *item = first; list != NULL && item != NULL; item = item->ai_next) {
        wf_addresses_add(list, item->ai_addr, port);
    }
    return wf_addresses_give(list, found);
}

int wf_resolve_on_pool(const struct wf_question *question, wf_getaddrinfo *ask,
                       weft_addresses **found)
{
    struct lookup *lookup = make_lookup(question, ask);
    if (lookup == NULL) {
        return -ENOMEM;
    }
    intptr_t outcome = 0;
    int rc = weft_blocking(look_up, lookup, drop_lookup, &outcome);
    if (rc < 0 && rc != -ECANCELED) {
        drop_lookup(lookup); /* the pool did not take its share */
    }
    rc = rc == 0 ? (int)outcome : rc;
    rc = rc == 0 ? copy_found(lookup->found, question->port, found) : rc;
    drop_lookup(lookup);
    return rc;
}

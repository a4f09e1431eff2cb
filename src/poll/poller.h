// SPDX-License-Identifier: MIT
/* poller.h - the contract between the scheduler and whatever tells that a descriptor is ready.
 *
 * What: one poller per runtime. An idle worker sleeps in it; busy workers look at it now and then.
 *       Its events grant the waiters of descriptor.h and fire watch scopes.
 * Contract of a back end:
 *   wait   collects events, grants what they grant into `later`, sleeps for at most `timeout_ns`
 *          (0: only looks, WF_FOREVER: no limit) if there are none. Returns the number of events.
 *          The scheduler lets one worker at a time in. A signal ends it with 0 events.
 *   poke   ends a wait that sleeps, or the next one that would. Any thread, signal handlers too.
 *   add    starts edge-triggered events for `fd` that carry `tag`; what it is ready for already is
 *          the first event. Under the descriptor's lock. `renew`: it may be known; then it only
 *          gets the tag. Returns WF_POLL_NEW, WF_POLL_KNOWN or a negative errno (-EPERM: can't be
 *          polled).
 *   remove stops them; the descriptor may be gone already.
 */
#ifndef WF_POLL_POLLER_H
#define WF_POLL_POLLER_H

#include <stdint.h>

#include "task/wait.h"

struct wf_poller;
struct wf_fd_table;

enum { WF_POLL_NEW = 0, WF_POLL_KNOWN = 1 };

struct wf_poller_ops {
    const char *name;
    int (*wait)(struct wf_poller *poller, int64_t timeout_ns, struct wf_later *later);
    void (*poke)(struct wf_poller *poller);
    int (*add)(struct wf_poller *poller, int fd, uint32_t tag, bool renew);
    void (*remove)(struct wf_poller *poller, int fd);
    void (*destroy)(struct wf_poller *poller);
};

/* Embedded as the first member of a back end's own structure. */
struct wf_poller {
    const struct wf_poller_ops *ops;
    struct wf_fd_table *table; /* descriptor.h */

    /* A descriptor that is readable while there are events, -1 until something is registered: whoever adds the
     * first stores (release), busy workers load (acquire). */
    wf_aint descriptor;
};

/* epoll.c: makes the epoll back end. 0 or a negative errno. */
int wf_epoll_create(struct wf_poller **out);

static inline int wf_poller_wait(struct wf_poller *p, int64_t timeout_ns, struct wf_later *later)
{
    return p->ops->wait(p, timeout_ns, later);
}

static inline int wf_poller_descriptor(struct wf_poller *p)
{
    return wf_load_acq(&p->descriptor);
}

static inline void wf_poller_poke(struct wf_poller *p)
{
    p->ops->poke(p);
}

static inline void wf_poller_destroy(struct wf_poller *p)
{
    p->ops->destroy(p);
}

#endif

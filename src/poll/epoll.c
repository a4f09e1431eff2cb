// SPDX-License-Identifier: MIT
/* epoll.c - the epoll back end of poller.h.
 *
 * What: one epoll descriptor for all workers, one registration for each descriptor for as long as it
 *       lives, edge-triggered; an eventfd to end a sleep.
 * Why this way: with stealing, an epoll descriptor per worker would tie a connection to a worker that
 *       may be busy. The eventfd is edge-triggered too and never read: each write is an event.
 * Threads: `wait` by one worker at a time, the rest by any thread. errno is read in functions that
 *       are not inlined: on a fiber's stack its address may not be kept.
 */
#include "poll/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "poll/fetch.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on every machine; Linux 5.11 */
#endif

/* At once: more would push each other out of the caches before they are used. Measured with 1000 connections: 16
 * and 64 cost 2 to 7 % more, 128 up to 15 % more. */
enum { EVENTS_MAX = 32 };

/* data of the eventfd: no descriptor has this number */
#define POKE_DATA UINT64_MAX

enum { AWAKE = 0, SLEEPING, POKED };

struct epoll_poller {
    struct wf_poller base;
    int epoll_fd;
    int poke_fd;
    bool has_pwait2; /* whoever waits: cleared when the kernel turns out not to have it */

    /* AWAKE, SLEEPING, POKED: whoever waits swaps SLEEPING in before and AWAKE after, a poker swaps
     * POKED in (all acq_rel): of a sleeper and a poker one sees the other. */
    wf_au32 sleep;

    struct epoll_event events[EVENTS_MAX]; /* of whoever waits */
};

static struct epoll_poller *of(struct wf_poller *poller)
{
    return (struct epoll_poller *)(void *)poller;
}

/* ---- sleeping ---- */

/* For kernels before 5.11: whole milliseconds, rounded up so that it is never early. */
static int wait_ms(struct epoll_poller *self, int64_t timeout_ns)
{
    const int64_t ns_per_ms = 1000000;
    int timeout_ms = -1;
    if (timeout_ns != WF_FOREVER) {
        int64_t ms = timeout_ns / ns_per_ms + (timeout_ns % ns_per_ms != 0);
        timeout_ms = ms < INT32_MAX ? (int)ms : INT32_MAX;
    }
    return epoll_wait(self->epoll_fd, self->events, EVENTS_MAX, timeout_ms);
}

static int wait_events(struct epoll_poller *self, int64_t timeout_ns)
{
    if (timeout_ns <= 0) {
        return epoll_wait(self->epoll_fd, self->events, EVENTS_MAX, 0);
    }
    timeout_ns = wf_nap_most(timeout_ns);
    if (self->has_pwait2) {
        struct timespec limit = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                                 .tv_nsec = (long)(timeout_ns % 1000000000)};
        long count = syscall(SYS_epoll_pwait2, self->epoll_fd, self->events, EVENTS_MAX,
                             timeout_ns == WF_FOREVER ? NULL : &limit, NULL, (size_t)0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            wf_let_signals_in();
            return (int)count;
        }
        self->has_pwait2 = false;
    }
    return wait_ms(self, timeout_ns);
}

static unsigned meaning(uint32_t events)
{
    unsigned seen = 0;
    seen |= (events & EPOLLIN) != 0 ? WF_FD_READ : 0;
    seen |= (events & EPOLLOUT) != 0 ? WF_FD_WRITE : 0;
    seen |= (events & EPOLLRDHUP) != 0 ? WF_FD_HALF_CLOSE : 0;
    seen |= (events & (EPOLLHUP | EPOLLERR)) != 0 ? WF_FD_HANGUP : 0;
    seen |= (events & EPOLLPRI) != 0 ? WF_FD_URGENT : 0;
    return seen;
}

static int fd_of(const struct epoll_event *event)
{
    return (int)(uint32_t)event->data.u64;
}

static void fetch(struct epoll_poller *self, int count)
{
    for (int i = 0; i < count; i++) {
        if (self->events[i].data.u64 != POKE_DATA) {
            wf_fetch_record(self->base.table, fd_of(&self->events[i]));
        }
    }
    for (int i = 0; i < count; i++) {
        if (self->events[i].data.u64 != POKE_DATA) {
            wf_fetch_reader(self->base.table, fd_of(&self->events[i]));
        }
    }
}

static int wait_op(struct wf_poller *poller, int64_t timeout_ns, struct wf_later *later)
{
    struct epoll_poller *self = of(poller);
    bool sleeps = timeout_ns > 0;
    if (sleeps && wf_swap_acqrel(&self->sleep, (uint32_t)SLEEPING) == POKED) {
        timeout_ns = 0;
    }
    int count = wait_events(self, timeout_ns);
    if (sleeps) {
        (void)wf_swap_acqrel(&self->sleep, (uint32_t)AWAKE);
    }
    fetch(self, count); /* an error, EINTR among them, is no events */
    int told = 0;
    for (int i = 0; i < count; i++) {
        uint64_t data = self->events[i].data.u64;
        if (data != POKE_DATA) {
            wf_fd_event(poller->table, fd_of(&self->events[i]), (uint32_t)(data >> 32),
                        meaning(self->events[i].events), later);
            told++;
        }
    }
    wf_fetch_woken(later);
    return told;
}

/* Also in signal handlers: one swap, at most one write. */
static __attribute__((noinline)) void poke_op(struct wf_poller *poller)
{
    struct epoll_poller *self = of(poller);
    if (wf_swap_acqrel(&self->sleep, (uint32_t)POKED) == SLEEPING) {
        int saved = errno;
        uint64_t one = 1;
        ssize_t written = write(self->poke_fd, &one, sizeof one);
        (void)written; /* a full counter has been an event already */
        errno = saved;
    }
}

/* ---- registrations ---- */

static __attribute__((noinline)) int control(int epoll_fd, int operation, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                                .data.u64 = data};
    return epoll_ctl(epoll_fd, operation, fd, &event) == 0 ? 0 : -errno;
}

static int add_op(struct wf_poller *poller, int fd, uint32_t tag, bool renew)
{
    struct epoll_poller *self = of(poller);
    uint64_t data = ((uint64_t)tag << 32) | (uint32_t)fd;
    if (wf_load_rlx(&poller->descriptor) < 0) {
        wf_store_rel(&poller->descriptor, self->epoll_fd);
    }
    if (renew) {
        int rc = control(self->epoll_fd, EPOLL_CTL_MOD, fd, data);
        if (rc != -ENOENT) {
            return rc == 0 ? WF_POLL_KNOWN : rc;
        }
    }
    int rc = control(self->epoll_fd, EPOLL_CTL_ADD, fd, data);
    if (rc == -EEXIST) {
        rc = control(self->epoll_fd, EPOLL_CTL_MOD, fd, data);
    }
    return rc == -ENOSPC ? -ENOMEM : rc; /* a limit on watched descriptors */
}

static void remove_op(struct wf_poller *poller, int fd)
{
    (void)control(of(poller)->epoll_fd, EPOLL_CTL_DEL, fd, 0);
}

/* ---- life ---- */

static void destroy_op(struct wf_poller *poller)
{
    struct epoll_poller *self = of(poller);
    if (poller->table != NULL) {
        wf_fd_table_destroy(poller->table);
    }
    if (self->poke_fd >= 0) {
        (void)close(self->poke_fd);
    }
    if (self->epoll_fd >= 0) {
        (void)close(self->epoll_fd);
    }
    free(self);
}

static const struct wf_poller_ops ops = {
    .name = "epoll",
    .wait = wait_op,
    .poke = poke_op,
    .add = add_op,
    .remove = remove_op,
    .destroy = destroy_op,
};

static int open_descriptors(struct epoll_poller *self)
{
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0) {
        return -errno;
    }
    self->poke_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->poke_fd < 0) {
        return -errno;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = POKE_DATA};
    int rc = epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->poke_fd, &event) == 0 ? 0 : -errno;
    return rc == -ENOSPC ? -ENOMEM : rc; /* as below */
}

int wf_epoll_create(struct wf_poller **out)
{
    struct epoll_poller *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return -ENOMEM;
    }
    self->base.ops = &ops;
    wf_store_rlx(&self->base.descriptor, -1);
    self->epoll_fd = -1;
    self->poke_fd = -1;
    self->has_pwait2 = true;
    int rc = open_descriptors(self);
    if (rc == 0) {
        rc = wf_fd_table_create(&self->base.table, &self->base);
    }
    if (rc < 0) {
        destroy_op(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

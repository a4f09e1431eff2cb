// SPDX-License-Identifier: MIT
/* io.c - the one way in which calls on descriptors wait; weft_wait_fd and weft_close.
 *
 * Grant rule: a granted wait is the permission to try again, and the attempt is made whatever requests
 * have come since. Only if it would block again the next wait finds them, and nothing was taken.
 */
#include "await/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <weft/io.h>

#include "await/fake.h"

#define EVENTS_ALL ((unsigned)WEFT_READABLE | (unsigned)WEFT_WRITABLE | (unsigned)WEFT_HANGUP)

int wf_io_find(struct wf_io *io, weft_task *self, int fd)
{
    io->self = self;
    io->poller = wf_runtime_of(self)->poller;
    io->fd = fd;
    if (io->poller == NULL) {
        return -ENOTSUP;
    }
    int rc = wf_fd_find(io->poller->table, fd, &io->record);
    if (rc == 0) {
        io->opened = wf_fd_stamp(io->record);
    }
    return rc;
}

int wf_io_enter(struct wf_io *io, int fd, const char *call)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    rc = wf_io_find(io, wf_self_on(worker), fd);
    return rc < 0 ? rc : wf_door_enter(io->self, call);
}

int wf_io_stamp(const struct wf_io *io, uint64_t *stamp)
{
    *stamp = wf_fd_stamp(io->record);
    return wf_fd_is_same(*stamp, io->opened) ? 0 : -EBADF;
}

void wf_io_adopt(struct wf_poller *poller, int fd)
{
    struct wf_fd *record;
    struct wf_later later;
    wf_later_init(&later);
    if (wf_fd_find(poller->table, fd, &record) == 0) {
        wf_fd_wipe(record, &later);
        wf_later_run(&later);
    }
}

int wf_io_wait(const struct wf_io *io, unsigned directions, uint64_t stamp, enum wf_reason reason)
{
    struct wf_wait wait;
    struct wf_fd_entry entry;
    struct wf_later later;
    wf_later_init(&later);
    wf_wait_begin(&wait, io->self, reason);
    wait.target = io->record;
    wait.number = reason == WF_WAIT_FD ? io->fd : -1;
    wf_fd_entry_init(&entry, &wait, directions);
    int rc = wf_fd_link(io->poller, io->record, &entry, stamp, &later);
    wf_later_run(&later);
    if (rc != WF_FD_LINKED) {
        return rc == WF_FD_RETRY ? 0 : rc;
    }
    enum wf_verdict verdict = wf_door_park(&wait);
    bool is_unlinked = verdict != WF_TOLD_OFF && directions != (WF_FD_READ | WF_FD_WRITE);
    if (!is_unlinked) {
        wf_fd_unlink(io->record, &entry);
    }
    return verdict == WF_GRANTED ? 0 : verdict == WF_CLOSED ? -EBADF : -ECANCELED;
}

ssize_t wf_io_run(const struct wf_io *io, unsigned direction, const struct wf_io_call *call,
                  ssize_t (*attempt)(const struct wf_io_call *call))
{
    for (;;) {
        uint64_t stamp;
        int rc = wf_io_stamp(io, &stamp);
        if (rc < 0) {
            return rc;
        }
        ssize_t n = attempt(call);
        if (n == -EINTR) {
            continue;
        }
        if (n != -EAGAIN) {
            return n;
        }
        rc = wf_io_wait(io, direction, stamp, WF_WAIT_FD);
        if (rc < 0) {
            return rc;
        }
    }
}

__attribute__((noinline)) int wf_io_poll(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    int count;
    do {
        count = poll(&one, 1, 0);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count == 0 ? 0 : one.revents;
}

__attribute__((noinline)) int wf_io_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 ? flags : -errno;
}

/* ---- weft_wait_fd ---- */

static int ready_events(int fd, unsigned events)
{
    short asked = (short)(((events & WEFT_READABLE) != 0 ? POLLIN : 0) |
                          ((events & WEFT_WRITABLE) != 0 ? POLLOUT : 0));
    int seen = wf_io_poll(fd, asked);
    if (seen < 0 || (seen & POLLNVAL) != 0) {
        return seen < 0 ? seen : -EBADF;
    }
    return ((seen & POLLIN) != 0 ? WEFT_READABLE : 0) |
           ((seen & POLLOUT) != 0 ? WEFT_WRITABLE : 0) |
           ((seen & (POLLHUP | POLLERR)) != 0 ? WEFT_HANGUP : 0);
}

bool wf_io_are_events(unsigned events)
{
    return events != 0 && (events & ~EVENTS_ALL) == 0;
}

/* Registered even if ready: what can't be polled always says that it is. */
int wf_io_check_pollable(const struct wf_io *io)
{
    struct wf_later later;
    wf_later_init(&later);
    int rc = wf_fd_register(io->poller, io->record, wf_task_id(io->self), &later);
    wf_later_run(&later);
    return rc;
}

int wf_io_look(const struct wf_io *io, unsigned events, uint64_t *stamp)
{
    int rc = wf_io_stamp(io, stamp);
    return rc == 0 ? ready_events(io->fd, events) : rc;
}

unsigned wf_io_directions(unsigned events)
{
    bool writes = (events & WEFT_WRITABLE) != 0;
    bool reads = (events & WEFT_READABLE) != 0 || !writes; /* a hang-up meets both */
    return (writes ? (unsigned)WF_FD_WRITE : 0U) | (reads ? (unsigned)WF_FD_READ : 0U);
}

int weft_wait_fd(int fd, unsigned events)
{
    struct wf_io io;
    if (!wf_io_are_events(events)) {
        return -EINVAL;
    }
    int rc = wf_io_enter(&io, fd, __func__);
    if (rc == -ENOTSUP) {
        return wf_fake_wait_fd(fd, events);
    }
    if (rc == 0) {
        rc = wf_io_check_pollable(&io);
    }
    while (rc == 0) { /* an edge may be older than what has been read since: look again */
        uint64_t stamp;
        rc = wf_io_look(&io, events, &stamp);
        if (rc != 0) {
            break;
        }
        rc = wf_io_wait(&io, wf_io_directions(events), stamp, WF_WAIT_FD);
    }
    return rc;
}

/* ---- weft_close ---- */

int weft_close(int fd)
{
    int error = 0;
    if (wf_fake_is_number(fd)) {
        return wf_fake_close_number(fd);
    }
    struct wf_worker *worker = wf_fiber_worker(&error);
    struct wf_poller *poller = worker != NULL ? worker->runtime->poller : NULL;
    return wf_fd_close(poller != NULL ? poller->table : NULL, fd, wf_later_run);
}

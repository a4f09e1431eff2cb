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
#include <sys/stat.h>

#include <weft/io.h>

#include "await/fake.h"
#include "await/uring.h"

#define PAUSE_FIRST_NS (50 * WEFT_US)
#define PAUSE_MOST_NS (10 * WEFT_MS)

#define EVENTS_ALL ((unsigned)WEFT_READABLE | (unsigned)WEFT_WRITABLE | (unsigned)WEFT_HANGUP)

static inline int find(struct wf_io *io, weft_task *self, int fd)
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

int wf_io_find(struct wf_io *io, weft_task *self, int fd)
{
    return find(io, self, fd);
}

int wf_io_enter(struct wf_io *io, int fd, const char *call)
{
    int rc = 0;
    weft_task *self = wf_door_running(wf_here());
    if (WF_UNLIKELY(self == NULL)) {
        return wf_fiber_worker(&rc) == NULL ? rc : -EPERM;
    }
    rc = find(io, self, fd);
    return rc < 0 ? rc : wf_door_enter_quickly(self, call);
}

int wf_io_try_begin(const struct wf_io *io, uint64_t *stamp)
{
    *stamp = wf_fd_begin(io->record);
    bool is_same = wf_fd_is_same(*stamp, io->opened);
    if (__builtin_expect(is_same && !wf_fd_is_closing(*stamp), 1)) {
        return 0;
    }
    wf_fd_end(io->record);
    return is_same ? WF_FD_RETRY : -EBADF;
}

static int outcome_of(enum wf_verdict verdict)
{
    return verdict == WF_GRANTED ? 0 : verdict == WF_CLOSED ? -EBADF : -ECANCELED;
}

int wf_io_await_closer(const struct wf_io *io)
{
    struct wf_seat seat;
    wf_seat_begin(&seat, io->self, WF_WAIT_FD, NULL);
    seat.wait.number = io->fd;
    if (wf_fd_link_closing(io->record, &seat.waiter) == WF_FD_RETRY) {
        return 0;
    }
    enum wf_verdict verdict = wf_door_park(&seat.wait);
    wf_fd_unlink_one(io->record, &seat.waiter);
    return outcome_of(verdict);
}

int wf_io_begin(const struct wf_io *io, uint64_t *stamp)
{
    int rc = wf_io_try_begin(io, stamp);
    while (rc == WF_FD_RETRY) {
        rc = wf_io_await_closer(io);
        rc = rc == 0 ? wf_io_try_begin(io, stamp) : rc;
    }
    return rc;
}

ssize_t wf_io_attempt(const struct wf_io *io, uint64_t *stamp, const struct wf_io_call *call,
                      ssize_t (*attempt)(const struct wf_io_call *call))
{
    int rc = wf_io_begin(io, stamp);
    if (rc < 0) {
        return rc;
    }
    ssize_t n = attempt(call);
    wf_io_end(io);
    return n;
}

void wf_io_adopt(struct wf_poller *poller, int fd, uint8_t nature)
{
    struct wf_fd *record;
    struct wf_later later;
    wf_later_init(&later);
    if (wf_fd_find(poller->table, fd, &record) == 0) {
        wf_fd_wipe(record, nature, &later);
        wf_later_run(&later);
    }
}

/* The kernel looks when it is submitted: nothing that has come since the stamp can be missed. Returns what it
 * reports. -EINVAL: what has more than two lists of waiters it does not take (6.18 now and then not even two, which
 * terminals have); epoll does. */
static int poll_in_ring(const struct wf_io *io, unsigned events)
{
    const struct io_uring_sqe entry = {
        .opcode = IORING_OP_POLL_ADD, .fd = io->fd, .poll32_events = events};
    return wf_uring_call(io->self, &entry, io);
}

/* For an event in either of both directions. */
static __attribute__((noinline)) int wait_for_either(const struct wf_io *io, uint64_t stamp,
                                                     enum wf_reason reason)
{
    const unsigned directions = WF_FD_READ | WF_FD_WRITE;
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
    wf_fd_unlink(io->record, &entry);
    return outcome_of(verdict);
}

/* As wf_fd_link_one; in a function of its own, so that the frame of one who waits lacks what registering needs. */
static __attribute__((noinline)) int link_first(const struct wf_io *io, struct wf_waiter *waiter,
                                                unsigned direction, uint64_t stamp, bool *is_first)
{
    struct wf_later later;
    wf_later_init(&later);
    int rc = wf_fd_link_one(io->poller, io->record, waiter, direction, stamp, &later, is_first);
    wf_later_run(&later);
    return rc;
}

/* *is_first, unless NULL: the wait was ended by an event, and none is older than the wait. Whoever grants the wait has
 * unlinked it. */
static __attribute__((noinline)) int wait_for_one(const struct wf_io *io, unsigned direction,
                                                  uint64_t stamp, enum wf_reason reason,
                                                  bool *is_first)
{
    struct wf_seat seat;
    bool has_registered = false;
    wf_seat_begin(&seat, io->self, reason, io->record);
    seat.wait.number = reason == WF_WAIT_FD ? io->fd : -1;
    int rc = wf_fd_link_again(io->record, &seat.waiter, direction, stamp, wf_task_id(io->self));
    if (WF_UNLIKELY(rc == WF_FD_UNSURE)) {
        rc = link_first(io, &seat.waiter, direction, stamp, &has_registered);
    }
    if (WF_UNLIKELY(rc != WF_FD_LINKED)) {
        return rc == WF_FD_RETRY ? 0 : rc;
    }
    enum wf_verdict verdict = wf_door_park_here(&seat.wait, io->self, NULL);
    if (WF_UNLIKELY(verdict == WF_TOLD_OFF)) {
        wf_fd_unlink_one(io->record, &seat.waiter);
    }
    if (is_first != NULL) {
        *is_first = has_registered && verdict == WF_GRANTED;
    }
    return outcome_of(verdict);
}

/* *is_first: as for wait_for_one, and untouched where there are two directions. */
static int wait_for_new_event(const struct wf_io *io, unsigned directions, uint64_t stamp,
                              enum wf_reason reason, bool *is_first)
{
    return directions == (WF_FD_READ | WF_FD_WRITE)
               ? wait_for_either(io, stamp, reason)
               : wait_for_one(io, directions, stamp, reason, is_first);
}

static int wait_for_event(const struct wf_io *io, unsigned directions, uint64_t stamp,
                          enum wf_reason reason)
{
    return wait_for_new_event(io, directions, stamp, reason, NULL);
}

static int wait_in_ring(const struct wf_io *io, unsigned directions)
{
    short events = (short)(((directions & WF_FD_READ) != 0 ? POLLIN : 0) |
                           ((directions & WF_FD_WRITE) != 0 ? POLLOUT : 0));
    int seen = poll_in_ring(io, (unsigned)events);
    if (seen != -EINVAL) {
        return seen;
    }
    uint64_t stamp;
    seen = wf_io_poll_once(io, events, &stamp);
    return seen != 0 ? seen : wait_for_event(io, directions, stamp, WF_WAIT_FD);
}

/* For a descriptor that is O_NONBLOCK and of a kind that has no other way. */
static __attribute__((noinline)) int run_when_ready(const struct wf_io *io,
                                                    const struct io_uring_sqe *entry,
                                                    unsigned direction, uint32_t *flags)
{
    struct io_uring_sqe again = *entry;
    int rc;
    again.ioprio = 0; /* not to wait first: what can't be polled would say -EAGAIN for ever */
    do {
        rc = wf_door_observe(io->self, NULL); /* it may say that it is ready again and again */
        rc = rc < 0 ? rc : wait_in_ring(io, direction);
        rc = rc < 0 ? rc : wf_uring_call_flags(io->self, &again, io, flags);
    } while (rc == -EAGAIN);
    return rc;
}

WF_WAKING int wf_io_ring_run(const struct wf_io *io, const struct io_uring_sqe *entry,
                             unsigned direction, uint32_t *flags)
{
    int rc = wf_uring_call_flags(io->self, entry, io, flags);
    return WF_LIKELY(rc != -EAGAIN) ? rc : run_when_ready(io, entry, direction, flags);
}

int wf_io_wait(const struct wf_io *io, unsigned directions, uint64_t stamp, enum wf_reason reason)
{
    if (wf_uring_is_here() && reason == WF_WAIT_FD) {
        int seen = wait_in_ring(io, directions);
        return seen < 0 ? seen : 0;
    }
    return wait_for_event(io, directions, stamp, reason);
}

int wf_io_pause(const struct wf_io *io, int64_t *delay_ns)
{
    struct wf_wait wait;
    struct wf_alarm alarm;
    int64_t now_ns = wf_runtime_now(wf_runtime_of(io->self));
    int64_t next_ns = *delay_ns != 0 ? 2 * *delay_ns : PAUSE_FIRST_NS;
    *delay_ns = next_ns < PAUSE_MOST_NS ? next_ns : PAUSE_MOST_NS;
    wf_wait_begin(&wait, io->self, WF_WAIT_FD);
    wf_alarm_set(&alarm, &wait, wf_deadline_after(now_ns, *delay_ns), WF_GRANTED);
    if (wf_door_park(&wait) == WF_GRANTED) {
        return 0;
    }
    wf_alarm_clear(&alarm);
    return -ECANCELED;
}

typedef ssize_t attempt_fn(const struct wf_io_call *call);
typedef int wait_fn(const struct wf_io *io, unsigned directions, uint64_t stamp,
                    enum wf_reason reason);

static ssize_t run(const struct wf_io *io, unsigned direction, const struct wf_io_call *call,
                   attempt_fn *attempt, wait_fn *wait)
{
    for (;;) {
        uint64_t stamp;
        ssize_t n = wf_io_attempt(io, &stamp, call, attempt);
        if (n == -EINTR) {
            continue;
        }
        if (n != -EAGAIN) {
            return n;
        }
        int rc = wait(io, direction, stamp, WF_WAIT_FD);
        if (rc < 0) {
            return rc;
        }
    }
}

ssize_t wf_io_run(const struct wf_io *io, unsigned direction, const struct wf_io_call *call,
                  ssize_t (*attempt)(const struct wf_io_call *call))
{
    return run(io, direction, call, attempt, wf_io_wait);
}

ssize_t wf_io_run_by_events(const struct wf_io *io, unsigned direction,
                            const struct wf_io_call *call,
                            ssize_t (*attempt)(const struct wf_io_call *call))
{
    return run(io, direction, call, attempt, wait_for_event);
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

int wf_io_poll_once(const struct wf_io *io, short events, uint64_t *stamp)
{
    int rc = wf_io_begin(io, stamp);
    if (rc == 0) {
        rc = wf_io_poll(io->fd, events);
        wf_io_end(io);
    }
    return rc;
}

__attribute__((noinline)) int wf_io_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 ? flags : -errno;
}

/* ---- weft_wait_fd ---- */

static short poll_events(unsigned events)
{
    return (short)(((events & WEFT_READABLE) != 0 ? POLLIN : 0) |
                   ((events & WEFT_WRITABLE) != 0 ? POLLOUT : 0));
}

static int events_of(int seen)
{
    if (seen < 0 || (seen & POLLNVAL) != 0) {
        return seen < 0 ? seen : -EBADF;
    }
    return ((seen & POLLIN) != 0 ? WEFT_READABLE : 0) |
           ((seen & POLLOUT) != 0 ? WEFT_WRITABLE : 0) |
           ((seen & (POLLHUP | POLLERR)) != 0 ? WEFT_HANGUP : 0);
}

static int ready_events(int fd, unsigned events)
{
    return events_of(wf_io_poll(fd, poll_events(events)));
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

/* Never waits: while the number is being closed nothing is ready, and the end of that is an event. */
int wf_io_look(const struct wf_io *io, unsigned events, uint64_t *stamp)
{
    int rc = wf_io_try_begin(io, stamp);
    if (rc != 0) {
        return rc == WF_FD_RETRY ? 0 : rc;
    }
    rc = ready_events(io->fd, events);
    wf_io_end(io);
    return rc;
}

unsigned wf_io_directions(unsigned events)
{
    bool writes = (events & WEFT_WRITABLE) != 0;
    bool reads = (events & WEFT_READABLE) != 0 || !writes; /* a hang-up meets both */
    return (writes ? (unsigned)WF_FD_WRITE : 0U) | (reads ? (unsigned)WF_FD_READ : 0U);
}

/* What can't be polled says that it is ready, so it must be told from the rest. Sockets and pipes can; of the rest
 * epoll knows. */
WF_ATTEMPT bool is_socket_or_pipe(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode));
}

static int check_in_ring(const struct wf_io *io)
{
    uint8_t nature = wf_load_rlx(&io->record->nature);
    if ((nature & WF_FD_IS_POLLABLE) != 0) {
        return 0;
    }
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc < 0) {
        return rc;
    }
    rc = is_socket_or_pipe(io->fd) ? 0 : wf_io_check_pollable(io);
    wf_io_end(io);
    if (rc == 0) {
        wf_fd_keep_nature(io->record, stamp, WF_FD_IS_POLLABLE);
    }
    return rc;
}

/* A stream that has just been read empty has nothing: no need to look before the wait. */
static int wait_fd_in_ring(const struct wf_io *io, unsigned events)
{
    int rc = check_in_ring(io);
    bool is_drained = events == WEFT_READABLE &&
                      wf_load_rlx(&io->record->drained_at) == wf_fd_stamp(io->record) + 1;
    if (rc == 0 && !is_drained) {
        uint64_t stamp;
        rc = events_of(wf_io_poll_once(io, poll_events(events), &stamp));
    }
    while (rc == 0) {
        rc = events_of(poll_in_ring(io, (unsigned)poll_events(events)));
    }
    return rc;
}

/* Where nothing was seen, the descriptor was registered after that, and its event says no more than that there is
 * something to read: the event is the answer. */
static bool is_answer(const struct wf_io *io, unsigned events, bool is_first)
{
    return is_first && events == WEFT_READABLE && wf_load_rlx(&io->record->seen) == 0;
}

/* What is known to be pollable may be ready without ever having been registered: two system calls less for a connection
 * that is served at once. */
static int wait_fd_by_events(const struct wf_io *io, unsigned events)
{
    bool is_pollable = (wf_load_rlx(&io->record->nature) & WF_FD_IS_POLLABLE) != 0;
    int rc = is_pollable ? 0 : wf_io_check_pollable(io);
    while (rc == 0) { /* an edge may be older than what has been read since: look again */
        uint64_t stamp;
        bool is_first = false;
        rc = wf_io_look(io, events, &stamp);
        if (rc != 0) {
            break;
        }
        rc = wait_for_new_event(io, wf_io_directions(events), stamp, WF_WAIT_FD, &is_first);
        if (rc == 0 && is_answer(io, events, is_first)) {
            return WEFT_READABLE;
        }
    }
    return rc;
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
    if (rc == 0 && wf_uring_is_here()) {
        rc = wait_fd_in_ring(&io, events);
        if (rc != -EINVAL) {
            return rc;
        }
        rc = 0;
    }
    return rc == 0 ? wait_fd_by_events(&io, events) : rc;
}

/* ---- weft_close ---- */

/* What this worker has queued for the descriptor is submitted, so that its number need not be held. */
static void submit_own(struct wf_poller *poller, struct wf_uring *ring, int fd)
{
    struct wf_fd *record;
    if (wf_fd_find(poller->table, fd, &record) == 0 && wf_fd_has_ops(record)) {
        wf_uring_submit(ring);
    }
}

int weft_close(int fd)
{
    int error = 0;
    if (wf_fake_is_number(fd)) {
        return wf_fake_close_number(fd);
    }
    struct wf_worker *worker = wf_fiber_worker(&error);
    struct wf_poller *poller = worker != NULL ? worker->runtime->poller : NULL;
    if (poller != NULL && worker->ring != NULL) {
        submit_own(poller, worker->ring, fd);
    }
    return wf_fd_close(poller != NULL ? poller->table : NULL, fd, wf_later_run);
}

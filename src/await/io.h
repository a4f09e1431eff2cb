// SPDX-License-Identifier: MIT
/* io.h - what all calls on descriptors share: entering, waiting, trying again.
 *
 * An attempt is a function that makes one system call, never blocks and returns what it returned, or
 * the negative errno. Attempts are not inlined: errno's address must not be kept across a wait, after
 * which the fiber may be on another thread.
 */
#ifndef WF_AWAIT_IO_H
#define WF_AWAIT_IO_H

#include <sys/socket.h>
#include <sys/types.h>

#include "await/door.h"
#include "poll/descriptor.h"

#define WF_ATTEMPT static __attribute__((noinline))

/* One call on one descriptor. Stays valid when the fiber moves. */
struct wf_io {
    weft_task *self;
    struct wf_poller *poller;
    struct wf_fd *record;
    uint64_t opened; /* the stamp at the beginning of the call */
    int fd;
};

/* What an attempt works on. */
struct wf_io_call {
    int fd;
    int flags;
    union {
        void *in;
        const void *out;
    };
    size_t length;
};

/* The beginning of the public call with that name: 0; -EPERM, -ECHILD (no fiber); -EBADF; -ENOTSUP
 * (simulation: fake.h's); -ENOMEM; -ECANCELED by the entry rule. May switch. */
int wf_io_enter(struct wf_io *io, int fd, const char *call);

/* The same without passing the door. */
int wf_io_find(struct wf_io *io, weft_task *self, int fd);

/* Begins an attempt, with its stamp: until wf_io_end the number stays what it is, if need be closed. A fiber may
 * wait in between. 0; -EBADF: the number has been closed since the call began, and may be another
 * descriptor's by now; -ECANCELED. Waits for a close(2) of the number that is not over. */
int wf_io_begin(const struct wf_io *io, uint64_t *stamp);

/* The same without waiting: also WF_FD_RETRY, if the number is being closed. */
int wf_io_try_begin(const struct wf_io *io, uint64_t *stamp);

static inline void wf_io_end(const struct wf_io *io)
{
    wf_fd_end(io->record);
}

/* Waits until the number is not being closed any more. 0; -ECANCELED; -EBADF. */
int wf_io_await_closer(const struct wf_io *io);

/* The number belongs to a descriptor that the kernel has just made: what is known of it is old. Of the new one that is
 * its nature, WF_FD_IS_*. */
void wf_io_adopt(struct wf_poller *poller, int fd, uint8_t nature);

/* Waits for one of `directions`; `stamp` was taken before the system call that said -EAGAIN. 0: try
 * again; -ECANCELED; -EBADF; -EPERM: can't be polled (with a ring nobody says so, and it is 0); -ENOMEM. */
int wf_io_wait(const struct wf_io *io, unsigned directions, uint64_t stamp, enum wf_reason reason);

/* A pause before the next attempt, where nothing tells when to make it. Each is longer than the one before, the first
 * comes after a *delay_ns of 0; 10 ms at most. 0; -ECANCELED. */
int wf_io_pause(const struct wf_io *io, int64_t *delay_ns);

/* One attempt, begun and ended. What the attempt says, or what wf_io_begin does. */
ssize_t wf_io_attempt(const struct wf_io *io, uint64_t *stamp, const struct wf_io_call *call,
                      ssize_t (*attempt)(const struct wf_io_call *call));

/* Attempts until the answer is not -EAGAIN, waiting in between. */
ssize_t wf_io_run(const struct wf_io *io, unsigned direction, const struct wf_io_call *call,
                  ssize_t (*attempt)(const struct wf_io_call *call));

/* The same, but in a ring too it waits for an event that has yet to come. For what may not be there though the
 * descriptor says that it is ready: a queue of errors beside one of data. */
ssize_t wf_io_run_by_events(const struct wf_io *io, unsigned direction,
                            const struct wf_io_call *call,
                            ssize_t (*attempt)(const struct wf_io_call *call));

/* Flags of recv and send, for a ring. Calls with MSG_DONTWAIT, as attempts are, never wait for all that was asked for,
 * and those in a ring are no different. The flag itself would have the kernel give up before it waits. */
static inline unsigned wf_io_ring_flags(int flags)
{
    return (unsigned)flags & ~((unsigned)MSG_WAITALL | (unsigned)MSG_DONTWAIT);
}

/* At most what the system calls take at once. */
static inline uint32_t wf_io_ring_length(size_t length)
{
    const size_t most = 0x7ffff000;
    return (uint32_t)(length < most ? length : most);
}

/* Makes the call that `entry` describes in the ring, without ever saying -EAGAIN: it then waits for
 * `direction` and goes on. Else as wf_uring_call. */
struct io_uring_sqe;
int wf_io_ring_run(const struct wf_io *io, const struct io_uring_sqe *entry, unsigned direction,
                   uint32_t *flags);

/* poll(2) without waiting, for `events` as it knows them: what it reports, or a negative errno. Inside an
 * attempt. */
int wf_io_poll(int fd, short events);

/* The same as an attempt of its own. */
int wf_io_poll_once(const struct wf_io *io, short events, uint64_t *stamp);

/* ---- readiness alone: WEFT_READABLE, WEFT_WRITABLE, WEFT_HANGUP ---- */

bool wf_io_are_events(unsigned events);

/* 0; -EPERM: can't be polled; -EBADF; -ENOMEM. Once a call. */
int wf_io_check_pollable(const struct wf_io *io);

/* Which of `events` there are; 0: none, wait with *stamp; or a negative errno. */
int wf_io_look(const struct wf_io *io, unsigned events, uint64_t *stamp);

/* The directions in which a wait for `events` is linked. */
unsigned wf_io_directions(unsigned events);

/* O_NONBLOCK, O_ACCMODE and so on of the descriptor, or a negative errno. Inside an attempt. */
int wf_io_flags(int fd);

#endif

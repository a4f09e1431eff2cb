// SPDX-License-Identifier: MIT
/* fake.h - the calls on simulated descriptors: how they wait, and what chance does to them.
 *
 * What: the public calls come here when their runtime has no poller, which is so in a simulation alone.
 * A transfer is drawn once, when it could first be made: it may meet a reset; be made at once; or be
 *       late, and then it is either made when its time has come (until then it can be cancelled, and
 *       nothing was moved), or made now and only told late: that can't be stopped any more, as an
 *       operation that the kernel has completed. Requests that meet one of those stay undelivered.
 */
#ifndef WF_AWAIT_FAKE_H
#define WF_AWAIT_FAKE_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "await/door.h"
#include "poll/fake.h"

/* One call on one descriptor. */
struct wf_fake_io {
    weft_task *self;
    struct wf_sim *sim;
    struct wf_fakes *world;
    struct wf_fake *fake;
};

/* The simulation that the caller runs in, as a fiber or as a call of weft_sim_after. NULL with *error:
 * -EPERM, -ECHILD, -ENOTSUP. */
struct wf_sim *wf_sim_here(int *error);

/* Finds the descriptor and passes the door: 0; -ENOTSUP: a real one; -EBADF; -ECANCELED. May switch. */
int wf_fake_enter(struct wf_fake_io *io, int fd, const char *call);

/* The same without passing the door. */
int wf_fake_meet(struct wf_fake_io *io, weft_task *self, int fd);

/* Which of `events` (as for weft_wait_fd) there are; 0: none; -EBADF: it has been closed. */
int wf_fake_look(const struct wf_fake *fake, unsigned events);

/* Whom a wait for `events` joins: writers or readers; NULL: not those. */
struct wf_list *wf_fake_list(struct wf_fake *fake, unsigned events, bool writes);

/* Waits until the lists are woken; `second` may be NULL. 0: look again; -ECANCELED; -EBADF. */
int wf_fake_wait(const struct wf_fake_io *io, struct wf_list *first, struct wf_list *second);

/* What was drawn for a transfer that could be made now. */
enum wf_fake_luck {
    WF_LUCK_WHOLE,     /* make it now */
    WF_LUCK_LATE,      /* wf_fake_delay, and look again */
    WF_LUCK_TOLD_LATE, /* make it now, then wf_fake_hold */
};
enum wf_fake_luck wf_fake_draw(const struct wf_fake_io *io);

/* The time that it takes. 0: it has passed, or ended early by a reset; -ECANCELED; -EBADF. */
int wf_fake_delay(const struct wf_fake_io *io);

/* The time until it is told: nothing ends it. */
void wf_fake_hold(const struct wf_fake_io *io);

/* How a call moves bytes. */
struct wf_fake_way {
    const char *call; /* its name */
    bool writes;
    bool only_sockets;
    int flags; /* of recv and send */
};

/* The public calls, their arguments checked as for real descriptors. */
ssize_t wf_fake_move(int fd, const struct iovec *parts, int count, const struct wf_fake_way *way);
ssize_t wf_fake_receive(int fd, void *buffer, size_t length, int flags, bool only_sockets);
ssize_t wf_fake_transmit(int fd, const void *buffer, size_t length, int flags, bool only_sockets);
int wf_fake_shut(int fd, int how);
int wf_fake_take_connection(int fd, struct sockaddr *address, socklen_t *address_length);
int wf_fake_make_connection(int fd, const struct sockaddr *address, socklen_t address_length);
int wf_fake_wait_fd(int fd, unsigned events);
int wf_fake_close_number(int fd);

#endif

// SPDX-License-Identifier: MIT
/* uring.h - calls that the kernel makes for the fiber, in its worker's ring.
 *
 *     struct io_uring_sqe entry = {.opcode = IORING_OP_FSYNC, .fd = fd};
 *     int rc = wf_uring_call(self, &entry, &io);
 *     if (rc == -ENOSYS) ... the same call on the pool
 */
#ifndef WF_AWAIT_URING_H
#define WF_AWAIT_URING_H

#include "await/io.h"
#include "poll/uring.h"
#include "sched/ready.h"

/* Whether calls of a fiber that runs here may go to a ring. */
static inline bool wf_uring_is_here(void)
{
    return wf_here()->ring != NULL;
}

/* Whether calls of other tasks are likely to go with one that is queued now, and soon: some are ready on this worker,
 * or many wait in its ring; and turns are short. */
static inline bool wf_uring_is_shared(void)
{
    enum { MANY = 8 };
    struct wf_worker *worker = wf_here();
    return worker->ring->is_prompt &&
           (wf_ready_count(worker) > 0 || wf_load_rlx(&worker->ring->in_use) >= MANY);
}

/* Makes the call that `entry` describes (user_data is ours) and waits until it is over, whatever happens:
 * memory that it names may lie on the caller's stack. After the door (wf_door_enter, wf_io_enter), which it
 * does not pass itself. `io` is of the descriptor in entry->fd, so that weft_close ends the call; NULL for
 * calls without.
 * Returns what the system call would: a count or a negative errno. -ECANCELED: a request ended it, and
 * it has done nothing (that request is delivered); a call that was done in spite of a request returns its
 * result, and the request stays undelivered. -EBADF also: closed meanwhile. -ENOSYS: this worker has no
 * ring, or the kernel does not know the operation; nothing was done. */
int wf_uring_call(weft_task *self, const struct io_uring_sqe *entry, const struct wf_io *io);

/* The same, with the flags of the completion (IORING_CQE_F_*) in *flags. */
int wf_uring_call_flags(weft_task *self, const struct io_uring_sqe *entry, const struct wf_io *io,
                        uint32_t *flags);

#endif

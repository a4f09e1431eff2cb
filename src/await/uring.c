// SPDX-License-Identifier: MIT
/* uring.c - a fiber waits for its operation in a ring.
 *
 * The wait hands requests on, and the operation always refuses them: it is only asked to end. So the request
 * stays undelivered until the operation is over, and then there are two cases. It was ended: the
 * fiber takes the request, as at any await point. Or it was done before: the fiber has its result, and the
 * request is found by the next await point. If it was ended and the request has been taken back meanwhile,
 * nobody is told anything and the operation is made again.
 */
#include "await/uring.h"

#include <errno.h>

/* What a completion touches are its first two lines. */
struct call {
    _Alignas(64) struct wf_op op;
    struct wf_wait wait;
};

_Static_assert(offsetof(struct call, wait.epoch) < 128, "fetched by uring.c of the poller");

static bool ask_to_end(struct wf_wait *wait, struct wf_later *later)
{
    struct call *call = WF_CONTAINER(wait, struct call, wait);
    (void)later;
    wf_uring_ask_any(&call->op, WF_OP_ASKED);
    return false;
}

enum { CALL_AGAIN = 0, CALL_OVER = 1 };

/* Queues it and waits: OVER; else nothing was queued: AGAIN, or a negative errno. */
WF_WAKING static int run(weft_task *self, struct call *call, const struct wf_io *io)
{
    struct wf_uring *ring = wf_here()->ring;
    wf_wait_begin_here(&call->wait, self, WF_WAIT_FD);
    call->wait.hand_on = ask_to_end;
    call->wait.number = io != NULL ? io->fd : -1;
    call->wait.target = io != NULL ? io->record : NULL;
    call->op.wait = &call->wait;
    wf_uring_push(ring, &call->op);
    int rc = io != NULL ? wf_fd_link_op(io->record, &call->op, io->opened) : WF_FD_LINKED;
    if (rc != WF_FD_LINKED) {
        wf_uring_pull(ring, &call->op);
        return rc == WF_FD_RETRY ? wf_io_await_closer(io) : rc;
    }
    (void)wf_door_park_here(&call->wait, self, NULL);
    if (io != NULL) {
        wf_fd_unlink_op(io->record, &call->op);
    }
    return CALL_OVER;
}

/* What the kernel keeps for itself elsewhere; an open of a FIFO that is ended lets it out. */
enum { ERESTART_FIRST = 512, ERESTART_LAST = 516 };

/* It ended, but not by itself, and did nothing. */
static bool was_ended(const struct wf_op *op)
{
    return op->result == -ECANCELED || op->result == -EINTR ||
           (op->result <= -ERESTART_FIRST && op->result >= -ERESTART_LAST);
}

WF_WAKING int wf_uring_call_flags(weft_task *self, const struct io_uring_sqe *entry,
                                  const struct wf_io *io, uint32_t *flags)
{
    struct call call;
    call.op.entry = entry;
    do {
        struct wf_uring *ring = wf_here()->ring; /* after a wait perhaps another one */
        if (ring == NULL || !wf_uring_has(ring, entry->opcode)) {
            return -ENOSYS;
        }
        int rc = run(self, &call, io);
        if (rc != CALL_OVER) {
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        uint32_t state = wf_load_rlx(&call.op.state); /* all is over */
        if (!was_ended(&call.op)) {
            *flags = call.op.flags;
            return call.op.result;
        }
        if ((state & WF_OP_CLOSED) != 0) {
            return -EBADF;
        }
        rc = wf_door_observe(self, NULL);
        if (rc < 0) {
            return rc;
        }
    } while (true);
}

int wf_uring_call(weft_task *self, const struct io_uring_sqe *entry, const struct wf_io *io)
{
    uint32_t flags;
    return wf_uring_call_flags(self, entry, io, &flags);
}

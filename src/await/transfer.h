// SPDX-License-Identifier: MIT
/* transfer.h - moving bytes to and from what is no socket, for all calls that do. */
#ifndef WF_AWAIT_TRANSFER_H
#define WF_AWAIT_TRANSFER_H

#include "await/io.h"

/* How one direction does it, from the best to the worst; see transfer.c. */
struct wf_way {
    unsigned direction;
    short poll_events;
    uint8_t ring_op; /* IORING_OP_READ and its like: with call->in and call->length */
    ssize_t (*nowait)(const struct wf_io_call *call);
    ssize_t (*plain)(const struct wf_io_call *call);
};

/* Whether it is known to be no socket: a hint, for a transfer of some bytes. */
static inline bool wf_transfer_is_other(const struct wf_io *io)
{
    return (wf_load_rlx(&io->record->nature) & WF_FD_IS_NO_SOCKET) != 0;
}

/* What has said that it is no socket. */
ssize_t wf_transfer_other(const struct wf_io *io, const struct wf_way *way,
                          struct wf_io_call *call);

#endif

// SPDX-License-Identifier: MIT
/* receive.h - reading from sockets. */
#ifndef WF_AWAIT_RECEIVE_H
#define WF_AWAIT_RECEIVE_H

#include "await/io.h"

/* recv; -ENOTSOCK at once. */
ssize_t wf_receive(const struct wf_io *io, const struct wf_io_call *call);

/* Whether it is a socket of TCP, with nothing on top. Asks once. */
bool wf_receive_is_tcp(const struct wf_io *io);

#endif

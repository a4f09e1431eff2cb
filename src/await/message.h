// SPDX-License-Identifier: MIT
/* message.h - one message to or from a socket, for all calls that have a struct msghdr or make one. */
#ifndef WF_AWAIT_MESSAGE_H
#define WF_AWAIT_MESSAGE_H

#include <sys/socket.h>

#include "await/io.h"

/* The count or a negative errno, -ENOTSOCK among them; never -EAGAIN. */
ssize_t wf_message_receive(const struct wf_io *io, struct msghdr *message, int flags);
ssize_t wf_message_send(const struct wf_io *io, const struct msghdr *message, int flags);

#endif

// SPDX-License-Identifier: MIT
/* accept.h - taking a connection without waiting for one, for those who are about to close the listener. */
#ifndef WF_AWAIT_ACCEPT_H
#define WF_AWAIT_ACCEPT_H

/* As weft_accept, but no await point: -EAGAIN where there is no connection. Fiber only; never switches. */
int wf_accept_now(int fd);

#endif

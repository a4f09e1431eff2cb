// SPDX-License-Identifier: MIT
/* future.h - a future as one of several things that are waited for. */
#ifndef WF_AWAIT_FUTURE_H
#define WF_AWAIT_FUTURE_H

#include <weft/future.h>

#include "task/wait.h"

/* Links the waiter; false when the future is complete. */
bool wf_future_watch(weft_future *future, struct wf_waiter *waiter);

/* Unlinks a waiter that may still be linked. */
void wf_future_unwatch(weft_future *future, struct wf_waiter *waiter);

/* True when it is complete and whoever completed it has left it, so that it may go. */
bool wf_future_is_over(weft_future *future);

#endif

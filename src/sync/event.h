// SPDX-License-Identifier: MIT
/* event.h - an event as one of several things that are waited for. */
#ifndef WF_SYNC_EVENT_H
#define WF_SYNC_EVENT_H

#include <weft/event.h>

#include "task/wait.h"

/* Links the waiter, whose wait then hears in `granted` of being let through; false if it is set, and
 * whoever set it has left it. */
bool wf_event_watch(weft_event *event, struct wf_waiter *waiter);

/* Unlinks a waiter that may still be linked. */
void wf_event_unwatch(weft_event *event, struct wf_waiter *waiter);

/* True when it is set and whoever set it has left it, so that it may go. */
bool wf_event_is_through(weft_event *event);

#endif

// SPDX-License-Identifier: MIT
/* fetch.h - brings into the caches what a batch of events is about to touch.
 *
 * What: with a thousand connections the records, stacks and tasks of a batch have left the caches since they were
 *       last used, and each is found by a pointer in the one before. Fetched in steps, for the whole batch
 *       at once, they come while others are on their way; else the processor waits for each of them.
 *       An echo over 1000 connections costs a tenth less so.
 * Threads: whoever waits for events.
 */
#ifndef WF_POLL_FETCH_H
#define WF_POLL_FETCH_H

#include "base/hint.h"
#include "poll/descriptor.h"

/* Two steps before an event: the record, then the wait of its reader. */
static inline void wf_fetch_record(struct wf_fd_table *table, int fd)
{
    wf_fetch(wf_fd_at(table, fd));
}

void wf_fetch_reader(struct wf_fd_table *table, int fd);

/* After the events, before `later` is worked off: the stacks of those who will run. */
void wf_fetch_woken(const struct wf_later *later);

#endif

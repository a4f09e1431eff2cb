// SPDX-License-Identifier: MIT
/* inbox.h - where other threads leave tasks for a worker: a ck_stack that is always emptied whole.
 *
 * Why this way: popping everything has no ABA, and any number of threads may push and empty it.
 * Threads: any.
 */
#ifndef WF_QUEUE_INBOX_H
#define WF_QUEUE_INBOX_H

#include <ck_stack.h>

#include "base/atomic.h"

static inline void wf_inbox_push(ck_stack_t *inbox, ck_stack_entry_t *entry)
{
    ck_stack_push_upmc(inbox, entry);
}

/* A look; pairs with the CAS of a push. */
static inline bool wf_inbox_is_empty(ck_stack_t *inbox)
{
    return wf_load_acq((_Atomic(ck_stack_entry_t *) *)(void *)&inbox->head) == NULL;
}

/* Everything, newest first. */
static inline ck_stack_entry_t *wf_inbox_take_all(ck_stack_t *inbox)
{
    return wf_inbox_is_empty(inbox) ? NULL : ck_stack_batch_pop_upmc(inbox);
}

#endif

// SPDX-License-Identifier: MIT
/* sigint.c - options.sigint: the user's interrupt ends the run.
 *
 * What: a subscriber to the eventfd of signals.h. It runs in whichever worker finds the event, under
 *       the descriptor's lock, and does what cancelling from outside does. No task, no thread.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "sched/loop.h"
#include "sched/signals.h"
#include "task/cancel.h"

struct sigint {
    struct wf_waiter waiter;
    weft_runtime *runtime;
    struct wf_signals *signals;
    uint32_t seen; /* under the record's lock, as all that follows an event */
};

static void act(struct sigint *self, struct wf_later *later)
{
    self->seen++;
    wf_store_rel(&self->runtime->was_interrupted, self->seen);
    if (self->seen == 1) {
        (void)wf_cancel(self->runtime->main, 1, WEFT_CAUSE_INTERRUPT, later);
    } else if (self->seen == 2) {
        wf_lifecycle_leave(self->runtime, WF_ABANDONED);
    }
}

static void on_event(struct wf_waiter *waiter, struct wf_later *later)
{
    struct sigint *self = WF_CONTAINER(waiter, struct sigint, waiter);
    wf_fd_resubscribe_locked(self->signals->record, waiter);
    if (wf_signals_take(self->signals, UINT64_C(1) << (SIGINT - 1)) == 0) {
        return; /* another signal */
    }
    uint32_t interrupts = wf_load_acq(&self->signals->interrupts);
    while (self->seen < interrupts) {
        act(self, later);
    }
}

int wf_sigint_start(weft_runtime *runtime)
{
    struct sigint *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return -ENOMEM;
    }
    self->runtime = runtime;
    self->waiter.notify = on_event;
    int rc = wf_signals_of(runtime, &self->signals);
    if (rc == 0) {
        rc = wf_fd_subscribe(runtime->poller, self->signals->record, &self->waiter);
    }
    if (rc < 0) {
        free(self);
        return rc;
    }
    runtime->attachments[WF_ATTACH_SIGINT] = (struct wf_attachment){self, free};
    return wf_signals_claim_interrupt(self->signals);
}

void wf_sigint_stop(weft_runtime *runtime)
{
    struct sigint *self = runtime->attachments[WF_ATTACH_SIGINT].data;
    if (self != NULL) {
        wf_signals_release(self->signals, UINT64_C(1) << (SIGINT - 1));
        wf_fd_unlink_one(self->signals->record, &self->waiter);
    }
}

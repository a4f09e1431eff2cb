// SPDX-License-Identifier: MIT
/* local.c - the public calls on a task's values. */
#include <errno.h>

#include <weft/local.h>

#include "await/door.h"
#include "task/context.h"

int weft_local_set(weft_local *local, void *value)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || local == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    if (wf_word_has_ended(wf_load_acq(&self->word))) {
        return -EPERM; /* a callback: what it sees was captured */
    }
    weft_context *before = self->context;
    rc = wf_context_with(before, local, value, &self->context);
    self->has_values = true;
    wf_task_add_flags(self, WF_TASK_MORE);
    if (rc == 0) {
        wf_context_drop(before); /* last: the user's drop finds the new values */
    }
    return rc;
}

void *weft_local_get(const weft_local *local)
{
    return wf_context_find(wf_values_here(), local);
}

weft_context *weft_context_capture(void)
{
    return wf_context_retain(wf_values_here());
}

void weft_context_drop(weft_context *context)
{
    wf_context_drop(context);
}

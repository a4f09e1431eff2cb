// SPDX-License-Identifier: MIT
/* shield.c - shielded sections: a scope around which requests from outside wait. */
#include <errno.h>

#include <weft/shield.h>

#include "await/limit.h"

_Static_assert(sizeof(struct wf_section) <= sizeof(weft_shield), "weft_shield is too small");

int weft_shield_enter(weft_shield *section, int64_t bound_ns)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || section == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    if (wf_scope_is_open(self, section)) {
        return -EBUSY;
    }
    int64_t deadline_ns = bound_ns == WF_FOREVER
                              ? WF_FOREVER
                              : wf_deadline_after(wf_runtime_now(worker->runtime), bound_ns);
    struct wf_section *inner = (struct wf_section *)section;
    wf_shield_open(&inner->shield, self);
    wf_limit_set(&inner->limit, &inner->shield.scope, deadline_ns);
    return 0;
}

intptr_t weft_shield_leave(weft_shield *section, intptr_t rc)
{
    int error = 0;
    struct wf_worker *worker = wf_fiber_worker(&error);
    if (worker == NULL) {
        return error;
    }
    struct wf_section *inner = (struct wf_section *)section;
    if (section == NULL || wf_self_on(worker)->scope != &inner->shield.scope) {
        return -EINVAL;
    }
    wf_limit_close(&inner->limit);
    rc = wf_scope_close(&inner->shield.scope, rc, -ETIMEDOUT);
    wf_shield_lift(&inner->shield);
    return rc;
}

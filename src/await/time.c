// SPDX-License-Identifier: MIT
/* time.c - the clock, sleeping, yielding, and looking without waiting. */
#include <weft/time.h>

#include "await/limit.h"

#include <errno.h>

int64_t weft_now(void)
{
    struct wf_worker *worker = wf_here();
    return worker != NULL ? wf_runtime_now(worker->runtime) : wf_monotonic_ns();
}

int weft_checkpoint(void)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    return worker != NULL ? wf_door_observe(wf_self_on(worker)) : rc;
}

int weft_yield(void)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_observe(self);
    if (rc < 0) {
        return rc;
    }
    wf_sched_leave(worker, WF_LEAVE_YIELD);
    self->budget_spent = 0;
    if (self->scope != NULL && !wf_has_turns(self)) {
        wf_limit_check(self);
    }
    return wf_door_observe(self);
}

int weft_sleep_until(int64_t deadline_ns)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    if (deadline_ns <= wf_runtime_now(worker->runtime)) {
        return weft_yield();
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_observe(self);
    if (rc < 0) {
        return rc;
    }
    struct wf_wait wait;
    struct wf_alarm alarm;
    wf_wait_begin(&wait, self, WF_WAIT_SLEEP);
    wf_alarm_set(&alarm, &wait, deadline_ns, WF_GRANTED);
    if (wf_door_park(&wait) == WF_GRANTED) {
        return 0; /* by the alarm, which does not touch itself after that */
    }
    wf_alarm_clear(&alarm);
    return -ECANCELED;
}

int weft_sleep(int64_t delay_ns)
{
    if (delay_ns <= 0) {
        return weft_yield();
    }
    return weft_sleep_until(wf_deadline_after(weft_now(), delay_ns));
}

// SPDX-License-Identifier: MIT
/* time.c - the clock, sleeping, yielding, and looking without waiting. */
#include <weft/time.h>

#include <errno.h>

#include "await/door.h"
#include "sched/go.h"

int64_t weft_now(void)
{
    struct wf_worker *worker = wf_here();
    return worker != NULL ? wf_runtime_now(worker->runtime) : wf_monotonic_ns();
}

int weft_checkpoint(void)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    return worker != NULL ? wf_door_observe(wf_self_on(worker), __func__) : rc;
}

static int yield(const char *call)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_observe(self, call);
    return rc == 0 ? wf_door_yield(self) : rc;
}

/* Of a task for whose sleep there is a reason. */
static inline __attribute__((always_inline)) int sleep_until(weft_task *self, int64_t deadline_ns,
                                                             const char *call, const void *site)
{
    int rc = wf_door_observe_here(self, call);
    if (WF_UNLIKELY(rc < 0)) {
        return rc;
    }
    struct {
        struct wf_alarm alarm; /* lower in the frame: all that is touched after the wait */
        struct wf_wait wait;
    } at;
    wf_wait_begin_here(&at.wait, self, WF_WAIT_SLEEP);
    wf_alarm_set(&at.alarm, &at.wait, deadline_ns, WF_GRANTED);
    if (wf_door_park_here(&at.wait, self, site) == WF_GRANTED) {
        return wf_go_return(0, site); /* by the alarm, which does not touch itself after that */
    }
    wf_alarm_clear(&at.alarm);
    return -ECANCELED;
}

/* WF_DOOR_LOOKS, and the requests that were delivered and not taken back, for which it does no harm to look closer: one
 * instruction tests for all of them. */
#define YIELD_LOOKS (WF_DOOR_LOOKS | WF_COUNT_MASK)

static __attribute__((noinline)) int look_again(weft_task *self)
{
    return wf_door_observe(self, NULL);
}

int weft_yield(void)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    if (WF_UNLIKELY(self->scope != NULL) || WF_UNLIKELY(wf_has_acq(&self->word, YIELD_LOOKS)) ||
        WF_UNLIKELY(wf_has_rlx(&self->flags, WF_TASK_PROBED | WF_TASK_PINNED))) {
        return yield(__func__);
    }
    worker = wf_go_yield(worker, self, WF_GO_SITE);
    self = wf_load_rlx(&worker->running);
    self->budget_spent = 0;
    if (WF_UNLIKELY(wf_has_acq(&self->word, YIELD_LOOKS))) {
        return look_again(self);
    }
    return WF_LIKELY(worker->left_site == WF_GO_SITE) ? 0 : wf_return_far();
}

int weft_sleep_until(int64_t deadline_ns)
{
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_door_running(worker);
    if (WF_UNLIKELY(self == NULL) || deadline_ns <= wf_runtime_now(worker->runtime)) {
        return yield(__func__); /* which says why not */
    }
    return sleep_until(self, deadline_ns, __func__, WF_GO_SITE);
}

int weft_sleep(int64_t delay_ns)
{
    enum { SHORT_NS = 1000 }; /* may be over before the sleep begins: that is looked at */
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_door_running(worker);
    if (delay_ns <= 0 || WF_UNLIKELY(self == NULL)) {
        return yield(__func__);
    }
    int64_t deadline_ns = wf_deadline_after(wf_runtime_now(worker->runtime), delay_ns);
    if (WF_UNLIKELY(delay_ns < SHORT_NS) && deadline_ns <= wf_runtime_now(worker->runtime)) {
        return yield(__func__);
    }
    return sleep_until(self, deadline_ns, __func__, WF_GO_SITE);
}

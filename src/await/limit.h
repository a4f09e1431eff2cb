// SPDX-License-Identifier: MIT
/* limit.h - scopes with a deadline: what timeouts and shields share.
 *
 * What: the timer of a scope is armed when its task first waits inside it, not when it enters. Until then
 *       the task runs, and would not hear of the deadline anyway; an operation that is ready pays for a
 *       look at the clock and nothing else. A task that is ready for long looks at the clock itself when it
 *       yields (wf_limit_check). A simulation arms at once: there the order of arming counts.
 */
#ifndef WF_AWAIT_LIMIT_H
#define WF_AWAIT_LIMIT_H

#include "await/door.h"

/* A scope's trigger in a wheel. */
struct wf_limit {
    struct wf_scope *scope;
    struct wf_timer timer;
    /* WF_LIMIT_*. By a CAS (solo.h): the task itself closes an idle one; under the wheel's lock the task, and whoever
     * reschedules, make it live. One that is live the task closes by a store under that lock. */
    wf_au32 state;
};

enum {
    WF_LIMIT_CLOSED = 0,
    WF_LIMIT_IDLE,    /* its timer has not been armed yet */
    WF_LIMIT_ENDLESS, /* WF_FOREVER: there is nothing to arm */
    WF_LIMIT_LIVE,    /* its timer is the wheel lock's */
};

/* Gives the scope a deadline, on the calling worker's wheel; it stays that wheel's. */
void wf_limit_set(struct wf_limit *limit, struct wf_scope *scope, int64_t deadline_ns);

/* The running task is about to wait: arms what has not been armed of its open scopes. */
void wf_limit_arm_idle(weft_task *self);

/* Disarms it for good: neither the timer nor another task's reschedule reaches the scope any more. */
void wf_limit_close(struct wf_limit *limit);

/* Fires the deadlines of the task's open scopes that have passed: for a task that yields without ever
 * leaving its worker idle. */
void wf_limit_check(weft_task *self);

/* The limit of a scope, NULL if it has none. */
struct wf_limit *wf_limit_of(struct wf_scope *scope);

struct wf_timeout {
    struct wf_scope scope;
    struct wf_limit limit;
};

struct wf_section {
    struct wf_shield shield;
    struct wf_limit limit;
};

#endif

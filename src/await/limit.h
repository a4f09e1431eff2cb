// SPDX-License-Identifier: MIT
/* limit.h - scopes with a deadline: what timeouts and shields share. */
#ifndef WF_AWAIT_LIMIT_H
#define WF_AWAIT_LIMIT_H

#include "await/door.h"

/* A scope's trigger in a wheel. */
struct wf_limit {
    struct wf_scope *scope;
    struct wf_timer timer;
};

/* Arms the scope's deadline on the calling worker's wheel; it stays that wheel's. */
void wf_limit_arm(struct wf_limit *limit, struct wf_scope *scope, int64_t deadline_ns);

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

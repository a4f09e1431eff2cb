// SPDX-License-Identifier: MIT
/* door.c - observe, spend budget, publish, leave; then: who won? */
#include "await/door.h"

#include <errno.h>

#include "await/limit.h"

/* A sweep looks: see probe.h. Its mark lies beside what the door reads anyway. `call` is NULL within a call
 * that has been counted. */
static inline void pass(weft_task *self, const char *call)
{
    if (call != NULL) {
        wf_door_count(self, call);
    }
}

static int look(weft_task *self)
{
    if (!wf_state_observe(&self->word)) {
        return wf_door_is_shut(self) ? -EPERM : 0;
    }
    struct wf_worker *worker = wf_here();
    wf_bump_own(&worker->counters.delivered, 1);
    return -ECANCELED;
}

static void spend(weft_task *self)
{
    if (++self->budget_spent < WF_BUDGET) {
        return;
    }
    struct wf_worker *worker = wf_here();
    worker->left_awaits = self->budget_spent;
    self->budget_spent = 0;
    if (worker->sim == NULL || !wf_sim_is_strict(worker->sim)) {
        wf_sched_yield(worker);
        if (self->scope != NULL) {
            wf_limit_check(self);
        }
    }
}

int wf_door_enter(weft_task *self, const char *call)
{
    pass(self, call);
    int rc = look(self);
    if (rc == 0) {
        spend(self);
        rc = look(self);
    }
    return rc;
}

int wf_door_observe(weft_task *self, const char *call)
{
    pass(self, call);
    return look(self);
}

void wf_door_spend(weft_task *self, const char *call)
{
    pass(self, call);
    spend(self);
}

int wf_door_yield(weft_task *self)
{
    wf_sched_yield(wf_here());
    self->budget_spent = 0;
    if (self->scope != NULL && !wf_has_turns(self)) {
        wf_limit_check(self);
    }
    return look(self);
}

void wf_wait_again(struct wf_wait *wait)
{
    wf_wait_name(wait);
}

void wf_wait_begin(struct wf_wait *wait, weft_task *self, enum wf_reason reason)
{
    wf_wait_begin_here(wait, self, reason);
}

void wf_door_arm(weft_task *self)
{
    wf_limit_arm_idle(self);
}

enum wf_verdict wf_door_park_from(struct wf_wait *wait, const void *site)
{
    return wf_door_park_here(wait, wait->task, site);
}

/* Somebody reads this wait, and holds the lock for as long as the mark stands. Another one may come after that one, who
 * has seen a child inside before the wait (wf_cancel_inside). */
uint64_t wf_door_let_read(weft_task *self)
{
    uint64_t word;
    do {
        wf_lock(&self->lock);
        wf_unlock(&self->lock);
        word = wf_load_acq(&self->word);
    } while ((word & WF_BUSY) != 0);
    return word;
}

/* ---- alarms ---- */

static void ring(struct wf_timer *timer, void *context)
{
    struct wf_alarm *alarm = WF_CONTAINER(timer, struct wf_alarm, timer);
    (void)wf_wait_claim(alarm->wait, alarm->verdict, context);
}

void wf_alarm_set(struct wf_alarm *alarm, struct wf_wait *wait, int64_t deadline_ns,
                  enum wf_verdict verdict)
{
    struct wf_worker *worker = wf_here();
    wf_timer_init(&alarm->timer, &worker->wheel, ring);
    alarm->wait = wait;
    alarm->verdict = verdict;
    if (deadline_ns != WF_FOREVER) {
        wf_bump_own(&worker->counters.armed, 1);
        (void)wf_timer_arm(&alarm->timer, deadline_ns);
    }
}

void wf_alarm_clear(struct wf_alarm *alarm)
{
    (void)wf_timer_disarm(&alarm->timer);
}

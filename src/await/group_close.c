// SPDX-License-Identifier: MIT
/* group_close.c - waiting for a group's children, and its end. */
#include "await/group.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/time.h>

/* ---- waiting for the children ---- */

static void list_children(const struct wf_wait *wait, wf_each *each, void *arg)
{
    wf_group_list((struct wf_group *)(uintptr_t)wait->target, each, arg);
}

/* A request to the task while it waits in close: the first one cancels the children; all are absorbed into
 * the wait. */
static bool absorb(struct wf_wait *wait, struct wf_later *later)
{
    wf_group_cancel_once((struct wf_group *)(uintptr_t)wait->target, wf_cancel_cause(wait->task),
                         later);
    return true;
}

/* One wait for the last child; WF_GRANTED at once when there is none. */
static enum wf_verdict wait_once(struct wf_group *g, struct wf_wait *wait, int64_t deadline_ns)
{
    wf_wait_again(wait);
    wf_lock(&g->lock);
    bool must_wait = g->live > 0;
    g->wait = must_wait ? wait : NULL;
    wf_unlock(&g->lock);
    if (!must_wait) {
        return WF_GRANTED;
    }
    struct wf_alarm alarm;
    if (deadline_ns != WF_FOREVER) {
        wf_alarm_set(&alarm, wait, deadline_ns, WF_TIMED_OUT);
    }
    enum wf_verdict verdict = wf_door_park(wait);
    if (deadline_ns != WF_FOREVER) {
        wf_alarm_clear(&alarm);
    }
    wf_lock(&g->lock); /* whoever ended the last child has left it */
    g->wait = NULL;
    wf_unlock(&g->lock);
    return verdict;
}

/* The task has taken a request of its own. */
static void absorb_now(struct wf_group *g, bool *absorbed)
{
    struct wf_later later;
    wf_later_init(&later);
    *absorbed = true;
    wf_group_cancel_once(g, wf_cancel_cause(g->scope.task), &later);
    wf_later_run(&later);
}

/* Waits until no child is live; `absorbed` becomes true if a request comes meanwhile. Requests are taken
 * on the canceller's thread, or, where everything has its turn, by the task when it is its turn. */
static void wait_for_children(struct wf_group *g, bool *absorbed)
{
    struct wf_wait wait;
    bool has_turns = wf_has_turns(g->scope.task);
    wf_wait_begin(&wait, g->scope.task, WF_WAIT_GROUP);
    wait.target = g;
    wait.hand_on = has_turns ? NULL : absorb;
    wait.list = list_children;
    while (wait_once(g, &wait, WF_FOREVER) != WF_GRANTED) {
        absorb_now(g, absorbed);
    }
    *absorbed = *absorbed || wait.handed_on;
}

int weft_group_drain(weft_group *group, int64_t delay_ns)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || group == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    if (!wf_scope_is_open(self, group)) {
        return -EINVAL;
    }
    struct wf_group *g = wf_group_of(group);
    wf_lock(&g->lock);
    g->is_draining = true;
    wf_unlock(&g->lock);
    rc = wf_door_enter(self, __func__);
    if (rc < 0) {
        return rc;
    }
    int64_t deadline_ns = wf_deadline_after(weft_now(), delay_ns);
    struct wf_wait wait;
    wf_wait_begin(&wait, self, WF_WAIT_GROUP);
    wait.target = g;
    wait.list = list_children;
    switch (wait_once(g, &wait, deadline_ns)) {
    case WF_GRANTED:
        return 0;
    case WF_TIMED_OUT:
        return -ETIMEDOUT;
    default:
        return -ECANCELED;
    }
}

/* ---- closing ---- */

/* The exit's last word. `rc` is how the body ended, `absorbed` whether a request was consumed here. */
static intptr_t last_word(struct wf_group *g, intptr_t rc, bool absorbed)
{
    weft_task *self = g->scope.task;
    bool had_request = g->scope.has_request;
    (void)wf_scope_withdraw(&g->scope);
    struct wf_tally tally = wf_scope_tally(self);
    /* consumed, but somebody else's */
    bool others = tally.visible - tally.undelivered > g->scope.baseline;
    if (g->error_count > 0 && !g->is_independent) {
        if (others) {
            wf_state_rearm(&self->word);
        }
        return g->codes[0];
    }
    bool is_foreign = others || (absorbed && !had_request); /* taken back since or not */
    if (is_foreign && (absorbed || rc == -ECANCELED)) {
        wf_state_set(&self->word, WF_TOLD);
        return -ECANCELED;
    }
    if (rc == -ECANCELED && had_request) {
        return 0; /* the group's own */
    }
    return rc;
}

/* Codes on the heap go to the task, which frees them with its next such group or at its end. */
static void keep_codes(struct wf_group *g)
{
    if (g->codes == g->inline_codes) {
        return;
    }
    weft_task *self = g->scope.task;
    if (g->error_count == 0) {
        free(g->codes);
        g->codes = g->inline_codes;
        return;
    }
    free(wf_task_side(self)->errors);
    wf_task_side(self)->errors = g->codes;
    wf_task_add_flags(self, WF_TASK_MORE);
}

/* A request that has ended the body goes on to the children with its cause. */
static int cause_of_end(weft_task *self, intptr_t rc)
{
    bool is_told = rc == -ECANCELED && wf_word_count(wf_load_acq(&self->word)) > 0;
    return is_told ? wf_cancel_cause(self) : WEFT_CAUSE_GROUP;
}

/* What the body ended with becomes the group's; false: no child is live, nor will be. */
static bool begin_closing(struct wf_group *g, intptr_t rc, bool absorbed)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&g->lock);
    g->is_closing = true;
    if (weft_is_error(rc) && rc != -ECANCELED && !g->is_independent) {
        wf_group_record(g, (int)rc);
    }
    if ((weft_is_error(rc) || absorbed) && !g->is_aborting) {
        wf_group_cancel_children(g, cause_of_end(g->scope.task, rc), &later);
    }
    bool must_wait = g->live > 0;
    g->phase = must_wait ? WF_GROUP_OPEN : WF_GROUP_CLOSED;
    wf_unlock(&g->lock);
    wf_later_run(&later);
    return must_wait;
}

/* Those children that did not run inside. */
static void see_off_children(struct wf_group *g, bool *absorbed)
{
    /* What came at a moment when nobody was inside, such as by a callback, came to the wait. */
    if (wf_door_observe(g->scope.task, NULL) < 0) {
        absorb_now(g, absorbed);
    }
    wait_for_children(g, absorbed);
    wf_lock(&g->lock);
    g->phase = WF_GROUP_CLOSED;
    wf_unlock(&g->lock);
}

__attribute__((noinline)) intptr_t wf_group_conclude(struct wf_group *g, intptr_t rc, bool absorbed)
{
    if (g->phase != WF_GROUP_CLOSED) { /* nobody else sets it */
        see_off_children(g, &absorbed);
    }
    rc = last_word(g, rc, absorbed);
    keep_codes(g);
    wf_group_leave(g);
    return rc;
}

/* Any closing. */
static __attribute__((noinline)) intptr_t close_fully(weft_group *group, intptr_t rc)
{
    int error = 0;
    weft_task *self = wf_door_running(wf_here());
    struct wf_group *g = wf_group_of(group);
    if (self == NULL || group == NULL || self->scope != &g->scope) {
        return wf_fiber_worker(&error) == NULL ? error : -EINVAL;
    }
    bool absorbed = wf_door_observe(self, "weft_group_close") < 0;
    if (absorbed && !weft_is_error(rc)) {
        rc = -ECANCELED; /* as if the body had ended with it */
    }
    if (begin_closing(g, rc, absorbed)) {
        wf_lock(&g->lock);
        if (g->live > 0) {
            return wf_group_close_inside(g, rc, absorbed);
        }
        wf_unlock(&g->lock);
    }
    return wf_group_conclude(g, rc, absorbed);
}

/* Others are at the lock, or there is more to be done than to leave the scope. */
static __attribute__((noinline)) intptr_t conclude_slowly(struct wf_group *g, intptr_t rc)
{
    wf_unlock(&g->lock);
    return wf_group_conclude(g, rc, false);
}

/* Without a frame, where the body has ended well, and nobody has cancelled it. */
intptr_t weft_group_close(weft_group *group, intptr_t rc)
{
    weft_task *self = wf_load_rlx(&wf_here_quick()->running);
    struct wf_group *g = wf_group_of(group);
    if (WF_UNLIKELY(group == NULL) || WF_UNLIKELY(self->scope != &g->scope) ||
        WF_UNLIKELY(weft_is_error(rc)) || WF_UNLIKELY(!wf_door_is_plain(self)) ||
        WF_UNLIKELY(!wf_lock_quickly(&g->lock))) {
        return close_fully(group, rc);
    }
    g->is_closing = true;
    if (g->live > 0) {
        return wf_group_close_inside(g, rc, false);
    }
    g->phase = WF_GROUP_CLOSED;
    if (WF_UNLIKELY(!wf_group_is_plain(g)) || WF_UNLIKELY(!wf_unlock_quickly(&g->lock))) {
        return conclude_slowly(g, rc);
    }
    wf_group_leave(g);
    return rc;
}

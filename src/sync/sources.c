// SPDX-License-Identifier: MIT
/* sources.c - cases that take nothing: futures, events, tasks, timers.
 *
 * Having been ready at some moment is enough for them, so whenever they take effect it is the same.
 */
#include <weft/time.h>

#include "await/future.h"
#include "sync/event.h"
#include "sync/select.h"

WF_CASE_FITS(struct wf_waiter);

static struct wf_waiter *waiter_of(weft_case *one)
{
    return wf_case_room(one);
}

static void set_result(weft_case *one, intptr_t value)
{
    one->outcome = 0;
    if (one->item != NULL) {
        *(intptr_t *)one->item = value;
    }
}

/* Linked, or it is ready. */
static enum wf_linking conclude(struct wf_selection *selection, weft_case *one, bool is_linked)
{
    if (is_linked) {
        return WF_CASE_LINKED;
    }
    if (!wf_selection_claim(selection)) {
        return WF_CASE_LOST;
    }
    return wf_kind_of(one)->finish(selection, one) ? WF_CASE_DONE : WF_CASE_AGAIN;
}

/* ---- futures ---- */

weft_case weft_case_future(weft_future *future, intptr_t *result)
{
    return wf_case_make(WEFT_CASE_FUTURE, future, result);
}

static bool finish_future(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    intptr_t value;
    if (weft_future_result(one->source, &value) == 0) {
        set_result(one, value);
    }
    return true;
}

static bool attempt_future(struct wf_selection *selection, weft_case *one)
{
    return wf_future_is_over(one->source) && finish_future(selection, one);
}

static enum wf_linking link_future(struct wf_selection *selection, weft_case *one)
{
    wf_case_waiter(selection, waiter_of(one));
    return conclude(selection, one, wf_future_watch(one->source, waiter_of(one)));
}

static void unlink_future(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    wf_future_unwatch(one->source, waiter_of(one));
}

const struct wf_case_kind wf_case_future = {
    .attempt = attempt_future,
    .link = link_future,
    .unlink = unlink_future,
    .finish = finish_future,
};

/* ---- events ---- */

weft_case weft_case_event(weft_event *event)
{
    return wf_case_make(WEFT_CASE_EVENT, event, NULL);
}

static bool finish_event(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    one->outcome = 0;
    return true;
}

static bool attempt_event(struct wf_selection *selection, weft_case *one)
{
    return wf_event_is_through(one->source) && finish_event(selection, one);
}

/* An event grants by itself: no notify. */
static enum wf_linking link_event(struct wf_selection *selection, weft_case *one)
{
    wf_case_waiter(selection, waiter_of(one));
    waiter_of(one)->notify = NULL;
    return conclude(selection, one, wf_event_watch(one->source, waiter_of(one)));
}

static void unlink_event(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    wf_event_unwatch(one->source, waiter_of(one));
}

const struct wf_case_kind wf_case_event = {
    .attempt = attempt_event,
    .link = link_event,
    .unlink = unlink_event,
    .finish = finish_event,
};

/* ---- ends of tasks ---- */

weft_case weft_case_task(weft_task *task, intptr_t *result)
{
    return wf_case_make(WEFT_CASE_TASK, task, result);
}

static bool finish_task(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    wf_task_look(one->source, one->item);
    one->outcome = 0;
    return true;
}

static bool attempt_task(struct wf_selection *selection, weft_case *one)
{
    weft_task *task = one->source;
    return wf_word_has_ended(wf_load_acq(&task->word)) && finish_task(selection, one);
}

static enum wf_linking link_task(struct wf_selection *selection, weft_case *one)
{
    wf_case_waiter(selection, waiter_of(one));
    waiter_of(one)->is_queued = wf_has_turns(selection->self);
    return conclude(selection, one, wf_task_watch(one->source, waiter_of(one)));
}

static void unlink_task(struct wf_selection *selection, weft_case *one)
{
    wf_task_unwatch(one->source, waiter_of(one));
    wf_door_forget(selection->self, waiter_of(one));
}

const struct wf_case_kind wf_case_task = {
    .attempt = attempt_task,
    .link = link_task,
    .unlink = unlink_task,
    .finish = finish_task,
};

/* ---- timers ---- */

weft_case weft_case_at(int64_t deadline_ns)
{
    weft_case one = wf_case_make(WEFT_CASE_TIMER, NULL, NULL);
    one.deadline_ns = deadline_ns;
    return one;
}

weft_case weft_case_after(int64_t delay_ns)
{
    return weft_case_at(wf_deadline_after(weft_now(), delay_ns));
}

static bool finish_timer(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    one->outcome = 0;
    return true;
}

static bool attempt_timer(struct wf_selection *selection, weft_case *one)
{
    return one->deadline_ns <= wf_runtime_now(wf_runtime_of(selection->self)) &&
           finish_timer(selection, one);
}

/* Of those with the same deadline the first in a random order. */
static enum wf_linking link_timer(struct wf_selection *selection, weft_case *one)
{
    const weft_case *next = selection->next_timer;
    if (next == NULL || one->deadline_ns < next->deadline_ns) {
        selection->next_timer = one;
    }
    return WF_CASE_LINKED;
}

const struct wf_case_kind wf_case_timer = {
    .attempt = attempt_timer,
    .link = link_timer,
    .finish = finish_timer,
};

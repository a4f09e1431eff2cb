// SPDX-License-Identifier: MIT
/* select.c - one wait with many waiters: see select.h for the protocol. */
#include "sync/select.h"

#include <errno.h>

#include "base/random.h"
#include "sched/report.h"

/* ---- the kinds ---- */

const struct wf_case_kind *wf_kind_of(const weft_case *one)
{
    static const struct wf_case_kind *const kinds[] = {
        [WEFT_CASE_PUT] = &wf_case_queue,     [WEFT_CASE_GET] = &wf_case_queue,
        [WEFT_CASE_FUTURE] = &wf_case_future, [WEFT_CASE_EVENT] = &wf_case_event,
        [WEFT_CASE_TASK] = &wf_case_task,     [WEFT_CASE_TIMER] = &wf_case_timer,
        [WEFT_CASE_FD] = &wf_case_fd,
    };
    return (unsigned)one->kind < sizeof kinds / sizeof kinds[0] ? kinds[one->kind] : NULL;
}

static bool has_source(const weft_case *one)
{
    return one->kind == WEFT_CASE_TIMER || one->kind == WEFT_CASE_FD || one->source != NULL;
}

/* 0, -EINVAL, or -EDEADLK for a case that waits for the end of `self`. */
static int prepare(weft_case *cases, size_t count, const weft_task *self)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        weft_case *one = &cases[i];
        const struct wf_case_kind *kind = wf_kind_of(one);
        if (kind == NULL && one->kind != WEFT_CASE_NONE) {
            return -EINVAL;
        }
        bool is_live = kind != NULL && has_source(one);
        if (is_live && kind->check != NULL && kind->check(one) < 0) {
            return -EINVAL;
        }
        rc = one->kind == WEFT_CASE_TASK && one->source == self ? -EDEADLK : rc;
        *wf_case_note(one) = (struct wf_case_note){.order = (uint32_t)i, .is_live = is_live};
    }
    return rc;
}

/* ---- chance ---- */

/* Each selection has a generator of its own: its task may go on on another worker. */
static uint64_t start_of_chance(struct wf_worker *worker)
{
    if (worker->sim == NULL) {
        return ((uint64_t)wf_random(&worker->random) << 32) | 1U;
    }
    return wf_sim_is_strict(worker->sim) ? 0 : wf_sim_draw(worker->sim, UINT64_MAX) | 1U;
}

/* The i-th case of a random order. Asked for i from 0 on, and shuffles no further than that. */
static weft_case *pick(struct wf_selection *selection, uint32_t i)
{
    struct wf_case_note *here = wf_case_note(&selection->cases[i]);
    uint32_t left = selection->count - i;
    if (selection->random != 0 && left > 1) {
        struct wf_case_note *there =
            wf_case_note(&selection->cases[i + wf_random_below(&selection->random, left)]);
        uint32_t order = there->order;
        there->order = here->order;
        here->order = order;
    }
    return &selection->cases[here->order];
}

/* ---- one round ---- */

void wf_case_grant(struct wf_waiter *waiter, struct wf_later *later)
{
    struct wf_wait *wait = waiter->wait;
    if (wf_wait_claim(wait, WF_GRANTED, later)) {
        wait->granted = waiter;
    }
}

static weft_case *attempt_all(struct wf_selection *selection)
{
    /* cppcheck-suppress ctuuninitvar - weft_select has written what is read here */
    for (uint32_t i = 0; i < selection->count; i++) {
        weft_case *one = pick(selection, i);
        if (wf_case_note(one)->is_live && wf_kind_of(one)->attempt(selection, one)) {
            return one;
        }
    }
    return NULL;
}

/* LINKED: all are. `chosen` is set with DONE. */
static enum wf_linking link_all(struct wf_selection *selection, weft_case **chosen)
{
    for (uint32_t i = 0; i < selection->count; i++) {
        weft_case *one = pick(selection, i);
        if (!wf_case_note(one)->is_live) {
            continue;
        }
        enum wf_linking linking = wf_kind_of(one)->link(selection, one);
        if (linking != WF_CASE_LINKED) {
            *chosen = linking == WF_CASE_DONE ? one : NULL;
            return linking;
        }
        wf_case_note(one)->is_linked = wf_kind_of(one)->unlink != NULL;
    }
    if (selection->next_timer != NULL) {
        wf_alarm_set(&selection->alarm, &selection->wait, selection->next_timer->deadline_ns,
                     WF_TIMED_OUT);
    }
    return WF_CASE_LINKED;
}

static void unlink_all(struct wf_selection *selection, const weft_case *but)
{
    for (uint32_t i = 0; i < selection->count; i++) {
        weft_case *one = &selection->cases[i];
        if (!wf_case_note(one)->is_linked) {
            continue;
        }
        wf_case_note(one)->is_linked = false;
        if (one != but || wf_kind_of(one)->stays_linked) {
            wf_kind_of(one)->unlink(selection, one);
        }
    }
}

/* The case whose waiter was granted: waiters lie in their cases. */
static weft_case *granted_case(const struct wf_selection *selection)
{
    if (selection->wait.granted == NULL) {
        return NULL;
    }
    size_t offset = (size_t)((char *)selection->wait.granted - (char *)selection->cases);
    return &selection->cases[offset / sizeof(weft_case)];
}

/* Who won, and has taken effect? *chosen stays NULL for a hint that came to nothing. */
static int settle(struct wf_selection *selection, enum wf_verdict verdict, weft_case **chosen)
{
    bool is_early = selection->wait.was_early;
    unlink_all(selection, verdict == WF_GRANTED && !is_early ? granted_case(selection) : NULL);
    if (selection->next_timer != NULL && (verdict != WF_TIMED_OUT || is_early)) {
        wf_alarm_clear(&selection->alarm);
    }
    if (verdict == WF_TOLD_OFF) {
        return -ECANCELED;
    }
    weft_case *one = verdict == WF_TIMED_OUT ? selection->next_timer : granted_case(selection);
    if (wf_kind_of(one)->finish(selection, one)) {
        *chosen = one;
    }
    return 0;
}

static void leave(struct wf_wait *wait)
{
    unlink_all(WF_CONTAINER(wait, struct wf_selection, wait), NULL);
}

/* 0, or -ECANCELED. *chosen NULL: nothing has happened, begin again. */
static int wait_for_one(struct wf_selection *selection, weft_case **chosen)
{
    *chosen = NULL;
    wf_wait_begin(&selection->wait, selection->self, WF_WAIT_SELECT);
    selection->wait.target = selection->cases;
    selection->wait.leave = leave;
    selection->wait.granted = NULL;
    selection->next_timer = NULL;
    switch (link_all(selection, chosen)) {
    case WF_CASE_DONE:
    case WF_CASE_AGAIN:
        unlink_all(selection, NULL); /* the alarm is the last to be set */
        return 0;
    case WF_CASE_LOST:
        selection->next_timer = NULL;
        break; /* parking finds that the wait is decided, and by whom */
    case WF_CASE_LINKED:
        break;
    }
    return settle(selection, wf_door_park(&selection->wait), chosen);
}

/* ---- the call ---- */

static int run(struct wf_selection *selection, unsigned flags)
{
    weft_case *chosen = attempt_all(selection);
    if (chosen == NULL && (flags & WEFT_SELECT_POLL) != 0) {
        return -EAGAIN;
    }
    while (chosen == NULL) {
        int rc = wait_for_one(selection, &chosen);
        if (rc < 0) {
            return rc;
        }
    }
    return (int)(chosen - selection->cases);
}

int weft_select(weft_case *cases, size_t count, unsigned flags)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    weft_task *self = wf_self_on(worker);
    bool is_sound = cases != NULL && count > 0 && count <= INT32_MAX &&
                    (flags & ~(unsigned)WEFT_SELECT_POLL) == 0;
    int prepared = is_sound ? prepare(cases, count, self) : -EINVAL;
    if (prepared == -EINVAL) {
        return -EINVAL;
    }
    rc = wf_door_enter_quickly(self, __func__);
    if (rc < 0) {
        return rc;
    }
    if (prepared < 0) {
        wf_misuse(prepared, __func__, NULL, "", 0, "a case waits for the end of the caller");
        return prepared;
    }
    struct wf_selection selection; /* the rest belongs to a round */
    selection.self = self;
    selection.cases = cases;
    selection.count = (uint32_t)count;
    selection.random = start_of_chance(wf_here());
    return run(&selection, flags);
}

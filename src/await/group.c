// SPDX-License-Identifier: MIT
/* group.c - a scope that owns tasks.
 *
 * Everything that decides (a child's end, spawn, cancel, close) is serialised by the group's lock, so
 * a spawn that races with an abort is either refused or in the list that is cancelled. The group lives
 * in its task's frame: a child's end does all it does under the lock, and closing takes the lock once
 * more after the last child, so nobody is in the group any more when it returns.
 *
 * Lock order: the task's own lock (hand_on, list), then the group's, then shield locks (cancel_children).
 * Nobody takes a task's lock under a group's.
 *
 * Aborting sends one request to every unfinished child in the order of spawning and one, the scope's
 * own, to the task. At the exit the scope's request is taken back; what is then above the baseline
 * belongs to somebody else and lives on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/group.h>
#include <weft/task.h>
#include <weft/time.h>

#include "await/door.h"

enum { INLINE_CODES = 6 };
enum group_phase { GROUP_CREATED = 0, GROUP_PRECANCELLED, GROUP_OPEN, GROUP_CLOSED };

struct wf_group {
    struct wf_scope scope;
    struct wf_owner owner; /* of the children */
    struct wf_lock lock;   /* guards all below */
    uint32_t phase;        /* enum group_phase */
    bool is_independent;
    bool is_aborting;   /* children were cancelled, spawn refuses */
    bool is_draining;   /* spawn refuses */
    bool was_cancelled; /* by weft_group_cancel: the group's own -ECANCELED is dropped */
    bool is_closing;
    uint32_t live; /* children that have not left: unfinished, or their callbacks are running */
    struct wf_list children;
    struct wf_wait *wait; /* of the task, in close or drain */
    /* Codes in the order of recording: inline, then on the heap with room for every child. */
    uint32_t error_count;
    uint32_t code_cap;
    int *codes;
    int inline_codes[INLINE_CODES];
};

_Static_assert(sizeof(struct wf_group) <= sizeof(weft_group), "weft_group is too small");

static struct wf_group *inside(const weft_group *group)
{
    return (struct wf_group *)(uintptr_t)group;
}

/* ---- errors ---- */

/* The wait in close or drain owns the codes on the heap: children spawn too, and move them. Under the
 * lock. */
static void own_codes(struct wf_group *g)
{
    if (g->wait != NULL) {
        g->wait->memory = g->codes != g->inline_codes ? g->codes : NULL;
    }
}

/* Finishing never allocates: spawn makes room for one more code, under the lock. */
static bool make_room(struct wf_group *g)
{
    uint32_t need = g->error_count + g->live + 2; /* the new child, and the body */
    if (g->is_independent || need <= g->code_cap) {
        return true;
    }
    uint32_t cap = 2 * need;
    int *codes = malloc(cap * sizeof *codes);
    if (codes == NULL) {
        return false;
    }
    memcpy(codes, g->codes, g->error_count * sizeof *codes);
    if (g->codes != g->inline_codes) {
        free(g->codes);
    }
    g->codes = codes;
    g->code_cap = cap;
    own_codes(g);
    return true;
}

static void record(struct wf_group *g, int code)
{
    if (!g->is_independent && g->error_count < g->code_cap) {
        g->codes[g->error_count] = code;
    }
    g->error_count++;
}

/* ---- aborting ---- */

/* Cancels the unfinished children once; under the lock. */
static void cancel_children(struct wf_group *g, int cause, struct wf_later *later)
{
    g->is_aborting = true;
    for (struct wf_list *l = g->children.next; l != &g->children; l = l->next) {
        (void)wf_cancel(WF_CONTAINER(l, weft_task, siblings), 1, cause, later);
    }
}

static void abort_group(struct wf_group *g, struct wf_later *later)
{
    cancel_children(g, WEFT_CAUSE_GROUP, later);
    wf_scope_fire(&g->scope, later);
}

/* ---- children ---- */

static void report_independent(weft_task *task, int code)
{
    struct wf_worker *worker = wf_here();
    struct wf_registry *registry = wf_task_registry(task);
    wf_bump_own(&worker->counters.group_errors, 1);
    registry->report(registry, WEFT_DIAG_GROUP_ERROR, task, code);
}

/* A child has ended: on its worker, no locks held. */
static void child_ended(struct wf_owner *owner, weft_task *task, struct wf_later *later)
{
    struct wf_group *g = WF_CONTAINER(owner, struct wf_group, owner);
    bool has_failed = wf_word_life(wf_load_acq(&task->word)) == WF_ERROR;
    int code = (int)task->raw;
    if (has_failed) {
        wf_state_set(&task->word, WF_SEEN); /* the group tells */
        if (g->is_independent) {
            report_independent(task, code);
        }
    }
    if (has_failed) {
        wf_lock(&g->lock);
        record(g, code);
        if (!g->is_independent && !g->is_aborting) {
            abort_group(g, later);
        }
        wf_unlock(&g->lock);
    }
}

/* ... and its callbacks have run: the last touch of the group. */
static void child_left(struct wf_owner *owner, weft_task *task, struct wf_later *later)
{
    struct wf_group *g = WF_CONTAINER(owner, struct wf_group, owner);
    wf_lock(&g->lock);
    wf_list_remove(&task->siblings);
    g->live--;
    if (g->live == 0 && g->wait != NULL) {
        (void)wf_wait_claim(g->wait, WF_GRANTED, later);
    }
    wf_unlock(&g->lock);
    (void)wf_task_disown(task); /* the run's hold keeps the record until the caller is done */
}

/* From here on the child can be cancelled with the others. */
static int add_child(struct wf_worker *worker, struct wf_group *g, weft_task *task,
                     bool wants_handle)
{
    int rc = 0;
    wf_lock(&g->lock);
    if (g->phase != GROUP_OPEN) {
        rc = g->phase == GROUP_CLOSED ? -ESHUTDOWN : -EINVAL;
    } else if (g->is_aborting || g->is_draining || (g->is_closing && g->live == 0)) {
        rc = -ESHUTDOWN;
    } else if (!make_room(g)) {
        rc = -ENOMEM;
    } else {
        task->owner = &g->owner;
        wf_task_add_flags(task, WF_TASK_MORE);
        wf_list_push(&g->children, &task->siblings);
        g->live++;
        if (wants_handle) {
            wf_task_own(task);
        }
        wf_spawn_publish(worker->runtime, worker, task);
    }
    wf_unlock(&g->lock);
    return rc;
}

int weft_group_spawn_at(const char *site, weft_group *group, weft_task **task, weft_fn *fn,
                        void *arg, const weft_spawn_options *options)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || group == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    struct wf_group *g = inside(group);
    weft_task *made;
    rc = wf_spawn_prepare(worker->runtime, worker, site, fn, arg, options, &made);
    if (rc < 0) {
        return rc;
    }
    rc = add_child(worker, g, made, task != NULL);
    if (rc < 0) {
        wf_spawn_abandon(worker, made);
        return rc;
    }
    if (task != NULL) {
        *task = made;
    }
    wf_sched_submit(worker->runtime, worker, made);
    return 0;
}

/* ---- opening and cancelling ---- */

int weft_group_open(weft_group *group, unsigned flags)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    const unsigned known = WEFT_GROUP_INDEPENDENT | WEFT_GROUP_ZEROED;
    if (worker == NULL || group == NULL || (flags & ~known) != 0) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    if (self->scope != NULL && wf_scope_is_open(self, group)) {
        return -EBUSY;
    }
    struct wf_group *g = inside(group);
    bool was_cancelled = (flags & WEFT_GROUP_ZEROED) != 0 && g->phase == GROUP_PRECANCELLED;
    memset(g, 0, sizeof *g);
    g->owner.ended = child_ended;
    g->owner.left = child_left;
    g->owner.is_queued = wf_has_turns(self);
    g->is_independent = (flags & WEFT_GROUP_INDEPENDENT) != 0;
    wf_list_init(&g->children);
    g->codes = g->inline_codes;
    g->code_cap = INLINE_CODES;
    g->phase = GROUP_OPEN;
    wf_scope_open(&g->scope, WF_SCOPE_GROUP, self);
    if (was_cancelled) {
        (void)weft_group_cancel(group);
    }
    return 0;
}

int weft_group_cancel(weft_group *group)
{
    if (group == NULL) {
        return -EINVAL;
    }
    struct wf_group *g = inside(group);
    struct wf_later later;
    wf_later_init(&later);
    int rc = 1;
    wf_lock(&g->lock);
    if (g->phase == GROUP_CREATED || g->phase == GROUP_PRECANCELLED) {
        g->phase = GROUP_PRECANCELLED;
    } else if (g->phase == GROUP_CLOSED) {
        rc = 0;
    } else if (wf_runtime_is_forked(wf_runtime_of(g->scope.task))) {
        rc = -ECHILD;
    } else if (!g->was_cancelled) {
        g->was_cancelled = true;
        if (!g->is_aborting) {
            abort_group(g, &later);
        }
    }
    wf_unlock(&g->lock);
    wf_later_run(&later);
    return rc;
}

/* ---- waiting for the children ---- */

static void list_children(const struct wf_wait *wait, wf_each *each, void *arg)
{
    struct wf_group *g = (struct wf_group *)(uintptr_t)wait->target;
    wf_lock(&g->lock);
    for (const struct wf_list *l = g->children.next; l != &g->children; l = l->next) {
        each(wf_task_token(WF_CONTAINER(l, weft_task, siblings)), arg);
    }
    wf_unlock(&g->lock);
}

static void abort_once(struct wf_group *g, struct wf_later *later)
{
    wf_lock(&g->lock);
    if (!g->is_aborting) {
        cancel_children(g, wf_cancel_cause(g->scope.task), later);
    }
    wf_unlock(&g->lock);
}

/* A request to the task while it waits in close: the first one cancels the children; all are absorbed into
 * the wait. */
static bool absorb(struct wf_wait *wait, struct wf_later *later)
{
    abort_once((struct wf_group *)(uintptr_t)wait->target, later);
    return true;
}

/* One wait for the last child; WF_GRANTED at once when there is none. */
static enum wf_verdict wait_once(struct wf_group *g, struct wf_wait *wait, int64_t deadline_ns)
{
    wf_wait_again(wait);
    wf_lock(&g->lock);
    bool must_wait = g->live > 0;
    g->wait = must_wait ? wait : NULL;
    own_codes(g);
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

/* Waits until no child is live; `absorbed` receives whether a request came meanwhile. Requests are taken
 * on the canceller's thread, or, where everything has its turn, by the task when it is its turn. */
static void wait_for_children(struct wf_group *g, bool *absorbed)
{
    struct wf_wait wait;
    bool has_turns = wf_has_turns(g->scope.task);
    wf_wait_begin(&wait, g->scope.task, WF_WAIT_GROUP);
    wait.target = g;
    wait.hand_on = has_turns ? NULL : absorb;
    wait.list = list_children;
    *absorbed = false;
    while (wait_once(g, &wait, WF_FOREVER) != WF_GRANTED) {
        struct wf_later later;
        wf_later_init(&later);
        *absorbed = true;
        abort_once(g, &later);
        wf_later_run(&later);
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
    struct wf_group *g = inside(group);
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
static intptr_t conclude(struct wf_group *g, intptr_t rc, bool absorbed)
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
    free(self->errors);
    self->errors = g->codes;
    wf_task_add_flags(self, WF_TASK_MORE);
}

/* A request that has ended the body goes on to the children with its cause. */
static int cause_of_end(weft_task *self, intptr_t rc)
{
    bool is_told = rc == -ECANCELED && wf_word_count(wf_load_acq(&self->word)) > 0;
    return is_told ? wf_cancel_cause(self) : WEFT_CAUSE_GROUP;
}

intptr_t weft_group_close(weft_group *group, intptr_t rc)
{
    int error = 0;
    struct wf_worker *worker = wf_fiber_worker(&error);
    if (worker == NULL) {
        return error;
    }
    weft_task *self = wf_self_on(worker);
    struct wf_group *g = inside(group);
    if (group == NULL || self->scope != &g->scope) {
        return -EINVAL;
    }
    bool absorbed = wf_door_observe(self, __func__) < 0;
    if (absorbed && !weft_is_error(rc)) {
        rc = -ECANCELED; /* as if the body had ended with it */
    }
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&g->lock);
    g->is_closing = true;
    if (weft_is_error(rc) && rc != -ECANCELED && !g->is_independent) {
        record(g, (int)rc);
    }
    if ((weft_is_error(rc) || absorbed) && !g->is_aborting) {
        cancel_children(g, cause_of_end(self, rc), &later);
    }
    wf_unlock(&g->lock);
    wf_later_run(&later);
    bool more = false;
    wait_for_children(g, &more);
    wf_lock(&g->lock);
    g->phase = GROUP_CLOSED;
    wf_unlock(&g->lock);
    rc = conclude(g, rc, absorbed || more);
    keep_codes(g);
    wf_store_rel(&g->scope.phase, WF_SCOPE_FINISHED);
    self->scope = g->scope.outer;
    return rc;
}

int weft_group_errors(const weft_group *group, int *codes, size_t cap)
{
    if (group == NULL || (codes == NULL && cap > 0)) {
        return -EINVAL;
    }
    struct wf_group *g = inside(group);
    uint32_t kept = g->is_independent ? 0 : g->error_count;
    kept = kept < g->code_cap ? kept : g->code_cap;
    for (uint32_t i = 0; i < kept && i < cap; i++) {
        codes[i] = g->codes[i];
    }
    return (int)g->error_count;
}

// SPDX-License-Identifier: MIT
/* group.c - opening a group, its children, and its end by an error or a request. */
#include "await/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/task.h>

#include "base/hint.h"
#include "sched/spawn.h"

/* ---- errors ---- */

/* Finishing never allocates: spawn makes room for one more code, under the lock. */
static inline uint32_t codes_needed(const struct wf_group *g)
{
    return g->error_count + g->live + 2; /* the new child, and the body */
}

static bool make_room(struct wf_group *g)
{
    if (codes_needed(g) <= g->code_cap) {
        return true;
    }
    uint32_t cap = 2 * codes_needed(g);
    int *codes = malloc(cap * sizeof *codes);
    if (codes == NULL) {
        return false;
    }
    memcpy(codes, g->codes, g->error_count * sizeof *codes);
    if (g->codes != g->inline_codes) {
        free(g->codes);
    }
    g->codes = codes;
    g->scope.memory = codes;
    g->code_cap = cap;
    return true;
}

void wf_group_record(struct wf_group *g, int code)
{
    if (!g->is_independent && g->error_count < g->code_cap) {
        g->codes[g->error_count] = code;
    }
    g->error_count++;
}

/* ---- aborting ---- */

void wf_group_cancel_children(struct wf_group *g, int cause, struct wf_later *later)
{
    g->is_aborting = true;
    for (struct wf_list *l = g->children.next; l != &g->children; l = l->next) {
        (void)wf_cancel(wf_group_child(l), 1, cause, later);
    }
}

void wf_group_cancel_once(struct wf_group *g, int cause, struct wf_later *later)
{
    wf_lock(&g->lock);
    if (!g->is_aborting) {
        wf_group_cancel_children(g, cause, later);
    }
    wf_unlock(&g->lock);
}

static void abort_group(struct wf_group *g, struct wf_later *later)
{
    wf_group_cancel_children(g, WEFT_CAUSE_GROUP, later);
    wf_scope_fire(&g->scope, later);
}

/* ---- children ---- */

void wf_group_list(struct wf_group *g, wf_each *each, void *arg)
{
    wf_lock(&g->lock);
    for (const struct wf_list *l = g->children.next; l != &g->children; l = l->next) {
        each(wf_task_token(wf_group_child(l)), arg);
    }
    wf_unlock(&g->lock);
}

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
    if (!has_failed) {
        return;
    }
    wf_state_set(&task->word, WF_SEEN); /* the group tells */
    if (g->is_independent) {
        report_independent(task, code);
    }
    wf_lock(&g->lock);
    wf_group_record(g, code);
    if (!g->is_independent && !g->is_aborting) {
        abort_group(g, later);
    }
    wf_unlock(&g->lock);
}

/* ... and its callbacks have run: the last touch of the group. */
static void child_left(struct wf_owner *owner, weft_task *task, struct wf_later *later)
{
    struct wf_group *g = WF_CONTAINER(owner, struct wf_group, owner);
    wf_lock(&g->lock);
    wf_list_remove(&wf_task_side(task)->siblings);
    g->live--;
    if (g->live == 0 && g->wait != NULL) {
        (void)wf_wait_claim(g->wait, WF_GRANTED, later);
    }
    wf_unlock(&g->lock);
    (void)wf_task_disown(task); /* the run's hold keeps the record until the caller is done */
}

/* A request to the task that waits for them all while one of them runs inside it. */
static void ask_all(struct wf_owner *owner, int cause, struct wf_later *later)
{
    wf_group_cancel_once(WF_CONTAINER(owner, struct wf_group, owner), cause, later);
}

static void list_all(struct wf_owner *owner, wf_each *each, void *arg)
{
    wf_group_list(WF_CONTAINER(owner, struct wf_group, owner), each, arg);
}

static const struct wf_owner_calls calls = {
    .ended = child_ended, .left = child_left, .request = ask_all, .list = list_all};

/* ---- spawning ---- */

/* Is there nothing against one more, nor anything to be done for it? */
static inline bool is_open(const struct wf_group *g, const struct wf_worker *worker)
{
    const uint8_t just_open[sizeof g->standing] = {WF_GROUP_OPEN};
    return memcmp(g->standing, just_open, sizeof just_open) == 0 &&
           codes_needed(g) <= g->code_cap && g->runtime == worker->runtime;
}

/* 0, or why there can be no more. A child of another runtime would be run inside, counted and freed by this one's workers.
 * Under the lock. */
static int admit(struct wf_group *g, const struct wf_worker *worker)
{
    if (g->phase != WF_GROUP_OPEN) {
        return g->phase == WF_GROUP_CLOSED ? -ESHUTDOWN : -EINVAL;
    }
    if (g->runtime != worker->runtime) {
        return -EPERM;
    }
    if (g->is_aborting || g->is_draining || (g->is_closing && g->live == 0)) {
        return -ESHUTDOWN;
    }
    return make_room(g) ? 0 : -ENOMEM;
}

/* From here on the child can be cancelled with the others. Under the lock. */
static inline __attribute__((always_inline)) void link_child(struct wf_group *g, weft_task *task)
{
    struct wf_task_side *side = wf_task_side(task);
    side->owner = &g->owner;
    wf_list_push(&g->children, &side->siblings);
    g->live++;
}

static int add_child(struct wf_worker *worker, struct wf_group *g, weft_task *task,
                     bool wants_handle)
{
    wf_lock(&g->lock);
    int rc = admit(g, worker);
    if (rc == 0) {
        link_child(g, task);
        wf_task_add_flags(task, WF_TASK_MORE);
        if (wants_handle) {
            wf_task_own(task);
        }
        wf_spawn_publish(worker->runtime, worker, task);
    }
    wf_unlock(&g->lock);
    return rc;
}

/* Any spawn into a group. */
static __attribute__((noinline)) int spawn_fully(const char *site, weft_group *group,
                                                 weft_task **task, weft_fn *fn, void *arg,
                                                 const weft_spawn_options *options)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || group == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *made;
    rc = wf_spawn_prepare(worker->runtime, worker, site, fn, arg, options, &made);
    if (rc < 0) {
        return rc;
    }
    (void)wf_task_hold(made); /* the group may close, run it and free it before it is queued */
    rc = add_child(worker, wf_group_of(group), made, task != NULL);
    if (rc == 0) {
        if (task != NULL) {
            *task = made;
        }
        wf_sched_submit(worker->runtime, worker, made);
    } else {
        wf_spawn_abandon(worker, made);
    }
    wf_task_let_go(made, &worker->tasks);
    return rc;
}

/* Of a child that wf_spawn_make_quickly has made: others are at the lock, or the group is not just open. */
static __attribute__((noinline)) int add_slowly(struct wf_worker *worker, struct wf_group *g,
                                                weft_task *made)
{
    uint64_t token = wf_task_token(made);
    int rc = add_child(worker, g, made, false);
    if (WF_UNLIKELY(rc < 0)) {
        wf_spawn_abandon(worker, made);
        return rc;
    }
    return wf_spawn_queue_quickly(worker, token);
}

/* The same under the lock. */
static __attribute__((noinline)) int add_locked(struct wf_worker *worker, struct wf_group *g,
                                                weft_task *made)
{
    wf_unlock(&g->lock);
    return add_slowly(worker, g, made);
}

/* Others wait for the lock. */
static __attribute__((noinline)) int queue_slowly(struct wf_worker *worker, struct wf_group *g,
                                                  uint64_t token)
{
    wf_unlock_contended(&g->lock);
    return wf_spawn_queue_quickly(worker, token);
}

/* Without a frame: what is rare is the last act of this. */
int weft_group_spawn_at(const char *site, weft_group *group, weft_task **task, weft_fn *fn,
                        void *arg, const weft_spawn_options *options)
{
    struct wf_worker *worker = wf_here_quick();
    uint64_t token;
    weft_task *made = NULL;
    if (WF_LIKELY(group != NULL) && WF_LIKELY(task == NULL) && WF_LIKELY(options == NULL)) {
        made = wf_spawn_make_quickly(worker, site, fn, arg, &token);
    }
    if (WF_UNLIKELY(made == NULL)) {
        return spawn_fully(site, group, task, fn, arg, options);
    }
    struct wf_group *g = wf_group_of(group);
    if (WF_UNLIKELY(!wf_lock_quickly(&g->lock))) {
        return add_slowly(worker, g, made);
    }
    if (WF_UNLIKELY(!is_open(g, worker))) {
        return add_locked(worker, g, made);
    }
    link_child(g, made);
    wf_store_rlx(&made->flags, (uint8_t)WF_TASK_MORE); /* of a new one no other is set */
    wf_state_spawn(&made->word, false);
    wf_spawn_count(worker->runtime, worker);
    if (WF_UNLIKELY(!wf_unlock_quickly(&g->lock))) {
        return queue_slowly(worker, g, token);
    }
    return wf_spawn_queue_quickly(worker, token);
}

/* ---- opening and cancelling ---- */

/* All but the scope, the lock, and the inline codes, which are written before they are read. */
static inline __attribute__((always_inline)) void begin(struct wf_group *g, weft_runtime *runtime,
                                                        bool is_independent, bool has_turns)
{
    g->runtime = runtime;
    g->owner.calls = &calls;
    g->owner.is_queued = has_turns;
    g->phase = WF_GROUP_OPEN;
    g->is_aborting = false;
    g->is_draining = false;
    g->is_closing = false;
    g->is_independent = is_independent;
    g->was_cancelled = false;
    g->live = 0;
    wf_list_init(&g->children);
    g->wait = NULL;
    g->error_count = 0;
    g->code_cap = is_independent ? UINT32_MAX : WF_GROUP_INLINE_CODES;
    g->codes = g->inline_codes;
}

/* Any opening. */
static __attribute__((noinline)) int open_fully(weft_group *group, unsigned flags)
{
    int rc = 0;
    weft_task *self = wf_door_running(wf_here());
    const unsigned known = WEFT_GROUP_INDEPENDENT | WEFT_GROUP_ZEROED;
    if (self == NULL || group == NULL || (flags & ~known) != 0) {
        return wf_fiber_worker(&rc) == NULL ? rc : -EINVAL;
    }
    if (self->scope != NULL && wf_scope_is_open(self, group)) {
        return -EBUSY;
    }
    if (wf_door_is_shut(self)) { /* closing waits */
        return -EPERM;
    }
    /* Only zeroed memory may be known to others yet. */
    struct wf_group *g = wf_group_of(group);
    bool is_zeroed = (flags & WEFT_GROUP_ZEROED) != 0;
    if (is_zeroed) {
        wf_lock(&g->lock);
    } else {
        wf_store_rlx(&g->lock.value, 0U);
    }
    bool was_cancelled = is_zeroed && g->phase == WF_GROUP_PRECANCELLED;
    wf_scope_open(&g->scope, WF_SCOPE_GROUP, self);
    begin(g, wf_runtime_of(self), (flags & WEFT_GROUP_INDEPENDENT) != 0, wf_has_turns(self));
    if (is_zeroed) {
        wf_unlock(&g->lock);
    }
    if (was_cancelled) {
        (void)weft_group_cancel(group);
    }
    return 0;
}

/* Where one of these is in its word a task opens nothing by the short way. */
#define BEGINS_APART (WF_LIFE_MASK | WF_SHIELDED | WF_UNDELIVERED_MASK | WF_COUNT_MASK)

/* Without a frame, where it is the only scope of a task that nobody has cancelled, and nothing is simulated. */
int weft_group_open(weft_group *group, unsigned flags)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    struct wf_group *g = wf_group_of(group);
    if (WF_UNLIKELY(group == NULL) || WF_UNLIKELY(flags != 0) ||
        WF_UNLIKELY(wf_load_rlx(&worker->is_open) == 0) || WF_UNLIKELY(self->scope != NULL) ||
        WF_UNLIKELY((wf_load_acq(&self->word) & BEGINS_APART) != WF_RUN)) {
        return open_fully(group, flags);
    }
    wf_store_rlx(&g->lock.value, 0U);
    begin(g, worker->runtime, false, false);
    wf_scope_open_at(&g->scope, WF_SCOPE_GROUP, self, 0, 0);
    return 0;
}

int weft_group_cancel(weft_group *group)
{
    if (group == NULL) {
        return -EINVAL;
    }
    struct wf_group *g = wf_group_of(group);
    struct wf_later later;
    wf_later_init(&later);
    int rc = 1;
    wf_lock(&g->lock);
    if (g->phase == WF_GROUP_CREATED || g->phase == WF_GROUP_PRECANCELLED) {
        g->phase = WF_GROUP_PRECANCELLED;
    } else if (g->phase == WF_GROUP_CLOSED) {
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

int weft_group_errors(const weft_group *group, int *codes, size_t cap)
{
    if (group == NULL || (codes == NULL && cap > 0)) {
        return -EINVAL;
    }
    struct wf_group *g = wf_group_of(group);
    uint32_t kept = g->is_independent ? 0 : g->error_count;
    kept = kept < g->code_cap ? kept : g->code_cap;
    for (uint32_t i = 0; i < kept && i < cap; i++) {
        codes[i] = g->codes[i];
    }
    return (int)g->error_count;
}

// SPDX-License-Identifier: MIT
/* scope.h - what a task has open: timeouts, watches, groups, shields.
 *
 * What: the part that all scopes share. Each may send its task at most one request of its own, and
 *       takes exactly that one back when it is left (rule: a scope's own request never outlives it).
 * Levels: `level` is how many shields were open around the scope. A request is deliverable while the
 *       task has no more shields open than that; otherwise it waits in the shield just inside its
 *       level, and becomes undelivered when that shield is left.
 * Threads: the owning task enters and leaves. wf_scope_fire comes from any thread under the lock that
 *       guards the trigger (wheel, descriptor, group) and that leaving takes too, so it never touches
 *       a scope that has been left.
 */
#ifndef WF_TASK_SCOPE_H
#define WF_TASK_SCOPE_H

#include "task/wait.h"

enum wf_scope_phase {
    WF_SCOPE_CREATED = 0,
    WF_SCOPE_ACTIVE,
    WF_SCOPE_EXPIRING, /* fired: its request was made */
    WF_SCOPE_EXPIRED,  /* fired and left */
    WF_SCOPE_FINISHED, /* left without firing */
};

enum wf_scope_kind { WF_SCOPE_TIMEOUT = 1, WF_SCOPE_WATCH, WF_SCOPE_SHIELD, WF_SCOPE_GROUP };

struct wf_scope {
    struct wf_scope *outer;
    weft_task *task;
    wf_au32 phase; /* enum wf_scope_phase: written under the trigger's lock, read by anybody */
    uint8_t kind;
    uint8_t level;
    bool has_request; /* its request counts in the task's word; these three under the shield lock */
    bool is_deferred; /* ... and waits in a shield */
    uint32_t baseline; /* delivered requests at entry that nobody took back */
    uint32_t fired_at; /* the word's deliveries when the request became undelivered */
    void *
        memory; /* on the heap, for a simulation whose deadlock leaves the scope open; NULL: none */
};

struct wf_shield {
    struct wf_scope scope; /* scope.level counts this shield: its own bound is deliverable inside */
    struct wf_shield *outer_shield;
    uint32_t deferred; /* requests that wait for this shield's end; under the shield lock */
};

/* Requests that count for scopes: made, not taken back, not deferred; and how many of them are
 * undelivered. */
struct wf_tally {
    uint32_t visible;
    uint32_t undelivered;
};

/* Where a shield is open. The task itself. */
struct wf_tally wf_scope_tally_shielded(weft_task *task);

/* The task itself. */
static inline struct wf_tally wf_scope_tally(weft_task *task)
{
    uint64_t word = wf_load_acq(&task->word);
    if (__builtin_expect((word & WF_SHIELDED) != 0, 0) && wf_task_side(task)->shield != NULL) {
        return wf_scope_tally_shielded(task);
    }
    return (struct wf_tally){wf_word_count(word), wf_word_undelivered(word)};
}

/* Sends the scope's own request, once, if it is active; later.h's kick list gets the task. Under the
 * trigger's lock. */
void wf_scope_fire(struct wf_scope *scope, struct wf_later *later);

/* Closes the innermost scope. The trigger is disarmed and can't fire any more (its lock was taken).
 * Returns what the body's `rc` becomes: `own_error` where it is the scope's own -ECANCELED. */
intptr_t wf_scope_close(struct wf_scope *scope, intptr_t rc, int own_error);

/* Takes the scope's own request back, if it made one, on any path exactly once. True when it had made
 * one and no other is above the baseline: a -ECANCELED that leaves the scope is then the scope's, also
 * when it was an inner scope's that passed it on because this one had fired too. */
bool wf_scope_withdraw(struct wf_scope *scope);

/* True when `scope` is open in `task`. */
bool wf_scope_is_open(const weft_task *task, const void *scope);

/* A shield: opened as a scope, then from outside nothing is delivered. */
void wf_shield_open(struct wf_shield *shield, weft_task *task);

/* Its deferred requests are undelivered again. After wf_scope_close. */
void wf_shield_lift(struct wf_shield *shield);

/* Requests that are counted but deferred by the task's shields. Under the shield lock, or where
 * no shield is open. */
uint32_t wf_shield_deferred(const weft_task *task);

/* Shields open in `task`. */
static inline uint8_t wf_shield_level(const weft_task *task)
{
    bool may_be = (wf_load_acq(&((weft_task *)(uintptr_t)task)->word) & WF_SHIELDED) != 0;
    const struct wf_scope *shield = may_be ? wf_task_side(task)->shield : NULL;
    return shield != NULL ? shield->level : 0;
}

/* Opens `scope` as the task's innermost. The task itself. */
static inline void wf_scope_open_at(struct wf_scope *scope, enum wf_scope_kind kind,
                                    weft_task *task, uint8_t level, uint32_t baseline)
{
    scope->outer = task->scope;
    scope->task = task;
    scope->kind = (uint8_t)kind;
    scope->level = level;
    scope->has_request = false;
    scope->is_deferred = false;
    scope->baseline = baseline;
    scope->fired_at = 0;
    scope->memory = NULL;
    wf_store_rel(&scope->phase, WF_SCOPE_ACTIVE);
    task->scope = scope;
    task->has_scopes = true;
}

/* ... with what counts at this moment. */
static inline void wf_scope_open_with(struct wf_scope *scope, enum wf_scope_kind kind,
                                      weft_task *task, struct wf_tally tally)
{
    wf_scope_open_at(scope, kind, task, wf_shield_level(task), tally.visible - tally.undelivered);
}

static inline void wf_scope_open(struct wf_scope *scope, enum wf_scope_kind kind, weft_task *task)
{
    wf_scope_open_with(scope, kind, task, wf_scope_tally(task));
}

/* The same while no shield is open. False: ask wf_scope_open; nothing has been done. */
static inline bool wf_scope_open_bare(struct wf_scope *scope, enum wf_scope_kind kind,
                                      weft_task *task)
{
    uint64_t word = wf_load_acq(&task->word);
    if (WF_UNLIKELY((word & WF_SHIELDED) != 0)) {
        return false;
    }
    wf_scope_open_at(scope, kind, task, 0, wf_word_count(word) - wf_word_undelivered(word));
    return true;
}

#endif

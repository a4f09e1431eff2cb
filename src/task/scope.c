// SPDX-License-Identifier: MIT
/* scope.c - entering, firing and leaving, and what shields do to requests in between. */
#include "task/scope.h"

#include <errno.h>

#include "task/cancel.h"

/* The word and what is deferred must be of one moment: while a shield is open both change under its
 * lock. */
static struct wf_tally tally_locked(const weft_task *task)
{
    uint64_t word = wf_load_acq(&((weft_task *)(uintptr_t)task)->word);
    struct wf_tally tally = {wf_word_count(word) - wf_shield_deferred(task),
                             wf_word_undelivered(word)};
    return tally;
}

struct wf_tally wf_scope_tally_shielded(weft_task *task)
{
    wf_lock(&task->shield_lock);
    struct wf_tally tally = tally_locked(task);
    wf_unlock(&task->shield_lock);
    return tally;
}

bool wf_scope_is_open(const weft_task *task, const void *scope)
{
    for (const struct wf_scope *s = task->scope; s != NULL; s = s->outer) {
        if (s == scope) {
            return true;
        }
    }
    return false;
}

void wf_scope_fire(struct wf_scope *scope, struct wf_later *later)
{
    if (wf_load_rlx(&scope->phase) != WF_SCOPE_ACTIVE) {
        return;
    }
    weft_task *task = scope->task;
    bool must_kick = wf_cancel_add_own(scope);
    wf_store_rel(&scope->phase, WF_SCOPE_EXPIRING);
    if (must_kick) {
        wf_kick_soon(later, task);
    }
}

bool wf_scope_withdraw(struct wf_scope *scope)
{
    if (!scope->has_request) {
        return false;
    }
    scope->has_request = false;
    uint64_t word;
    (void)wf_state_withdraw(&scope->task->word, scope->fired_at, &word);
    return wf_scope_tally(scope->task).visible <= scope->baseline;
}

intptr_t wf_scope_close(struct wf_scope *scope, intptr_t rc, int own_error)
{
    weft_task *task = scope->task;
    bool fired = wf_load_rlx(&scope->phase) == WF_SCOPE_EXPIRING;
    bool is_own = wf_scope_withdraw(scope);
    wf_store_rel(&scope->phase, fired ? WF_SCOPE_EXPIRED : WF_SCOPE_FINISHED);
    task->scope = scope->outer;
    return is_own && rc == -ECANCELED ? own_error : rc;
}

/* ---- shields ---- */

uint32_t wf_shield_deferred(const weft_task *task)
{
    uint32_t sum = 0;
    for (const struct wf_scope *s = wf_task_side(task)->shield; s != NULL;) {
        const struct wf_shield *shield = (const struct wf_shield *)s;
        sum += shield->deferred;
        s = shield->outer_shield != NULL ? &shield->outer_shield->scope : NULL;
    }
    return sum;
}

/* Marks the scopes whose undelivered request moves into or out of a shield. Under the
 * shield lock. */
static void mark_scopes(struct wf_scope *first, uint8_t level, bool to_deferred, uint64_t word)
{
    for (struct wf_scope *s = first; s != NULL; s = s->outer) {
        if (to_deferred) {
            bool undelivered = s->has_request && !s->is_deferred &&
                               s->fired_at == wf_word_tolls(word) && wf_word_undelivered(word) > 0;
            s->is_deferred = s->is_deferred || undelivered;
        } else if (s->is_deferred && s->level == level) {
            s->is_deferred = false;
            s->fired_at = wf_word_tolls(word);
        }
    }
}

/* The first shield, where nothing is undelivered: then no request moves into it. Under the shield lock. */
static inline bool open_first(struct wf_shield *shield, weft_task *task)
{
    uint64_t word = wf_load_acq(&task->word);
    if ((word & (WF_SHIELDED | WF_UNDELIVERED_MASK)) != 0 ||
        !wf_solo_cas64(&task->word, &word, word | WF_SHIELDED)) {
        return false;
    }
    wf_scope_open_at(&shield->scope, WF_SCOPE_SHIELD, task, 1, wf_word_count(word));
    shield->deferred = 0;
    shield->outer_shield = NULL;
    wf_task_side(task)->shield = &shield->scope;
    return true;
}

/* Any. Under the shield lock. */
static __attribute__((noinline)) void open_locked(struct wf_shield *shield, weft_task *task)
{
    wf_scope_open_with(&shield->scope, WF_SCOPE_SHIELD, task, tally_locked(task));
    mark_scopes(shield->scope.outer, 0, true, wf_load_acq(&task->word));
    shield->deferred = wf_state_defer(&task->word, 0, false, true);
    shield->outer_shield = (struct wf_shield *)wf_task_side(task)->shield;
    shield->scope.level = (uint8_t)(wf_shield_level(task) + 1);
    wf_task_side(task)->shield = &shield->scope;
    struct wf_tally tally = tally_locked(task);
    shield->scope.baseline = tally.visible - tally.undelivered;
}

void wf_shield_open(struct wf_shield *shield, weft_task *task)
{
    wf_lock(&task->shield_lock);
    if (WF_UNLIKELY(!open_first(shield, task))) {
        open_locked(shield, task);
    }
    wf_unlock(&task->shield_lock);
}

void wf_shield_lift(struct wf_shield *shield)
{
    weft_task *task = shield->scope.task;
    wf_lock(&task->shield_lock);
    wf_task_side(task)->shield = shield->outer_shield != NULL ? &shield->outer_shield->scope : NULL;
    (void)wf_state_defer(&task->word, shield->deferred, true, wf_task_side(task)->shield != NULL);
    shield->deferred = 0;
    mark_scopes(shield->scope.outer, wf_shield_level(task), false, wf_load_acq(&task->word));
    wf_unlock(&task->shield_lock);
}

// SPDX-License-Identifier: MIT
/* cancel.c - the walk of a request from the canceller to the await that returns -ECANCELED. */
#include "task/cancel.h"

#include <errno.h>

#include <weft/task.h>

#include "task/end.h"
#include "task/slab.h"

/* How often one walk hands on at most. Tasks that wait for each other in a circle longer than a join looks
 * for (await/cycle.c) would hand a request round and round. */
enum { HANDED_MAX = 1 << 20 };

/* The shield that a request of `level` waits in: the outermost one inside that level. */
static struct wf_shield *shield_against(weft_task *task, uint8_t level)
{
    struct wf_shield *found = NULL;
    struct wf_shield *shield = (struct wf_shield *)wf_task_side(task)->shield;
    while (shield != NULL && shield->scope.level > level) {
        found = shield;
        shield = shield->outer_shield;
    }
    return found;
}

static enum wf_request add_locked(weft_task *task, uint32_t count, uint8_t level, bool *is_deferred,
                                  uint64_t *after)
{
    struct wf_shield *shield = shield_against(task, level);
    enum wf_request answer = wf_state_request(&task->word, count, true, shield != NULL, after);
    *is_deferred = answer == WF_REQUEST_ADDED && shield != NULL;
    if (*is_deferred) {
        shield->deferred += count;
    }
    return answer;
}

static enum wf_request add(weft_task *task, uint32_t count, bool *is_deferred)
{
    uint64_t word;
    *is_deferred = false;
    bool is_guest = wf_task_visit(task);
    enum wf_request answer = wf_state_request(&task->word, count, false, false, &word);
    if (answer == WF_REQUEST_SHIELDED) {
        wf_lock(&task->shield_lock);
        answer = add_locked(task, count, 0, is_deferred, &word);
        wf_unlock(&task->shield_lock);
    }
    wf_task_leave(task, is_guest);
    return answer;
}

static const int16_t causes[] = {
    [WF_SCOPE_TIMEOUT] = WEFT_CAUSE_TIMEOUT,
    [WF_SCOPE_WATCH] = WEFT_CAUSE_HANGUP,
    [WF_SCOPE_SHIELD] = WEFT_CAUSE_TIMEOUT,
    [WF_SCOPE_GROUP] = WEFT_CAUSE_GROUP,
};

bool wf_cancel_add_own(struct wf_scope *scope)
{
    weft_task *task = scope->task;
    uint64_t word = 0;
    bool is_deferred;
    wf_lock(&task->shield_lock);
    wf_store_rlx(&task->cause, causes[scope->kind]);
    enum wf_request answer = add_locked(task, 1, scope->level, &is_deferred, &word);
    scope->has_request = answer == WF_REQUEST_ADDED;
    scope->is_deferred = is_deferred;
    scope->fired_at = wf_word_tolls(word);
    wf_unlock(&task->shield_lock);
    return answer == WF_REQUEST_ADDED && !is_deferred;
}

/* As an event loop has it, a task that a request reaches on two ways hands on two of them. */
static void push_again(weft_task *task)
{
    uint8_t seen = wf_load_acq(&task->marks);
    while (wf_task_registry(task)->has_turns && (seen & WF_MARK_AGAIN) != WF_MARK_AGAIN &&
           !wf_cas_weak_acqrel(&task->marks, &seen, (uint8_t)(seen + WF_MARK_ONCE))) {
    }
}

void wf_kick_push(struct wf_later *later, weft_task *task)
{
    if ((wf_or_acqrel(&task->marks, (uint8_t)WF_MARK_KICKED) & WF_MARK_KICKED) != 0) {
        push_again(task);
        return;
    }
    wf_task_side(task)->kick_next = NULL;
    if (later->kicks == NULL) {
        later->kicks = task;
    } else {
        wf_task_side(later->kicks_tail)->kick_next = task;
    }
    later->kicks_tail = task;
}

static void give_back(weft_task *task, uint32_t count)
{
    wf_lock(&task->shield_lock);
    wf_state_give_back(&task->word, count, wf_shield_deferred(task));
    wf_unlock(&task->shield_lock);
}

/* The victim waits for something that takes its requests. Its wait record is on its stack or in its seat:
 * WF_BUSY, set under its lock, keeps it as it is until the lock is free again (wf_door_park). What is undelivered at
 * one moment goes on as one request. It is taken before it is handed on: so what comes, or is taken back,
 * while that happens is never mixed up with what somebody already has. */
static void hand_on(weft_task *task, uint32_t again, struct wf_later *later)
{
    struct wf_wait *wait = wf_load_rlx(&task->wait);
    uint32_t taken;
    while ((taken = wf_state_take(&task->word)) > 0) {
        wait->taken = taken;
        if (later->handed++ >= HANDED_MAX || !wait->hand_on(wait, later)) {
            give_back(task, taken); /* nobody is left to take it */
            return;
        }
        wait->handed_on = true;
        for (; again > 0; again--) {
            (void)wait->hand_on(wait, later);
        }
    }
}

/* It is of the same runtime, so its slot can be read. */
weft_task *wf_inside_hold(weft_task *task, bool *is_for_all, weft_task **held)
{
    uint64_t joins = wf_load_sc(&task->joins);
    *held = NULL;
    if ((joins & WF_JOINS_INSIDE) == 0) {
        return NULL;
    }
    weft_task *child = wf_token_task(joins);
    if (!wf_task_try_hold(child)) {
        return NULL;
    }
    *held = child;
    *is_for_all = (joins & WF_JOINS_ALL) != 0;
    /* Once more: the slot may have had so many lives meanwhile that its id looks the same. */
    bool is_it =
        wf_task_token(child) == (joins & ~WF_JOINS_KINDS) && wf_load_sc(&task->joins) == joins;
    return is_it ? child : NULL;
}

void wf_inside_unlock(weft_task *task, weft_task *held)
{
    bool is_last = held != NULL && wf_task_unhold(held) == 0;
    wf_unlock(&task->lock);
    if (is_last) {
        wf_task_release(held, NULL);
    }
}

/* A request to `task` goes on; false: nobody is left to take it. The owner of a child is there as long as its
 * task can't leave that child. */
static bool ask_inside(weft_task *task, weft_task *child, bool is_for_all, struct wf_later *later)
{
    int cause = wf_cancel_cause(task);
    if (!is_for_all) {
        return wf_cancel(child, 1, cause, later) == 1;
    }
    struct wf_owner *owner = wf_task_side(child)->owner;
    owner->calls->request(owner, cause, later);
    return true;
}

/* Under the lock, and the mark of wf_state_keep_inside. */
static void hand_inside(weft_task *task, weft_task *child, bool is_for_all, struct wf_later *later)
{
    uint32_t taken;
    while ((taken = wf_state_take(&task->word)) > 0) {
        if (later->handed++ >= HANDED_MAX || !ask_inside(task, child, is_for_all, later)) {
            give_back(task, taken); /* it has ended */
            return;
        }
        (void)wf_solo_or64(&task->word, WF_HANDED);
    }
}

/* Does the task run a child inside, that takes the request which was just added? Else it will see that by itself. As a guest:
 * its worker, while it is biased, looks for requests, stores `joins` and claims the child, all without a fence. */
static bool runs_inside(weft_task *task)
{
    wf_fence_after_rmw(); /* between the request and this: pairs with await/inside.c */
    return (wf_load_sc(&task->joins) & WF_JOINS_INSIDE) != 0;
}

/* Under the lock, as a guest. */
static void cancel_inside(weft_task *task, struct wf_later *later, weft_task **held)
{
    /* The mark keeps the task from leaving the child that the second look at `joins` finds. */
    if (wf_state_keep_inside(&task->word)) {
        wf_fence_after_rmw();
        bool is_for_all;
        weft_task *child = wf_inside_hold(task, &is_for_all, held);
        if (child != NULL) {
            hand_inside(task, child, is_for_all, later);
        } else {
            wf_state_looked(&task->word);
        }
    }
}

void wf_cancel_inside(weft_task *task, struct wf_later *later)
{
    struct wf_registry *registry = wf_task_registry(task);
    bool is_guest =
        wf_registry_visit(registry); /* before the lock and the mark, which are for moments */
    if (runs_inside(task)) {
        weft_task *held = NULL;
        wf_lock(&task->lock);
        cancel_inside(task, later, &held);
        wf_inside_unlock(task, held);
    }
    wf_bias_leave(&registry->bias, is_guest);
}

/* `again`: how many more times it has been pushed, in turns. */
static void kick(weft_task *task, uint32_t again, struct wf_later *later)
{
    enum wf_deliver answer = wf_state_deliver(&task->word, false);
    if (answer == WF_DELIVER_LOCK) {
        wf_lock(&task->lock);
        answer = wf_state_deliver(&task->word, true);
        if (answer == WF_DELIVER_HAND_ON) {
            hand_on(task, again, later);
        }
        wf_unlock(&task->lock);
    }
    if (answer == WF_DELIVER_INSIDE) {
        wf_cancel_inside(task, later);
    }
    if (answer == WF_DELIVER_READY) {
        later->delivered++;
        wf_later_wake(later, task);
    }
}

static void kick_inside_soon(struct wf_later *later, weft_task *task)
{
    struct wf_registry *registry = wf_task_registry(task);
    bool is_guest = wf_registry_visit(registry);
    if (runs_inside(task)) {
        wf_kick_push(later, task);
    }
    wf_bias_leave(&registry->bias, is_guest);
}

void wf_kick_soon(struct wf_later *later, weft_task *task)
{
    if (later->kicks != NULL || later->is_walking) {
        wf_kick_push(later, task); /* after those that came before */
        return;
    }
    switch (wf_state_deliver(&task->word, false)) {
    case WF_DELIVER_READY:
        later->delivered++;
        wf_later_wake(later, task);
        break;
    case WF_DELIVER_INSIDE:
        kick_inside_soon(later, task);
        break;
    case WF_DELIVER_LOCK:
        wf_kick_push(later, task);
        break;
    case WF_DELIVER_NOTHING:
    case WF_DELIVER_HAND_ON:
        break;
    }
}

void wf_kick_all(struct wf_later *later)
{
    later->is_walking = true;
    while (later->kicks != NULL) {
        weft_task *task = later->kicks;
        weft_task *rest = wf_task_side(task)->kick_next;
        weft_task *rest_tail = later->kicks_tail;
        later->kicks = NULL;
        /* Before the look at the word: a request added after that look makes its own kick. */
        uint8_t marks = wf_and_acqrel(&task->marks, (uint8_t) ~(WF_MARK_KICKED | WF_MARK_AGAIN));
        kick(task, (uint32_t)(marks & WF_MARK_AGAIN) / WF_MARK_ONCE, later);
        /* Depth first: whom the request was handed on to comes before the rest. */
        if (later->kicks == NULL) {
            later->kicks = rest;
            later->kicks_tail = rest_tail;
        } else if (rest != NULL) {
            wf_task_side(later->kicks_tail)->kick_next = rest;
            later->kicks_tail = rest_tail;
        }
    }
    later->is_walking = false;
}

int wf_cancel(weft_task *task, uint32_t count, int cause, struct wf_later *later)
{
    bool is_deferred;
    bool is_first = later->kicks == NULL && !later->is_walking; /* as in wf_kick_soon */
    if (count == 1 && is_first && wf_cancel_parked(task, cause)) {
        later->delivered++;
        wf_later_wake(later, task);
        return 1;
    }
    wf_store_rlx(&task->cause, (int16_t)cause); /* as in wf_cancel_parked */
    switch (add(task, count, &is_deferred)) {
    case WF_REQUEST_ADDED:
        if (!is_deferred) {
            wf_kick_soon(later, task);
        }
        return 1;
    case WF_REQUEST_FULL:
        return -EOVERFLOW;
    case WF_REQUEST_ENDED:
    case WF_REQUEST_SHIELDED:
        break;
    }
    return 0;
}

uint32_t wf_uncancel(weft_task *task)
{
    uint64_t word;
    bool is_guest = wf_task_visit(task);
    bool is_done = wf_state_uncancel(&task->word, false, 0, &word);
    wf_task_leave(task, is_guest);
    if (is_done) { /* always, before it has started */
        return wf_word_count(word);
    }
    wf_lock(&task->shield_lock);
    /* Requests are counted, deferred or undelivered; who takes one back is likely outside, so deferred
     * ones give way first: innermost shield first. */
    uint32_t count = wf_word_count(wf_load_acq(&task->word));
    uint32_t left = count > 0 ? count - 1 : 0;
    uint32_t deferred = wf_shield_deferred(task);
    struct wf_shield *shield = (struct wf_shield *)wf_task_side(task)->shield;
    uint32_t undelivered = wf_word_undelivered(wf_load_acq(&task->word));
    uint32_t surplus = deferred + undelivered > left ? deferred + undelivered - left : 0;
    for (; shield != NULL && surplus > 0; shield = shield->outer_shield) {
        uint32_t cut = surplus < shield->deferred ? surplus : shield->deferred;
        shield->deferred -= cut;
        deferred -= cut;
        surplus -= cut;
    }
    (void)wf_state_uncancel(&task->word, true, deferred, &word);
    wf_unlock(&task->shield_lock);
    return wf_word_count(word);
}

// SPDX-License-Identifier: MIT
/* completions.c - tasks in the order in which they end.
 *
 * One waiter per task, linked until the walk is closed. A finisher puts its member on the list of those
 * that have ended, under the walk's own lock, and grants the wait if there is one: so the list is in the
 * order of the ends, and the tasks' locks are never taken again before closing. The lock order is a task's
 * lock, then the walk's.
 * Why a lock here and counters in several.c: there the waiters live for one wait, here other waits of the
 * task come in between, which a finisher must not meet with a stale epoch.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/gather.h>
#include <weft/time.h>

#include "await/door.h"

enum { INLINE_MEMBERS = 4, FEW = 16 };

struct completions;

struct member {
    struct wf_waiter waiter;
    struct completions *all;
    struct wf_list ended; /* in the list of those that have ended, under `all->lock` */
};

struct completions {
    weft_task *owner; /* NULL: not open */
    weft_task *const *tasks;
    size_t count;
    struct member *members; /* by place in `tasks`; of a task's places only the first is linked */
    size_t left;            /* to be given; the owner's */
    int64_t deadline_ns;

    struct wf_lock lock;  /* guards all below */
    bool is_over;         /* the time is: who ends now is not given */
    bool is_counted;      /* among those that the owner's record counts as open; the owner's */
    struct wf_list ended; /* members, oldest first */
    struct wf_wait *wait; /* of the owner, in next */
    struct wf_timer limit;
    struct member inline_members[INLINE_MEMBERS];
};

_Static_assert(sizeof(struct completions) <= sizeof(weft_completions),
               "weft_completions is too small");

static struct completions *inside(weft_completions *each)
{
    return (struct completions *)(uintptr_t)each;
}

/* ---- finishers ---- */

/* The time is over; under the wheel's lock. */
static void on_time(struct wf_timer *timer, void *context)
{
    struct completions *all = WF_CONTAINER(timer, struct completions, limit);
    wf_lock(&all->lock);
    all->is_over = true;
    if (all->wait != NULL) {
        (void)wf_wait_claim(all->wait, WF_TIMED_OUT, context);
    }
    wf_unlock(&all->lock);
}

/* Under the lock. An owner that is busy when the time is over need not wait for the wheel. */
static bool is_over(struct completions *all)
{
    if (!all->is_over && all->deadline_ns != WF_FOREVER && !wf_has_turns(all->owner)) {
        all->is_over = wf_runtime_now(wf_runtime_of(all->owner)) >= all->deadline_ns;
    }
    return all->is_over;
}

/* A task has ended; under its lock. */
static void on_end(struct wf_waiter *waiter, struct wf_later *later)
{
    struct member *member = WF_CONTAINER(waiter, struct member, waiter);
    struct completions *all = member->all;
    wf_lock(&all->lock);
    if (!all->is_over) {
        wf_list_push(&all->ended, &member->ended);
        if (all->wait != NULL) {
            (void)wf_wait_claim(all->wait, WF_GRANTED, later);
        }
    }
    wf_unlock(&all->lock);
}

/* ---- opening ---- */

static int by_task(const void *a, const void *b)
{
    weft_task *const *left = *(weft_task *const *const *)a;
    weft_task *const *right = *(weft_task *const *const *)b;
    if (*left != *right) {
        return (uintptr_t)*left < (uintptr_t)*right ? -1 : 1;
    }
    return left < right ? -1 : left > right;
}

/* Marks the later places of each task: their members belong to nobody. */
static void mark_few(struct completions *all)
{
    for (size_t i = 1; i < all->count; i++) {
        for (size_t before = 0; before < i; before++) {
            if (all->tasks[before] == all->tasks[i]) {
                all->members[i].all = NULL;
                break;
            }
        }
    }
}

/* The same by sorting the places. */
static int mark_many(struct completions *all)
{
    weft_task *const **places = malloc(all->count * sizeof *places);
    if (places == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < all->count; i++) {
        places[i] = &all->tasks[i];
    }
    qsort(places, all->count, sizeof *places, by_task);
    for (size_t i = 1; i < all->count; i++) {
        if (*places[i] == *places[i - 1]) {
            all->members[places[i] - all->tasks].all = NULL;
        }
    }
    free(places);
    return 0;
}

static int make_members(struct completions *all)
{
    all->members = all->inline_members;
    if (all->count > INLINE_MEMBERS) {
        all->members = malloc(all->count * sizeof(struct member));
    }
    if (all->members == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < all->count; i++) {
        struct member *member = &all->members[i];
        member->waiter =
            (struct wf_waiter){.notify = on_end, .is_queued = wf_has_turns(all->owner)};
        wf_list_init(&member->waiter.link);
        wf_list_init(&member->ended);
        member->all = all;
    }
    if (all->count <= FEW) {
        mark_few(all);
        return 0;
    }
    return mark_many(all);
}

static void free_members(struct completions *all)
{
    if (all->members != all->inline_members) {
        free(all->members);
    }
}

/* Before the walk began; in a simulation it gets its turn all the same. */
static void has_ended(struct completions *all, struct member *member)
{
    if (member->waiter.is_queued) {
        wf_sim_push(wf_runtime_of(all->owner)->sim, WF_TURN_NOTICE, (uintptr_t)&member->waiter);
        return;
    }
    wf_lock(&all->lock); /* beside the finishers of those before it */
    wf_list_push(&all->ended, &member->ended);
    wf_unlock(&all->lock);
}

static void link_members(struct completions *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct member *member = &all->members[i];
        if (member->all == NULL) {
            continue;
        }
        all->left++;
        if (!wf_task_watch(all->tasks[i], &member->waiter)) {
            has_ended(all, member);
        }
    }
}

static int check(weft_task *const *tasks, size_t count)
{
    if (tasks == NULL && count > 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (tasks[i] == NULL) {
            return -EINVAL;
        }
    }
    return 0;
}

/* Of the task's open walks, by itself. */
static void count_walk(weft_task *owner, int more)
{
    wf_store_rlx(&owner->flags, (uint8_t)((int)wf_task_flags(owner) + more));
}

int weft_completions_open(weft_completions *each, weft_task *const *tasks, size_t count,
                          int64_t delay_ns)
{
    if (each == NULL) {
        return -EINVAL;
    }
    struct completions *all = inside(each);
    memset(all, 0, sizeof *all); /* not open: next refuses, close does nothing */
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    rc = worker != NULL ? check(tasks, count) : rc;
    if (rc < 0) {
        return rc;
    }
    all->tasks = tasks;
    all->count = count;
    all->deadline_ns = wf_deadline_after(weft_now(), delay_ns);
    wf_list_init(&all->ended);
    all->owner = wf_self_on(worker);
    rc = make_members(all);
    if (rc < 0) {
        free_members(all);
        all->owner = NULL;
        return rc;
    }
    wf_timer_init(&all->limit, &worker->wheel, on_time);
    if (all->deadline_ns != WF_FOREVER) {
        wf_bump_own(&worker->counters.armed, 1);
        (void)wf_timer_arm(&all->limit, all->deadline_ns);
    }
    link_members(all);
    all->is_counted = (wf_task_flags(all->owner) & WF_TASK_WALKS) != WF_TASK_WALKS;
    count_walk(all->owner, all->is_counted ? WF_TASK_WALK : 0);
    return 0;
}

/* ---- next ---- */

/* Takes the oldest one; under the lock. */
static struct member *take(struct completions *all)
{
    if (wf_list_is_empty(&all->ended)) {
        return NULL;
    }
    struct member *member = WF_CONTAINER(all->ended.next, struct member, ended);
    wf_list_remove(&member->ended);
    return member;
}

static void list_unfinished(const struct wf_wait *wait, wf_each *each, void *arg)
{
    const struct completions *all = wait->target;
    for (size_t i = 0; i < all->count; i++) {
        bool is_first = all->members[i].all != NULL;
        if (is_first && !wf_word_has_ended(wf_load_acq(&all->tasks[i]->word))) {
            each(wf_task_token(all->tasks[i]), arg);
        }
    }
}

static int take_or_wait(struct completions *all, struct member **out)
{
    struct wf_wait wait;
    wf_wait_begin(&wait, all->owner, WF_WAIT_TASKS);
    wait.target = all;
    wait.list = list_unfinished;
    wait.memory = all->members != all->inline_members ? all->members : NULL;
    wf_lock(&all->lock);
    *out = take(all);
    bool must_wait = *out == NULL && !is_over(all);
    all->wait = must_wait ? &wait : NULL;
    wf_unlock(&all->lock);
    if (!must_wait) {
        return *out != NULL ? 0 : -ETIMEDOUT;
    }
    enum wf_verdict verdict = wf_door_park(&wait);
    wf_lock(&all->lock); /* whoever granted the wait has left it */
    all->wait = NULL;
    *out = verdict != WF_TOLD_OFF ? take(all) : NULL;
    wf_unlock(&all->lock);
    if (*out != NULL) {
        return 0;
    }
    return verdict == WF_TOLD_OFF ? -ECANCELED : -ETIMEDOUT;
}

int weft_completions_next(weft_completions *each, size_t *index)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    if (each == NULL || index == NULL || inside(each)->owner == NULL) {
        return -EINVAL;
    }
    struct completions *all = inside(each);
    if (all->owner != wf_self_on(worker)) {
        return -EPERM;
    }
    rc = wf_door_enter(all->owner, __func__);
    if (rc < 0) {
        return rc;
    }
    if (all->left == 0) {
        return -ENODATA;
    }
    struct member *member = NULL;
    rc = take_or_wait(all, &member);
    if (rc == 0) {
        all->left--;
        *index = (size_t)(member - all->members);
    }
    return rc;
}

void weft_completions_close(weft_completions *each)
{
    if (each == NULL || inside(each)->owner == NULL) {
        return;
    }
    struct completions *all = inside(each);
    (void)wf_timer_disarm(&all->limit);
    for (size_t i = 0; i < all->count; i++) {
        if (all->members[i].all != NULL) {
            /* Also those that have ended: the finisher has left once it has left the lock. */
            wf_task_unwatch(all->tasks[i], &all->members[i].waiter);
            wf_door_forget(all->owner, &all->members[i].waiter);
        }
    }
    free_members(all);
    count_walk(all->owner, all->is_counted ? -WF_TASK_WALK : 0);
    all->owner = NULL;
}

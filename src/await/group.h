// SPDX-License-Identifier: MIT
/* group.h - a scope that owns tasks: what its parts share.
 *
 * What: group.c opens, fills and cancels it; group_close.c waits for the children and ends it; group_inside.c runs
 *       children that have not started on the stack of the task that closes.
 *
 * Everything that decides (a child's end, spawn, cancel, close) is serialised by the group's lock, so
 * a spawn that races with an abort is either refused or in the list that is cancelled. The group lives
 * in its task's frame: a child's end does all it does under the lock, and closing ends only when it has seen,
 * under the lock, that no child is live: so nobody is in the group any more when it returns.
 *
 * Lock order: the task's own lock (hand_on, list, and the calls of the owner), then the group's, then shield locks
 * (wf_group_cancel_children). Nobody takes a task's lock under a group's.
 *
 * Aborting sends one request to every unfinished child in the order of spawning and one, the scope's
 * own, to the task. At the exit the scope's request is taken back; what is then above the baseline
 * belongs to somebody else and lives on.
 */
#ifndef WF_AWAIT_GROUP_H
#define WF_AWAIT_GROUP_H

#include <weft/group.h>

#include "await/door.h"

enum { WF_GROUP_INLINE_CODES = 6 };

enum wf_group_phase { WF_GROUP_CREATED = 0, WF_GROUP_PRECANCELLED, WF_GROUP_OPEN, WF_GROUP_CLOSED };

struct wf_group {
    struct wf_scope scope;
    struct wf_owner owner; /* of the children */
    weft_runtime *runtime; /* whose fibers may spawn into it: its task's. Set when it is opened */
    struct wf_lock lock;   /* guards all below */
    union {
        struct {
            uint8_t phase;    /* enum wf_group_phase */
            bool is_aborting; /* children were cancelled, spawn refuses */
            bool is_draining; /* spawn refuses */
            bool is_closing;
        };
        uint8_t standing[4]; /* all of them: a spawn looks at these at once */
    };
    bool is_independent;
    bool was_cancelled; /* by weft_group_cancel: the group's own -ECANCELED is dropped */
    uint32_t live; /* children that have not left: unfinished, or their callbacks are running */
    struct wf_list children; /* those: empty if `live` is 0, and only then */
    struct wf_wait *wait;    /* of the task, in close or drain */
    /* Codes in the order of recording: inline, then on the heap (scope.memory) with room for every child. */
    uint32_t error_count;
    uint32_t code_cap; /* UINT32_MAX where none are kept, for an independent group */
    int *codes;
    int inline_codes[WF_GROUP_INLINE_CODES]; /* the first error_count of them */
};

_Static_assert(sizeof(struct wf_group) <= sizeof(weft_group), "weft_group is too small");

static inline struct wf_group *wf_group_of(const weft_group *group)
{
    return (struct wf_group *)(uintptr_t)group;
}

/* Notes an error of a child or of the body. Under the lock. */
void wf_group_record(struct wf_group *g, int code);

/* The task that this link of `children` is of. */
static inline weft_task *wf_group_child(const struct wf_list *link)
{
    return wf_side_task(WF_CONTAINER(link, const struct wf_task_side, siblings));
}

/* Cancels the unfinished children once; under the lock. */
void wf_group_cancel_children(struct wf_group *g, int cause, struct wf_later *later);

/* The same if that has not been done. Takes the lock. */
void wf_group_cancel_once(struct wf_group *g, int cause, struct wf_later *later);

/* Calls `each` with the children's tokens. Takes the lock. */
void wf_group_list(struct wf_group *g, wf_each *each, void *arg);

/* The task closes its group with `rc` and children are live: those of them that have not started run on its stack, the
 * newest first, as long as nothing else is asked of it. Then the rest of closing. `absorbed`: a request has been taken for
 * the group. Under the group's lock, which is given back. May switch. */
intptr_t wf_group_close_inside(struct wf_group *g, intptr_t rc, bool absorbed);

/* Waits for the children that are left, if the group is not closed by that; what closing returns. May switch. */
intptr_t wf_group_conclude(struct wf_group *g, intptr_t rc, bool absorbed);

/* Is nothing left of it but to leave its scope? Closed. */
static inline bool wf_group_is_plain(const struct wf_group *g)
{
    return g->error_count == 0 && !g->scope.has_request && g->codes == g->inline_codes;
}

/* The task leaves the group's scope. */
static inline void wf_group_leave(struct wf_group *g)
{
    wf_store_rel(&g->scope.phase, WF_SCOPE_FINISHED);
    g->scope.task->scope = g->scope.outer;
}

#endif

// SPDX-License-Identifier: MIT
/* stream_side.c - the long ways in and out of a side. */
#include "net/stream_side.h"

#include <errno.h>

#include "base/futex.h"

/* As many locked operations cost about what a heavy fence does, which is what ends it. */
enum { TIMES_ENOUGH = 64 };

/* Of the next call that has taken it. */
static void count(struct wf_side *side, const weft_task *self)
{
    uint32_t who = (uint32_t)(uintptr_t)self;
    if (side->is_nobodys) {
        return;
    }
    side->times = self != NULL && who == side->last ? (uint8_t)(side->times + 1) : 0;
    side->last = who;
}

static bool take(struct wf_side *side, const weft_task *self)
{
    uintptr_t is_free = WF_SIDE_FREE;
    if (!wf_cas_acqrel(&side->holder, &is_free, (uintptr_t)WF_SIDE_TAKEN)) {
        return false;
    }
    wf_fence_after_rmw();
    count(side, self);
    return true;
}

/* The task's use of it, which may be about to begin, is over, or has begun: -EBUSY. */
static int await_owner(struct wf_side *side)
{
    uint8_t mine;
    for (int i = 0; (mine = wf_load_acq(&side->mine)) == WF_SIDE_ENTERING; i++) {
        wf_let_others(i);
    }
    return mine == WF_SIDE_INSIDE ? -EBUSY : 0;
}

/* Takes it away from the task `owner`. False: somebody else has changed it; look again. */
static bool take_over(struct wf_side *side, uintptr_t owner, int *rc)
{
    uintptr_t seen = owner;
    *rc = wf_load_acq(&side->mine) == WF_SIDE_INSIDE ? -EBUSY : 0;
    if (*rc < 0) {
        return true;
    }
    if (!wf_cas_acqrel(&side->holder, &seen, (uintptr_t)WF_SIDE_STOPPING)) {
        return false;
    }
    (void)wf_fence_all();
    *rc = await_owner(side);
    if (*rc == 0) {
        side->is_nobodys = true;
    }
    wf_store_rel(&side->holder, *rc == 0 ? (uintptr_t)WF_SIDE_TAKEN : owner);
    return true;
}

/* Who is stopping waits for its owner at most, and for him only while he is entering. */
static uintptr_t holder_of(struct wf_side *side)
{
    uintptr_t holder;
    for (int i = 0; (holder = wf_load_acq(&side->holder)) == WF_SIDE_STOPPING; i++) {
        wf_let_others(i);
    }
    return holder;
}

int wf_side_enter(struct wf_side *side, const weft_task *self)
{
    for (;;) {
        int rc = 0;
        uintptr_t holder = holder_of(side);
        if (holder == WF_SIDE_FREE) {
            if (take(side, self)) {
                return 0;
            }
        } else if (holder == WF_SIDE_TAKEN) {
            return -EBUSY;
        } else if (holder != (uintptr_t)self) {
            if (take_over(side, holder, &rc)) {
                return rc;
            }
        } else if (wf_load_rlx(&side->mine) != WF_SIDE_OUT) {
            return -EBUSY;
        } else if (wf_side_enter_quickly(side, self)) {
            return 0;
        }
    }
}

void wf_side_leave(struct wf_side *side, const weft_task *self)
{
    if (wf_side_leave_quickly(side)) {
        return;
    }
    bool is_own = side->times >= TIMES_ENOUGH;
    side->times = is_own ? 0 : side->times;
    wf_store_rel(&side->holder, is_own ? (uintptr_t)self : (uintptr_t)WF_SIDE_FREE);
}

bool wf_side_is_calm(struct wf_side *side, const weft_task *self)
{
    uintptr_t holder = wf_load_acq(&side->holder);
    return holder == WF_SIDE_FREE ||
           (holder == (uintptr_t)self && wf_load_rlx(&side->mine) == WF_SIDE_OUT);
}

bool wf_side_is_inside(struct wf_side *side)
{
    uintptr_t holder = wf_load_acq(&side->holder);
    if (holder <= WF_SIDE_STOPPING) {
        return holder != WF_SIDE_FREE;
    }
    return wf_load_acq(&side->mine) != WF_SIDE_OUT;
}

// SPDX-License-Identifier: MIT
/* stream_side.h - who is inside one side of a stream, which has room for one call at a time.
 *
 * What: a call enters and leaves. Most sides are used by one task from beginning to end, so a side that the same task
 *       has entered often enough becomes that task's: it enters and leaves by plain stores, on whatever worker it
 *       runs. Another task that enters ends that for good. Before and after that time entering is one locked operation, and
 *       leaving a store.
 * Words: `holder` is FREE, TAKEN by a call, a task's, or STOPPING. Who finds it FREE makes it TAKEN (CAS). Who has TAKEN
 *       it stores FREE, or the name of his task. Who finds another task's name there makes it STOPPING (CAS), and
 *       is then the only one to store there: TAKEN, or the name again.
 *       `mine` is only written by the task whose name is, or was, in `holder`: ENTERING, then INSIDE if the name
 *       is still there, then OUT. While it is INSIDE nobody takes the name away.
 * Why it holds: the task stores ENTERING and looks at the name. Who takes the name away has a heavy fence made on all
 *       processors in between, and looks at `mine`. If the fence comes before the look at the name, that finds the name
 *       gone, and the task goes the long way. If it comes after, ENTERING or INSIDE is seen. ENTERING is waited
 *       for: it lasts for some instructions. INSIDE is an honest -EBUSY, and the name is put back.
 *       Whoever finds TAKEN is told -EBUSY: somebody is inside. STOPPING is waited for: who is stopping may find that the
 *       task was inside and give up, and that task may have left since and come again.
 * Data: what the side guards is handed on by release and acquire: by `holder` between those who take it, by `mine` from the
 *       task to whoever stops it. A task and one that is made later in the same memory are the same here; the
 *       second comes after the first.
 * Source: Kawachiya, Koseki and Onodera, "Lock reservation", OOPSLA 2002, with a task for the thread. tests/model/side.pml.
 */
#ifndef WF_NET_STREAM_SIDE_H
#define WF_NET_STREAM_SIDE_H

#include <weft/base.h>

#include "base/fence.h"
#include "base/hint.h"

/* wf_side.holder, where it is no task */
enum {
    WF_SIDE_FREE = 0,
    WF_SIDE_TAKEN = 1,
    WF_SIDE_STOPPING = 2,
};

/* wf_side.mine */
enum {
    WF_SIDE_OUT = 0,
    WF_SIDE_ENTERING = 1,
    WF_SIDE_INSIDE = 2,
};

/* Zeroed memory is free, and will be some task's; nobody's ever where there is no asymmetric fence. */
struct wf_side {
    _Atomic(uintptr_t) holder; /* see above */
    wf_au8 mine;               /* see above */
    /* By who has taken it: how often that was the same task, in a row, and which, by its lower half. */
    uint8_t times;
    bool is_nobodys;
    uint32_t last;
};

/* For the task itself: enters if the side is its own. False: not so, or it is inside; nothing has changed, but
 * where the stream is closed it must be looked at again whether somebody is inside. */
static inline bool wf_side_enter_quickly(struct wf_side *side, const weft_task *self)
{
    if (WF_UNLIKELY(wf_load_rlx(&side->holder) != (uintptr_t)self) ||
        WF_UNLIKELY(wf_load_rlx(&side->mine) != WF_SIDE_OUT)) {
        return false;
    }
    wf_store_rlx(&side->mine, (uint8_t)WF_SIDE_ENTERING);
    wf_fence_light(true);
    if (WF_UNLIKELY(wf_load_rlx(&side->holder) != (uintptr_t)self)) {
        wf_store_rel(&side->mine, (uint8_t)WF_SIDE_OUT);
        return false;
    }
    wf_store_rlx(&side->mine, (uint8_t)WF_SIDE_INSIDE);
    return true;
}

/* Leaves if it was entered as one's own. */
static inline bool wf_side_leave_quickly(struct wf_side *side)
{
    if (WF_UNLIKELY(wf_load_rlx(&side->holder) == WF_SIDE_TAKEN)) {
        return false;
    }
    wf_store_rel(&side->mine, (uint8_t)WF_SIDE_OUT);
    return true;
}

/* Any way: 0 or -EBUSY. `self`: NULL outside of fibers. A full fence, unless it is the task's own. */
int wf_side_enter(struct wf_side *side, const weft_task *self);

/* Leaves, any way. A fence between that and what follows is up to the caller. */
void wf_side_leave(struct wf_side *side, const weft_task *self);

/* True: nobody is inside, or will be without a fence that comes later than one of the caller's. Else a heavy fence is
 * needed before wf_side_is_inside tells the truth. */
bool wf_side_is_calm(struct wf_side *side, const weft_task *self);

bool wf_side_is_inside(struct wf_side *side);

#endif

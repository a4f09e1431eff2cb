// SPDX-License-Identifier: MIT
/* fetch.c - what the next tasks will touch is fetched into the cache while others run.
 *
 * What: whoever takes an entry of the deque looks some entries further. Of the farthest one the record is
 *       fetched, every line of which a task needs that ends, and who joins it; of nearer ones, whose records are there by
 *       now, the descriptors, several together: each lies in a page of its own, and processors translate some at
 *       once, but wait for each before the next locked operation; of the nearest one the frames around its wait.
 * Why this way: a task that has waited for long finds none of its lines in a cache, and touches them one
 *       after the other: a page to translate, a descriptor, a saved frame, the frames above it. Fetched
 *       together and early they cost less than half (docs/decisions.md). Tasks that yield are still warm,
 *       so only woken ones are fetched.
 * Threads: the deque's owner. A thief may have been faster: what is read then is stale, and a hint for the
 *       processor only. Records are never unmapped, and fetching never faults.
 */
#include "sched/ready.h"

/* Of a fiber the descriptor, and what lies above what its task has called, are not needed with the frames: two lines.
 * Awaiting calls have the wait low in their frames, or in the task's seat, which says where these are. */
enum { LINE_BYTES = 64, FRAME_LINES = 8, BELOW_WAIT = 128 };

/* How many entries ahead: the records (WF_FETCH_AHEAD), then the descriptors, BATCH together, then the frames. */
enum { BATCH = 8, FRAMES_AT = 3, FIBERS_AT = FRAMES_AT + BATCH };

_Static_assert(FIBERS_AT + BATCH <= WF_FETCH_AHEAD, "records come before what they point to");
_Static_assert(WF_DEQUE_SLOTS % BATCH == 0, "no batch goes round the end of a ring");

/* What was woken has started: its entry is the address alone. */
static inline weft_task *task_at(struct wf_deque *lane, uint64_t at)
{
    return wf_entry_resumes(wf_deque_at(lane, at));
}

/* What is touched of a task's frames from its wait to its end: two lines at least, for it has a wait. */
static inline void fetch_frames(weft_task *task)
{
    uintptr_t wait = (uintptr_t)wf_load_rlx(&task->wait);
    uintptr_t fiber = (uintptr_t)wf_load_rlx(&task->fiber);
    if (WF_UNLIKELY(wait == 0)) {
        return; /* it yields, or a thief has it */
    }
    if ((wait ^ (uintptr_t)task) < WF_SLAB_BYTES) {
        wait = fiber - wf_load_rlx(&wf_task_seat(task)->waiter.depth);
    }
    uintptr_t line = wait - BELOW_WAIT;
    uintptr_t end = line + FRAME_LINES * LINE_BYTES;
    end = end < fiber - LINE_BYTES ? end : fiber - LINE_BYTES;
    do {
        wf_fetch((const void *)line);
        line += LINE_BYTES;
    } while (line < end);
}

/* Of BATCH tasks, the first of which is at a multiple of that: in a ring they lie in a row. */
static inline void fetch_fibers(struct wf_deque *lane, uint64_t at)
{
    wf_au64 *entries = &lane->slots[at & lane->mask];
#pragma GCC unroll 8
    for (unsigned i = 0; i < BATCH; i++) {
        wf_fetch(wf_load_rlx(&wf_entry_resumes(wf_load_rlx(&entries[i]))->fiber));
    }
}

weft_task *wf_ready_fetch(struct wf_deque *lane, uint64_t at, weft_task *task)
{
    fetch_frames(task_at(lane, at + FRAMES_AT));
    if ((at + FIBERS_AT) % BATCH == 0) {
        fetch_fibers(lane, at + FIBERS_AT);
    }
    weft_task *far = task_at(lane, at + WF_FETCH_AHEAD);
    wf_fetch(far);
    wf_fetch(&far->context);
    wf_fetch(wf_task_seat(far));
    return task;
}

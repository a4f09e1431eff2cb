// SPDX-License-Identifier: MIT
/* further.h - who wakes many tasks one after the other fetches what it will touch of those that come later.
 *
 * What: two tasks that came one after the other say how far their records are from each other. Records are taken
 *       from slabs in a row, and go back in a row, so some such how_far further there is most likely the record of
 *       one that comes soon. Its first line has the address of its fiber, and what a waker touches of its stack
 *       is as far from that as it is with the task that comes now. If it touches the task's seat (task/wait.h) instead, that
 *       is as far from the record, if not twice as far.
 * Why this way: a waiter is found by the link in the one before it, each in a page of its own that has left all
 *       caches, so a walk goes at the pace of the memory. Rejected: how_far from stack to stack. These are coloured
 *       (fiber/slab.c), and every slab is mapped somewhere else, so half of the guesses were wrong.
 * Threads: any; what is read may be stale, or of a task that is about to be another one: a hint for the processor
 *       only. Slabs are never unmapped while tasks are woken.
 */
#ifndef WF_TASK_FURTHER_H
#define WF_TASK_FURTHER_H

#include "task/slab.h"

/* The record `how_far` further than `next` if `at` came before that; NULL: not in the same slab, or never used. */
static inline weft_task *wf_task_further(const weft_task *at, const weft_task *next,
                                         uintptr_t how_far)
{
    const uintptr_t inside = WF_SLAB_BYTES - 1;
    uintptr_t further = (uintptr_t)next + how_far * ((uintptr_t)next - (uintptr_t)at);
    uintptr_t differs = ((uintptr_t)at ^ (uintptr_t)next) | (further ^ (uintptr_t)next);
    struct wf_task_slab *slab = (struct wf_task_slab *)(further & ~inside);
    if ((differs & ~inside) != 0 || (further & inside) == 0) {
        return NULL;
    }
    size_t used = (size_t)wf_load_rlx(&slab->carved) * WF_LINE_BYTES;
    return (further & inside) <= used ? (weft_task *)further : NULL;
}

/* `next` comes after `at`, and `touched` is needed, of its stack or beside its record. `turn` counts the calls. */
static inline void wf_task_fetch_further(weft_task *at, weft_task *next, const void *touched,
                                         uint64_t turn)
{
    enum { BATCH = 8, RECORD_AT = 3 * BATCH };
    uintptr_t far = RECORD_AT * ((uintptr_t)next - (uintptr_t)at);
    wf_fetch((const void *)((uintptr_t)next + far));
    if (((uintptr_t)touched ^ (uintptr_t)next) < WF_SLAB_BYTES) {
        wf_fetch((const void *)((uintptr_t)touched + far * WF_SEAT_BYTES / WF_LINE_BYTES));
        return;
    }
    uintptr_t above = (uintptr_t)wf_load_rlx(&next->fiber) - (uintptr_t)touched;
    for (uintptr_t i = BATCH; turn % BATCH == 0 && i < 2 * BATCH; i++) {
        weft_task *task = wf_task_further(at, next, i);
        if (task != NULL) {
            wf_fetch((const void *)((uintptr_t)wf_load_rlx(&task->fiber) - above));
        }
    }
}

#endif

// SPDX-License-Identifier: MIT
/* entry.h - a queue entry: a word that names a ready task in a lane or a slot.
 *
 * What: {generation:16, address of the task:46, kind:2}: the task's token and two bits. The entry of a task that has not
 *       started may be stale (it was cancelled and freed) or dead (claimed elsewhere), so it is checked when it is taken. A
 *       task that has started has exactly one entry, and it is never stale: that is the address alone.
 */
#ifndef WF_SCHED_ENTRY_H
#define WF_SCHED_ENTRY_H

#include "base/hint.h"
#include "sched/runtime.h"

/* In the entry of a task that has not started. */
#define WF_READY_NEW UINT64_C(1)

/* ... and is WF_TASK_APART. Such a task has no entry without it: what becomes APART later was in no deque before. */
#define WF_READY_APART UINT64_C(2)

/* Of a task that has started. */
static inline uint64_t wf_entry_started(const weft_task *task)
{
    return (uint64_t)(uintptr_t)task;
}

/* The task of such an entry. */
static inline weft_task *wf_entry_resumes(uint64_t entry)
{
    return (weft_task *)(uintptr_t)entry;
}

static inline uint64_t wf_entry_of(const weft_task *task, bool is_new)
{
    bool is_apart = (wf_task_flags(task) & WF_TASK_APART) != 0;
    return is_new ? wf_task_token(task) | WF_READY_NEW | (is_apart ? WF_READY_APART : 0)
                  : wf_entry_started(task);
}

/* Is it of an earlier life of the slot? Whoever would change the word loads that first. */
static inline bool wf_entry_is_stale(uint64_t entry, const weft_task *task)
{
    return (wf_task_id(task) & 0xffff) != entry >> 48;
}

/* An entry of an earlier life of the slot may name a task that is at another's home by now. */
static inline bool wf_entry_is_others(const struct wf_worker *worker, const weft_task *task)
{
    return WF_UNLIKELY(wf_load_rlx(&((weft_task *)(uintptr_t)task)->home) != worker->index);
}

#endif

// SPDX-License-Identifier: MIT
/* tasks.c - the snapshot of unfinished tasks.
 *
 * Walks the slabs and keeps, in the caller's array, the `cap` tasks with the lowest ids: a heap with
 * the highest id at the root while collecting, sorted in place at the end. Takes no reference: a weak
 * handle is slot and id, and both are read between two looks at the generation.
 */
#include <errno.h>

#include <weft/task.h>

#include "sched/sched.h"

struct snapshot {
    weft_weak *heap;
    size_t cap;
    size_t count;
    int64_t seen;
};

static void sift_down(weft_weak *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && heap[child + 1].id > heap[child].id) {
            child++;
        }
        if (heap[at].id >= heap[child].id) {
            return;
        }
        weft_weak swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

static void sift_up(weft_weak *heap, size_t at)
{
    while (at > 0 && heap[(at - 1) / 2].id < heap[at].id) {
        weft_weak swap = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = swap;
        at = (at - 1) / 2;
    }
}

static void visit(weft_task *task, void *arg)
{
    struct snapshot *snapshot = arg;
    uint64_t refs = wf_load_acq(&task->refs);
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    uint64_t id = wf_task_id(task);
    bool is_alive = life == WF_NEW || life == WF_RUN || life == WF_PARKED;
    if (!is_alive || WF_REFS_GENERATION(refs) != (uint32_t)id ||
        WF_REFS_GENERATION(wf_load_acq(&task->refs)) != (uint32_t)id) {
        return;
    }
    snapshot->seen++;
    weft_weak weak = {task, id};
    if (snapshot->count < snapshot->cap) {
        snapshot->heap[snapshot->count] = weak;
        sift_up(snapshot->heap, snapshot->count++);
    } else if (snapshot->cap > 0 && snapshot->heap[0].id > id) {
        snapshot->heap[0] = weak;
        sift_down(snapshot->heap, snapshot->count, 0);
    }
}

int64_t weft_tasks(weft_runtime *runtime, weft_weak *out, size_t cap)
{
    if (out == NULL && cap > 0) {
        return -EINVAL;
    }
    int rc = wf_runtime_resolve(&runtime);
    if (rc < 0) {
        return rc;
    }
    struct snapshot snapshot = {out, cap, 0, 0};
    wf_registry_walk(&runtime->registry, visit, &snapshot);
    for (size_t end = snapshot.count; end > 1; end--) {
        weft_weak swap = out[0];
        out[0] = out[end - 1];
        out[end - 1] = swap;
        sift_down(out, end - 1, 0);
    }
    return snapshot.seen;
}

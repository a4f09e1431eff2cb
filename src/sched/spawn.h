// SPDX-License-Identifier: MIT
/* spawn.h - the short way of a spawn: without options or values, with a slot and a place in the deque at hand.
 *
 * Nearly every spawn. The caller publishes the record between the two (wf_state_spawn, wf_spawn_count).
 * Threads: the worker's own.
 */
#ifndef WF_SCHED_SPAWN_H
#define WF_SCHED_SPAWN_H

#include "base/hint.h"
#include "sched/ready.h"

/* What the slot's last task has not left ready. */
static inline void wf_spawn_fill(weft_task *task, const struct wf_worker *worker, const char *site,
                                 weft_fn *fn, void *arg)
{
    wf_store_rlx(&task->fn, fn);
    task->arg = arg;
    task->site = site;
    wf_store_rlx(&task->early, (uint64_t)worker->index << WF_EARLY_HOME);
}

/* A record with its token; NULL: nothing has been done, ask wf_spawn_prepare. On a plain thread too. */
static inline __attribute__((always_inline)) weft_task *wf_spawn_make_quickly(
    struct wf_worker *worker, const char *site, weft_fn *fn, void *arg, uint64_t *token)
{
    const weft_task *self = wf_load_rlx(&worker->running);
    if (WF_UNLIKELY(self->context != NULL) || WF_UNLIKELY(wf_load_rlx(&worker->is_open) == 0) ||
        WF_UNLIKELY(fn == NULL) || WF_UNLIKELY(!wf_deque_has_room_at_hand(&worker->deque))) {
        return NULL; /* the long way looks for room: a call here would cost the caller a frame */
    }
    weft_task *made = wf_task_alloc_quickly(&worker->tasks, token);
    if (WF_LIKELY(made != NULL)) {
        wf_spawn_fill(made, worker, site, fn, arg);
    }
    return made;
}

/* Somebody else is needed for what has been spawned. Returns 0, so that it can be the last act of a call. */
int wf_spawn_wake(struct wf_worker *worker);

/* Queues it. Returns 0. */
static inline __attribute__((always_inline)) int wf_spawn_queue_quickly(struct wf_worker *worker,
                                                                        uint64_t token)
{
    wf_deque_add(&worker->deque, token + WF_READY_NEW);
    bool is_needed = wf_idle_needs(&worker->runtime->idle, true);
    return __builtin_expect(is_needed, 0) ? wf_spawn_wake(worker) : 0;
}

#endif

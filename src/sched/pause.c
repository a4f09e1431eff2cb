// SPDX-License-Identifier: MIT
/* pause.c - what a fiber that runs task after task inside owes to everybody else.
 *
 * A child that runs inside its joiner (await/inside.c) is no turn of the worker: nobody looks at timers,
 * descriptors and other tasks. So now and then the joiner looks. It leaves only for what is woken, and comes
 * back right after it; were it to yield to tasks that have not started, every fork-join program would go
 * breadth-first, and its stacks with it. Those wait OLD_NS at most.
 */
#include "sched/loop.h"
#include "sched/ready.h"

enum {
    JOINS = 61,
    JOINS_MOST = 4 * JOINS,
    JOINS_LEAST = 4,
    SHORT_NS = 4000,
    LONG_NS = 500 * 1000,
    LOOK_NS = 50 * 1000,
    OLD_NS = 10 * 1000 * 1000
};

/* A task that may run here only or that yields, or a new one that is the oldest for too long. */
static bool has_waiting(struct wf_worker *worker, int64_t now_ns)
{
    uint64_t at;
    uint64_t oldest = wf_deque_oldest(&worker->deque, &at);
    if (worker->pinned != NULL || (oldest != 0 && (oldest & WF_READY_NEW) == 0)) {
        return true;
    }
    if (oldest != worker->oldest) {
        worker->oldest = oldest;
        worker->oldest_since_ns = now_ns;
    }
    return oldest != 0 && now_ns - worker->oldest_since_ns >= OLD_NS;
}

void wf_sched_pause(struct wf_worker *worker)
{
    int64_t now_ns = wf_monotonic_ns();
    wf_bump_own(&worker->turns, 1);
    int64_t took_ns = now_ns - worker->paused_ns;
    worker->until_pause = took_ns < SHORT_NS ? JOINS_MOST : took_ns > LONG_NS ? JOINS_LEAST : JOINS;
    worker->paused_ns = now_ns;
    wf_bias_look(&worker->runtime->registry.bias, &worker->tasks.owner, now_ns);
    bool is_closing = false;
    if (now_ns - worker->looked_ns >= LOOK_NS) {
        wf_worker_look(worker);
        is_closing = wf_load_acq(&worker->runtime->phase) != WF_RUNNING;
    }
    bool is_pinned = (wf_task_flags(wf_self_on(worker)) & WF_TASK_PINNED) != 0;
    bool has_woken = worker->has_woken && wf_deque_count(&worker->woken) > 0;
    if ((has_woken || wf_load_rlx(&worker->slot) != 0) && !is_pinned && !is_closing) {
        worker->slot_streak =
            has_woken ? worker->slot_streak : 0; /* one from the lane now and then */
        worker->was_woken = false;
        wf_sched_leave(worker, WF_LEAVE_SOON);
    } else if (is_closing || has_waiting(worker, now_ns)) {
        worker->until_poll =
            is_closing ? 1 : worker->until_poll; /* the host ends what is overdue */
        worker->oldest_since_ns = now_ns;
        wf_sched_yield(worker);
    }
}

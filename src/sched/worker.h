// SPDX-License-Identifier: MIT
/* worker.h - one OS thread that runs fibers, and everything only it owns.
 *
 * Threads: the worker's own thread unless a caption says otherwise. Code that runs on a fiber finds
 *       its worker by wf_here() and forgets it at every call that may switch: the fiber may go on
 *       elsewhere.
 */
#ifndef WF_SCHED_WORKER_H
#define WF_SCHED_WORKER_H

#include <pthread.h>

#include <ck_stack.h>

#include "fiber/fiber.h"
#include "fiber/overflow.h"
#include "fiber/stack.h"
#include "queue/deque.h"
#include "sched/ahead.h"
#include "task/here.h"
#include "task/slab.h"
#include "task/wait.h"
#include "timer/wheel.h"

struct wf_sim;
struct wf_uring;

/* What the worker owes to the fiber that it has just left: done on arrival, by the next stack. */
enum wf_leave {
    WF_LEAVE_NOTHING = 0,
    WF_LEAVE_PARK,         /* publish the wait, or queue the fiber if it was decided meanwhile */
    WF_LEAVE_YIELD,        /* queue it at the tail: not pinned, no simulation */
    WF_LEAVE_YIELD_SLOWLY, /* queue it at the tail of where it belongs */
    WF_LEAVE_SOON, /* back into the slot, if that is free: it goes on right after the one woken */
    WF_LEAVE_END,  /* the stack is free */
};

/* Counters: the worker writes (no locked instruction), weft_stats reads. */
struct wf_counters {
    wf_au64 spawned, finished;
    wf_au64 steals, stolen;
    wf_au64 parks, yields, wakes;
    wf_au64 requests, delivered, swallowed;
    wf_au64 armed, fired;
    wf_au64 sleeps, woken, polls, events, held;
    wf_au64 group_errors;
};

/* How long it stays awake: see brief.h. */
struct wf_brief {
    int64_t since_ns;  /* when it woke up; 0: unknown, or that is over */
    uint64_t turns;    /* it had had by then */
    bool is_frequent;  /* that sleep was short */
    uint8_t streak;    /* how often in a row it was brief, up to what is asked for */
    uint8_t kept;      /* so many tasks in its lanes were kept, ... */
    uint64_t kept_end; /* ... none of them behind this index of woken ones */
};

/* What has been stolen: a new task where more were left, the last one there, one that was woken. */
enum wf_gain_kind { WF_GAIN_NEW = 0, WF_GAIN_NEW_ALONE, WF_GAIN_WOKEN, WF_GAIN_KINDS };

/* What stealing has brought lately: see gain.h. */
struct wf_gain {
    int64_t since_ns;     /* when it stole the task that has its first turn here; 0: that is over */
    int64_t until_ns;     /* till when it leaves the others alone */
    uint32_t patience_ns; /* how long it did so the last time; 0: stealing pays */
    int32_t mean_ns[WF_GAIN_KINDS]; /* of the first turns, lately */
    enum wf_gain_kind kind;         /* of the latest theft */
    struct wf_worker *stuck;        /* one that was at something long, until it gets on from ... */
    uint64_t stuck_at;              /* ... here; NULL: nobody */
    uint32_t until_poll;            /* the worker's, put aside for that turn */
    uint32_t contentions;           /* of the worker's thread, when it stole */
    bool
        is_futile; /* woken for what was queued, or has taken what was over, and has stolen nothing since */
};

/* What the latest grant touched that was not just for this worker: see sched.h. Later no more than addresses. */
struct wf_sent {
    const void *to; /* NULL: nobody is to look */
    const struct wf_list *link;
    weft_task *task;
};

struct wf_worker {
    weft_runtime *runtime;
    uint32_t index;

    /* Who runs here now: the host between tasks. The overflow handler of this thread reads it. */
    struct wf_fiber *fiber;
    struct wf_fiber *host; /* where the loop runs: own_host; the first worker's in a simulation */
    struct wf_sim *sim;    /* NULL but in a simulation */
    struct wf_fiber own_host;

    struct wf_fiber *left;
    enum wf_leave leave;
    uint32_t
        left_awaits; /* awaits of who has left last that did not wait, since its last one that did; for gain.c */
    const void *left_site; /* where that fiber's call will return to; NULL: unknown. See go.h */

    /* Two lanes, served by turns: tasks that have not started, and those that yield; and tasks that were woken. So
     * what is woken does not wait for all that was spawned before it. Who yields where only the other lane has
     * something goes there. */
    struct wf_deque deque;
    struct wf_deque woken;
    /* 0: the lane of woken tasks is empty; 1: it was not, thieves may have been there. So wide that a short way looks at it
     * together with others. */
    uint64_t has_woken;
    bool was_woken; /* the last task that came from a lane came from that one */
    bool
        was_pinned; /* the last task that came from the lanes or the list of pinned ones came from that list */

    /* The task that was woken last, runs next. A queue entry, 0 = empty. The owner alone fills it: an empty
     * one by a store (release), else by a swap (acq_rel), and takes it by a swap. A thief on its last pass
     * takes it by CAS (acq_rel, with the owner's store). With one worker there are no thieves, and the owner
     * takes by a store (relaxed), replaces by one (release). */
    wf_au64 slot;
    /* Below this index of the deque entries of claimed tasks may lie; all of them in a simulation, which has its
     * own list (UINT64_MAX). See await/inside.c. */
    uint64_t odd_below;
    /* Spawns may take the short way: no simulation, fences are asymmetric, and nobody has begun to close. The
     * closer clears it (relaxed): who sees that late spawns what closing finds and cancels. */
    wf_au8 is_open;
    uint32_t slot_streak; /* runs from the slot in a row */

    /* Ready tasks that may run here only. */
    weft_task *pinned;
    weft_task *pinned_tail;

    struct wf_uring
        *ring; /* poll/uring.h; NULL: the runtime does without. Set before the thread starts */

    struct wf_wheel wheel; /* own lock: any worker may expire it */
    int64_t following_ns;  /* when the sleep after the one that begins is likely to end */
    struct wf_task_cache tasks;
    struct wf_stack_cache stacks;
    struct wf_counters counters;
    uint64_t gathers; /* begun here: their numbers, see await/cycle.h */
    uint64_t random;  /* state of the generator for victims */
    uint32_t
        until_poll;   /* turns until the next look at timers and inject, and perhaps the poller */
    uint32_t stretch; /* how many turns lie between two such looks, see look.c */
    uint32_t since_poll; /* turns since the poller's last */
    int64_t paced_ns;    /* when the last stretch was over; 0: it has slept since */
    int32_t until_pause; /* joins of children inside until the next look: see pause.c */
    bool is_alone;       /* the only one of its runtime: nobody steals */
    bool is_searching;   /* counted in the idle word */
    uint32_t mail_ns;    /* how long it waits for its inbox, which has brought work: see park.c */
    bool is_trimmer; /* sleeps until stacks are to be trimmed: the one of runtime->has_trimmer */
    uint8_t news;    /* how often a drained descriptor had something again at once: see receive.c */
    uint8_t unread;  /* ... and how many were not asked since one was */
    uint8_t naps;    /* since it last stayed awake for a moment to see whether that pays, */
    uint8_t naps_most; /* and after how many it does so again: see park.c */
    /* squeeze.h: until when it wakes nobody, 0: it does, and for how long the last time. Who was woken stores, the watchdog
     * ends it, it loads: relaxed. */
    wf_ai64 squeezed_until_ns;
    wf_au32 squeezed_ns;
    uint32_t squeezed_looks; /* so many times it wakes nobody without asking the clock */
    uint32_t
        in_the_way_of; /* index + 1 of who woke it to where that one runs; 0: nobody. See wf_squeeze_holds */
    uint32_t linger_ns; /* how long it stays awake before it sleeps: see park.c */
    struct wf_ahead ahead;
    struct wf_gain gain;
    struct wf_sent sent; /* see sched.h */

    /* pause.c */
    int64_t paused_ns;       /* when it last asked the clock */
    int64_t looked_ns;       /* when it last looked around */
    int64_t oldest_since_ns; /* since when ... */
    uint64_t oldest;         /* ... this is the oldest entry of its deque */

    struct wf_brief brief;
    bool is_leaning;  /* its bit is set, and ... */
    int64_t watch_ns; /* ... its alarm, on which others lean; 0: none. See lean.h */

    /* A task that was claimed but must end unrun; the host finishes it. */
    weft_task *to_bury;
    int bury_error; /* what it ends with */

    /* Turns so far: the owner bumps, the watchdog reads (relaxed). The task that runs, wf_no_task on the
     * host and while nobody is to be found here (NULL on the way there): for it too, and for the short ways. */
    _Alignas(64) wf_au64 turns;
    _Atomic(weft_task *) running;

    /* Has not turned for a while: the watchdog stores (relaxed), who stands in for its timers loads (relaxed). */
    wf_au8 is_stuck;
    wf_au32
        times_stuck; /* so far: the watchdog bumps, the owner reads (relaxed) to tell what was held up */

    /* Pinned tasks made ready elsewhere: any thread pushes, the owner takes all. This line is the one that others
     * write. */
    _Alignas(64) ck_stack_t inbox;
    /* The owner is on its way to sleep, or sleeps: it swaps that in (seq_cst) before it looks at its inbox for the
     * last time, and takes it out (relaxed) before it looks again. Who has pushed loads it (seq_cst, behind a
     * full fence): 0, and the owner will look by itself. */
    wf_au8 is_drowsy;
    /* enum of park.c: the owner and its wakers swap (acq_rel); see there. */
    wf_au32 parker;

    pthread_t thread;
    struct wf_overflow_thread overflow;
};

/* The running task for the short ways of calls that are over in nanoseconds. NULL: no worker, no fiber, or a
 * forked child: wf_fiber_worker says which. */
static inline weft_task *wf_running_on(const struct wf_worker *worker)
{
    weft_task *running = worker != NULL ? wf_load_rlx(&worker->running) : NULL;
    return __builtin_expect(running != &wf_no_task, 1) ? running : NULL;
}

/* The running task, NULL outside a fiber. */
static inline weft_task *wf_self_on(const struct wf_worker *worker)
{
    return worker != NULL ? (weft_task *)worker->fiber->task : NULL;
}

/* The values (context.h) that the calling code sees, borrowed; NULL for none. */
static inline weft_context *wf_values_here(void)
{
    weft_context *lent = wf_here_lent();
    const weft_task *task = lent == NULL ? wf_self_on(wf_here()) : NULL;
    return task != NULL ? task->context : lent;
}

#endif

// SPDX-License-Identifier: MIT
/* runtime.h - what one weft_run owns: workers, registry, poller, pool. No global state beside it.
 *
 * Life: created -> running -> closing (no new tasks; leftovers cancelled) -> drained (workers leave)
 *       -> freed. See lifecycle.c.
 */
#ifndef WF_SCHED_RUNTIME_H
#define WF_SCHED_RUNTIME_H

#include <weft/runtime.h>

#include "base/clock.h"
#include "poll/poller.h"
#include "sched/flood.h"
#include "sched/idle.h"
#include "sched/worker.h"

struct wf_pool;
struct wf_probe;

enum wf_phase { WF_RUNNING = 0, WF_CLOSING, WF_DRAINED, WF_ABANDONED };

/* Something an upper room hangs on a runtime, to be freed with it. */
struct wf_attachment {
    void *data;
    void (*destroy)(void *data);
};
enum { WF_ATTACH_SIGNALS, WF_ATTACH_SIGINT, WF_ATTACH_COUNT };

struct weft_runtime {
    struct wf_registry registry; /* first: a task finds its runtime through its slab */

    /* Set once by start. */
    weft_options options;
    struct wf_clock clock;
    struct wf_worker *workers;
    uint32_t worker_count;
    uint32_t fork_epoch;      /* of fork.c when the runtime was made */
    struct wf_poller *poller; /* NULL in a simulation */
    struct wf_stacks stacks;

    /* Ready tasks from plain threads: anybody pushes, workers take all. */
    ck_stack_t inject;

    struct wf_idle idle;

    /* Whoever holds it is in the poller. */
    struct wf_lock poll_lock;

    /* enum wf_phase: the closer stores (seq_cst), everybody loads. */
    wf_au32 phase;
    /* Plain threads that are inside a call: closing waits for submits among them, and the memory for
     * all (wf_visit_begin). */
    wf_aint visitors;
    /* No submit that found the runtime running is inside any more: the closer stores (release), idle workers load
     * (acquire). Until then nobody finds that all tasks have finished: one may not be counted yet. */
    wf_au8 is_sealed;

    /* The blocking pool, made by the first call. Under attach_lock. */
    struct wf_pool *pool;
    struct wf_attachment attachments[WF_ATTACH_COUNT];
    struct wf_lock attach_lock;

    weft_task *main; /* weft_run's main task, NULL for weft_runtime_start */
    wf_au32
        stopping; /* a swap decides who: weft_runtime_stop, or who reports the end of the grace */
    /* Set when closing begins (release), read by idle workers and the stopper (acquire). */
    wf_ai64 grace_deadline_ns;
    wf_au64 round_spawned; /* tasks spawned when they were last all cancelled; idle workers */
    wf_au64 hogs;
    /* How many workers are stuck in one task: the watchdog stores (relaxed), whoever goes to sleep loads (relaxed). A
     * hint: who sees it late sleeps until the watchdog's next tick. */
    wf_au32 stuck_count;
    /* Index + 1 of the sleeper that minds the timers of stuck workers, 0: none. A worker puts itself in by CAS
     * (acq_rel) and takes itself out by a store (release), as the watchdog does for a worker that is newly stuck; nothing
     * hangs on what else they see. */
    wf_au32 stand_in;
    wf_au64 outside_requests;

    /* Threads of workers that were made and do not run yet: who makes one adds it, each takes itself away (acq_rel);
     * who has made them all sleeps on it until it is 0 (acquire), and then reads the error. */
    wf_au32 unsettled;
    wf_aint
        settle_error; /* of a thread that could not start: it stores (relaxed), before it goes */

    struct wf_flood flood; /* lines on standard error, without a diagnostics hook */

    /* A bit for each sleeper that leans, which sets and clears it itself; the earliest alarm of those who watch, WF_FOREVER:
     * nobody does. Who goes to sleep puts it there and takes it away by CAS. All seq_cst, see lean.h. */
    _Alignas(64) wf_au64 leaning;
    wf_ai64 watch_ns;
    /* brief.h: a worker stores 1 (relaxed), the watchdog takes it away; the watchdog stores whether it does hurry. */
    wf_au8 wants_hurry;
    wf_au8 is_hurried;
    /* squeeze.h, both relaxed: who last woke somebody for what is queued on a fiber, and where it ran, stored by it, as 0 by
     * others who wake somebody; somebody has woken nobody, which the watchdog takes away. */
    wf_au32 waker;
    wf_au8 has_kept;

    /* Watchdog: see watchdog.c. */
    _Alignas(64) pthread_t watchdog;
    bool has_watchdog;
    wf_au32 watchdog_word;

    /* A sleeping worker will wake up to trim stacks: a worker that goes to sleep swaps 1 in (acq_rel), and
     * if it was the one stores 0 (release) when it is awake. */
    wf_au32 has_trimmer;

    struct wf_sim *sim;           /* NULL but in a simulation */
    struct wf_probe *probe;       /* NULL but in a cancel sweep */
    bool is_deadlocked;           /* simulation: nothing can ever run again */
    weft_runtime *next_abandoned; /* start.c */
    wf_au32 was_interrupted; /* how often, by SIGINT: its handler's side stores, weft_run loads */
};

static inline weft_runtime *wf_runtime_of(const weft_task *task)
{
    return (weft_runtime *)(void *)wf_task_registry(task);
}

static inline int64_t wf_runtime_now(const weft_runtime *runtime)
{
    return wf_clock_now(&runtime->clock);
}

/* fork.c: how often this process has come out of a fork as the child. The child's only thread writes
 * (relaxed), calls in that child read. */
extern wf_au32 wf_forks;

/* True in a process that forked after the runtime was made. */
static inline bool wf_runtime_is_forked(const weft_runtime *runtime)
{
    return __builtin_expect(runtime->fork_epoch != wf_load_rlx(&wf_forks), 0);
}

#endif

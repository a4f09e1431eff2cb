// SPDX-License-Identifier: MIT
/* stats.h - counters of a runtime, summed over its workers. */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <weft/base.h>

WEFT_BEGIN

typedef struct weft_stats_t {
    size_t size;                /* set by the caller: sizeof(weft_stats_t); 0 = all that is below */
    uint64_t workers;           /* worker threads */
    uint64_t tasks_spawned;     /* tasks ever made */
    uint64_t tasks_finished;    /* of them ended */
    uint64_t steals;            /* batches taken from another worker */
    uint64_t tasks_stolen;      /* tasks in them */
    uint64_t parks;             /* waits that suspended a fiber */
    uint64_t yields;            /* trips through the ready queue without a wait */
    uint64_t wakes;             /* waits that ended with a grant */
    uint64_t cancel_requests;   /* cancellations accepted, from anybody */
    uint64_t cancels_delivered; /* -ECANCELED handed to a task for a request */
    uint64_t cancels_swallowed; /* tasks that were told, did not uncancel, and ended with a value */
    uint64_t timers_armed;
    uint64_t timers_fired;
    uint64_t worker_sleeps;    /* times a worker found nothing and went to sleep */
    uint64_t worker_wakes;     /* times a sleeping worker was woken by another thread */
    uint64_t polls;            /* looks at the poller */
    uint64_t io_events;        /* readiness events received */
    uint64_t hogs;             /* times the watchdog found a worker stuck in one task */
    uint64_t group_errors;     /* errors of children of independent groups */
    uint64_t blocking_threads; /* pool threads now */
    uint64_t blocking_calls;   /* calls run by the pool */
    uint64_t stacks_in_use;
    uint64_t stacks_cached;    /* free, ready for reuse */
    uint64_t stacks_unguarded; /* mapped without a guard page: only a canary */
    uint64_t io_held; /* ends of I/O calls that waited in the ring of a worker stuck in one task */
} weft_stats_t;

/* Fills `out` (its `size` says how much of it). `runtime` NULL = the caller's own. Returns 0,
 * -EPERM (NULL outside a fiber), -EINVAL. Any thread while the runtime lives; never switches. */
WEFT_API int weft_stats(weft_runtime *runtime, weft_stats_t *out);

WEFT_END

#endif

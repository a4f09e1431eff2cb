// SPDX-License-Identifier: MIT
/* blocking.h - the pool of threads that run what would block a worker.
 *
 * What: one queue, threads made on demand up to a limit; those that have had nothing to do for a while
 *       end.
 * Who owns a job: with drop_arg NULL it is borrowed, on the stack of a fiber that waits until the
 *       pool is done with it or gives it back (withdraw). Otherwise it is on the heap, and whoever
 *       comes last frees it: the fiber may go away before (abandon).
 * Threads: any. A job's state and wait are under the pool's lock; its claim is made under it.
 */
#ifndef WF_SCHED_BLOCKING_H
#define WF_SCHED_BLOCKING_H

#include "sched/runtime.h"

enum wf_job_state {
    WF_JOB_QUEUED = 0,
    WF_JOB_RUNNING,
    WF_JOB_DONE,      /* result is there */
    WF_JOB_WITHDRAWN, /* fn never ran and won't */
};

struct wf_job {
    struct wf_list link;
    weft_fn *fn;
    void *arg;
    void (*drop_arg)(void *); /* called by the pool after fn; NULL: borrowed */
    struct wf_wait *wait;     /* granted when done; NULL: abandoned */
    weft_context *context;    /* what fn sees; the caller's own if borrowed, else a reference */
    intptr_t result;
    enum wf_job_state state;
};

/* The runtime's pool, made by the first call; NULL: no memory. */
struct wf_pool *wf_pool_of(weft_runtime *runtime);

/* Queues a job and sees to it that a thread comes. 0; -EAGAIN or -ENOMEM: there is no thread, and
 * nothing is queued. */
int wf_pool_submit(struct wf_pool *pool, struct wf_job *job);

/* Takes back a borrowed job that is still queued and grants its wait. False: it runs or has run. */
bool wf_pool_withdraw(struct wf_pool *pool, struct wf_job *job, struct wf_later *later);

/* Nobody waits for a heap job any more. What became of it: WITHDRAWN, DONE: it is the caller's, to
 * free; RUNNING: it is the pool's. */
enum wf_job_state wf_pool_abandon(struct wf_pool *pool, struct wf_job *job);

/* Whether the calling thread is one of the runtime's pool. */
bool wf_pool_is_here(const weft_runtime *runtime);

/* Threads there are, and calls ever begun; 0 for NULL. */
void wf_pool_count(struct wf_pool *pool, uint64_t *threads, uint64_t *calls);

/* Waits for what runs, and ends the threads. NULL is allowed. The workers have left. */
void wf_pool_destroy(struct wf_pool *pool);

#endif

// SPDX-License-Identifier: MIT
/* here.h - what the calling thread is: a worker, or lent values, or neither.
 *
 * The thread-local is read anew at every call: a compiler that kept its address across a switch would find
 * another thread's. So it is read by a call that is never inlined, or, where one instruction names it, by that
 * instruction, which the compiler can't look into.
 */
#ifndef WF_TASK_HERE_H
#define WF_TASK_HERE_H

#include <weft/local.h>

struct wf_worker;

/* The worker of threads that are none (worker.c). Nobody writes to it. */
extern struct wf_worker wf_no_worker;

/* What runs where no fiber does: it has no life, no budget and points that count (await points look at both), and
 * values (which spawning looks at) that nobody may touch. */
extern struct weft_task wf_no_task;

#if defined(__x86_64__)
#define WF_HERE_READ(name, out)                                                    \
    __asm__ __volatile__("movq " name "@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" \
                         : "=r"(out)                                               \
                         :                                                         \
                         : "memory")

/* The worker of the calling thread, NULL on a plain thread. */
static inline struct wf_worker *wf_here(void)
{
    struct wf_worker *worker;
    WF_HERE_READ("wf_here_worker", worker);
    return worker;
}

/* The same for the short ways of calls: on a plain thread it is one that runs wf_no_task, so that they need not
 * ask. */
static inline struct wf_worker *wf_here_quick(void)
{
    struct wf_worker *worker;
    WF_HERE_READ("wf_here_always", worker);
    return worker;
}
#else
struct wf_worker *wf_here(void);
struct wf_worker *wf_here_quick(void);
#endif
void wf_here_set(struct wf_worker *worker);

/* In a forked child: no short ways any more on this thread, its only one. */
void wf_here_cut_short_ways(void);

/* While user code runs that has no task of its own: what it sees as its values (context.h), borrowed; NULL
 * ends that. Such code does not switch, and does not nest. */
void wf_here_lend(weft_context *values);

/* What is lent, NULL if nothing. */
weft_context *wf_here_lent(void);

#endif

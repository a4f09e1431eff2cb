// SPDX-License-Identifier: MIT
/* here.c - the one thread-local of the library, behind calls that are never inlined or cached. */
#include "sched/worker.h"

/* A thread is a worker, or has values lent to it while it makes a blocking call, or neither. */
struct here {
    struct wf_worker *worker;
    weft_context *lent;
};

/* initial-exec: no call, and no allocation in a signal handler, also in the shared library. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct here here;

__attribute__((noinline)) struct wf_worker *wf_here(void)
{
    struct wf_worker *worker = here.worker;
    /* An opaque operand: the value is read anew at every call. */
    __asm__ __volatile__("" : "+r"(worker) : : "memory");
    return worker;
}

__attribute__((noinline)) void wf_here_set(struct wf_worker *worker)
{
    here.worker = worker;
    __asm__ __volatile__("" : : : "memory");
}

__attribute__((noinline)) void wf_context_lend(weft_context *context)
{
    here.lent = context;
    __asm__ __volatile__("" : : : "memory");
}

__attribute__((noinline)) weft_context *wf_context_here(void)
{
    const struct wf_worker *worker = here.worker;
    const weft_task *task = wf_self_on(worker);
    weft_context *lent = here.lent;
    __asm__ __volatile__("" : "+r"(lent) : : "memory");
    return worker == NULL ? lent : task != NULL ? task->context : NULL;
}

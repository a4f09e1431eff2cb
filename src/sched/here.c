// SPDX-License-Identifier: MIT
/* here.c - the one thread-local of the library, behind a call that is never inlined or cached. */
#include "sched/worker.h"

/* initial-exec: no call, and no allocation in a signal handler, also in the shared library. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct wf_worker *here;

__attribute__((noinline)) struct wf_worker *wf_here(void)
{
    struct wf_worker *worker = here;
    /* An opaque operand: the value is read anew at every call. */
    __asm__ __volatile__("" : "+r"(worker) : : "memory");
    return worker;
}

__attribute__((noinline)) void wf_here_set(struct wf_worker *worker)
{
    here = worker;
    __asm__ __volatile__("" : : : "memory");
}

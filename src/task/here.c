// SPDX-License-Identifier: MIT
/* here.c - the one thread-local of the library, behind calls that are never inlined or cached. */
#include "task/here.h"

#include <stddef.h>

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

__attribute__((noinline)) weft_context *wf_here_lent(void)
{
    weft_context *values = here.lent;
    __asm__ __volatile__("" : "+r"(values) : : "memory");
    return values;
}

__attribute__((noinline)) void wf_here_lend(weft_context *values)
{
    here.lent = values;
    __asm__ __volatile__("" : : : "memory");
}

// SPDX-License-Identifier: MIT
/* here.c - the thread-local of the library, behind calls that are never inlined or cached. */
#include "task/here.h"

#include <stddef.h>

#include "task/task.h"

/* initial-exec: no call, and no allocation in a signal handler, also in the shared library. Hidden, and named
 * by the instruction in here.h. */
#define HERE __attribute__((tls_model("initial-exec"), visibility("hidden")))

extern _Thread_local HERE struct wf_worker *wf_here_worker;
_Thread_local HERE struct wf_worker *wf_here_worker;

extern _Thread_local HERE struct wf_worker *wf_here_always;
_Thread_local HERE struct wf_worker *wf_here_always = &wf_no_worker;

_Alignas(WF_LINE_BYTES) struct weft_task wf_no_task;

/* When the program is loaded: what lies between its lines need not be in a file. The first of all: a static library's own come
 * after those of the program, which may use it. */
__attribute__((constructor(101))) static void make_no_task(void)
{
    wf_no_task.context = (weft_context *)(uintptr_t)&wf_no_task;
    wf_store_rlx(&wf_no_task.flags, WF_TASK_PROBED);
    wf_no_task.budget_spent = UINT8_MAX;
}

static _Thread_local __attribute__((tls_model("initial-exec"))) weft_context *lent;

#if !defined(__x86_64__)
__attribute__((noinline)) struct wf_worker *wf_here(void)
{
    struct wf_worker *worker = wf_here_worker;
    /* An opaque operand: the value is read anew at every call. */
    __asm__ __volatile__("" : "+r"(worker) : : "memory");
    return worker;
}

__attribute__((noinline)) struct wf_worker *wf_here_quick(void)
{
    struct wf_worker *worker = wf_here_always;
    __asm__ __volatile__("" : "+r"(worker) : : "memory");
    return worker;
}
#endif

__attribute__((noinline)) void wf_here_set(struct wf_worker *worker)
{
    wf_here_worker = worker;
    wf_here_always = worker != NULL ? worker : &wf_no_worker;
    __asm__ __volatile__("" : : : "memory");
}

__attribute__((noinline)) void wf_here_cut_short_ways(void)
{
    wf_here_always = &wf_no_worker;
    __asm__ __volatile__("" : : : "memory");
}

__attribute__((noinline)) weft_context *wf_here_lent(void)
{
    weft_context *values = lent;
    __asm__ __volatile__("" : "+r"(values) : : "memory");
    return values;
}

__attribute__((noinline)) void wf_here_lend(weft_context *values)
{
    lent = values;
    __asm__ __volatile__("" : : : "memory");
}

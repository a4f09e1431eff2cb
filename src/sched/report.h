// SPDX-License-Identifier: MIT
/* report.h - telling the user's hook, or standard error, what would otherwise go unseen. */
#ifndef WF_SCHED_REPORT_H
#define WF_SCHED_REPORT_H

#include "base/text.h"
#include "sched/sched.h"

/* The registry's report function. */
void wf_report(struct wf_registry *registry, weft_diagnostic_kind kind, weft_task *task, int error);

/* The same with words of its own. `runtime` NULL: on standard error; `task` NULL: none in particular. */
void wf_report_text(weft_runtime *runtime, weft_diagnostic_kind kind, const weft_task *task,
                    int error, const char *text);

/* A call that is refused as misuse: WEFT_DIAG_MISUSE with the caller's task, the call with its object (NULL: none;
 * in a simulation its address is not told), what `format` says of it, and after `tie`, say "held by", the task
 * of the caller's runtime that the token `other` names, if there is one; a plain thread has none. Debug builds only: in others the arguments are not even
 * evaluated. No locks held. */
#define wf_misuse(...)                     \
    do {                                   \
        if (WF_IS_DEBUG) {                 \
            wf_report_misuse(__VA_ARGS__); \
        }                                  \
    } while (0)
__attribute__((format(printf, 6, 7))) void wf_report_misuse(int error, const char *call,
                                                            const void *object, const char *tie,
                                                            uint64_t other, const char *format,
                                                            ...);

/* The task that a worker runs, with a hold; NULL if there is none. Any thread. */
weft_task *wf_report_running(struct wf_worker *worker);

/* `task` has held its worker for long: says so, and what its ring holds, which nobody else may take out. */
void wf_report_stuck(struct wf_worker *worker, weft_task *task);

/* Adds how many operations a worker's ring holds; nothing if it has none. Any thread. */
void wf_report_ring(struct wf_worker *worker, struct wf_text *text);

/* One report for every unfinished task, then one (WEFT_DIAG_CYCLE) for every cycle in which they wait for each
 * other. */
void wf_report_left(weft_runtime *runtime, weft_diagnostic_kind kind);

/* Errors of tasks whose handles were never dropped: when the runtime goes. */
void wf_report_unseen(weft_runtime *runtime);

extern const struct wf_overflow_hooks wf_report_overflow_hooks;

#endif

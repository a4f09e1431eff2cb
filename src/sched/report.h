// SPDX-License-Identifier: MIT
/* report.h - telling the user's hook, or standard error, what would otherwise go unseen. */
#ifndef WF_SCHED_REPORT_H
#define WF_SCHED_REPORT_H

#include "sched/sched.h"

/* The registry's report function. */
void wf_report(struct wf_registry *registry, weft_diagnostic_kind kind, weft_task *task, int error);

/* The same with words of its own. `runtime` NULL: on standard error; `task` NULL: none in particular. */
void wf_report_text(weft_runtime *runtime, weft_diagnostic_kind kind, const weft_task *task,
                    int error, const char *text);

/* One report for every unfinished task, then one (WEFT_DIAG_CYCLE) for every cycle in which they wait for each
 * other. */
void wf_report_left(weft_runtime *runtime, weft_diagnostic_kind kind);

/* Errors of tasks whose handles were never dropped: when the runtime goes. */
void wf_report_unseen(weft_runtime *runtime);

extern const struct wf_overflow_hooks wf_report_overflow_hooks;

#endif

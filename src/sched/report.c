// SPDX-License-Identifier: MIT
/* report.c - diagnostics: which words for which kind. */
#include "sched/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/end.h"

static const char *const waits[] = {"nothing",   "a task",         "a timer",       "a future",
                                    "its group", "gather",         "several tasks", "a descriptor",
                                    "a signal",  "a blocking call"};

/* Where the task stands; a hint. */
static const char *waits_for(weft_task *task)
{
    uint8_t reason = wf_load_rlx(&task->reason);
    if (wf_word_life(wf_load_acq(&task->word)) != WF_PARKED || reason == WF_WAIT_NONE) {
        return "nothing: it is running or ready";
    }
    return reason < sizeof waits / sizeof waits[0] ? waits[reason] : "something";
}

static void describe(weft_diagnostic_kind kind, weft_task *task, int error, char *text, size_t size)
{
    char who[192];
    (void)wf_task_describe(task, who, sizeof who);
    switch (kind) {
    case WEFT_DIAG_ERROR_NEVER_RETRIEVED:
        (void)snprintf(text, size, "%s failed and nobody looked: %s", who, strerror(-error));
        break;
    case WEFT_DIAG_ERROR_AT_SHUTDOWN:
        (void)snprintf(text, size, "%s failed during shutdown: %s", who, strerror(-error));
        break;
    case WEFT_DIAG_DROPPED_WHILE_PENDING:
        (void)snprintf(text, size, "%s was dropped while pending, and is cancelled", who);
        break;
    case WEFT_DIAG_CANCEL_SWALLOWED:
        (void)snprintf(text, size, "%s was told -ECANCELED and ended with a value", who);
        break;
    case WEFT_DIAG_GROUP_ERROR:
        (void)snprintf(text, size, "%s failed in its group: %s", who, strerror(-error));
        break;
    case WEFT_DIAG_STUCK_WORKER:
        (void)snprintf(text, size, "%s has held its worker for more than 100 ms", who);
        break;
    case WEFT_DIAG_LEFT_AT_SHUTDOWN:
        (void)snprintf(text, size, "%s is left after the grace: waits for %s", who,
                       waits_for(task));
        break;
    case WEFT_DIAG_DEADLOCK:
        (void)snprintf(text, size, "deadlock: %s waits for %s", who, waits_for(task));
        break;
    }
}

void wf_report(struct wf_registry *registry, weft_diagnostic_kind kind, weft_task *task, int error)
{
    weft_runtime *runtime = (weft_runtime *)(void *)registry;
    if (kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED && wf_load_acq(&runtime->phase) != WF_RUNNING) {
        kind = WEFT_DIAG_ERROR_AT_SHUTDOWN;
    }
    if (kind == WEFT_DIAG_CANCEL_SWALLOWED) {
        struct wf_worker *worker = wf_here();
        if (worker != NULL) {
            wf_bump_own(&worker->counters.swallowed, 1);
        }
    }
    char text[320];
    describe(kind, task, error, text, sizeof text);
    if (runtime->options.diagnostic == NULL) {
        wf_say("%s", text);
        return;
    }
    const weft_diagnostic what = {
        .kind = kind,
        .error = error,
        .task_id = wf_task_id(task),
        .name = wf_task_name(task),
        .site = task->site != NULL ? task->site : "?",
        .text = text,
    };
    runtime->options.diagnostic(&what, runtime->options.diagnostic_arg);
}

struct visit {
    weft_runtime *runtime;
    weft_diagnostic_kind kind;
};

static void visit_left(weft_task *task, void *arg)
{
    struct visit *visit = arg;
    if (!wf_task_try_hold(task)) {
        return; /* held: its name must not go while it is printed */
    }
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    if (life == WF_NEW || life == WF_RUN || life == WF_PARKED) {
        wf_report(&visit->runtime->registry, visit->kind, task, 0);
    }
    wf_task_let_go(task, NULL);
}

void wf_report_left(weft_runtime *runtime, weft_diagnostic_kind kind)
{
    struct visit visit = {runtime, kind};
    wf_registry_walk(&runtime->registry, visit_left, &visit);
}

static void drop_owned(weft_task *task, uint64_t word)
{
    bool never_ran = wf_word_life(word) == WF_NEW || (task->flags & WF_TASK_NEVER_RAN) != 0;
    if (wf_word_life(word) == WF_NEW && task->extra->drop_arg != NULL) {
        task->extra->drop_arg(task->arg);
    }
    if (wf_word_has_ended(word) && !never_ran && !weft_is_error(task->raw) &&
        (word & WF_TAKEN) == 0 && task->extra->drop_result != NULL) {
        task->extra->drop_result(task->raw);
    }
}

static void visit_unseen(weft_task *task, void *arg)
{
    weft_runtime *runtime = arg;
    uint64_t word = wf_load_acq(&task->word);
    if (wf_word_life(word) == WF_ERROR && (word & WF_SEEN) == 0 &&
        (task->flags & WF_TASK_MAIN) == 0) {
        wf_report(&runtime->registry, WEFT_DIAG_ERROR_NEVER_RETRIEVED, task, (int)task->raw);
    }
    /* A handle that was never dropped, or a simulation's deadlock: what the record owns goes with the
     * runtime. */
    if (wf_word_life(word) != WF_FREE) {
        if (task->extra != NULL) {
            drop_owned(task, word);
        }
        free(task->extra);
        free(task->errors);
        task->extra = NULL;
        task->errors = NULL;
        wf_task_forget(task);
    }
}

void wf_report_unseen(weft_runtime *runtime)
{
    wf_registry_walk(&runtime->registry, visit_unseen, runtime);
}

/* ---- stack overflow ---- */

static struct wf_fiber *fiber_here(void)
{
    struct wf_worker *worker = wf_here();
    return worker != NULL ? worker->fiber : NULL;
}

static void describe_fiber(const struct wf_fiber *fiber, char *text, size_t size)
{
    const weft_task *task = fiber->task;
    if (task == NULL) {
        (void)snprintf(text, size, "the scheduler");
        return;
    }
    (void)wf_task_describe(task, text, size);
}

const struct wf_overflow_hooks wf_report_overflow_hooks = {fiber_here, describe_fiber};

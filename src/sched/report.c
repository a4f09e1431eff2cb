// SPDX-License-Identifier: MIT
/* report.c - diagnostics: which words for which kind. */
#include "sched/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/end.h"

static const char *const waits[] = {"nothing",
                                    "a task",
                                    "a timer",
                                    "a future",
                                    "its group",
                                    "gather",
                                    "several tasks",
                                    "a descriptor",
                                    "a signal",
                                    "a blocking call",
                                    "a mutex",
                                    "a rwlock",
                                    "a semaphore",
                                    "an event",
                                    "a condition",
                                    "a barrier",
                                    "a once",
                                    "room in a queue",
                                    "an item in a queue",
                                    "the end of a queue's work",
                                    "several things"};

struct list_text {
    char *text;
    size_t size;
    size_t length;
    uint32_t count;
};

static void append_task(weft_task *task, void *arg)
{
    struct list_text *list = arg;
    const char *separator = list->count++ > 0 ? ", " : "";
    if (list->length + 1 < list->size) {
        const char *name = wf_task_name(task);
        int n = snprintf(list->text + list->length, list->size - list->length,
                         name[0] != '\0' ? "%stask \"%s\" (#%llu)" : "%stask%s #%llu", separator,
                         name, (unsigned long long)wf_task_id(task));
        list->length += n > 0 ? (size_t)n : 0;
    }
}

/* The task that it joins, if that can be named. It may end meanwhile: a hold keeps what is read. */
static bool append_joined(weft_task *task, struct list_text *list)
{
    uintptr_t joins = wf_load_sc(&task->joins);
    weft_task *target = (weft_task *)joins;
    if (joins == 0 || (joins & 1) != 0 || !wf_task_try_hold(target)) {
        return false;
    }
    bool is_same = wf_load_sc(&task->joins) == joins;
    if (is_same) {
        append_task(target, list);
    }
    wf_task_let_go(target, NULL);
    return is_same;
}

/* Where the task stands. A hint while others run, exact in a simulation. */
static void waits_for(weft_task *task, char *text, size_t size)
{
    uint8_t reason = wf_load_rlx(&task->reason);
    if (wf_word_life(wf_load_acq(&task->word)) != WF_PARKED || reason == WF_WAIT_NONE) {
        (void)snprintf(text, size, "nothing: it is running or ready");
        return;
    }
    struct list_text list = {text, size, 0, 0};
    if (append_joined(task, &list)) {
        return;
    }
    const char *what = reason < sizeof waits / sizeof waits[0] ? waits[reason] : "something";
    list.length = (size_t)snprintf(text, size, "%s", what);
    bool has_list = reason == WF_WAIT_GROUP || reason == WF_WAIT_GATHER || reason == WF_WAIT_TASKS;
    if (has_list && wf_runtime_of(task)->sim != NULL) {
        list.length += (size_t)snprintf(text + list.length, size - list.length, ": ");
        task->wait->list(task->wait, append_task, &list);
    }
}

static void describe(weft_diagnostic_kind kind, weft_task *task, int error, char *text, size_t size)
{
    char who[192];
    char whom[256];
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
        waits_for(task, whom, sizeof whom);
        (void)snprintf(text, size, "%s is left after the grace: waits for %s", who, whom);
        break;
    case WEFT_DIAG_DEADLOCK:
        waits_for(task, whom, sizeof whom);
        (void)snprintf(text, size, "deadlock: %s waits for %s", who, whom);
        break;
    }
}

void wf_report(struct wf_registry *registry, weft_diagnostic_kind kind, weft_task *task, int error)
{
    weft_runtime *runtime = (weft_runtime *)(void *)registry;
    if (kind == WEFT_DIAG_CANCEL_SWALLOWED) {
        struct wf_worker *worker = wf_here();
        if (worker != NULL) {
            wf_bump_own(&worker->counters.swallowed, 1);
        }
    }
    char text[512];
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

/* ---- all of a kind, in the order of their ids ---- */

static void report_all(weft_runtime *runtime, bool (*belongs)(weft_task *),
                       void (*tell)(weft_task *, weft_diagnostic_kind), weft_diagnostic_kind kind)
{
    struct wf_roll roll;
    wf_registry_roll(&runtime->registry, belongs, &roll);
    for (size_t i = 0; i < roll.count; i++) {
        tell(roll.tasks[i], kind);
        wf_task_let_go(roll.tasks[i], NULL);
    }
    free(roll.tasks);
}

static bool is_unfinished(weft_task *task)
{
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    return life == WF_NEW || life == WF_RUN || life == WF_PARKED;
}

static bool has_failed(weft_task *task)
{
    return wf_word_life(wf_load_acq(&task->word)) == WF_ERROR;
}

static void tell_left(weft_task *task, weft_diagnostic_kind kind)
{
    wf_report(wf_task_registry(task), kind, task, 0);
}

void wf_report_left(weft_runtime *runtime, weft_diagnostic_kind kind)
{
    report_all(runtime, is_unfinished, tell_left, kind);
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

/* It will never go on; its stack is still there. */
static void free_wait(const weft_task *task, uint64_t word)
{
    bool is_alive = wf_word_life(word) == WF_PARKED || wf_word_life(word) == WF_RUN;
    if (is_alive && task->wait != NULL) {
        free(task->wait->memory);
        task->wait->memory = NULL;
    }
}

static void free_owned(weft_task *task, void *arg)
{
    uint64_t word = wf_load_acq(&task->word);
    (void)arg;
    /* A handle that was never dropped, or a simulation's deadlock: what the record owns goes with the
     * runtime. */
    if (wf_word_life(word) != WF_FREE) {
        if (task->extra != NULL) {
            drop_owned(task, word);
        }
        free_wait(task, word);
        free(task->extra);
        free(task->errors);
        task->extra = NULL;
        task->errors = NULL;
        wf_task_forget(task);
    }
}

void wf_report_unseen(weft_runtime *runtime)
{
    report_all(runtime, has_failed, wf_task_report_error, WEFT_DIAG_ERROR_AT_SHUTDOWN);
    report_all(runtime, has_failed, wf_task_report_error, WEFT_DIAG_ERROR_NEVER_RETRIEVED);
    wf_registry_walk(&runtime->registry, free_owned, NULL);
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

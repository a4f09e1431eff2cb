// SPDX-License-Identifier: MIT
/* report.c - diagnostics: which words for which kind. */
#include "sched/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poll/uring.h"
#include "sched/walk.h"
#include "task/end.h"
#include "task/scope.h"

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
    case WEFT_DIAG_LEFT_AT_SHUTDOWN:
    case WEFT_DIAG_DEADLOCK:
    case WEFT_DIAG_CYCLE:
    case WEFT_DIAG_LOCK_HELD:
    case WEFT_DIAG_MISUSE:
        (void)snprintf(text, size, "%s", who); /* these bring their own text */
        break;
    }
}

/* Lines of a list, each of which is needed. */
static bool is_listing(weft_diagnostic_kind kind)
{
    return kind == WEFT_DIAG_LEFT_AT_SHUTDOWN || kind == WEFT_DIAG_DEADLOCK ||
           kind == WEFT_DIAG_CYCLE;
}

void wf_report_text(weft_runtime *runtime, weft_diagnostic_kind kind, const weft_task *task,
                    int error, const char *text)
{
    const weft_diagnostic what = {
        .kind = kind,
        .error = error,
        .task_id = task != NULL ? wf_task_id(task) : 0,
        .name = task != NULL ? wf_task_name(task) : "",
        .site = task != NULL && task->site != NULL ? task->site : "?",
        .text = text,
    };
    if (runtime != NULL && runtime->options.diagnostic != NULL) {
        runtime->options.diagnostic(&what, runtime->options.diagnostic_arg);
    } else if (runtime == NULL || is_listing(kind)) {
        wf_say("%s", text);
    } else {
        wf_flood_say(&runtime->flood, wf_runtime_now(runtime), &what);
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
    wf_report_text(runtime, kind, task, error, text);
}

/* ---- stuck workers ---- */

/* The slot may have been freed and taken for another task meanwhile, whose record is being filled: that one is free
 * until it has been (acquire: then we see it). */
weft_task *wf_report_running(struct wf_worker *worker)
{
    weft_task *task = wf_running_on(worker);
    if (task == NULL || !wf_task_try_hold(task)) {
        return NULL;
    }
    bool is_filled = wf_word_life(wf_load_acq(&task->word)) != WF_FREE;
    if (is_filled && wf_load_rlx(&worker->running) == task) {
        return task;
    }
    wf_task_let_go(task, NULL);
    return NULL;
}

void wf_report_ring(struct wf_worker *worker, struct wf_text *text)
{
    const struct wf_uring *ring = worker->ring;
    uint64_t count = ring != NULL ? wf_load_rlx(&ring->in_use) : 0;
    if (count > 0) {
        /* Where an alarm is set, that may be what the kernel has put off. */
        bool has_ended = wf_uring_has_ended_any(ring) && !wf_uring_has_alarm_any(ring);
        wf_text_add(text, "%" PRIu64 " %s in its ring%s", count, count == 1 ? "call" : "calls",
                    has_ended ? ", some of which have ended" : "");
    }
}

void wf_report_stuck(struct wf_worker *worker, weft_task *task)
{
    char who[192];
    struct wf_text text = {0};
    struct wf_text ring = {0};
    (void)wf_task_describe(task, who, sizeof who);
    wf_text_add(&text, "%s has held its worker for more than 100 ms", who);
    wf_report_ring(worker, &ring);
    if (ring.length > 0) {
        wf_text_add(&text, ", with %s", wf_text_line(&ring));
    }
    wf_report_text(worker->runtime, WEFT_DIAG_STUCK_WORKER, task, 0, wf_text_line(&text));
    wf_text_free(&ring);
    wf_text_free(&text);
}

/* ---- misuse ---- */

static void add_call(struct wf_text *text, const char *call, const void *object, bool is_simulated)
{
    wf_text_add(text, "%s", call);
    if (object != NULL && !is_simulated) {
        wf_text_add(text, "(%p)", object);
    }
    wf_text_add(text, ": ");
}

void wf_report_misuse(int error, const char *call, const void *object, const char *tie,
                      uint64_t other, const char *format, ...)
{
    struct wf_worker *worker = wf_here();
    const weft_task *self = wf_self_on(worker);
    weft_runtime *runtime = worker != NULL ? worker->runtime : NULL;
    weft_task *peer = runtime != NULL ? wf_token_hold(&runtime->registry, other) : NULL;
    struct wf_text text = {0};
    char who[192] = "a plain thread";
    if (self != NULL) {
        (void)wf_task_describe(self, who, sizeof who);
    }
    wf_text_add(&text, "misuse: %s: ", who);
    add_call(&text, call, object, runtime != NULL && runtime->sim != NULL);
    va_list args;
    va_start(args, format);
    wf_text_add_list(&text, format, args);
    va_end(args);
    if (peer != NULL) {
        (void)wf_task_describe(peer, who, sizeof who);
        wf_text_add(&text, ", %s %s", tie, who);
    }
    wf_text_add(&text, " (%s)", strerror(-error));
    wf_report_text(runtime, WEFT_DIAG_MISUSE, self, error, wf_text_line(&text));
    wf_text_free(&text);
    if (peer != NULL) {
        wf_task_let_go(peer, NULL);
    }
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

static bool has_failed(weft_task *task)
{
    return wf_word_life(wf_load_acq(&task->word)) == WF_ERROR;
}

struct left {
    weft_runtime *runtime;
    weft_diagnostic_kind kind;
    struct wf_scene scene;
};

static void tell_left(struct left *left, size_t at, struct wf_text *text)
{
    char who[192];
    weft_task *task = left->scene.sights[at].task;
    bool is_deadlock = left->kind == WEFT_DIAG_DEADLOCK;
    (void)wf_task_describe(task, who, sizeof who);
    wf_text_clear(text);
    wf_text_add(text, is_deadlock ? "deadlock: %s, " : "%s is left after the grace: it ", who);
    if (wf_sight_waits(&left->scene.sights[at])) {
        wf_scene_tell(&left->scene, at, true, text);
    } else {
        wf_text_add(text, "is running or ready");
    }
    wf_report_text(left->runtime, left->kind, task, 0, wf_text_line(text));
}

static void tell_cycle(const char *text, size_t first, void *arg)
{
    const struct left *left = arg;
    wf_report_text(left->runtime, WEFT_DIAG_CYCLE, left->scene.sights[first].task, 0, text);
}

void wf_report_left(weft_runtime *runtime, weft_diagnostic_kind kind)
{
    struct left left = {.runtime = runtime, .kind = kind};
    struct wf_text text = {0};
    wf_flood_tell(&runtime->flood, WF_FOREVER);
    wf_scene_take(runtime, &left.scene);
    for (size_t i = 0; i < left.scene.listed; i++) {
        tell_left(&left, i, &text);
    }
    wf_walk_cycles(&left.scene, tell_cycle, &left);
    wf_text_free(&text);
    wf_scene_drop(&left.scene);
}

static void drop_owned(weft_task *task, uint64_t word)
{
    bool never_ran = wf_word_life(word) == WF_NEW || (wf_task_flags(task) & WF_TASK_NEVER_RAN) != 0;
    const struct wf_extra *extra = wf_task_side(task)->extra;
    if (wf_word_life(word) == WF_NEW && extra->drop_arg != NULL) {
        extra->drop_arg(task->arg);
    }
    if (wf_word_has_ended(word) && !never_ran && !weft_is_error(task->raw) &&
        (word & WF_TAKEN) == 0 && extra->drop_result != NULL) {
        extra->drop_result(task->raw);
    }
}

static void free_wait(struct wf_wait *wait)
{
    free(wait->memory);
    wait->memory = NULL;
    if (wait->leave != NULL) {
        wait->leave(wait);
    } else if (wait->waiter != NULL && wait->waiter->link.next != NULL) {
        wf_list_remove(&wait->waiter->link);
    }
}

/* It will never go on; its stack is still there. */
static void free_left(const weft_task *task, uint64_t word)
{
    if (wf_word_life(word) != WF_PARKED && wf_word_life(word) != WF_RUN) {
        return;
    }
    for (struct wf_scope *scope = task->scope; scope != NULL; scope = scope->outer) {
        free(scope->memory);
        scope->memory = NULL;
    }
    if (wf_load_rlx(&task->wait) != NULL) {
        free_wait(wf_load_rlx(&task->wait));
    }
}

static void free_owned(weft_task *task, void *arg)
{
    uint64_t word = wf_load_acq(&task->word);
    (void)arg;
    /* A handle that was never dropped, or a simulation's deadlock: what the record owns goes with the
     * runtime. */
    if (wf_word_life(word) != WF_FREE) {
        struct wf_task_side *side = wf_task_side(task);
        if (side->extra != NULL) {
            drop_owned(task, word);
        }
        free_left(task, word);
        free(side->extra);
        free(side->errors);
        side->extra = NULL;
        side->errors = NULL;
        wf_task_forget(task);
    }
}

void wf_report_unseen(weft_runtime *runtime)
{
    report_all(runtime, has_failed, wf_task_report_error, WEFT_DIAG_ERROR_AT_SHUTDOWN);
    report_all(runtime, has_failed, wf_task_report_error, WEFT_DIAG_ERROR_NEVER_RETRIEVED);
    wf_flood_tell(&runtime->flood, WF_FOREVER);
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

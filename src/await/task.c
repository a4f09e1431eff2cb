// SPDX-License-Identifier: MIT
/* task.c - the calls on a handle that wait for nothing. */
#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "await/door.h"
#include "task/context.h"

/* The cache for slots that the calling thread may use for tasks of this runtime. */
static struct wf_task_cache *cache_for(const weft_task *task)
{
    struct wf_worker *worker = wf_here();
    return worker != NULL && worker->runtime == wf_runtime_of(task) ? &worker->tasks : NULL;
}

/* A thread that is no worker of the task's runtime keeps the runtime there until the call is over; the
 * task may be the last one, and end meanwhile. */
static weft_runtime *visit(const weft_task *task)
{
    struct wf_worker *worker = wf_here();
    weft_runtime *runtime = wf_runtime_of(task);
    if (worker != NULL && worker->runtime == runtime) {
        return NULL;
    }
    wf_visit_begin(runtime);
    return runtime;
}

static void leave(weft_runtime *guest_of)
{
    if (guest_of != NULL) {
        wf_visit_end(guest_of);
    }
}

/* A task calls for one of its own runtime: what the short ways ask first. */
static inline bool is_near(const struct wf_worker *worker, const weft_task *task)
{
    return WF_LIKELY(task != NULL) && WF_LIKELY(wf_runtime_of(task) == worker->runtime) &&
           WF_LIKELY(wf_load_rlx(&worker->running) != &wf_no_task) &&
           !wf_runtime_is_forked(worker->runtime);
}

static int check(const weft_task *task)
{
    if (task == NULL) {
        return -EINVAL;
    }
    return wf_runtime_is_forked(wf_runtime_of(task)) ? -ECHILD : 0;
}

weft_task *weft_self(void)
{
    int error;
    return wf_self_on(wf_fiber_worker(&error));
}

weft_task *weft_retain(weft_task *task)
{
    if (check(task) < 0) {
        return NULL;
    }
    return wf_task_upgrade(task, (uint32_t)wf_task_id(task)) ? task : NULL;
}

static __attribute__((noinline)) void drop_slowly(weft_task *task)
{
    if (check(task) < 0) {
        return;
    }
    struct wf_later later;
    wf_later_init(&later);
    weft_runtime *guest_of = visit(task);
    wf_task_drop(task, cache_for(task), &later);
    wf_later_run(&later);
    leave(guest_of);
}

void weft_drop(weft_task *task)
{
    struct wf_worker *worker = wf_here_quick();
    if (!is_near(worker, task) || !wf_task_drop_ended(task, &worker->tasks)) {
        drop_slowly(task);
    }
}

void weft_drop_all(weft_task *const *tasks, size_t count)
{
    for (size_t i = 0; tasks != NULL && i < count; i++) {
        weft_drop(tasks[i]);
    }
}

int weft_detach(weft_task *task)
{
    int rc = check(task);
    if (rc < 0) {
        return rc;
    }
    /* The runtime takes the handle over, unless it has one already or the task has ended. */
    weft_runtime *guest_of = visit(task);
    bool is_guest = wf_task_visit(task);
    bool is_taken = wf_state_detach(&task->word);
    wf_task_leave(task, is_guest);
    leave(guest_of);
    if (!is_taken) {
        weft_drop(task);
    }
    return 0;
}

static __attribute__((noinline)) int cancel_slowly(weft_task *task, int cause)
{
    int rc = check(task);
    if (rc < 0) {
        return rc;
    }
    struct wf_later later;
    wf_later_init(&later);
    weft_runtime *guest_of = visit(task);
    rc = wf_cancel(task, 1, cause, &later);
    if (rc == 0) {
        wf_state_set(&task->word, WF_SEEN); /* who cancels a failed task has seen that it failed */
    } else if (rc == 1) {
        struct wf_worker *worker = wf_here();
        if (worker != NULL) {
            wf_bump_own(&worker->counters.requests, 1);
        } else {
            (void)wf_add_rlx(&wf_runtime_of(task)->outside_requests, 1U);
        }
        wf_later_run(&later);
    }
    leave(guest_of);
    return rc;
}

/* One task cancels another that is parked: nearly every cancellation. */
int wf_cancel_now(weft_task *task, int cause)
{
    struct wf_worker *worker = wf_here_quick();
    if (WF_LIKELY(is_near(worker, task)) && WF_LIKELY(wf_cancel_parked(task, cause))) {
        wf_bump_own(&worker->counters.requests, 1);
        wf_bump_own(&worker->counters.delivered, 1);
        return wf_sched_wake(worker, task, 1);
    }
    return cancel_slowly(task, cause);
}

int weft_cancel(weft_task *task)
{
    return wf_cancel_now(task, WEFT_CAUSE_NONE);
}

int weft_cancel_with(weft_task *task, int cause)
{
    return cause < 0 || cause > INT16_MAX ? -EINVAL : wf_cancel_now(task, cause);
}

int weft_cancel_cause(void)
{
    weft_task *self = weft_self();
    return self != NULL ? wf_load_rlx(&self->cause) : WEFT_CAUSE_NONE;
}

int weft_uncancel(weft_task *task)
{
    int rc = check(task);
    if (rc < 0) {
        return rc;
    }
    weft_runtime *guest_of = visit(task);
    rc = (int)wf_uncancel(task);
    leave(guest_of);
    return rc;
}

int weft_cancelling(weft_task *task)
{
    int rc = check(task);
    return rc < 0 ? rc : (int)wf_word_count(wf_load_acq(&task->word));
}

weft_state weft_task_state(weft_task *task)
{
    if (task == NULL) {
        return WEFT_PENDING;
    }
    switch (wf_word_life(wf_load_acq(&task->word))) {
    case WF_OK:
        return WEFT_OK;
    case WF_ERROR:
        return WEFT_ERROR;
    case WF_CANCELLED:
        return WEFT_CANCELLED;
    default:
        return WEFT_PENDING;
    }
}

int weft_task_result(weft_task *task, intptr_t *result)
{
    int rc = check(task);
    if (rc < 0 || result == NULL) {
        return rc < 0 ? rc : -EINVAL;
    }
    if (!wf_word_has_ended(wf_load_acq(&task->word))) {
        return -EAGAIN;
    }
    wf_task_look(task, result);
    return 0;
}

int weft_task_raw_result(weft_task *task, intptr_t *raw)
{
    int rc = check(task);
    if (rc < 0 || raw == NULL) {
        return rc < 0 ? rc : -EINVAL;
    }
    if (!wf_word_has_ended(wf_load_acq(&task->word))) {
        return -EAGAIN;
    }
    if ((wf_task_flags(task) & WF_TASK_NEVER_RAN) != 0) {
        return -ENODATA;
    }
    wf_state_set(&task->word, WF_TAKEN);
    wf_state_set(&task->word, WF_SEEN);
    *raw = task->raw;
    return 0;
}

uint64_t weft_task_id(weft_task *task)
{
    return task != NULL ? wf_task_id(task) : 0;
}

const char *weft_task_name(weft_task *task)
{
    return task != NULL ? wf_task_name(task) : "";
}

const char *weft_task_site(weft_task *task)
{
    return task != NULL && task->site != NULL ? task->site : "";
}

int weft_on_done(weft_task *task, void (*fn)(weft_task *, void *), void *arg)
{
    int rc = check(task);
    if (rc < 0 || fn == NULL) {
        return rc < 0 ? rc : -EINVAL;
    }
    struct wf_callback *callback = malloc(sizeof *callback);
    if (callback == NULL) {
        return -ENOMEM;
    }
    callback->fn = fn;
    callback->arg = arg;
    callback->context = wf_context_retain(wf_values_here());
    if (!wf_task_add_callback(task, callback)) {
        wf_context_drop(callback->context);
        free(callback);
        fn(task, arg);
    }
    return 0;
}

weft_weak weft_weak_of(weft_task *task)
{
    weft_weak weak = {task, task != NULL ? wf_task_id(task) : 0};
    return weak;
}

weft_task *weft_upgrade(weft_weak weak)
{
    if (check(weak.slot) < 0 || weak.id == 0) {
        return NULL;
    }
    struct wf_registry *registry = wf_task_registry(weak.slot);
    bool is_guest = wf_registry_visit(registry);
    bool is_ours = wf_task_upgrade(weak.slot, (uint32_t)weak.id);
    wf_bias_leave(&registry->bias, is_guest);
    return is_ours ? weak.slot : NULL;
}

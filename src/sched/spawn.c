// SPDX-License-Identifier: MIT
/* spawn.c - making a task and queueing it.
 *
 * A spawn takes a slot of the worker's cache, fills the record, and pushes one word on the worker's
 * deque. The stack comes when a worker first runs it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "sched/spawn.h"
#include "sched/squeeze.h"
#include "task/context.h"
#include "task/end.h"

static int check_options(const weft_spawn_options *options)
{
    if (options == NULL) {
        return 0;
    }
    if (!wf_size_is_known(options->size, sizeof *options)) {
        return -EINVAL; /* fields that this version does not know */
    }
    return options->stack_bytes > WF_STACK_MAX ? -EINVAL : 0;
}

static bool needs_extra(const weft_spawn_options *options)
{
    return options != NULL && (options->name != NULL || options->stack_bytes != 0 ||
                               options->drop_arg != NULL || options->drop_result != NULL);
}

static struct wf_extra *make_extra(const weft_spawn_options *options)
{
    struct wf_extra *extra = calloc(1, sizeof *extra);
    if (extra != NULL && options != NULL) {
        extra->drop_arg = options->drop_arg;
        extra->drop_result = options->drop_result;
        extra->stack_bytes = options->stack_bytes;
        if (options->name != NULL) {
            size_t length = strnlen(options->name, sizeof extra->name - 1);
            memcpy(extra->name, options->name, length);
        }
    }
    return extra;
}

/* Those that the options name, or a copy of those that the spawning code sees. */
static weft_context *values_for(const struct wf_worker *worker, const weft_spawn_options *options)
{
    if (options != NULL && options->context != NULL) {
        return wf_context_retain(options->context);
    }
    return worker != NULL ? wf_context_retain(wf_values_here()) : NULL;
}

/* noinline: a compiler would split off the checks, which costs a call more. */
__attribute__((noinline)) int wf_spawn_prepare(weft_runtime *runtime, struct wf_worker *worker,
                                               const char *site, weft_fn *fn, void *arg,
                                               const weft_spawn_options *options, weft_task **out)
{
    int rc = fn == NULL ? -EINVAL : check_options(options);
    if (rc < 0) {
        return rc;
    }
    if (wf_load_sc(&runtime->phase) != WF_RUNNING) { /* after wf_visit_begin: see lifecycle.c */
        return -ESHUTDOWN;
    }
    struct wf_extra *extra = NULL;
    if (needs_extra(options)) {
        extra = make_extra(options);
        if (extra == NULL) {
            return -ENOMEM;
        }
    }
    weft_task *task = wf_task_alloc(&runtime->registry, worker != NULL ? &worker->tasks : NULL);
    if (task == NULL) {
        free(extra);
        return -ENOMEM;
    }
    wf_spawn_fill(task, worker != NULL ? worker : &runtime->workers[0], site, fn, arg);
    if (extra != NULL) {
        wf_task_side(task)->extra = extra;
    }
    if (extra != NULL && extra->stack_bytes != 0) {
        wf_task_add_flags(task, WF_TASK_APART);
    }
    weft_context *values = values_for(worker, options);
    if (values != NULL) {
        task->context = values; /* NULL it is already: a store would bring a page */
        task->has_values = true;
    }
    if (extra != NULL || values != NULL) {
        wf_task_add_flags(task, WF_TASK_MORE);
    }
    if (options != NULL && options->pinned) {
        wf_task_add_flags(task, WF_TASK_PINNED | WF_TASK_APART);
    }
    *out = task;
    return 0;
}

void wf_spawn_abandon(struct wf_worker *worker, weft_task *task)
{
    free(wf_task_side(task)->extra);
    wf_task_side(task)->extra = NULL;
    wf_task_forget(task);
    /* By the ordinary way: somebody who met the slot by chance may have a hold. */
    (void)wf_task_disown(task);
    wf_task_let_go(task, worker != NULL ? &worker->tasks : NULL);
}

/* Queues a prepared task, as a handle for the caller or detached. */
static void launch(weft_runtime *runtime, struct wf_worker *worker, weft_task *task,
                   weft_task **out)
{
    wf_spawn_publish(runtime, worker, task);
    if (out == NULL) {
        (void)wf_state_detach(&task->word);
    } else {
        *out = task;
    }
    wf_sched_submit(runtime, worker, task);
}

/* Any spawn on a worker: from a fiber, or from a callback that a worker runs without one. */
static __attribute__((noinline)) int spawn_fully(const char *site, weft_task **task, weft_fn *fn,
                                                 void *arg, const weft_spawn_options *options)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    worker = rc == -EPERM ? wf_here() : worker;
    if (worker == NULL) {
        return rc;
    }
    weft_task *made;
    rc = wf_spawn_prepare(worker->runtime, worker, site, fn, arg, options, &made);
    if (rc == 0) {
        launch(worker->runtime, worker, made, task);
    }
    return rc;
}

__attribute__((noinline)) int wf_spawn_wake(struct wf_worker *worker)
{
    wf_squeeze_wake(worker);
    return 0;
}

/* In the order of launch(). */
int weft_spawn_at(const char *site, weft_task **task, weft_fn *fn, void *arg,
                  const weft_spawn_options *options)
{
    struct wf_worker *worker = wf_here_quick();
    uint64_t token;
    weft_task *made = NULL;
    if (WF_LIKELY(options == NULL) && WF_LIKELY(task != NULL)) {
        made = wf_spawn_make_quickly(worker, site, fn, arg, &token);
    }
    if (__builtin_expect(made == NULL, 0)) {
        return spawn_fully(site, task, fn, arg, options);
    }
    wf_state_spawn(&made->word, false);
    wf_spawn_count(worker->runtime, worker);
    *task = made;
    return wf_spawn_queue_quickly(worker, token);
}

int weft_runtime_submit_at(const char *site, weft_runtime *runtime, weft_task **task, weft_fn *fn,
                           void *arg, const weft_spawn_options *options)
{
    if (runtime == NULL) {
        return -EINVAL;
    }
    if (wf_runtime_is_forked(runtime)) {
        return -ECHILD;
    }
    struct wf_worker *worker = wf_here();
    if (worker != NULL && worker->runtime == runtime) {
        return weft_spawn_at(site, task, fn, arg, options);
    }
    if (runtime->options.simulate) {
        return -EPERM;
    }
    /* Pairs with closing: it stores the phase and then waits for this count to fall to 0. */
    wf_visit_begin(runtime);
    weft_task *made;
    int rc = wf_spawn_prepare(runtime, NULL, site, fn, arg, options, &made);
    if (rc == 0) {
        launch(runtime, NULL, made, task);
    }
    wf_visit_end(runtime);
    return rc;
}

// SPDX-License-Identifier: MIT
/* simulate.c - the loop of a simulation, and the list of what could happen next. */
#include "sched/simulate_inside.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/loop.h"
#include "sched/probe.h"
#include "sched/ready.h"
#include "sched/report.h"
#include "task/end.h"

enum { FIRST_ROOM = 64, LONGEST_STREAK = 8, MOST_TOGETHER = 8 };

/* ---- the list ---- */

static struct wf_sim_turn *turn_at(struct wf_sim *sim, uint64_t number)
{
    return &sim->turns[number & (sim->room - 1)];
}

static void grow(struct wf_sim *sim)
{
    uint64_t room = sim->room != 0 ? 2 * sim->room : FIRST_ROOM;
    struct wf_sim_turn *turns = malloc(room * sizeof *turns);
    WF_CHECK(turns != NULL, "a simulation ran out of memory");
    for (uint64_t n = sim->head; n < sim->tail; n++) {
        turns[n & (room - 1)] = *turn_at(sim, n);
    }
    free(sim->turns);
    sim->turns = turns;
    sim->room = room;
}

void wf_sim_push(struct wf_sim *sim, enum wf_turn_kind kind, uint64_t what)
{
    if (sim->tail - sim->head == sim->room) {
        grow(sim);
    }
    if (kind == WF_TURN_NOTICE) {
        ((struct wf_waiter *)(uintptr_t)what)->turn = sim->tail + 1; /* 0 is none */
    }
    *turn_at(sim, sim->tail++) = (struct wf_sim_turn){what, (uint8_t)kind};
}

/* Notices have turns in a strict simulation alone, where turns keep their numbers. */
void wf_sim_forget(struct wf_sim *sim, struct wf_waiter *waiter)
{
    if (waiter->turn != 0) {
        turn_at(sim, waiter->turn - 1)->what = 0;
        waiter->turn = 0;
    }
}

/* The one with index `i` of those that wait; the oldest takes its place. */
static struct wf_sim_turn take(struct wf_sim *sim, uint64_t i)
{
    struct wf_sim_turn *chosen = turn_at(sim, sim->head + i);
    struct wf_sim_turn turn = *chosen;
    *chosen = *turn_at(sim, sim->head);
    sim->head++;
    return turn;
}

/* ---- turns ---- */

static void flush(struct wf_sim *sim, struct wf_later *later)
{
    wf_sched_flush(later);
    while (!wf_list_is_empty(&sim->due_calls)) {
        struct wf_sim_call *call = WF_CONTAINER(sim->due_calls.next, struct wf_sim_call, link);
        wf_list_remove(&call->link);
        call->fn(call->arg);
        free(call);
    }
}

void wf_sim_begin(struct wf_sim *sim, weft_task *task, bool is_new)
{
    if (!sim->is_strict) {
        task->budget_spent = (uint8_t)(WF_BUDGET - 1 - wf_sim_draw(sim, LONGEST_STREAK));
    }
    if (sim->runtime->probe != NULL) {
        wf_probe_resume(sim->runtime->probe, task, is_new);
    }
}

static void run_task(struct wf_sim *sim, struct wf_worker *worker, weft_task *task, bool is_new)
{
    struct wf_pick pick = {task, is_new};
    if (is_new) {
        uint64_t word = wf_load_acq(&task->word);
        switch (wf_state_start(&task->word, word, (word & WF_LINKED) != 0)) {
        case WF_START_CANCELLED:
            worker->to_bury = task;
            worker->bury_error = -ECANCELED;
            break;
        case WF_START_LOST:
            return; /* somebody has run it inside */
        case WF_START_RUN:
            break;
        }
    }
    if (worker->to_bury == NULL) {
        struct wf_probe *probe = sim->runtime->probe;
        wf_sim_begin(sim, task, is_new);
        wf_worker_turn(worker, pick);
        if (probe != NULL && worker->to_bury == NULL) { /* else there was no stack for it */
            weft_task *left = worker->left->task;       /* it may be one that runs inside */
            wf_probe_left(probe, left != NULL ? left : task);
        }
    }
    wf_worker_bury(worker);
}

static void run_notice(struct wf_sim *sim, struct wf_waiter *waiter)
{
    if (waiter == NULL) {
        return; /* forgotten */
    }
    struct wf_later later;
    wf_later_init(&later);
    waiter->turn = 0;
    waiter->notify(waiter, &later);
    flush(sim, &later);
}

static void run_other(struct wf_sim *sim, struct wf_worker *worker, const struct wf_sim_turn *turn)
{
    struct wf_later later;
    wf_later_init(&later);
    switch ((enum wf_turn_kind)turn->kind) {
    case WF_TURN_NOTICE:
        run_notice(sim, (struct wf_waiter *)(uintptr_t)turn->what);
        return;
    case WF_TURN_ENDED:
        wf_task_owner_turn((weft_task *)(uintptr_t)turn->what, &later);
        break;
    case WF_TURN_SOON:
        if (wf_wheel_fire_soon(&worker->wheel, turn->what, &later)) {
            wf_bump_own(&worker->counters.fired, 1);
        }
        break;
    case WF_TURN_CLOSE:
        sim->is_stopping = true;
        break;
    case WF_TURN_TASK:
    case WF_TURN_NEW:
        break;
    }
    flush(sim, &later);
}

/* The logical worker on which it happens: pinned tasks have no choice. */
static struct wf_worker *worker_for(struct wf_sim *sim, const struct wf_sim_turn *turn)
{
    weft_runtime *runtime = sim->runtime;
    uint64_t index = wf_sim_draw(sim, runtime->worker_count);
    if (turn->kind == WF_TURN_TASK || turn->kind == WF_TURN_NEW) {
        const weft_task *task = (const weft_task *)(uintptr_t)turn->what;
        index = (wf_task_flags(task) & WF_TASK_PINNED) != 0 ? wf_load_rlx(&task->home) : index;
    }
    return &runtime->workers[index];
}

static void run(struct wf_sim *sim, struct wf_sim_turn turn)
{
    struct wf_worker *worker = worker_for(sim, &turn);
    wf_here_set(worker);
    if (turn.kind == WF_TURN_TASK || turn.kind == WF_TURN_NEW) {
        weft_task *task = (weft_task *)(uintptr_t)turn.what;
        run_task(sim, worker, task, turn.kind == WF_TURN_NEW);
    } else {
        run_other(sim, worker, &turn);
    }
}

/* One of the worker's: the first, but of several with its deadline any one may come first. */
static bool fire_due(struct wf_sim *sim, struct wf_worker *worker)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_here_set(worker);
    uint32_t n = 0;
    if (!sim->is_strict) {
        n = (uint32_t)wf_sim_draw(sim, wf_wheel_due_together(&worker->wheel, MOST_TOGETHER));
    }
    if (!wf_wheel_fire_due(&worker->wheel, n, &later)) {
        return false;
    }
    wf_bump_own(&worker->counters.fired, 1);
    flush(sim, &later);
    return true;
}

/* What is ready now, then what was due when it began; what that makes ready waits for the next. */
static void strict_turn(struct wf_sim *sim)
{
    struct wf_worker *worker = &sim->runtime->workers[0];
    (void)wf_wheel_take_due(&worker->wheel, sim->runtime->clock.virtual_ns);
    uint64_t end = sim->tail;
    sim->is_cut = false;
    while (sim->head < end && !sim->is_cut) {
        run(sim, take(sim, 0));
    }
    while (!sim->is_cut && fire_due(sim, worker)) {
    }
    if (sim->is_stopping) {
        sim->is_stopping = false;
        wf_lifecycle_close(sim->runtime);
    }
}

/* One thing of all that could happen. */
static void drawn_turn(struct wf_sim *sim)
{
    weft_runtime *runtime = sim->runtime;
    uint64_t ready = sim->tail - sim->head;
    uint64_t due = 0;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        due += wf_wheel_take_due(&runtime->workers[i].wheel, runtime->clock.virtual_ns) ? 1U : 0U;
    }
    if (ready + due == 0) {
        return;
    }
    uint64_t choice = wf_sim_draw(sim, ready + due);
    if (choice < ready) {
        run(sim, take(sim, choice));
        return;
    }
    choice -= ready;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        if (!wf_list_is_empty(&runtime->workers[i].wheel.due) && choice-- == 0) {
            (void)fire_due(sim, &runtime->workers[i]);
            return;
        }
    }
}

/* Nothing can happen now: the clock jumps to the next timer. False: there is none. */
static bool jump(struct wf_sim *sim)
{
    weft_runtime *runtime = sim->runtime;
    int64_t next_ns = WF_FOREVER;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        int64_t own_ns = wf_wheel_next(&runtime->workers[i].wheel);
        next_ns = own_ns < next_ns ? own_ns : next_ns;
    }
    next_ns = wf_lifecycle_deadline(runtime, next_ns);
    if (next_ns != WF_FOREVER && next_ns > runtime->clock.virtual_ns) {
        runtime->clock.virtual_ns = next_ns;
    }
    return next_ns != WF_FOREVER;
}

static bool has_due(weft_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        struct wf_wheel *wheel = &runtime->workers[i].wheel;
        if (!wf_list_is_empty(&wheel->due) || wf_wheel_next(wheel) <= runtime->clock.virtual_ns) {
            return true;
        }
    }
    return false;
}

/* The run can't end. */
static void give_up(weft_runtime *runtime)
{
    runtime->is_deadlocked = true;
    wf_lifecycle_leave(runtime, WF_ABANDONED);
}

/* Memory goes back by the real clock: nothing that is drawn depends on it. */
static void trim(weft_runtime *runtime)
{
    if (wf_stacks_trim_ns(&runtime->stacks) != WF_FOREVER) {
        (void)wf_stacks_trim(&runtime->stacks, wf_monotonic_ns(), 1);
    }
}

/* Nothing is ready. False: the run is over, for good or for ever. Its end comes before timers that are
 * due. */
static bool idle(struct wf_sim *sim)
{
    weft_runtime *runtime = sim->runtime;
    trim(runtime);
    wf_here_set(&runtime->workers[0]);
    if (!wf_lifecycle_idle(&runtime->workers[0])) {
        return false;
    }
    if (sim->tail != sim->head || has_due(runtime) || jump(sim)) {
        return true;
    }
    wf_report_left(runtime, WEFT_DIAG_DEADLOCK);
    give_up(runtime);
    return false;
}

void wf_sim_run(struct wf_sim *sim)
{
    weft_runtime *runtime = sim->runtime;
    struct wf_probe *probe = runtime->probe;
    while (!wf_lifecycle_is_over(runtime)) {
        if (probe != NULL && !wf_probe_turn(probe)) {
            give_up(runtime);
            break;
        }
        wf_ready_collect(&runtime->workers[0]); /* from plain threads */
        if (sim->tail == sim->head && !idle(sim)) {
            break;
        }
        if (sim->is_strict) {
            strict_turn(sim);
        } else {
            drawn_turn(sim);
        }
    }
    wf_here_set(&runtime->workers[0]);
    if (probe != NULL) {
        wf_probe_end(probe);
    }
}

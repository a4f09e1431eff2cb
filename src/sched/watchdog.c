// SPDX-License-Identifier: MIT
/* watchdog.c - a thread that notices a worker stuck in one task.
 *
 * What: every TICK it looks whether each worker has turned. A worker that has not, with somebody else
 *       asleep, gets a helper woken: thieves take its queue, its slot, its overdue timers and the
 *       poller. While it is stuck one of those that go to sleep stands in for its timers: it sleeps
 *       no longer than to the next of them. After REPORT_TICKS the task is named once. Where workers keep tasks to
 *       themselves, or lean on each other (brief.h, lean.h), it looks for what waits at somebody who does not get to it, every
 *       half TICK while they would like to do so, and where workers wake nobody (squeeze.h), every TICK. It also tells how many
 *       lines of a flood were left out.
 * Why this way: no preemption (C code may hold a lock of the C library). While all workers sleep the
 *       watchdog sleeps too; the first worker that wakes after that pays one futex call.
 */
#include <stdlib.h>

#include "base/futex.h"
#include "base/hint.h"
#include "sched/brief.h"
#include "sched/lean.h"
#include "sched/loop.h"
#include "sched/ready.h"
#include "sched/report.h"
#include "sched/squeeze.h"
#include "task/end.h"

enum { TICKING = 0, RESTING, STOPPED };
enum { REPORT_TICKS = 20, QUIET_TICKS = 40 };
#define TICK_NS INT64_C(5000000)

/* So late are timers only if nobody looks after them. */
#define OVERDUE_NS INT64_C(1000000)

/* How long to wait for the next look. */
struct pace {
    uint32_t unwanted;  /* see wf_brief_hurries */
    bool is_in_between; /* the look is one of those that come twice as often */
    bool had_kept;      /* at the look before somebody had woken nobody */
};

struct observed {
    uint64_t turns;
    weft_task *running;
    uint32_t stuck_ticks;
};

/* Names the task that holds a worker, if it still does. */
static void report_stuck(struct wf_worker *worker, const weft_task *task)
{
    weft_task *running = wf_report_running(worker);
    if (running == task) {
        wf_report_stuck(worker, running);
    }
    if (running != NULL) {
        wf_task_let_go(running, NULL);
    }
}

/* True: it is stuck. */
static bool look_at(weft_runtime *runtime, struct wf_worker *worker, struct observed *before)
{
    uint64_t turns = wf_load_rlx(&worker->turns);
    weft_task *running = wf_running_on(worker);
    if (running == NULL || turns != before->turns || running != before->running) {
        before->turns = turns;
        before->running = running;
        before->stuck_ticks = 0;
        wf_store_rlx(&worker->is_stuck, (uint8_t)0);
        return false;
    }
    before->stuck_ticks++;
    if (before->stuck_ticks == 1) {
        (void)wf_add_rlx(&runtime->hogs, 1);
        wf_store_rlx(&worker->is_stuck, (uint8_t)1);
        wf_store_rel(&runtime->stand_in,
                     0U); /* who stands in knows nothing of this one: who is woken now will */
        wf_store_rlx(&worker->times_stuck, wf_load_rlx(&worker->times_stuck) + 1);
    }
    /* A helper finds the lanes, the slot, overdue timers and the poller. */
    wf_sched_notify(runtime);
    if (before->stuck_ticks == REPORT_TICKS) {
        report_stuck(worker, running);
    }
    return true;
}

static void look_at_all(weft_runtime *runtime, struct observed *seen)
{
    uint32_t stuck = 0;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        stuck += look_at(runtime, &runtime->workers[i], &seen[i]) ? 1U : 0U;
    }
    wf_store_rlx(&runtime->stuck_count, stuck);
}

/* ---- what is kept, and whose timers nobody looks after ---- */

/* Their owners, who sleep, look after them themselves. */
static void rouse_overdue(weft_runtime *runtime, int64_t due_ns)
{
    uint64_t leaning = wf_lean_bits(runtime);
    struct wf_worker *worker;
    while ((worker = wf_lean_next_due(runtime, &leaning, due_ns)) != NULL) {
        wf_sched_rouse(runtime, worker->index);
    }
}

static bool is_any_overdue(weft_runtime *runtime, int64_t due_ns)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        if (wf_wheel_next(&runtime->workers[i].wheel) <= due_ns) {
            return true;
        }
    }
    return false;
}

/* Somebody who sleeps is woken for what is in queues, and for the timers of who is awake, unless somebody searches: then he
 * finds it. */
static void help(weft_runtime *runtime)
{
    int64_t due_ns = wf_runtime_now(runtime) - OVERDUE_NS;
    rouse_overdue(runtime, due_ns);
    if (wf_ready_anywhere(runtime) || is_any_overdue(runtime, due_ns)) {
        wf_sched_notify(runtime);
    }
}

/* Until the next tick. */
static void wait(weft_runtime *runtime, struct pace *pace)
{
    bool hurries = wf_brief_hurries(runtime, &pace->unwanted);
    pace->is_in_between = hurries && !pace->is_in_between;
    int64_t wait_ns = hurries ? TICK_NS / 2 : TICK_NS;
    wf_futex_wait(&runtime->watchdog_word, TICKING, wf_monotonic_ns() + wait_ns);
    bool has_kept = wf_squeeze_take_kept(runtime, wf_monotonic_ns());
    /* Twice: who saw that it was marked already may have queued something that could not be seen yet. */
    bool keeps = has_kept || pace->had_kept;
    pace->had_kept = has_kept;
    if (keeps || hurries || wf_brief_is_wanted(runtime) || wf_lean_bits(runtime) != 0) {
        help(runtime);
    }
}

static void rest(weft_runtime *runtime)
{
    uint32_t expected = TICKING;
    if (!wf_cas_sc(&runtime->watchdog_word, &expected, (uint32_t)RESTING)) {
        return;
    }
    /* Pairs with wf_watchdog_wake: a worker that woke before it could see RESTING is seen here. */
    if (wf_idle_all_asleep(&runtime->idle)) {
        wf_futex_wait(&runtime->watchdog_word, RESTING, INT64_MAX);
    }
    expected = RESTING;
    (void)wf_cas_sc(&runtime->watchdog_word, &expected, (uint32_t)TICKING);
}

static void *watch(void *arg)
{
    weft_runtime *runtime = arg;
    struct observed *seen = calloc(runtime->worker_count, sizeof *seen);
    uint32_t quiet_ticks = 0;
    struct pace pace = {.unwanted = WF_BRIEF_UNWANTED};
    while (seen != NULL && wf_load_acq(&runtime->watchdog_word) != STOPPED) {
        wait(runtime, &pace);
        if (pace.is_in_between) {
            continue;
        }
        quiet_ticks = wf_idle_all_asleep(&runtime->idle) ? quiet_ticks + 1 : 0;
        if (quiet_ticks <= 1) { /* once more when it gets quiet: nobody is stuck then */
            look_at_all(runtime, seen);
        }
        wf_flood_tell(&runtime->flood, wf_monotonic_ns());
        if (quiet_ticks >= QUIET_TICKS) {
            wf_flood_tell(&runtime->flood, WF_FOREVER);
            rest(runtime);
            quiet_ticks = 0;
        }
    }
    free(seen);
    return NULL;
}

int wf_watchdog_start(weft_runtime *runtime)
{
    if (runtime->worker_count < 2) {
        return 0; /* nobody could help */
    }
    int rc = pthread_create(&runtime->watchdog, NULL, watch, runtime);
    runtime->has_watchdog = rc == 0;
    return -rc;
}

void wf_watchdog_stop(weft_runtime *runtime)
{
    if (!runtime->has_watchdog) {
        return;
    }
    (void)wf_swap_sc(&runtime->watchdog_word, (uint32_t)STOPPED);
    wf_futex_wake(&runtime->watchdog_word, 1);
    (void)pthread_join(runtime->watchdog, NULL);
    runtime->has_watchdog = false;
}

WF_WAKING void wf_watchdog_wake(weft_runtime *runtime)
{
    uint32_t expected = RESTING;
    if (wf_load_sc(&runtime->watchdog_word) == RESTING &&
        wf_cas_sc(&runtime->watchdog_word, &expected, (uint32_t)TICKING)) {
        wf_futex_wake(&runtime->watchdog_word, 1);
    }
}

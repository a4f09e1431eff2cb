/* SPDX-License-Identifier: MIT */
/* disturb.h - threads outside the runtime that ask tasks and look at them while children run inside.
 *
 * Askers   cancel the task of each target once it is offered, and say so.
 * Board    weak handles, from which anybody takes one now and then, to cancel the task or only to have a handle. */
#ifndef WEFT_STRESS_DISTURB_H
#define WEFT_STRESS_DISTURB_H

#include <weft/dump.h>

#include "stress.h"

static atomic_bool is_over;

/* ---- askers ---- */

enum { TARGETS = 6, ASKERS = 2 };

struct target {
    _Atomic(weft_task *) victim; /* the victim stores, an asker takes */
    atomic_bool was_asked;
};

static struct target targets[TARGETS];
static pthread_t askers[ASKERS];

static void *ask(void *arg)
{
    uint64_t random = as_seed(arg);

    while (!atomic_load(&is_over)) {
        struct target *target = &targets[draw(&random) % TARGETS];
        weft_task *victim = atomic_exchange(&target->victim, NULL);

        if (victim == NULL) {
            sched_yield();
            continue;
        }
        dither(&random);
        wt_check(weft_cancel(victim) == 1);
        atomic_store(&target->was_asked, true);
    }
    return NULL;
}

WT_FN void start_askers(uint64_t *random)
{
    atomic_store(&is_over, false);
    for (int i = 0; i < ASKERS; i++) {
        wt_check(pthread_create(&askers[i], NULL, ask, as_arg(draw(random))) == 0);
    }
}

WT_FN void stop_askers(void)
{
    atomic_store(&is_over, true);
    for (int i = 0; i < ASKERS; i++) {
        wt_check(pthread_join(askers[i], NULL) == 0);
    }
}

WT_FN void wait_for_asker(struct target *target)
{
    while (!atomic_load(&target->was_asked)) {
        sched_yield(); /* no await: that would be told */
    }
}

/* ---- the board ---- */

enum { BOARD = 64 };

static struct spin board_lock;
static weft_weak board[BOARD];
static weft_runtime *runtime_now;
static pthread_t disturber;
static atomic_long asked;

WT_FN void post(weft_task *task, uint64_t at)
{
    spin_lock(&board_lock);
    board[at % BOARD] = weft_weak_of(task);
    spin_unlock(&board_lock);
}

/* Somebody has a handle for a while, and does something with it. */
WT_FN void disturb(uint64_t *random)
{
    weft_weak weak;
    weft_task *task;

    spin_lock(&board_lock);
    weak = board[draw(random) % BOARD];
    spin_unlock(&board_lock);
    task = weft_upgrade(weak);
    if (task == NULL) {
        return;
    }
    wt_check(weft_task_id(task) == weak.id);
    if (draw(random) % 4 == 0 && weft_cancel(task) == 1) {
        atomic_fetch_add(&asked, 1);
    }
    dither(random);
    wt_check(weft_task_id(task) == weak.id);
    weft_drop(task);
}

static void take_no_line(const char *text, void *arg)
{
    (void)text;
    (void)arg;
}

static void *disturb_outside(void *arg)
{
    uint64_t random = as_seed(arg);

    while (!atomic_load(&is_over)) {
        weft_weak weak[16];

        disturb(&random);
        if (draw(&random) % 256 == 0) {
            wt_check(weft_tasks(runtime_now, weak, 16) >= 0);
        }
        if (draw(&random) % 512 == 0) {
            wt_check(weft_dump(runtime_now, take_no_line, NULL) >= 0);
        }
    }
    return NULL;
}

WT_FN void start_disturber(uint64_t *random)
{
    atomic_store(&is_over, false);
    runtime_now = weft_runtime_current();
    wt_check(pthread_create(&disturber, NULL, disturb_outside, as_arg(draw(random))) == 0);
}

WT_FN void stop_disturber(void)
{
    atomic_store(&is_over, true);
    wt_check(pthread_join(disturber, NULL) == 0);
}

#endif

// SPDX-License-Identifier: MIT
/* simulate.h - all workers on one thread, in virtual time, with every choice drawn from a seed.
 *
 * What: one list of everything that could happen now: tasks that are ready, and what else has a turn of
 *       its own. A loop takes one of them, runs it on one of the logical workers until it waits, and
 *       looks again; timers that are due compete with them. When nothing can happen the clock jumps to
 *       the next timer; without one it is a deadlock.
 * Seed 0: one worker; strictly first in, first out, in turns as an event loop has them: what is ready
 *       when a turn begins runs, then the timers that were due then fire. What follows from a task's
 *       end for callbacks, groups, and waits for several tasks is an entry of its own (WF_READY_NOTICE,
 *       WF_READY_ENDED), as is a timeout that is due when it is armed. Programs then see the same order
 *       as under asyncio.
 * Other seeds: each entry, each worker whose timers are due and each logical worker for an entry is as likely
 *       as the others; of a worker's timers with the same deadline any one comes first; and tasks are made
 *       to yield after a few waits that were ready.
 * Threads: the one that called weft_run. Deques, slots and the idle protocol are not used.
 */
#ifndef WF_SCHED_SIMULATE_H
#define WF_SCHED_SIMULATE_H

#include <weft/testing.h>

#include "poll/fake.h"
#include "sched/runtime.h"

struct wf_sim;

/* What a turn may be spent on: enum wf_ready_kind, and these. */
enum wf_turn_kind {
    WF_TURN_TASK = WF_READY_TASK,
    WF_TURN_NOTICE = WF_READY_NOTICE,
    WF_TURN_ENDED = WF_READY_ENDED,
    WF_TURN_NEW,   /* weft_task that has not started */
    WF_TURN_SOON,  /* a timer by its number */
    WF_TURN_CLOSE, /* main has ended */
};

/* For runtime->options. 0 or -ENOMEM. */
int wf_sim_create(weft_runtime *runtime);

/* NULL is allowed. The run is over. */
void wf_sim_destroy(struct wf_sim *sim);

/* The worker loop of a simulation: until the runtime is drained or abandoned. */
void wf_sim_run(struct wf_sim *sim);

/* Something gets a turn. Memory for the list is the simulation's only need while it runs; without it
 * the process ends. */
void wf_sim_push(struct wf_sim *sim, enum wf_turn_kind kind, uint64_t what);

/* A task is about to run, for the first time or again. */
void wf_sim_begin(struct wf_sim *sim, weft_task *task, bool is_new);

/* Takes back the turn of a waiter whose owner has gone on. */
void wf_sim_forget(struct wf_sim *sim, struct wf_waiter *waiter);

/* Main has ended: closes now, or in a turn of its own. */
void wf_sim_main_ended(struct wf_sim *sim);

/* Timers that are armed, without those of wf_sim_after. */
uint64_t wf_sim_armed(struct wf_sim *sim);

/* True for seed 0. */
bool wf_sim_is_strict(const struct wf_sim *sim);

/* A number below `bound` from the seed; 0 for seed 0 and bound 0. */
uint64_t wf_sim_draw(struct wf_sim *sim, uint64_t bound);

/* The next number for a test's own choices; seed 0 counts up. */
uint64_t wf_sim_number(struct wf_sim *sim, uint64_t bound);

/* Moves the clock. */
void wf_sim_advance(struct wf_sim *sim, int64_t duration_ns);

/* Calls fn(arg) from the loop in `delay_ns`. 0 or -ENOMEM. */
int wf_sim_after(struct wf_sim *sim, int64_t delay_ns, void (*fn)(void *), void *arg);

/* What SIGINT does; false without options.sigint. */
bool wf_sim_interrupt(struct wf_sim *sim);

/* The simulated descriptors, and how unkind they are. */
struct wf_fakes *wf_sim_fakes(struct wf_sim *sim);
weft_sim_faults *wf_sim_faults(struct wf_sim *sim);

/* Happens with a chance of `permille` in 1000; never for seed 0. */
bool wf_sim_chance(struct wf_sim *sim, int permille);

/* Simulated descriptors that the program has open now. */
uint32_t wf_sim_open_descriptors(const struct wf_sim *sim);

#endif

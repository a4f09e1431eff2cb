// SPDX-License-Identifier: MIT
/* lean.h - sleepers that leave their timers to another's alarm.
 *
 * What: of the workers that sleep one *watches*: its alarm is set for the first timer of all. When it is awake it fires what is
 *       due in the wheels of those that *lean*, as everybody does who is awake; they sleep on. Who leans has an
 *       alarm of its own all the same, LATER_NS behind its timer. Only those whom brief.h trusts are leaned on.
 * Why: ten thousand sleeps within a second, two workers: 9,400 wake-ups and 10 us of processor time for each timer;
 *      with this 3,800 and 6, as with one worker. The more workers, the fewer timers of each would share a wake-up.
 * When it goes wrong: who is awake computes for long. The watchdog looks for wheels that nobody looks after, and wakes
 *      somebody.
 * Threads: each worker's own calls, around its sleep. Two words of the runtime, all seq_cst:
 *
 *          lean                                   wake up
 *          1. set one's bit in `leaning`          1. take one's alarm out of `watch_ns`
 *          2. read `watch_ns`: is it still        2. read `leaning`, fire what is due there
 *             early enough? Else take it back
 *
 *      Either the one reads that the alarm is gone, or the other that somebody leans. Who goes to sleep again reads
 *      `leaning` too, and watches unless somebody else has an earlier alarm.
 */
#ifndef WF_SCHED_LEAN_H
#define WF_SCHED_LEAN_H

#include "sched/runtime.h"

/* How much later than its timers somebody who leans wakes up by itself. */
#define WF_LEAN_LATER_NS INT64_C(50000000)

/* When `worker`, which goes to sleep, is to wake up for timers: its own, and those of who leans on it. */
struct wf_wheel_plan wf_lean_plan(struct wf_worker *worker, int64_t window_ns);

/* It is awake. */
void wf_lean_end(struct wf_worker *worker);

/* Whose timers everybody has to look after who is awake: a bit for each worker. */
static inline uint64_t wf_lean_bits(weft_runtime *runtime)
{
    return wf_load_sc(&runtime->leaning);
}

/* The next that is due, out of `bits`, and takes it out of these; NULL: none. */
struct wf_worker *wf_lean_next_due(weft_runtime *runtime, uint64_t *bits, int64_t now_ns);

#endif

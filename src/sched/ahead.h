// SPDX-License-Identifier: MIT
/* ahead.h - a sleeper's alarm is set ahead of its timer, by what waking up takes at least.
 *
 * What: from the alarm until the worker runs again 30 us pass in a virtual machine, nearly always the same, and a few on
 *       a bare one. The least of it is learnt: a wake-up that took less counts at once, one that took more by a
 *       part. Who is awake too early all the same waits for the rest of it awake, and learns that.
 * Why: nobody pays for it, and timers end earlier by that much; or, for the same lateness, a sleeper can gather more of
 *       them (sleep.c).
 * Source: KVM's advance of the local timer does so for a guest's interrupts.
 * Threads: the worker's own.
 */
#ifndef WF_SCHED_AHEAD_H
#define WF_SCHED_AHEAD_H

#include <stdint.h>

#include "base/clock.h"

/* The least goes up by a 32nd of what a wake-up took more; what alarms are set by follows it in steps, since an
 * alarm that has been set for a later sleep is of use only if that still wants the same. */
enum { WF_AHEAD_PART = 32, WF_AHEAD_STEP_NS = 6000, WF_AHEAD_MOST_NS = 40000 };

struct wf_ahead {
    int64_t least_ns; /* what waking up takes at least, as far as it is known */
    int64_t ahead_ns; /* how much earlier than the timer the alarm is set */
};

/* When to be woken for what is due then. */
static inline int64_t wf_ahead_of(const struct wf_ahead *ahead, int64_t due_ns)
{
    return due_ns == WF_FOREVER ? WF_FOREVER : due_ns - ahead->ahead_ns;
}

/* Waking up has taken so long. To be early costs more than to be late, so a part is left off. */
static inline void wf_ahead_note(struct wf_ahead *ahead, int64_t took_ns)
{
    took_ns = took_ns < WF_AHEAD_MOST_NS ? took_ns : WF_AHEAD_MOST_NS;
    int64_t more_ns = took_ns - ahead->least_ns;
    ahead->least_ns += more_ns < 0 ? more_ns : more_ns / WF_AHEAD_PART;
    int64_t ahead_ns = ahead->least_ns - ahead->least_ns / 8;
    if (ahead_ns < ahead->ahead_ns || ahead_ns > ahead->ahead_ns + WF_AHEAD_STEP_NS) {
        ahead->ahead_ns = ahead_ns;
    }
}

#endif

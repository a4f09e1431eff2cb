// SPDX-License-Identifier: MIT
/* uring_alarm.c - timers that the kernel keeps for a ring's sleeps.
 *
 * What: two timers in the ring, instead of a time limit with each sleep: one for the sleep that begins and
 *       one for the sleep after it.
 * Why this way: a timer that becomes its processor's earliest is written to the hardware, which in a virtual
 *       machine is a way out to the host and back: half of what a sleep and its end cost. A limit goes
 *       that way at each sleep, and again when something else ends it. An alarm stays set, and the next
 *       one is set before the first rings: the interrupt of the first writes it, as it must write something.
 * An alarm whose timers were disarmed rings for nothing, once. Correctness hangs on one thing: a sleep has an alarm
 * at its deadline or before, or a limit. What the kernel takes late, since the worker lost its processor on the way or
 * memory was short, is late by that, as a limit would be. Delays are relative: an absolute time would have to be
 * told in the clock of the time namespace that the process is in.
 */
#include <errno.h>

#include "poll/uring.h"

/* What is further away is seldom a processor's earliest timer, for that has its tick; and alarms that ring late
 * would keep near ones from being set. */
enum { NEAR_NS = 4000000 };

static bool place_alarm(struct wf_uring *ring, uint32_t which, int64_t delay_ns)
{
    struct __kernel_timespec *delay = &ring->alarm_delays[which];
    delay->tv_sec = delay_ns / 1000000000;
    delay->tv_nsec = delay_ns % 1000000000;
    struct io_uring_sqe entry = {
        .opcode = IORING_OP_TIMEOUT, .fd = -1, .addr = (uint64_t)(uintptr_t)delay, .len = 1};
    return wf_uring_place_own(ring, &entry, WF_OWN_ALARM + which);
}

/* Sets one that is free, unless one rings then or before. Returns which does, WF_URING_ALARMS if none could be set;
 * `other` does not count, nor does one that has rung. */
static uint32_t have_alarm(struct wf_uring *ring, int64_t now_ns, int64_t at_ns, uint32_t other)
{
    uint32_t unset = WF_URING_ALARMS;
    for (uint32_t i = 0; i < WF_URING_ALARMS; i++) {
        int64_t alarm_ns = wf_load_rlx(&ring->alarms_ns[i]);
        if (i != other && alarm_ns <= at_ns && alarm_ns > now_ns) {
            return i;
        }
        unset = alarm_ns == WF_FOREVER ? i : unset;
    }
    if (unset == WF_URING_ALARMS || !place_alarm(ring, unset, at_ns - now_ns)) {
        return WF_URING_ALARMS;
    }
    wf_store_rlx(&ring->alarms_ns[unset], at_ns);
    return unset;
}

bool wf_uring_set_alarms(struct wf_uring *ring, const struct wf_uring_limit *limit)
{
    if (ring->has_no_alarms || limit->deadline_ns - limit->now_ns > NEAR_NS) {
        return false;
    }
    uint32_t first = have_alarm(ring, limit->now_ns, limit->deadline_ns, WF_URING_ALARMS);
    if (first == WF_URING_ALARMS) {
        return false;
    }
    if (limit->following_ns > limit->deadline_ns &&
        limit->following_ns - limit->now_ns <= NEAR_NS) {
        (void)have_alarm(ring, limit->now_ns, limit->following_ns, first);
    }
    return true;
}

void wf_uring_end_alarm(struct wf_uring *ring, uint32_t which, int32_t result)
{
    wf_store_rlx(&ring->alarms_ns[which], WF_FOREVER);
    ring->has_no_alarms = ring->has_no_alarms || result != -ETIME;
}

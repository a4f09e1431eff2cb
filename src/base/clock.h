// SPDX-License-Identifier: MIT
/* clock.h - the runtime's time: the monotonic clock, or a virtual one that its owner moves.
 *
 * What: everything that reads the time asks a wf_clock, so that virtual time is one word away.
 */
#ifndef WF_BASE_CLOCK_H
#define WF_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define WF_FOREVER INT64_MAX

struct wf_clock {
    bool is_virtual;    /* set once before the runtime runs */
    int64_t virtual_ns; /* the one thread of a simulation reads and moves it */
};

static inline int64_t wf_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t wf_clock_now(const struct wf_clock *clock)
{
    return clock->is_virtual ? clock->virtual_ns : wf_monotonic_ns();
}

/* now + delay without overflow, so WF_FOREVER stays; a negative delay is a deadline that has passed. */
static inline int64_t wf_deadline_after(int64_t now_ns, int64_t delay_ns)
{
    if (delay_ns > 0 && now_ns > WF_FOREVER - delay_ns) {
        return WF_FOREVER;
    }
    return now_ns + delay_ns;
}

#endif

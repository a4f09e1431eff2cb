// SPDX-License-Identifier: MIT
/* flood.h - diagnostics on standard error: of a flood of lines the first ones, and how many there were.
 *
 * What: lines are alike if their kind, error and place of spawn are. Of those LINES a second are written; the rest
 *       is counted, and told with an example once the second is over, when it has got quiet, or at the end. Lines
 *       that find all places taken share the last one. So there is a bound to what a runtime writes, however
 *       many tasks fail, and each sort of failure is seen.
 * Why this way: a line is a write(2) by a worker, and whoever reads them may be slow: a hundred thousand peers that
 *       hang up would stop the service for the sake of its log. Rejected: a bound on all lines together (the
 *       one that matters would be among those left out).
 * Threads: any; the short lock guards all but the hint. Nothing is written under it.
 */
#ifndef WF_SCHED_FLOOD_H
#define WF_SCHED_FLOOD_H

#include <weft/runtime.h>

#include "base/lock.h"

enum { WF_FLOOD_LINES = 10, WF_FLOOD_PLACES = 16, WF_FLOOD_TEXT = 224 };
#define WF_FLOOD_NS INT64_C(1000000000)

/* Lines that are alike. */
struct wf_flood_place {
    weft_diagnostic_kind kind;
    int error;
    const char *site; /* compared, never read: the task may be gone, and its module */
    int64_t since_ns; /* when the first of `written` was */
    uint32_t written; /* 0: the place is free */
    uint64_t left_out;
    char text[WF_FLOOD_TEXT]; /* the first that was left out */
};

/* Zeroed: nothing was written yet. */
struct wf_flood {
    struct wf_lock lock;
    /* Something was left out and is not told. Stored under the lock (relaxed); the watchdog looks without it
     * (relaxed), and finds out at its next tick what it misses. */
    wf_au8 has_untold;
    struct wf_flood_place places[WF_FLOOD_PLACES];
};

/* Writes what->text as a line, or counts it. `now_ns`: of the runtime's clock. No locks held. */
void wf_flood_say(struct wf_flood *flood, int64_t now_ns, const weft_diagnostic *what);

/* Tells what was left out: where the second is over by `now_ns`, or, with WF_FOREVER, all of it. */
void wf_flood_tell(struct wf_flood *flood, int64_t now_ns);

#endif

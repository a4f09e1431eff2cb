// SPDX-License-Identifier: MIT
/* probe.h - what a cancel sweep sees and does in one run of a simulation.
 *
 * What: counts the await points of the run in their order and makes one request at one of them. The sweep
 *       itself (inspect/sweep.c) decides which, and looks at what is left when the run ends.
 * Points: one for each public await call, when it goes through the door (await/door.h), also if it does
 *       not suspend. A call that parks several times is one point.
 * Cost: a simulation marks the tasks that count (WF_TASK_PROBED); other runtimes have only the door's
 *       look at that mark.
 * Threads: the simulation's one.
 */
#ifndef WF_SCHED_PROBE_H
#define WF_SCHED_PROBE_H

#include <weft/testing.h>

#include "sched/sched.h"

struct wf_probe {
    /* The sweep sets, before the run. */
    bool main_only;
    weft_sweep_moment moment;
    uint64_t target; /* the point of the request; 0: none is made, the trail is written */
    uint32_t
        *trail;    /* for each point a sum of all points so far: tells whether runs are the same */
    uint64_t room; /* of the trail */
    uint64_t most_turns;
    /* The main task has ended, what it left is not cancelled yet. */
    void (*main_ended)(struct wf_probe *probe, weft_runtime *runtime);
    /* The runtime is about to go; nothing runs any more. */
    void (*going)(struct wf_probe *probe, weft_runtime *runtime);

    /* The run sets. */
    uint64_t points;
    uint64_t turns;
    uint32_t sum;
    bool is_reached; /* the target, by the same way as the run that wrote the trail */
    bool was_made;   /* the request */
    bool was_delivered;
    bool is_endless; /* ended after most_turns */
    uint32_t tolls;  /* deliveries to the victim when the request was made */
    weft_task *victim;
    uint64_t inside;    /* id of the victim while it is in the call of the target; 0: has left it */
    weft_task *suspect; /* its slot */
    const char *call;
    const char *site; /* of the victim */
    char who[160];
};

/* `self` begins a public await call. */
void wf_probe_point(struct wf_probe *probe, weft_task *self, const char *call);

/* The loop is about to run `task` / has come back from it. */
void wf_probe_resume(struct wf_probe *probe, weft_task *task, bool is_new);
void wf_probe_left(struct wf_probe *probe, weft_task *task);

/* False when the run has had more turns than it may have. */
bool wf_probe_turn(struct wf_probe *probe);

/* The loop is over. */
void wf_probe_end(struct wf_probe *probe);

/* weft_run with a probe (start.c). `options` has `simulate`. */
intptr_t wf_run_probed(weft_fn *fn, void *arg, const weft_options *options, struct wf_probe *probe);

#endif

// SPDX-License-Identifier: MIT
/* simulate_inside.h - what the files of the simulation share; nobody else includes it.
 *
 * simulate.c has the list of turns and the loop; simulate_world.c chance, calls that are to come, and what the rooms
 * above ask.
 */
#ifndef WF_SCHED_SIMULATE_INSIDE_H
#define WF_SCHED_SIMULATE_INSIDE_H

#include "sched/simulate.h"

struct wf_sim_turn {
    uint64_t what; /* an address, or a number */
    uint8_t kind;  /* enum wf_turn_kind */
};

/* A call of weft_sim_after. */
struct wf_sim_call {
    struct wf_timer timer;
    struct wf_list link; /* in calls, then in due_calls */
    struct wf_sim *sim;
    void (*fn)(void *);
    void *arg;
};

struct wf_sim {
    weft_runtime *runtime;
    bool is_strict;
    bool is_stopping; /* close when this turn is over */
    bool is_cut;      /* end this turn now */
    uint32_t interrupts;
    uint64_t random;
    uint64_t count; /* numbers given to a strict simulation's tests */
    /* A ring; turn number n is at n modulo its room. */
    struct wf_sim_turn *turns;
    uint64_t room;
    uint64_t head;
    uint64_t tail;
    struct wf_list calls;     /* still to come */
    struct wf_list due_calls; /* fired by their timers, to be made once the wheel's lock is free */
    struct wf_fakes fakes;
    weft_sim_faults faults;
};

#endif

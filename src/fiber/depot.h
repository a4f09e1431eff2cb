// SPDX-License-Identifier: MIT
/* depot.h - what a worker's cache asks of the depot of a class (struct wf_depot is in stack.h).
 *
 * Threads: any; every call takes the depot's lock once or a few times.
 */
#ifndef WF_FIBER_DEPOT_H
#define WF_FIBER_DEPOT_H

#include "fiber/slab.h"
#include "fiber/stack.h"

/* Tuned for the first class; the others keep about as much address space. */
struct wf_stack_limits {
    uint16_t cached;        /* most that a worker keeps; half of it goes to and from the depot */
    uint16_t dirty_keep;    /* dirty stacks that are never surplus, */
    uint16_t dirty_reserve; /* and those that are only after five looks */
    uint16_t clean_keep;    /* clean stacks beyond which slabs are unmapped */
};

extern const struct wf_stack_limits wf_stack_limits[WF_STACK_CLASSES];

void wf_depot_init(struct wf_depot *depot, unsigned class_index);

/* Unmaps all slabs, whoever has their stacks. */
void wf_depot_destroy(struct wf_depot *depot);

/* Fills an empty shelf with half of what it can hold: dirty stacks if there are any, else clean
 * ones of one slab, mapped now if need be. False: no memory. */
bool wf_depot_take(struct wf_depot *depot, struct wf_stack_shelf *shelf, enum wf_guard best_guard);

/* Takes stacks back. True: there are more dirty ones than are kept for ever. */
__attribute__((warn_unused_result)) bool wf_depot_give(struct wf_depot *depot,
                                                       struct wf_fiber **fibers, unsigned count);

/* What was free ever since the last look is surplus now, or since five looks ago. True: somebody should look again. */
__attribute__((warn_unused_result)) bool wf_depot_look(struct wf_depot *depot);

/* Gives the memory of one slab's surplus back. False: there is no surplus. */
__attribute__((warn_unused_result)) bool wf_depot_trim(struct wf_depot *depot);

/* Takes back stacks that were never built. */
void wf_depot_give_clean(struct wf_depot *depot, struct wf_slab *slab, uint64_t bits);

/* A stack with a mapping of its own, and its end. NULL: no memory. */
struct wf_fiber *wf_depot_take_own(struct wf_depot *depot, size_t promise_bytes,
                                   enum wf_guard best_guard);
void wf_depot_give_own(struct wf_depot *depot, struct wf_slab *slab);

#endif

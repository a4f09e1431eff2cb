// SPDX-License-Identifier: MIT
/* walk.h - along who waits for whom, depth first: as a tree, and for cycles.
 *
 * What: begins at those for whom nobody waits, then at those that are left, which are in cycles. Every
 *       task that waits for somebody is entered once; every edge that leads back to a task on the present
 *       path is a cycle.
 */
#ifndef WF_SCHED_WALK_H
#define WF_SCHED_WALK_H

#include "sched/waits.h"

struct wf_visitor {
    /* The walk comes to `at`, `depth` edges from where it began; `is_again`: it has been there, and turns
     * back. May be NULL. */
    void (*enter)(size_t at, size_t depth, bool is_again, void *arg);
    /* Each waits for the next one, the last for the first; the first has the lowest position. May be
     * NULL. */
    void (*cycle)(const size_t *members, size_t count, void *arg);
    void *arg;
};

/* 0 or -ENOMEM. */
int wf_walk(const struct wf_scene *scene, const struct wf_visitor *visitor);

/* Calls tell(text, arg) for every cycle that is still there: cycle: task #3 "a" (file.c:12) waits for ... */
void wf_walk_cycles(struct wf_scene *scene, void (*tell)(const char *text, size_t first, void *arg),
                    void *arg);

#endif

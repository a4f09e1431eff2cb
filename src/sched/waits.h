// SPDX-License-Identifier: MIT
/* waits.h - who waits for what, and for whom: seen while it goes on, and put into words.
 *
 * What: a scene holds every unfinished task and what it was seen to wait for. Each task is looked at for a
 *       moment (wf_state_look), one after the other, so a scene is no picture of one instant; what it says of
 *       one task is, and wf_scene_still asks again.
 * Why this way: nobody is stopped, and no lock is held while words are made or cycles sought: all that is
 *       kept is copied, and tasks have holds.
 * Locks: the task's own, under it what its wait's list takes (a group's). Never one that a task may keep
 *       across a suspension, and no memory is asked for under them.
 * Threads: any, while the runtime lives.
 */
#ifndef WF_SCHED_WAITS_H
#define WF_SCHED_WAITS_H

#include "base/text.h"
#include "sched/runtime.h"
#include "task/end.h"

#define WF_NOBODY \
    SIZE_MAX /* has ended since, is of another runtime, or there was no memory for it */

struct wf_sight {
    weft_task *task; /* with a hold */
    uint64_t word;   /* its state then */
    uint64_t
        inside; /* `joins`, while it waits for a child that runs on its own stack (WF_JOINS_INSIDE) */
    uint8_t reason;     /* enum wf_reason; WF_WAIT_NONE unless it waited */
    int32_t number;     /* of a descriptor; -1: none */
    uint32_t serial;    /* of the wait */
    const void *target; /* only to be printed */
    size_t object;      /* in a simulation: its number among those that are waited for, from 1 */
    size_t first;       /* scene->whom[first] to [first + count - 1]: whom it waits for */
    size_t count;
};

struct wf_scene {
    struct wf_registry *registry;
    struct wf_sight
        *sights; /* unfinished tasks in the order of ids, then others that are waited for */
    size_t count;
    size_t cap;
    size_t listed; /* how many of them are of the first kind */
    size_t *whom;  /* positions in sights, or WF_NOBODY */
    size_t whom_count;
    size_t whom_cap;
    uint64_t *tokens; /* what the last look brought */
    size_t token_count;
    size_t token_cap;
    bool is_partial; /* there was no memory for all */
    /* Addresses are not the same in every run: a simulation's reports number what is waited for, in the order
     * in which they name it. */
    bool is_simulated;
};

/* Parked, or busy with a child. */
static inline bool wf_sight_waits(const struct wf_sight *sight)
{
    return wf_word_life(sight->word) == WF_PARKED || sight->inside != 0;
}

void wf_scene_take(weft_runtime *runtime, struct wf_scene *scene);
void wf_scene_drop(struct wf_scene *scene);

/* Is the task at `at` still in the same suspension, and does it still wait for the one at `next`? Changes
 * nothing but scene->tokens. */
bool wf_scene_still(struct wf_scene *scene, size_t at, size_t next);

/* Writes: task #3 "a" (file.c:12). Without `site` no place. */
void wf_scene_name(const struct wf_scene *scene, size_t at, bool site, struct wf_text *text);

/* Writes what it does, with the verb: waits for mutex 0x1234; in a simulation: waits for mutex 1. Then, if `whom`, all of those whom it waits for:
 * , held by task #5 "b". */
void wf_scene_tell(const struct wf_scene *scene, size_t at, bool whom, struct wf_text *text);

/* Writes what ties it to whom it waits for: ", held by ". */
void wf_scene_tie(const struct wf_scene *scene, size_t at, struct wf_text *text);

#endif

// SPDX-License-Identifier: MIT
/* cycle.c - following who waits for whom.
 *
 * A chain of joins that comes to an end is followed without memory: that is nearly every search. Only
 * where it comes back, or to a task that gathers, the tasks that wait are listed: breadth first, each
 * once, no more than WAITS_MAX.
 *
 * Tasks end and their slots are used again while they are followed, so what is found may be made of pieces
 * that never were there together. It counts when it is found twice, the same tasks and the same gathers:
 * a task that joins does so until the joined one has ended, and a gather is told apart by its number, so
 * all of it was there between the first end and the second begin.
 */
#include "await/cycle.h"

#include <stdlib.h>

#include "sched/sched.h"
#include "task/slab.h"

/* Tasks that are followed, and other gathers' edges that are looked at: what a search may cost at most.
 * Some ten microseconds; longer cycles than that have not been seen. */
enum { WAITS_MAX = 1024, EDGES_MAX = 8192, TABLE_ROOM = 2 * WAITS_MAX };

/* A task that waits, as it was met. */
struct place {
    weft_task *task;
    uint64_t number;     /* of its gather; 0: it joins */
    uint32_t generation; /* of the task's slot */
    uint32_t from;       /* the place that led to it */
};

struct search {
    const weft_task *self;
    uint32_t count;
    uint32_t edges_left;
    bool is_second;             /* something has been found before */
    uint32_t last;              /* the place that leads to self, once found */
    uint16_t table[TABLE_ROOM]; /* place + 1 by the task's address; 0: none */
    struct place places[WAITS_MAX];
};

/* Who sees a generation sees that its slot's last task waits for nothing. */
static uint32_t generation_of(const weft_task *task)
{
    return WF_REFS_GENERATION(wf_load_acq(&((weft_task *)(uintptr_t)task)->refs));
}

/* What a task waits for, as far as that is followed: a group that closes is not, whether a child of it runs inside
 * or not. A report names such a cycle (sched/waits.c). */
static uint64_t joins_of(weft_task *task)
{
    uint64_t joins = wf_load_sc(&task->joins);
    return (joins & WF_JOINS_ALL) != 0 ? 0 : joins;
}

/* True if the chain of joins from `task` comes to an end, or is too long to be followed. */
static bool comes_to_an_end(const weft_task *self, weft_task *task)
{
    for (int hops = 0; hops < WAITS_MAX; hops++) {
        uint64_t joins = joins_of(task);
        if (joins == 0) {
            return true;
        }
        task = wf_token_task(joins);
        if ((joins & WF_JOINS_GATHER) != 0 || task == self) {
            return false;
        }
    }
    return true;
}

/* ---- the search ---- */

static void add_place(struct search *search, weft_task *task, uint32_t generation, uint32_t from)
{
    if (search->count == WAITS_MAX) {
        return;
    }
    uint32_t at = (uint32_t)(((uintptr_t)task * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % TABLE_ROOM;
    while (search->table[at] != 0) {
        if (search->places[search->table[at] - 1].task == task) {
            return;
        }
        at = (at + 1) % TABLE_ROOM;
    }
    search->places[search->count++] =
        (struct place){.task = task, .generation = generation, .from = from};
    search->table[at] = (uint16_t)search->count;
}

/* An edge from a place to the task of that generation: true if that is self. */
static bool meets_self(struct search *search, weft_task *task, uint32_t generation, uint32_t from)
{
    if (task == search->self) {
        search->last = from;
        return true;
    }
    if (joins_of(task) != 0) {
        add_place(search, task, generation, from);
    }
    return false;
}

static bool leave_by_edges(struct search *search, const struct wf_edges *edges, uint32_t from)
{
    for (size_t i = 0; i < edges->count; i++) {
        if (from != 0 && search->edges_left-- == 0) {
            search->edges_left = 0;
            return false;
        }
        weft_task *task = edges->tasks[i];
        if (meets_self(search, task, generation_of(task), from)) {
            return true;
        }
    }
    return false;
}

/* Its edges stay there while its lock is held (wf_cycle_leave). */
static bool leave_by_gather(struct search *search, uint32_t from)
{
    struct place *place = &search->places[from];
    wf_lock(&place->task->lock);
    uint64_t joins = joins_of(place->task);
    const struct wf_edges *edges = (const struct wf_edges *)(uintptr_t)(joins & ~WF_JOINS_GATHER);
    bool found = false;
    if ((joins & WF_JOINS_GATHER) != 0 && generation_of(place->task) == place->generation &&
        !edges->is_decided(edges, search->is_second)) {
        place->number = edges->number;
        found = leave_by_edges(search, edges, from);
    }
    wf_unlock(&place->task->lock);
    return found;
}

/* The second look tells that the task that was met is the joined one still. */
static bool leave_by_join(struct search *search, uint32_t from, uint64_t joins)
{
    const struct place *place = &search->places[from];
    weft_task *task = wf_token_task(joins);
    uint32_t generation = generation_of(task);
    bool is_same =
        joins_of(place->task) == joins && generation_of(place->task) == place->generation;
    return is_same && meets_self(search, task, generation, from);
}

static bool leave_place(struct search *search, uint32_t from)
{
    uint64_t joins = joins_of(search->places[from].task);
    if (joins == 0) {
        return false;
    }
    return (joins & WF_JOINS_GATHER) != 0 ? leave_by_gather(search, from)
                                          : leave_by_join(search, from, joins);
}

static bool leads_back(struct search *search, weft_task *self, const struct wf_edges *edges)
{
    search->self = self;
    search->edges_left = EDGES_MAX;
    for (int i = 0; i < TABLE_ROOM; i++) {
        search->table[i] = 0;
    }
    search->places[0] = (struct place){.task = self};
    search->count = 1;
    bool found = leave_by_edges(search, edges, 0);
    for (uint32_t i = 1; i < search->count && !found; i++) {
        found = leave_place(search, i);
    }
    return found;
}

static bool are_same(const struct search *one, const struct search *other)
{
    uint32_t i = one->last;
    uint32_t j = other->last;
    while (i != 0 && j != 0) {
        const struct place *a = &one->places[i];
        const struct place *b = &other->places[j];
        if (a->task != b->task || a->generation != b->generation || a->number != b->number) {
            return false;
        }
        i = a->from;
        j = b->from;
    }
    return i == j;
}

/* Without memory for it there is no search, and the cycle is found by nobody. */
static bool closes(weft_task *self, const struct wf_edges *edges)
{
    struct search *both = malloc(2 * sizeof *both);
    if (both == NULL) {
        return false;
    }
    uint32_t rounds = 0;
    bool found;
    bool is_sure = false;
    do {
        both[rounds % 2].is_second = rounds > 0;
        found = leads_back(&both[rounds % 2], self, edges);
        is_sure = found && rounds > 0 && are_same(&both[0], &both[1]);
        rounds++;
    } while (found && !is_sure);
    free(both);
    /* Its own gather may be decided since it began; nobody hands requests on to it yet. */
    if (is_sure && edges->is_decided != NULL && edges->is_decided(edges, true)) {
        is_sure = false;
    }
    if (is_sure) {
        wf_cycle_leave(self);
    }
    return is_sure;
}

/* ---- publishing ---- */

bool wf_cycle_follow(weft_task *self, weft_task *task)
{
    if (comes_to_an_end(self, task)) {
        return false;
    }
    const struct wf_edges edges = {.tasks = &task, .count = 1};
    return closes(self, &edges);
}

bool wf_cycle_gather(weft_task *self, struct wf_edges *edges)
{
    struct wf_worker *worker = wf_here();
    edges->number = (++worker->gathers << 16) + worker->index; /* fewer workers than that */
    wf_store_sc(&self->joins, (uint64_t)(uintptr_t)edges | WF_JOINS_GATHER);
    for (size_t i = 0; i < edges->count; i++) {
        if (joins_of(edges->tasks[i]) != 0) {
            return closes(self, edges);
        }
    }
    return false;
}

void wf_cycle_leave(weft_task *self)
{
    bool gathers = (wf_load_rlx(&self->joins) & WF_JOINS_GATHER) != 0;
    if (!gathers) {
        wf_store_sc(&self->joins, UINT64_C(0));
        return;
    }
    wf_lock(&self->lock); /* waits for who reads the edges */
    wf_store_sc(&self->joins, UINT64_C(0));
    wf_unlock(&self->lock);
}

// SPDX-License-Identifier: MIT
/* cycle.c - following who waits for whom.
 *
 * A chain of joins is followed in a loop. Where it meets a task that gathers, that task goes on a list, and
 * is looked into when its turn comes, under its lock: so a search that meets no gather, which is nearly
 * every one, needs no memory. Waits may change while they are followed, so a cycle must be found twice.
 */
#include "await/cycle.h"

#include <stdlib.h>

#include "base/list.h"

#define GATHERS ((uintptr_t)1) /* in task->joins: the rest is a struct wf_edges */

enum { CHAIN_MAX = 1000000, FORKS_MAX = 4096 };

struct search {
    const weft_task *self;
    weft_task **forks; /* tasks that gather; each once */
    size_t count;
    size_t cap;
};

/* A fork that can't be listed is not followed: a cycle through it is then found by nobody. */
static void add_fork(struct search *search, weft_task *task)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->forks[i] == task) {
            return;
        }
    }
    if (search->count == search->cap) {
        size_t cap = search->cap != 0 ? 2 * search->cap : 16;
        weft_task **forks = cap <= FORKS_MAX ? realloc(search->forks, cap * sizeof(void *)) : NULL;
        if (forks == NULL) {
            return;
        }
        search->forks = forks;
        search->cap = cap;
    }
    search->forks[search->count++] = task;
}

/* True when the chain of joins that begins at `task` comes to self. */
static bool follow(struct search *search, weft_task *task)
{
    for (int hops = 0; task != NULL && hops < CHAIN_MAX; hops++) {
        if (task == search->self) {
            return true;
        }
        uintptr_t joins = wf_load_sc(&task->joins);
        if ((joins & GATHERS) != 0) {
            add_fork(search, task);
            return false;
        }
        task = (weft_task *)joins;
    }
    return false;
}

static bool follow_all(struct search *search, const struct wf_edges *edges)
{
    for (size_t i = 0; i < edges->count; i++) {
        if (follow(search, edges->tasks[i])) {
            return true;
        }
    }
    return false;
}

/* Looks into one that gathers: its edges stay there while its lock is held (wf_cycle_leave). */
static bool follow_fork(struct search *search, weft_task *task)
{
    wf_lock(&task->lock);
    uintptr_t joins = wf_load_sc(&task->joins);
    bool found =
        (joins & GATHERS) != 0 && follow_all(search, (const struct wf_edges *)(joins & ~GATHERS));
    wf_unlock(&task->lock);
    return found;
}

static bool leads_back(const weft_task *self, const struct wf_edges *edges)
{
    struct search search = {.self = self};
    bool found = follow_all(&search, edges);
    for (size_t i = 0; i < search.count && !found; i++) {
        found = follow_fork(&search, search.forks[i]);
    }
    free(search.forks);
    return found;
}

static bool closes(weft_task *self, const struct wf_edges *edges)
{
    if (!leads_back(self, edges) || !leads_back(self, edges)) {
        return false;
    }
    wf_cycle_leave(self);
    return true;
}

bool wf_cycle_join(weft_task *self, weft_task *task)
{
    const struct wf_edges edges = {&task, 1};
    wf_store_sc(&self->joins, (uintptr_t)task);
    return closes(self, &edges);
}

bool wf_cycle_gather(weft_task *self, const struct wf_edges *edges)
{
    wf_store_sc(&self->joins, (uintptr_t)edges | GATHERS);
    return closes(self, edges);
}

void wf_cycle_leave(weft_task *self)
{
    bool gathers = (wf_load_rlx(&self->joins) & GATHERS) != 0;
    if (!gathers) {
        wf_store_sc(&self->joins, (uintptr_t)0);
        return;
    }
    wf_lock(&self->lock); /* waits for who reads the edges */
    wf_store_sc(&self->joins, (uintptr_t)0);
    wf_unlock(&self->lock);
}

// SPDX-License-Identifier: MIT
/* slab.h - where task records live, and their reference counts. The slab is the registry.
 *
 * What: slots in aligned slabs that are never unmapped while the runtime lives, so a stale pointer to
 *       a slot can always be read and is told apart by its generation.
 * Why this way: spawn pays nothing for being listed: a snapshot walks the slabs. Rejected: lists of
 *       live tasks (two more writes and a lock for every spawn and finish).
 * Threads: a wf_task_cache belongs to one worker; the depot has a lock; plain threads use the depot.
 */
#ifndef WF_TASK_SLAB_H
#define WF_TASK_SLAB_H

#include "base/bias.h"
#include "base/hint.h"
#include "task/task.h"

enum { WF_TASK_BATCH = 128 };

struct wf_task_slab {
    struct wf_registry *registry; /* set once */
    struct wf_task_slab *older;   /* set once */
    uint32_t committed; /* bytes that have pages, or are left to page faults: under the lock */
    wf_au32 carved;     /* slots ever handed out: under the depot's lock, read by walks */
};

_Static_assert(sizeof(struct wf_task_slab) <= WF_LINE_BYTES, "the room of a record's first line");

struct wf_registry {
    /* Newest slab: stored (release) under lock, walks load (acquire). */
    _Atomic(struct wf_task_slab *) slabs;
    struct wf_lock lock;
    weft_task *batches; /* under lock: free slots, in chains of WF_TASK_BATCH linked by `arg` */
    weft_task *loose;   /* under lock: single free slots, from plain threads */
    char *span;         /* under lock: address space for the slabs to come */
    size_t span_bytes;
    wf_au64 next_ids; /* blocks of ids: any worker adds */

    /* Set once: tells the diagnostics hook. Any thread, no locks held that a hook could want. */
    void (*report)(struct wf_registry *registry, weft_diagnostic_kind kind, weft_task *task,
                   int error);
    /* Set once. Simulation with seed 0: callbacks, owners and waits for several tasks hear of a task's
     * end in a turn of their own, as in an event loop. */
    bool has_turns;
    /* Counters of plain threads; workers have their own. */
    wf_au64 outside_spawned;

    /* Its workers, who own the tasks at whose home they are: they start them, and give up their last references, without
     * locked operations (await/inside.h). Guests are those who take such tasks away (sched/steal.c), change their words
     * (wf_task_visit), take a reference without having one, or look whether a task runs another one inside. */
    struct wf_bias bias;
    /* Both set once. The owner at whose home a task is, NULL if that is the caller; is the caller the only worker? */
    struct wf_bias_owner *(*others_home)(struct wf_registry *registry, const weft_task *task);
    bool (*is_alone)(const struct wf_registry *registry);
};

/* One worker's free slots and ids. */
struct wf_task_cache {
    struct wf_registry *registry;
    weft_task *hot;
    uint32_t hot_count;
    weft_task *cold; /* NULL or a full batch */
    uint64_t next_id;
    uint64_t last_id;

    struct wf_bias_owner owner;
};

#define WF_OWNER_ONE UINT64_C(1)
#define WF_OWNERS_MASK UINT64_C(0xfffff)
#define WF_HOLD_ONE (UINT64_C(1) << 20)
#define WF_HOLDS_MASK (UINT64_C(0xfff) << 20)
#define WF_REFS_GENERATION(refs) ((uint32_t)((refs) >> 32))

void wf_registry_init(struct wf_registry *registry);
void wf_registry_destroy(struct wf_registry *registry);
void wf_task_cache_init(struct wf_task_cache *cache, struct wf_registry *registry);

/* Before a reference is taken by somebody who has none, or a look at what a task runs inside: true, all workers make locked
 * operations until wf_bias_leave; false: nobody else is about, or they always do. */
static inline bool wf_registry_visit(struct wf_registry *registry)
{
    return wf_load_acq(&registry->bias.is_possible) != 0 && !registry->is_alone(registry) &&
           wf_bias_visit(&registry->bias);
}

/* Before the word of a task that is at home changes: true, its home leaves it alone until wf_bias_leave; false, it does
 * so anyway. The caller has a reference, or knows that it is there. */
bool wf_task_visit_home(weft_task *task);

/* The same for any task. */
static inline bool wf_task_visit(weft_task *task)
{
    return WF_UNLIKELY(wf_word_is_at_home(wf_load_acq(&task->word))) && wf_task_visit_home(task);
}

void wf_task_leave_slowly(weft_task *task);

/* `is_guest`: what the visit said. */
static inline void wf_task_leave(weft_task *task, bool is_guest)
{
    if (WF_UNLIKELY(is_guest)) {
        wf_task_leave_slowly(task);
    }
}

/* Slot and the low bits of the id in one word: names a task without keeping it. 0 names none. */
static inline uint64_t wf_token_of(const weft_task *task, uint64_t id)
{
    /* Not or'ed: compilers then add this and a bit in one. */
    return (id << 48) + (uint64_t)(uintptr_t)task;
}

/* A free slot with identity, NULL when there is no memory. Its other fields are the spawner's to
 * set; `cache` NULL for plain threads. owners and holds are both 1. */
weft_task *wf_task_alloc(struct wf_registry *registry, struct wf_task_cache *cache);

/* The same when the cache has all that it takes, with its token; NULL: ask wf_task_alloc. */
static inline weft_task *wf_task_alloc_quickly(struct wf_task_cache *cache, uint64_t *token)
{
    weft_task *task = cache->hot;
    if (WF_UNLIKELY(task == NULL) || WF_UNLIKELY(cache->next_id == cache->last_id)) {
        return NULL;
    }
    cache->hot = task->next;
    cache->hot_count--;
    uint64_t id = cache->next_id++;
    wf_store_rlx(&task->id, id);
    /* release: who sees the new generation sees the new id */
    wf_store_rel(&task->refs, (id << 32) | WF_HOLD_ONE | WF_OWNER_ONE);
    *token = wf_token_of(task, id);
    return task;
}

/* Is this the address of one of its slots? Reads only the registry's own memory. */
bool wf_registry_has(struct wf_registry *registry, const weft_task *task);

/* Gives back a slot that nobody refers to. */
void wf_task_free(struct wf_registry *registry, struct wf_task_cache *cache, weft_task *task);

/* Is the hot batch full, so that no slot can be added? */
static inline bool wf_task_cache_is_full(const struct wf_task_cache *cache)
{
    return WF_UNLIKELY(cache->hot_count == WF_TASK_BATCH);
}

/* Then it goes to the cold place, what lies there to the depot. */
void wf_task_cache_make_room(struct wf_task_cache *cache);

/* The same for a cache with room, and a task that ended with `word` and nobody was told (await/inside.c). */
static inline void wf_task_free_quickly(struct wf_task_cache *cache, weft_task *task, uint64_t word)
{
    wf_store_rel(&task->word, wf_word_freed(word));
    task->next = cache->hot;
    cache->hot = task;
    cache->hot_count++;
}

/* Calls visit(task, arg) for every slot that was ever used; the callee checks that it is alive. */
void wf_registry_walk(struct wf_registry *registry, void (*visit)(weft_task *, void *), void *arg);

/* Tasks of one kind at one moment, in the order of their ids, each with a hold. */
struct wf_roll {
    weft_task **tasks;
    size_t count;
    size_t cap;
    bool (*belongs)(weft_task *task);
    bool is_partial; /* there was no memory for all */
};

/* Calls the roll. The caller gives up the holds and frees `tasks`. */
void wf_registry_roll(struct wf_registry *registry, bool (*belongs)(weft_task *task),
                      struct wf_roll *roll);

/* One more owner, by somebody who is one. */
static inline void wf_task_own(weft_task *task)
{
    uint64_t before = wf_solo_add64(&task->refs, WF_OWNER_ONE);
    WF_CHECK((before & WF_OWNERS_MASK) != 0 && (before & WF_OWNERS_MASK) != WF_OWNERS_MASK,
             "a handle of task #%llu was used after its last drop",
             (unsigned long long)wf_task_id(task));
}

/* One more hold, by somebody who has a reference or whose task it is; false if nobody refers to it. */
static inline bool wf_task_hold(weft_task *task)
{
    uint64_t seen = wf_load_acq(&task->refs);
    do {
        if ((seen & (WF_OWNERS_MASK | WF_HOLDS_MASK)) == 0) {
            return false;
        }
    } while (!wf_solo_cas64(&task->refs, &seen, seen + WF_HOLD_ONE));
    return true;
}

/* A hold by somebody who has met the slot by chance; false if nobody refers to it. */
static inline bool wf_task_try_hold(weft_task *task)
{
    struct wf_registry *registry = wf_task_registry(task);
    bool is_guest = wf_registry_visit(registry);
    bool is_held = wf_task_hold(task);
    wf_bias_leave(&registry->bias, is_guest);
    return is_held;
}

static inline uint64_t wf_task_token(const weft_task *task)
{
    return wf_token_of(task, wf_task_id(task));
}

/* Owners fall by one / holds fall by one. Returns what is left of both. */
static inline uint64_t wf_task_disown(weft_task *task)
{
    uint64_t before = wf_solo_add64(&task->refs, (uint64_t)0 - WF_OWNER_ONE);
    WF_CHECK((before & WF_OWNERS_MASK) != 0, "a handle of task #%llu was dropped twice",
             (unsigned long long)wf_task_id(task));
    return (before - WF_OWNER_ONE) & (WF_OWNERS_MASK | WF_HOLDS_MASK);
}

static inline uint64_t wf_task_unhold(weft_task *task)
{
    return (wf_solo_add64(&task->refs, (uint64_t)0 - WF_HOLD_ONE) - WF_HOLD_ONE) &
           (WF_OWNERS_MASK | WF_HOLDS_MASK);
}

/* The run's hold, and `owners`: 0, or WF_OWNER_ONE for the runtime's handle. Returns what is left of both. */
static inline uint64_t wf_task_unhold_and(weft_task *task, uint64_t owners)
{
    uint64_t mine = WF_HOLD_ONE + owners;
    uint64_t before = wf_solo_add64(&task->refs, (uint64_t)0 - mine);
    WF_CHECK((before & WF_OWNERS_MASK) >= owners, "a handle of task #%llu was dropped twice",
             (unsigned long long)wf_task_id(task));
    return (before - mine) & (WF_OWNERS_MASK | WF_HOLDS_MASK);
}

/* One more owner by somebody who knows slot and generation; false when it is too late. Who has no reference is a guest
 * meanwhile. */
static inline bool wf_task_upgrade(weft_task *task, uint32_t generation)
{
    uint64_t seen = wf_load_acq(&task->refs);
    while (WF_REFS_GENERATION(seen) == generation && (seen & WF_OWNERS_MASK) != 0) {
        if (wf_solo_cas64(&task->refs, &seen, seen + WF_OWNER_ONE)) {
            return true;
        }
    }
    return false;
}

#endif

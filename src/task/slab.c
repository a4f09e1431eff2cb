// SPDX-License-Identifier: MIT
/* slab.c - slots of task records: worker caches in front of one depot.
 *
 * What: a worker keeps up to two batches of free slots and trades whole batches with the depot, so
 *       the depot's lock is taken once in WF_TASK_BATCH spawns at most. New slots get the pages of their first lines in
 *       pieces of 64 KiB, the first ones in smaller pieces: a program with a few tasks stays small.
 */
#include "task/slab.h"

#include <stdlib.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/advise.h"
#include "base/clock.h"
#include "base/fence.h"
#include "fiber/tools.h"
#include "task/end.h"

#if WF_ASAN
#include <sanitizer/lsan_interface.h>
#endif

enum {
    ID_BLOCK = 1024,
    FIRST_LINES_END = (WF_SLAB_LINES + 4095) & ~4095, /* a page's end */
    FIRST_BYTES = 4 << 10,                            /* the first slab begins with so much */
    PIECE_BYTES = 64 << 10,         /* and takes pages in pieces that double up to this */
    SPAN_BYTES = 8 * WF_SLAB_BYTES, /* 4 MiB: after mlockall all of it is resident at once */
    NEW_SLOTS = 32                  /* that a worker takes together */
};

static weft_task *slot_at(struct wf_task_slab *slab, uint32_t index)
{
    return wf_task_beside((weft_task *)(void *)slab, (intptr_t)index + 1); /* behind the header */
}

struct wf_registry *wf_task_registry(const weft_task *task)
{
    uintptr_t slab = (uintptr_t)task & ~(uintptr_t)(WF_SLAB_BYTES - 1);
    return ((struct wf_task_slab *)slab)->registry;
}

size_t wf_task_describe(const weft_task *task, char *text, size_t size)
{
    const char *name = wf_task_name(task);
    const char *site = task->site != NULL ? task->site : "?";
    int n = name[0] != '\0' ? snprintf(text, size, "task \"%s\" (#%llu), spawned at %s", name,
                                       (unsigned long long)wf_task_id(task), site)
                            : snprintf(text, size, "task #%llu, spawned at %s",
                                       (unsigned long long)wf_task_id(task), site);
    return n < 0 ? 0 : (size_t)n;
}

/* What only a record refers to is no leak: the checker does not look into mappings by itself. */
static void show_to_leak_checker(struct wf_task_slab *slab, bool is_there)
{
#if WF_ASAN
    if (is_there) {
        __lsan_register_root_region(slab, WF_SLAB_BYTES);
    } else {
        __lsan_unregister_root_region(slab, WF_SLAB_BYTES);
    }
#else
    (void)slab;
    (void)is_there;
#endif
}

void wf_registry_init(struct wf_registry *registry)
{
    memset(registry, 0, sizeof *registry);
    wf_store_rlx(&registry->next_ids, 1);
}

void wf_registry_destroy(struct wf_registry *registry)
{
    struct wf_task_slab *slab = wf_load_acq(&registry->slabs);
    while (slab != NULL) {
        struct wf_task_slab *older = slab->older;
        show_to_leak_checker(slab, false);
        (void)munmap(slab, WF_SLAB_BYTES);
        slab = older;
    }
    wf_store_rel(&registry->slabs, NULL);
    if (registry->span_bytes > 0) {
        (void)munmap(registry->span, registry->span_bytes);
        registry->span_bytes = 0;
    }
}

void wf_task_cache_init(struct wf_task_cache *cache, struct wf_registry *registry)
{
    memset(cache, 0, sizeof *cache);
    cache->registry = registry;
    wf_bias_add(&registry->bias, &cache->owner);
}

/* ---- guests ---- */

__attribute__((noinline)) bool wf_task_visit_home(weft_task *task)
{
    struct wf_registry *registry = wf_task_registry(task);
    if (wf_load_acq(&registry->bias.is_possible) == 0) {
        return false;
    }
    struct wf_bias_owner *home = registry->others_home(registry, task);
    return home != NULL && wf_bias_visit_one(&registry->bias, home);
}

__attribute__((noinline)) void wf_task_leave_slowly(weft_task *task)
{
    wf_bias_leave(&wf_task_registry(task)->bias, true);
}

/* ---- slots ---- */

/* Address space for slabs, aligned to their size so that a slot finds its registry; under the lock. False: there
 * is none. */
static bool map_span(struct wf_registry *registry, size_t bytes)
{
    size_t all = bytes + WF_SLAB_BYTES;
    char *raw = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) {
        return false;
    }
    uintptr_t start = ((uintptr_t)raw + WF_SLAB_BYTES - 1) & ~(uintptr_t)(WF_SLAB_BYTES - 1);
    size_t before = start - (uintptr_t)raw;
    if (before > 0) {
        (void)munmap(raw, before);
    }
    (void)munmap((char *)start + bytes, WF_SLAB_BYTES - before);
    (void)madvise((char *)start, bytes, MADV_NOHUGEPAGE); /* few tasks stay small */
    registry->span = (char *)start;
    registry->span_bytes = bytes;
    return true;
}

/* A new slab, under the lock. The very first begins with the page of its header, the others with a whole piece. */
static struct wf_task_slab *add_slab(struct wf_registry *registry)
{
    if (registry->span_bytes == 0 && !map_span(registry, SPAN_BYTES) &&
        !map_span(registry, WF_SLAB_BYTES)) {
        return NULL;
    }
    struct wf_task_slab *slab = (struct wf_task_slab *)(void *)registry->span;
    struct wf_task_slab *older = wf_load_rlx(&registry->slabs);
    registry->span += WF_SLAB_BYTES;
    registry->span_bytes -= WF_SLAB_BYTES;
    show_to_leak_checker(slab, true);
    if (older != NULL) {
        (void)madvise(slab, PIECE_BYTES, MADV_POPULATE_WRITE);
    }
    slab->registry = registry;
    slab->older = older;
    slab->committed = older != NULL ? PIECE_BYTES : FIRST_BYTES;
    wf_store_rel(&registry->slabs, slab);
    return slab;
}

/* Pages for the slots below `count`, by few system calls: 16 together cost half of what their faults do, and these
 * are most of what a new slot costs. As many as there are already, so that few tasks stay small. Where the
 * kernel refuses they come one by one. */
static void commit(struct wf_task_slab *slab, uint32_t count)
{
    uint32_t end = (count + 1) * WF_LINE_BYTES;
    while (end > slab->committed) {
        uint32_t piece = slab->committed < PIECE_BYTES ? slab->committed : PIECE_BYTES;
        uint32_t left = FIRST_LINES_END - slab->committed;
        piece = piece < left ? piece : left;
        (void)madvise((char *)slab + slab->committed, piece, MADV_POPULATE_WRITE);
        slab->committed += piece;
    }
}

/* Takes up to `wanted` slots that were never used, in a chain; under the lock. Returns how many: 0, there is no
 * memory. */
static uint32_t carve(struct wf_registry *registry, uint32_t wanted, weft_task **chain)
{
    struct wf_task_slab *slab = wf_load_rlx(&registry->slabs);
    if (slab == NULL || wf_load_rlx(&slab->carved) == WF_SLAB_SLOTS) {
        slab = add_slab(registry);
        if (slab == NULL) {
            return 0;
        }
    }
    uint32_t first = wf_load_rlx(&slab->carved);
    uint32_t left = WF_SLAB_SLOTS - first;
    uint32_t count = wanted < left ? wanted : left;
    commit(slab, first + count);
    weft_task *task = slot_at(slab, first);
    *chain = task;
    for (uint32_t i = 1; i < count; i++) {
        task->next = wf_task_beside(task, 1); /* that of the last is NULL already */
        task = task->next;
    }
    /* release: a walk that sees the count sees a slab with its registry set */
    wf_store_rel(&slab->carved, first + count);
    return count;
}

static weft_task *alloc_outside(struct wf_registry *registry)
{
    wf_lock(&registry->lock);
    weft_task *task = registry->loose;
    if (task != NULL) {
        registry->loose = task->next;
    } else {
        (void)carve(registry, 1, &task);
    }
    wf_unlock(&registry->lock);
    return task;
}

/* Fills an empty cache from the depot: a batch of used slots, or some that never were. */
static void refill(struct wf_task_cache *cache)
{
    struct wf_registry *registry = cache->registry;
    wf_lock(&registry->lock);
    if (registry->batches != NULL) {
        cache->hot = registry->batches;
        cache->hot_count = WF_TASK_BATCH;
        registry->batches = cache->hot->arg;
    } else {
        cache->hot_count = carve(registry, NEW_SLOTS, &cache->hot);
    }
    wf_unlock(&registry->lock);
}

static uint64_t next_id(struct wf_registry *registry, struct wf_task_cache *cache)
{
    if (cache == NULL) {
        return wf_add_rlx(&registry->next_ids, 1);
    }
    if (cache->next_id == cache->last_id) {
        cache->next_id = wf_add_rlx(&registry->next_ids, ID_BLOCK);
        cache->last_id = cache->next_id + ID_BLOCK;
    }
    return cache->next_id++;
}

weft_task *wf_task_alloc(struct wf_registry *registry, struct wf_task_cache *cache)
{
    weft_task *task;
    if (cache == NULL) {
        task = alloc_outside(registry);
    } else {
        if (cache->hot == NULL) {
            if (cache->cold != NULL) {
                cache->hot = cache->cold;
                cache->hot_count = WF_TASK_BATCH;
                cache->cold = NULL;
            } else {
                refill(cache);
            }
        }
        task = cache->hot;
        if (task != NULL) {
            cache->hot = task->next;
            cache->hot_count--;
        }
    }
    if (task == NULL) {
        return NULL;
    }
    uint64_t id = next_id(registry, cache);
    wf_store_rlx(&task->id, id);
    /* release: who sees the new generation sees the new id */
    wf_store_rel(&task->refs, ((id & 0xffffffffU) << 32) | WF_HOLD_ONE | WF_OWNER_ONE);
    return task;
}

static __attribute__((noinline)) void free_outside(struct wf_registry *registry, weft_task *task,
                                                   uint64_t word)
{
    wf_store_rel(&task->word, wf_word_freed(word));
    wf_lock(&registry->lock);
    task->next = registry->loose;
    registry->loose = task;
    wf_unlock(&registry->lock);
}

__attribute__((noinline)) void wf_task_cache_make_room(struct wf_task_cache *cache)
{
    struct wf_registry *registry = cache->registry;
    if (cache->cold != NULL) {
        wf_lock(&registry->lock);
        cache->cold->arg = registry->batches;
        registry->batches = cache->cold;
        wf_unlock(&registry->lock);
    }
    cache->cold = cache->hot;
    cache->hot = NULL;
    cache->hot_count = 0;
}

void wf_task_free(struct wf_registry *registry, struct wf_task_cache *cache, weft_task *task)
{
    WF_ASSERT(task->scope == NULL && wf_load_rlx(&task->wait) == NULL &&
              wf_task_side(task)->extra == NULL && wf_task_side(task)->errors == NULL &&
              task->context == NULL && wf_load_rlx(&task->joins) == 0);
    if ((wf_task_flags(task) & WF_TASK_MORE) != 0) {
        wf_task_side(task)->owner = NULL;
    }
    wf_task_unmark(task);
    uint64_t word = wf_load_rlx(&task->word); /* nobody else refers to the slot */
    if (WF_UNLIKELY(cache == NULL)) {
        free_outside(registry, task, word);
        return;
    }
    if (wf_task_cache_is_full(cache)) {
        wf_task_cache_make_room(cache);
    }
    wf_task_free_quickly(cache, task, word);
}

void wf_registry_walk(struct wf_registry *registry, void (*visit)(weft_task *, void *), void *arg)
{
    struct wf_task_slab *slab = wf_load_acq(&registry->slabs);
    for (; slab != NULL; slab = slab->older) {
        uint32_t carved = wf_load_acq(&slab->carved);
        for (uint32_t i = 0; i < carved; i++) {
            visit(slot_at(slab, i), arg);
        }
    }
}

bool wf_registry_has(struct wf_registry *registry, const weft_task *task)
{
    uintptr_t base = (uintptr_t)task & ~(uintptr_t)(WF_SLAB_BYTES - 1);
    const struct wf_task_slab *slab = wf_load_acq(&registry->slabs);
    while (slab != NULL && (uintptr_t)slab != base) {
        slab = slab->older;
    }
    return slab != NULL;
}

/* ---- rolls ---- */

static void call_roll(weft_task *task, void *arg)
{
    struct wf_roll *roll = arg;
    if (!roll->belongs(task)) {
        return;
    }
    if (roll->count == roll->cap) {
        size_t cap = roll->cap != 0 ? 2 * roll->cap : 64;
        weft_task **tasks = realloc(roll->tasks, cap * sizeof(weft_task *));
        if (tasks == NULL) {
            roll->is_partial = true;
            return;
        }
        roll->tasks = tasks;
        roll->cap = cap;
    }
    if (!wf_task_try_hold(task)) {
        return;
    }
    /* The slot may be another task's by now, perhaps one that is still being made. */
    if (roll->belongs(task)) {
        roll->tasks[roll->count++] = task;
    } else {
        wf_task_let_go(task, NULL);
    }
}

static int by_id(const void *a, const void *b)
{
    uint64_t left = wf_task_id(*(weft_task *const *)a);
    uint64_t right = wf_task_id(*(weft_task *const *)b);
    return left < right ? -1 : left > right;
}

void wf_registry_roll(struct wf_registry *registry, bool (*belongs)(weft_task *task),
                      struct wf_roll *roll)
{
    *roll = (struct wf_roll){.belongs = belongs};
    bool is_guest = wf_registry_visit(registry); /* once for all */
    wf_registry_walk(registry, call_roll, roll);
    wf_bias_leave(&registry->bias, is_guest);
    if (roll->count > 0) {
        qsort(roll->tasks, roll->count, sizeof(weft_task *), by_id);
    }
}

// SPDX-License-Identifier: MIT
/* stack.c - a worker's cache of stacks, and the runtime's set of depots.
 *
 * What: three places, each slower and larger than the one before: a worker's cache (no lock), the
 *       depot of the stack's class (one lock, in batches), the kernel (a slab of stacks at a time).
 *
 *           in use --give--> cache --half of it, the oldest--> depot --trim--> kernel
 *                 <--take--        <--half, dirty ones first---      <--map---
 */
#include "fiber/stack.h"

#include <string.h>

#include "base/hint.h"
#include "base/log.h"
#include "fiber/depot.h"
#include "fiber/guard.h"
#include "fiber/hooks.h"
#include "fiber/slab.h"

enum { FETCH_AHEAD = 3, FETCH_LINES = 8, LINE_BYTES = 64 };

/* ---- cache ---- */

/* The descriptor, and the first frames of whoever will use the stack: what comes from the depot is in no cache. */
static inline void fetch(const struct wf_fiber *f)
{
    wf_fetch_lines((const char *)f - (FETCH_LINES - 1) * LINE_BYTES, FETCH_LINES);
}

/* The newest of n. */
static inline struct wf_fiber *pop_used(struct wf_stack_shelf *shelf, uint32_t n)
{
    wf_store_rlx(&shelf->count, n - 1);
    if (n > FETCH_AHEAD && n - FETCH_AHEAD <= shelf->cold_count) {
        fetch(shelf->items[n - 1 - FETCH_AHEAD]);
    }
    shelf->cold_count = n - 1 < shelf->cold_count ? n - 1 : shelf->cold_count;
    return shelf->items[n - 1];
}

static struct wf_fiber *pop(struct wf_stack_shelf *shelf)
{
    uint32_t n = wf_load_rlx(&shelf->count);
    if (n > 0) {
        return pop_used(shelf, n);
    }
    if (shelf->fresh_bits == 0) {
        return NULL;
    }
    unsigned index = wf_bits_lowest(shelf->fresh_bits);
    shelf->fresh_bits &= shelf->fresh_bits - 1;
    wf_store_rlx(&shelf->fresh_count, wf_load_rlx(&shelf->fresh_count) - 1);
    return wf_slab_build(shelf->fresh_slab, index);
}

static struct wf_fiber *take_classed(struct wf_stack_cache *cache, unsigned class_index)
{
    struct wf_stack_shelf *shelf = &cache->shelves[class_index];
    struct wf_fiber *f = pop(shelf);
    if (__builtin_expect(f == NULL, 0) &&
        wf_depot_take(&cache->stacks->depots[class_index], shelf, cache->stacks->best_guard)) {
        f = pop(shelf);
    }
    return f;
}

static struct wf_fiber *take_own(struct wf_stacks *stacks, size_t promise_bytes)
{
    return wf_depot_take_own(&stacks->depots[WF_STACK_OWN], promise_bytes, stacks->best_guard);
}

static void give_to_depot(struct wf_stacks *stacks, unsigned class_index, struct wf_fiber **fibers,
                          unsigned count)
{
    bool has_excess = wf_depot_give(&stacks->depots[class_index], fibers, count);
    if (has_excess && wf_stacks_trim_ns(stacks) == WF_FOREVER) {
        wf_store_rlx(&stacks->trim_ns, INT64_C(0));
    }
}

static inline void put(struct wf_stack_shelf *shelf, uint32_t n, struct wf_fiber *f)
{
    shelf->items[n] = f;
    wf_store_rlx(&shelf->count, n + 1);
}

/* Of a full shelf the oldest half goes to the depot. */
static __attribute__((noinline)) void push_full(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    struct wf_stack_shelf *shelf = &cache->shelves[f->class_index];
    uint32_t oldest = wf_load_rlx(&shelf->count) / 2;
    uint32_t left = wf_load_rlx(&shelf->count) - oldest;
    give_to_depot(cache->stacks, f->class_index, shelf->items, oldest);
    shelf->cold_count = 0; /* enough of the others have been used since */
    memmove(shelf->items, shelf->items + oldest, left * sizeof *shelf->items);
    put(shelf, left, f);
}

static inline void push(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    struct wf_stack_shelf *shelf = &cache->shelves[f->class_index];
    uint32_t n = wf_load_rlx(&shelf->count);
    if (__builtin_expect(n == wf_stack_limits[f->class_index].cached, 0)) {
        push_full(cache, f);
    } else {
        put(shelf, n, f);
    }
}

/* NULL where its life can't begin. */
static inline struct wf_fiber *begin_life(struct wf_stack_cache *cache, struct wf_fiber *f,
                                          size_t promise_bytes)
{
    f->promise_bytes = promise_bytes;
    f->task = NULL;
    if (!wf_hook_begin_life(f)) {
        wf_fiber_give(cache, f);
        return NULL;
    }
    return f;
}

static __attribute__((noinline)) struct wf_fiber *take_otherwise(struct wf_stack_cache *cache,
                                                                 size_t promise_bytes)
{
    if (promise_bytes == 0) {
        promise_bytes = WF_STACK_DEFAULT;
    } else if (promise_bytes > WF_STACK_MAX) {
        return NULL;
    }
    unsigned class_index = promise_bytes <= WF_STACK_DEFAULT ? 0 : wf_slab_class(promise_bytes);
    struct wf_fiber *f = class_index == WF_STACK_OWN ? take_own(cache->stacks, promise_bytes)
                                                     : take_classed(cache, class_index);
    return f != NULL ? begin_life(cache, f, promise_bytes) : NULL;
}

/* Nearly always one of the smallest, which has been used and given back here. */
struct wf_fiber *wf_fiber_take(struct wf_stack_cache *cache, size_t promise_bytes)
{
    struct wf_stack_shelf *shelf = &cache->shelves[0];
    uint32_t n = wf_load_rlx(&shelf->count);
    bool is_smallest = promise_bytes - 1 < WF_STACK_DEFAULT; /* 0 is not: it wraps */
    return WF_LIKELY(is_smallest) && WF_LIKELY(n > 0)
               ? begin_life(cache, pop_used(shelf, n), promise_bytes)
               : take_otherwise(cache, promise_bytes);
}

static void check_canary(const struct wf_fiber *f)
{
    WF_CHECK(wf_guard_is_clean(f->lo - wf_guard_bytes()),
             "stack overflow: found when the stack was given back: a fiber overran all %zu KiB of "
             "its stack (stack_bytes %zu KiB): raise stack_bytes",
             (size_t)(f->hi - f->lo) >> 10, f->promise_bytes >> 10);
}

/* Its guard does not fault, it is not of the smallest class, or the shelf is full. */
static __attribute__((noinline)) void give_apart(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    if (f->guard == WF_GUARD_CANARY) {
        check_canary(f);
    }
    wf_hook_end_life(f);
    if (f->class_index == WF_STACK_OWN) {
        wf_depot_give_own(&cache->stacks->depots[WF_STACK_OWN], f->slab);
    } else {
        push(cache, f);
    }
}

void wf_fiber_give(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    WF_ASSERT(f->slab != NULL);
    struct wf_stack_shelf *smallest = &cache->shelves[0];
    uint32_t n = wf_load_rlx(&smallest->count);
    if (WF_UNLIKELY(f->guard == WF_GUARD_CANARY) || WF_UNLIKELY(f->class_index != 0) ||
        WF_UNLIKELY(n == wf_stack_limits[0].cached)) {
        give_apart(cache, f);
        return;
    }
    wf_hook_end_life(f);
    put(smallest, n, f);
}

/* ---- opening, closing, counting ---- */

void wf_stacks_init(struct wf_stacks *stacks)
{
    memset(stacks, 0, sizeof *stacks);
    stacks->best_guard = wf_guard_probe();
    wf_store_rlx(&stacks->trim_ns, WF_FOREVER);
    wf_list_init(&stacks->caches);
    for (unsigned i = 0; i <= WF_STACK_CLASSES; i++) {
        wf_depot_init(&stacks->depots[i], i);
    }
}

void wf_stacks_destroy(struct wf_stacks *stacks)
{
    WF_ASSERT(wf_list_is_empty(&stacks->caches));
    for (unsigned i = 0; i <= WF_STACK_CLASSES; i++) {
        wf_depot_destroy(&stacks->depots[i]);
    }
}

void wf_stack_cache_open(struct wf_stack_cache *cache, struct wf_stacks *stacks)
{
    memset(cache, 0, sizeof *cache);
    cache->stacks = stacks;
    wf_lock(&stacks->caches_lock);
    wf_list_push(&stacks->caches, &cache->link);
    wf_unlock(&stacks->caches_lock);
}

static void flush_shelf(struct wf_stacks *stacks, unsigned class_index,
                        struct wf_stack_shelf *shelf)
{
    give_to_depot(stacks, class_index, shelf->items, wf_load_rlx(&shelf->count));
    wf_store_rlx(&shelf->count, 0);
    shelf->cold_count = 0;
    if (shelf->fresh_bits != 0) {
        wf_depot_give_clean(&stacks->depots[class_index], shelf->fresh_slab, shelf->fresh_bits);
    }
    shelf->fresh_slab = NULL;
    shelf->fresh_bits = 0;
    wf_store_rlx(&shelf->fresh_count, 0);
}

void wf_stack_cache_flush(struct wf_stack_cache *cache)
{
    for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
        flush_shelf(cache->stacks, i, &cache->shelves[i]);
    }
}

void wf_stack_cache_close(struct wf_stack_cache *cache)
{
    wf_stack_cache_flush(cache);
    wf_lock(&cache->stacks->caches_lock);
    wf_list_remove(&cache->link);
    wf_unlock(&cache->stacks->caches_lock);
}

static void add_depot(struct wf_depot *depot, struct wf_stack_stats *out)
{
    wf_lock(&depot->lock);
    out->in_use += depot->out_count;
    out->dirty += depot->dirty_count;
    out->guarded_by_madvise += depot->guarded[WF_GUARD_MADVISE];
    out->guarded_by_mprotect += depot->guarded[WF_GUARD_MPROTECT];
    out->guarded_by_canary += depot->guarded[WF_GUARD_CANARY];
    out->decommitted += depot->decommitted;
    out->unmapped += depot->unmapped;
    wf_unlock(&depot->lock);
}

void wf_stacks_stats(struct wf_stacks *stacks, struct wf_stack_stats *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i <= WF_STACK_CLASSES; i++) {
        add_depot(&stacks->depots[i], out);
    }
    out->mapped = out->guarded_by_madvise + out->guarded_by_mprotect + out->guarded_by_canary;
    wf_lock(&stacks->caches_lock);
    for (struct wf_list *at = stacks->caches.next; at != &stacks->caches; at = at->next) {
        struct wf_stack_cache *cache = WF_CONTAINER(at, struct wf_stack_cache, link);
        for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
            out->cached += wf_load_rlx(&cache->shelves[i].count);
            out->cached += wf_load_rlx(&cache->shelves[i].fresh_count);
        }
    }
    wf_unlock(&stacks->caches_lock);
    out->in_use -= out->cached < out->in_use ? out->cached : out->in_use;
}

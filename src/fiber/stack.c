// SPDX-License-Identifier: MIT
/* stack.c - taking and giving stacks, and giving their memory back.
 *
 * What: three places, each slower and larger than the one before: a worker's cache (no lock), the
 *       depot of the stack's class (one lock, in batches), the kernel (a slab of stacks at a time).
 *
 *           taken --give--> cache --half of it, the oldest--> depot --trim--> kernel
 *                 <--take--       <--a batch, dirty first---        <--map---
 *
 * A free stack is dirty if it has pages. The depot keeps no more dirty stacks than are out, nor fewer
 * than a floor: what is resident is then at most twice what is used, a steady load never trims, and
 * after a burst only the floor remains. Beyond that it trims the slab that has most dirty
 * stacks, by one system call if all of it is free. Taking prefers the slab that has fewest, so slabs
 * fill up or run empty. A slab that is all free is unmapped instead if there are many clean stacks
 * already: their page tables cost half a kilobyte each.
 *
 * Why this way: no background thread, and no system call for each stack. Rejected: dropping pages when
 *       a stack is given back (1.5 us for each and a page fault for the next user), and fixed limits
 *       (a load that swings around one trims and faults for ever).
 * Threads: see stack.h. System calls are made without the lock: what they work on has been taken out
 *       of the free set before.
 */
#include "fiber/stack.h"

#include <string.h>

#include "base/log.h"
#include "fiber/guard.h"
#include "fiber/hooks.h"
#include "fiber/slab.h"

enum { ALL_FREE = WF_STACK_GRADES - 1 }; /* the last grade of dirty slabs */

/* Tuned for the first class; the others keep about as much address space. */
static const struct {
    uint16_t cached;     /* most that a worker keeps; half of it goes to and from the depot */
    uint16_t dirty_keep; /* dirty stacks that are never trimmed: 4 MiB, if one page each */
    uint16_t clean_keep; /* clean stacks beyond which slabs are unmapped: 2 MiB of page tables */
} limits[WF_STACK_CLASSES] = {
    {WF_STACK_CACHED, 1024, 4096},
    {16, 64, 256},
    {4, 16, 64},
    {2, 4, 16},
};

/* ---- depot: which list a slab is in ---- */

static struct wf_list *list_for(struct wf_depot *depot, const struct wf_slab *slab)
{
    if (slab->free_bits == 0) {
        return &depot->full;
    }
    if (slab->dirty_bits == 0) {
        return &depot->clean;
    }
    if (slab->free_bits == slab->all_bits) {
        return &depot->dirty[ALL_FREE];
    }
    return &depot->dirty[wf_bits_count(slab->dirty_bits) * ALL_FREE /
                         (wf_bits_count(slab->all_bits) + 1)];
}

/* Every change of a slab's sets goes through here: counts and lists follow. */
static void set_bits_locked(struct wf_depot *depot, struct wf_slab *slab, uint64_t free_bits,
                            uint64_t dirty_bits)
{
    depot->dirty_count -= wf_bits_count(slab->dirty_bits);
    depot->clean_count -= wf_bits_count(slab->free_bits & ~slab->dirty_bits);
    slab->free_bits = free_bits;
    slab->dirty_bits = dirty_bits;
    depot->dirty_count += wf_bits_count(dirty_bits);
    depot->clean_count += wf_bits_count(free_bits & ~dirty_bits);
    wf_list_remove(&slab->link);
    wf_list_push(list_for(depot, slab), &slab->link);
}

static struct wf_slab *first_of(struct wf_list *list)
{
    return wf_list_is_empty(list) ? NULL : WF_CONTAINER(list->next, struct wf_slab, link);
}

static void count_slab_locked(struct wf_depot *depot, const struct wf_slab *slab, bool is_added)
{
    for (int kind = WF_GUARD_MADVISE; kind <= WF_GUARD_CANARY; kind++) {
        uint64_t n = wf_bits_count(slab->guard_bits[kind]);
        depot->guarded[kind] = is_added ? depot->guarded[kind] + n : depot->guarded[kind] - n;
    }
}

/* Adds a slab that is new, or that the kernel refused to take back. */
static void add_slab_locked(struct wf_depot *depot, struct wf_slab *slab)
{
    uint64_t free_bits = slab->free_bits;
    uint64_t dirty_bits = slab->dirty_bits;
    slab->free_bits = 0;
    slab->dirty_bits = 0;
    count_slab_locked(depot, slab, true);
    set_bits_locked(depot, slab, free_bits, dirty_bits);
}

/* Takes an all free slab out of the depot, for unmapping; its own sets stay as they were. */
static void remove_slab_locked(struct wf_depot *depot, struct wf_slab *slab)
{
    depot->dirty_count -= wf_bits_count(slab->dirty_bits);
    depot->clean_count -= wf_bits_count(slab->free_bits & ~slab->dirty_bits);
    count_slab_locked(depot, slab, false);
    wf_list_remove(&slab->link);
}

/* ---- depot: memory goes back ---- */

static bool wants_trim_locked(const struct wf_depot *depot)
{
    uint64_t keep = limits[depot->class_index].dirty_keep;
    uint64_t most = depot->out_count > keep ? depot->out_count : keep;
    return depot->dirty_count > most && !depot->is_resident && !wf_hook_keeps_pages();
}

static bool wants_unmap_locked(const struct wf_depot *depot, const struct wf_slab *slab)
{
    return slab->free_bits == slab->all_bits && !wf_hook_keeps_pages() &&
           depot->clean_count > limits[depot->class_index].clean_keep;
}

/* Drops the pages of all free stacks of a slab. Nobody sees them as free meanwhile. */
static void drop_slab_locked(struct wf_depot *depot, struct wf_slab *slab)
{
    uint64_t bits = slab->free_bits;
    uint64_t dirty_bits = slab->dirty_bits;
    set_bits_locked(depot, slab, 0, 0);
    wf_unlock(&depot->lock);
    bool dropped = wf_slab_drop(slab, bits);
    wf_lock(&depot->lock);
    if (dropped) {
        depot->decommitted += wf_bits_count(dirty_bits);
        set_bits_locked(depot, slab, slab->free_bits | bits, slab->dirty_bits);
    } else {
        /* Some may have lost their descriptors, which is what a clean one lacks. */
        depot->is_resident = true;
        set_bits_locked(depot, slab, slab->free_bits | bits, slab->dirty_bits);
    }
}

static void unmap_slab_locked(struct wf_depot *depot, struct wf_slab *slab)
{
    unsigned count = wf_bits_count(slab->all_bits);
    unsigned dirty = wf_bits_count(slab->dirty_bits);
    remove_slab_locked(depot, slab);
    wf_unlock(&depot->lock);
    bool unmapped = wf_slab_unmap(slab);
    wf_lock(&depot->lock);
    if (unmapped) {
        depot->unmapped += count;
        depot->decommitted += dirty;
    } else {
        add_slab_locked(depot, slab);
        drop_slab_locked(depot, slab);
    }
}

static void trim_locked(struct wf_depot *depot)
{
    while (wants_trim_locked(depot)) {
        struct wf_slab *slab = NULL;
        for (int grade = ALL_FREE; slab == NULL; grade--) {
            slab = first_of(&depot->dirty[grade]);
        }
        if (wants_unmap_locked(depot, slab)) {
            unmap_slab_locked(depot, slab);
        } else {
            drop_slab_locked(depot, slab);
        }
    }
}

/* ---- depot: batches ---- */

/* Some free stacks of `slab` come home. */
static void put_back_locked(struct wf_depot *depot, struct wf_slab *slab, uint64_t bits,
                            uint64_t dirty_bits)
{
    depot->out_count -= wf_bits_count(bits);
    set_bits_locked(depot, slab, slab->free_bits | bits, slab->dirty_bits | dirty_bits);
    if (wants_unmap_locked(depot, slab)) {
        unmap_slab_locked(depot, slab);
    }
}

/* The descriptors are cold: read before the lock is held, not under it. */
static void put_back_batch(struct wf_depot *depot, struct wf_fiber **fibers, unsigned count)
{
    struct {
        struct wf_slab *slab;
        uint64_t bit;
    } homes[WF_STACK_CACHED];
    for (unsigned i = 0; i < count; i++) {
        homes[i].slab = fibers[i]->slab;
        homes[i].bit = (uint64_t)1 << fibers[i]->index;
    }
    wf_lock(&depot->lock);
    for (unsigned i = 0; i < count; i++) {
        put_back_locked(depot, homes[i].slab, homes[i].bit, homes[i].bit);
    }
    trim_locked(depot);
    wf_unlock(&depot->lock);
}

/* Clears the lowest `most` bits of a set and returns them. */
static uint64_t split_lowest(uint64_t *set, unsigned most)
{
    uint64_t taken = 0;
    for (; most > 0 && *set != 0; most--) {
        uint64_t bit = *set & -*set;
        taken |= bit;
        *set &= ~bit;
    }
    return taken;
}

/* Fills the shelf with dirty stacks, from the slabs that have fewest of them. */
static void take_dirty_locked(struct wf_depot *depot, struct wf_stack_shelf *shelf, unsigned most)
{
    unsigned n = wf_load_rlx(&shelf->count);
    for (unsigned grade = 0; grade < WF_STACK_GRADES && n < most;) {
        struct wf_slab *slab = first_of(&depot->dirty[grade]);
        if (slab == NULL) {
            grade++;
            continue;
        }
        uint64_t rest = slab->dirty_bits;
        uint64_t taken = split_lowest(&rest, most - n);
        set_bits_locked(depot, slab, slab->free_bits & ~taken, rest);
        depot->out_count += wf_bits_count(taken);
        for (; taken != 0; taken &= taken - 1) {
            shelf->items[n++] = wf_slab_fiber(slab, wf_bits_lowest(taken));
        }
    }
    wf_store_rlx(&shelf->count, n);
}

/* Reserves clean stacks of one slab; they are built one by one as they are taken, for building
 * costs a page. */
static bool take_clean_locked(struct wf_depot *depot, struct wf_stack_shelf *shelf, unsigned most)
{
    struct wf_slab *slab = first_of(&depot->clean);
    if (slab == NULL) {
        return false;
    }
    uint64_t rest = slab->free_bits;
    uint64_t taken = split_lowest(&rest, most);
    set_bits_locked(depot, slab, rest, 0);
    depot->out_count += wf_bits_count(taken);
    shelf->fresh_slab = slab;
    shelf->fresh_bits = taken;
    wf_store_rlx(&shelf->fresh_count, wf_bits_count(taken));
    return true;
}

/* Gets free stacks of this class into an empty shelf. False: no memory. */
__attribute__((noinline)) static bool refill(struct wf_stack_cache *cache, unsigned class_index)
{
    struct wf_depot *depot = &cache->stacks->depots[class_index];
    struct wf_stack_shelf *shelf = &cache->shelves[class_index];
    unsigned batch = limits[class_index].cached / 2;
    wf_lock(&depot->lock);
    take_dirty_locked(depot, shelf, batch);
    bool found = wf_load_rlx(&shelf->count) > 0 || take_clean_locked(depot, shelf, batch);
    wf_unlock(&depot->lock);
    if (found) {
        return true;
    }
    struct wf_slab *slab = wf_slab_map(class_index, 0, cache->stacks->best_guard);
    if (slab == NULL) {
        return false;
    }
    wf_lock(&depot->lock);
    add_slab_locked(depot, slab);
    found = take_clean_locked(depot, shelf, batch); /* the clean list is not empty now */
    wf_unlock(&depot->lock);
    return found;
}

/* ---- stacks with a mapping of their own ---- */

static struct wf_fiber *take_own(struct wf_stacks *stacks, size_t promise_bytes)
{
    struct wf_slab *slab = wf_slab_map(WF_STACK_OWN, promise_bytes, stacks->best_guard);
    if (slab == NULL) {
        return NULL;
    }
    struct wf_depot *depot = &stacks->depots[WF_STACK_OWN];
    slab->free_bits = 0;
    wf_lock(&depot->lock);
    add_slab_locked(depot, slab);
    depot->out_count++;
    wf_unlock(&depot->lock);
    return wf_slab_build(slab, 0);
}

static void give_own(struct wf_stacks *stacks, struct wf_slab *slab)
{
    struct wf_depot *depot = &stacks->depots[WF_STACK_OWN];
    wf_lock(&depot->lock);
    put_back_locked(depot, slab, slab->all_bits, slab->all_bits);
    unmap_slab_locked(depot, slab);
    wf_unlock(&depot->lock);
}

/* ---- cache ---- */

static struct wf_fiber *pop(struct wf_stack_shelf *shelf)
{
    uint32_t n = wf_load_rlx(&shelf->count);
    if (n > 0) {
        wf_store_rlx(&shelf->count, n - 1);
        return shelf->items[n - 1];
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
    if (__builtin_expect(f == NULL, 0) && refill(cache, class_index)) {
        f = pop(shelf);
    }
    return f;
}

static void push(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    struct wf_stack_shelf *shelf = &cache->shelves[f->class_index];
    unsigned most = limits[f->class_index].cached;
    uint32_t n = wf_load_rlx(&shelf->count);
    if (__builtin_expect(n == most, 0)) {
        unsigned oldest = most / 2;
        put_back_batch(&cache->stacks->depots[f->class_index], shelf->items, oldest);
        n -= oldest;
        memmove(shelf->items, shelf->items + oldest, n * sizeof *shelf->items);
    }
    shelf->items[n] = f;
    wf_store_rlx(&shelf->count, n + 1);
}

struct wf_fiber *wf_fiber_take(struct wf_stack_cache *cache, size_t promise_bytes)
{
    if (promise_bytes == 0) {
        promise_bytes = WF_STACK_DEFAULT;
    } else if (promise_bytes > WF_STACK_MAX) {
        return NULL;
    }
    unsigned class_index = wf_slab_class(promise_bytes);
    struct wf_fiber *f = class_index == WF_STACK_OWN ? take_own(cache->stacks, promise_bytes)
                                                     : take_classed(cache, class_index);
    if (f == NULL) {
        return NULL;
    }
    f->promise_bytes = promise_bytes;
    f->task = NULL;
    f->link = NULL;
    if (!wf_hook_begin_life(f)) {
        wf_fiber_give(cache, f);
        return NULL;
    }
    return f;
}

static void check_canary(const struct wf_fiber *f)
{
    WF_CHECK(wf_guard_is_clean(f->lo - wf_guard_bytes()),
             "stack overflow: found when the stack was given back: a fiber overran all %zu KiB of "
             "its stack (stack_bytes %zu KiB): raise stack_bytes",
             (size_t)(f->hi - f->lo) >> 10, f->promise_bytes >> 10);
}

void wf_fiber_give(struct wf_stack_cache *cache, struct wf_fiber *f)
{
    WF_ASSERT(f->slab != NULL);
    if (f->guard == WF_GUARD_CANARY) {
        check_canary(f);
    }
    wf_hook_end_life(f);
    if (f->class_index == WF_STACK_OWN) {
        give_own(cache->stacks, f->slab);
    } else {
        push(cache, f);
    }
}

/* ---- opening, closing, counting ---- */

void wf_stacks_init(struct wf_stacks *stacks)
{
    memset(stacks, 0, sizeof *stacks);
    stacks->best_guard = wf_guard_probe();
    wf_list_init(&stacks->caches);
    for (unsigned i = 0; i <= WF_STACK_CLASSES; i++) {
        struct wf_depot *depot = &stacks->depots[i];
        depot->class_index = (uint8_t)i;
        wf_list_init(&depot->full);
        wf_list_init(&depot->clean);
        for (unsigned grade = 0; grade < WF_STACK_GRADES; grade++) {
            wf_list_init(&depot->dirty[grade]);
        }
    }
}

static void unmap_all(struct wf_list *list)
{
    for (struct wf_slab *slab; (slab = first_of(list)) != NULL;) {
        wf_list_remove(&slab->link);
        (void)wf_slab_unmap(slab); /* what can't be unmapped is lost */
    }
}

void wf_stacks_destroy(struct wf_stacks *stacks)
{
    WF_ASSERT(wf_list_is_empty(&stacks->caches));
    for (unsigned i = 0; i <= WF_STACK_CLASSES; i++) {
        struct wf_depot *depot = &stacks->depots[i];
        unmap_all(&depot->full);
        unmap_all(&depot->clean);
        for (unsigned grade = 0; grade < WF_STACK_GRADES; grade++) {
            unmap_all(&depot->dirty[grade]);
        }
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

static void flush_shelf(struct wf_depot *depot, struct wf_stack_shelf *shelf)
{
    put_back_batch(depot, shelf->items, wf_load_rlx(&shelf->count));
    wf_store_rlx(&shelf->count, 0);
    if (shelf->fresh_bits != 0) {
        wf_lock(&depot->lock);
        put_back_locked(depot, shelf->fresh_slab, shelf->fresh_bits, 0);
        wf_unlock(&depot->lock);
    }
    shelf->fresh_slab = NULL;
    shelf->fresh_bits = 0;
    wf_store_rlx(&shelf->fresh_count, 0);
}

void wf_stack_cache_flush(struct wf_stack_cache *cache)
{
    for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
        flush_shelf(&cache->stacks->depots[i], &cache->shelves[i]);
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

// SPDX-License-Identifier: MIT
/* depot.c - the free stacks of one class that no worker has, and which of them give their memory back.
 *
 * What: a free stack is dirty if it has pages. Stacks come back dirty, and nothing more happens then.
 *       Now and then somebody looks (trim.c): as many as have been free all the time since the look
 *       before are surplus, but for a reserve, and after five looks but for a floor. Their pages go, a slab
 *       at a time. So a load that swings faster than the looks come never trims, one of moderate size
 *       may swing five times slower, and after a burst only the floor remains.
 *       A slab that is all free goes first, and is unmapped if there are many clean stacks already:
 *       their page tables cost half a kilobyte each. Taking prefers the slab that has fewest dirty
 *       stacks, so slabs fill up or run empty.
 * Why this way: giving pages back takes half a microsecond for each stack, ending a task a tenth of
 *       that, and the next burst needs them again at three times the price. Rejected: dropping pages
 *       when a stack is given back, and a bound on what is dirty (what exceeds it is paid for by the
 *       task that ends).
 * Threads: any. System calls are made without the lock: what they work on was taken out of the free
 *       sets before.
 */
#include "fiber/depot.h"

#include <string.h>

#include "fiber/hooks.h"

enum { ALL_FREE = WF_STACK_GRADES - 1 }; /* the last grade of dirty slabs */

enum { SLOW_LOOKS = 5 };

const struct wf_stack_limits wf_stack_limits[WF_STACK_CLASSES] = {
    {WF_STACK_CACHED, 512, 8192, 4096}, /* 2 and 32 MiB if one page each, 2 MiB of page tables */
    {16, 64, 512, 256},
    {4, 16, 128, 64},
    {2, 4, 32, 16},
};

/* ---- which list a slab is in ---- */

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

/* Dirty stacks beyond the floor. */
static uint64_t excess_locked(const struct wf_depot *depot, uint64_t dirty_count)
{
    uint64_t keep = wf_stack_limits[depot->class_index].dirty_keep;
    bool stays = depot->is_resident || wf_hook_keeps_pages();
    return dirty_count > keep && !stays ? dirty_count - keep : 0;
}

/* Dirty stacks were taken, or went. */
static void note_dirty_locked(struct wf_depot *depot)
{
    if (depot->dirty_count < depot->least_dirty) {
        depot->least_dirty = depot->dirty_count;
    }
    if (depot->surplus > 0) { /* what is no surplus any more is needed after all */
        uint64_t excess = excess_locked(depot, depot->dirty_count);
        depot->surplus = depot->surplus < excess ? depot->surplus : excess;
    }
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
    note_dirty_locked(depot);
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
    note_dirty_locked(depot);
    wf_list_remove(&slab->link);
}

/* ---- memory goes back ---- */

static bool wants_unmap_locked(const struct wf_depot *depot, const struct wf_slab *slab)
{
    uint64_t keep = wf_stack_limits[depot->class_index].clean_keep;
    return slab->free_bits == slab->all_bits && depot->clean_count > keep && !wf_hook_keeps_pages();
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
    } else {
        depot->is_resident = true;
    }
    /* Clean even if refused: some may have lost their descriptors, and clean ones get a new one. */
    set_bits_locked(depot, slab, slab->free_bits | bits, slab->dirty_bits);
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

/* How many have been free for too long. What was surplus, and nobody has come to trim, still is. */
static uint64_t surplus_locked(struct wf_depot *depot)
{
    uint64_t excess = excess_locked(depot, depot->least_dirty);
    uint64_t reserve = wf_stack_limits[depot->class_index].dirty_reserve;
    uint64_t surplus = depot->least_dirty > reserve ? depot->least_dirty - reserve : 0;
    surplus = depot->surplus > surplus ? depot->surplus : surplus;
    depot->least_excess = excess < depot->least_excess ? excess : depot->least_excess;
    if (++depot->looks % SLOW_LOOKS == 0) {
        surplus = depot->least_excess > surplus ? depot->least_excess : surplus;
        depot->least_excess = excess;
    }
    return surplus < excess ? surplus : excess;
}

bool wf_depot_look(struct wf_depot *depot)
{
    wf_lock(&depot->lock);
    depot->surplus = surplus_locked(depot);
    depot->least_dirty = depot->dirty_count;
    bool has_excess = excess_locked(depot, depot->dirty_count) > 0;
    wf_unlock(&depot->lock);
    return has_excess;
}

static void trim_slab_locked(struct wf_depot *depot)
{
    struct wf_slab *slab = NULL;
    for (int grade = ALL_FREE; slab == NULL; grade--) {
        slab = first_of(&depot->dirty[grade]);
    }
    uint64_t count = wf_bits_count(slab->dirty_bits);
    depot->surplus -= count < depot->surplus ? count : depot->surplus;
    if (wants_unmap_locked(depot, slab)) {
        unmap_slab_locked(depot, slab);
    } else {
        drop_slab_locked(depot, slab);
    }
}

bool wf_depot_trim(struct wf_depot *depot)
{
    wf_lock(&depot->lock);
    bool has_surplus = depot->surplus > 0 && excess_locked(depot, depot->dirty_count) > 0;
    if (has_surplus) {
        trim_slab_locked(depot);
    }
    wf_unlock(&depot->lock);
    return has_surplus;
}

/* ---- batches ---- */

/* Some free stacks of `slab` come home. */
static void put_back_locked(struct wf_depot *depot, struct wf_slab *slab, uint64_t bits,
                            uint64_t dirty_bits)
{
    depot->out_count -= wf_bits_count(bits);
    set_bits_locked(depot, slab, slab->free_bits | bits, slab->dirty_bits | dirty_bits);
}

bool wf_depot_give(struct wf_depot *depot, struct wf_fiber **fibers, unsigned count)
{
    struct {
        struct wf_slab *slab;
        uint64_t bits;
    } homes[WF_STACK_CACHED];
    unsigned n = 0;
    /* The descriptors are cold: read before the lock is held, not under it. Neighbours mostly end
     * together. */
    for (unsigned i = 0; i < count; i++) {
        if (n == 0 || homes[n - 1].slab != fibers[i]->slab) {
            homes[n].slab = fibers[i]->slab;
            homes[n++].bits = 0;
        }
        homes[n - 1].bits |= (uint64_t)1 << fibers[i]->index;
    }
    wf_lock(&depot->lock);
    for (unsigned i = 0; i < n; i++) {
        put_back_locked(depot, homes[i].slab, homes[i].bits, homes[i].bits);
    }
    bool has_excess = excess_locked(depot, depot->dirty_count) > 0;
    wf_unlock(&depot->lock);
    return has_excess;
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
    shelf->cold_count = n;
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

/* Whether so many are in use that those taken now, at once, are likely to be needed: few fibers stay small. */
static bool is_burst_locked(const struct wf_depot *depot, unsigned batch)
{
    return depot->out_count > (uint64_t)3 * batch;
}

static bool take_some(struct wf_depot *depot, struct wf_stack_shelf *shelf, struct wf_slab *added)
{
    unsigned batch = wf_stack_limits[depot->class_index].cached / 2;
    wf_lock(&depot->lock);
    if (added != NULL) {
        add_slab_locked(depot, added);
    } else {
        take_dirty_locked(depot, shelf, batch);
    }
    bool has_dirty = wf_load_rlx(&shelf->count) > 0;
    bool has_clean = !has_dirty && take_clean_locked(depot, shelf, batch);
    bool is_burst = has_clean && is_burst_locked(depot, batch);
    wf_unlock(&depot->lock);
    if (is_burst) {
        wf_slab_populate(shelf->fresh_slab, shelf->fresh_bits);
    }
    return has_dirty || has_clean;
}

bool wf_depot_take(struct wf_depot *depot, struct wf_stack_shelf *shelf, enum wf_guard best_guard)
{
    if (take_some(depot, shelf, NULL)) {
        return true;
    }
    struct wf_slab *slab = wf_slab_map(depot->class_index, 0, best_guard);
    return slab != NULL && take_some(depot, shelf, slab); /* the clean list is not empty now */
}

void wf_depot_give_clean(struct wf_depot *depot, struct wf_slab *slab, uint64_t bits)
{
    wf_lock(&depot->lock);
    put_back_locked(depot, slab, bits, 0);
    if (slab->dirty_bits == 0 && wants_unmap_locked(depot, slab)) {
        unmap_slab_locked(depot, slab);
    }
    wf_unlock(&depot->lock);
}

/* ---- stacks with a mapping of their own ---- */

struct wf_fiber *wf_depot_take_own(struct wf_depot *depot, size_t promise_bytes,
                                   enum wf_guard best_guard)
{
    struct wf_slab *slab = wf_slab_map(WF_STACK_OWN, promise_bytes, best_guard);
    if (slab == NULL) {
        return NULL;
    }
    slab->free_bits = 0;
    wf_lock(&depot->lock);
    add_slab_locked(depot, slab);
    depot->out_count++;
    wf_unlock(&depot->lock);
    return wf_slab_build(slab, 0);
}

void wf_depot_give_own(struct wf_depot *depot, struct wf_slab *slab)
{
    wf_lock(&depot->lock);
    depot->out_count--;
    set_bits_locked(depot, slab, slab->all_bits, slab->all_bits);
    unmap_slab_locked(depot, slab);
    wf_unlock(&depot->lock);
}

/* ---- lifecycle ---- */

void wf_depot_init(struct wf_depot *depot, unsigned class_index)
{
    memset(depot, 0, sizeof *depot);
    depot->class_index = (uint8_t)class_index;
    wf_list_init(&depot->full);
    wf_list_init(&depot->clean);
    for (unsigned grade = 0; grade < WF_STACK_GRADES; grade++) {
        wf_list_init(&depot->dirty[grade]);
    }
}

static void unmap_all(struct wf_list *list)
{
    for (struct wf_slab *slab; (slab = first_of(list)) != NULL;) {
        wf_list_remove(&slab->link);
        (void)wf_slab_unmap(slab); /* what can't be unmapped is lost */
    }
}

void wf_depot_destroy(struct wf_depot *depot)
{
    unmap_all(&depot->full);
    unmap_all(&depot->clean);
    for (unsigned grade = 0; grade < WF_STACK_GRADES; grade++) {
        unmap_all(&depot->dirty[grade]);
    }
}

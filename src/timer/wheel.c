// SPDX-License-Identifier: MIT
/* wheel.c - filing, cascading, firing.
 *
 * A timer's tick differs from the wheel's in some bits; the highest group of six that differs is its
 * level, the group's value its slot. So everything in a lower level comes before everything in a
 * higher one, and the next slot to look at is the first occupied one of the lowest occupied level.
 */
#include "timer/wheel.h"

#include "base/log.h"

enum { LEVEL_BITS = 6 };

/* One slot that is due: which, and the tick at which it begins. */
struct due_slot {
    int level;
    unsigned slot;
    uint64_t tick;
};

void wf_wheel_init(struct wf_wheel *wheel, int64_t now_ns, bool is_exact)
{
    wf_store_rlx(&wheel->lock.value, 0);
    wheel->is_exact = is_exact;
    wheel->tick = (uint64_t)now_ns >> WF_TICK_SHIFT;
    wheel->number = 0;
    wheel->pending = 0;
    wf_store_rlx(&wheel->next_ns, WF_FOREVER);
    for (int level = 0; level < WF_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < WF_WHEEL_SLOTS; slot++) {
            wf_list_init(&wheel->slots[level][slot]);
        }
    }
}

/* The tick whose beginning is the first moment at which `deadline_ns` may fire; an exact wheel files
 * by the tick that contains the deadline. */
static uint64_t tick_of(const struct wf_wheel *wheel, int64_t deadline_ns)
{
    if (deadline_ns <= 0) {
        return 0;
    }
    uint64_t up = wheel->is_exact ? 0 : (UINT64_C(1) << WF_TICK_SHIFT) - 1;
    return ((uint64_t)deadline_ns + up) >> WF_TICK_SHIFT;
}

static void file_timer(struct wf_wheel *wheel, struct wf_timer *timer)
{
    uint64_t tick = tick_of(wheel, timer->deadline_ns);
    if (tick < wheel->tick) {
        tick = wheel->tick;
    }
    uint64_t differs = tick ^ wheel->tick;
    int level = differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / LEVEL_BITS;
    unsigned slot = (unsigned)(tick >> (level * LEVEL_BITS)) & (WF_WHEEL_SLOTS - 1);
    if (level >= WF_WHEEL_LEVELS) {
        /* Beyond the wheel: into the slot that comes round last, to be filed again from there. */
        level = WF_WHEEL_LEVELS - 1;
        slot = (unsigned)((wheel->tick >> (level * LEVEL_BITS)) - 1) & (WF_WHEEL_SLOTS - 1);
    }
    wf_list_push(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

/* The first occupied slot, false when there is none. */
static bool first_slot(const struct wf_wheel *wheel, struct due_slot *out)
{
    for (int level = 0; level < WF_WHEEL_LEVELS; level++) {
        uint64_t bits = wheel->occupied[level];
        if (bits == 0) {
            continue;
        }
        int shift = level * LEVEL_BITS;
        unsigned now = (unsigned)(wheel->tick >> shift) & (WF_WHEEL_SLOTS - 1);
        uint64_t turned = now == 0 ? bits : (bits >> now) | (bits << (WF_WHEEL_SLOTS - now));
        unsigned ahead = (unsigned)__builtin_ctzll(turned);
        out->level = level;
        out->slot = (now + ahead) & (WF_WHEEL_SLOTS - 1);
        out->tick = ((wheel->tick >> shift) + ahead) << shift;
        if (out->tick < wheel->tick) {
            out->tick = wheel->tick;
        }
        return true;
    }
    return false;
}

static int64_t earliest_in(struct wf_list *slot)
{
    int64_t earliest = WF_FOREVER;
    for (struct wf_list *l = slot->next; l != slot; l = l->next) {
        struct wf_timer *timer = WF_CONTAINER(l, struct wf_timer, link);
        earliest = timer->deadline_ns < earliest ? timer->deadline_ns : earliest;
    }
    return earliest;
}

static void publish_next(struct wf_wheel *wheel)
{
    struct due_slot first;
    int64_t next = WF_FOREVER;
    if (first_slot(wheel, &first)) {
        next = wheel->is_exact ? earliest_in(&wheel->slots[first.level][first.slot])
                               : (int64_t)(first.tick << WF_TICK_SHIFT);
    }
    wf_store_rel(&wheel->next_ns, next);
}

bool wf_wheel_arm(struct wf_wheel *wheel, struct wf_timer *timer, int64_t deadline_ns)
{
    wf_lock(&wheel->lock);
    timer->deadline_ns = deadline_ns;
    timer->number = wheel->number++;
    wheel->pending++;
    file_timer(wheel, timer);
    wf_store_rel(&timer->wheel, wheel);
    int64_t before = wf_load_rlx(&wheel->next_ns);
    bool is_earliest = deadline_ns < before;
    if (is_earliest) {
        publish_next(wheel);
    }
    wf_unlock(&wheel->lock);
    return is_earliest;
}

/* Takes an armed timer out; a slot's bit may stay set for an empty slot until it comes round. */
static void unfile(struct wf_wheel *wheel, struct wf_timer *timer)
{
    struct wf_list *slot = timer->link.next;
    wf_list_remove(&timer->link);
    wf_store_rel(&timer->wheel, NULL);
    wheel->pending--;
    struct wf_list *all = &wheel->slots[0][0];
    if (wf_list_is_empty(slot) && slot >= all &&
        slot < all + WF_WHEEL_LEVELS * WF_WHEEL_SLOTS) {
        long index = slot - all;
        wheel->occupied[index / WF_WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WF_WHEEL_SLOTS));
    }
}

bool wf_wheel_disarm(struct wf_wheel *last, struct wf_timer *timer)
{
    struct wf_wheel *wheel = last;
    while (wheel != NULL) {
        wf_lock(&wheel->lock);
        struct wf_wheel *armed_on = wf_load_rlx(&timer->wheel);
        if (armed_on == wheel || armed_on == NULL) {
            bool was_armed = armed_on != NULL;
            if (was_armed) {
                unfile(wheel, timer);
                if (wheel->pending == 0 || wheel->is_exact) {
                    publish_next(wheel);
                }
            }
            wf_unlock(&wheel->lock);
            return was_armed;
        }
        wf_unlock(&wheel->lock);
        wheel = armed_on; /* somebody moved it to another wheel */
    }
    return false;
}

/* Inserts by (deadline, number); due timers are few and nearly sorted. */
static void insert_sorted(struct wf_list *due, struct wf_timer *timer)
{
    struct wf_list *after = due->prev;
    while (after != due) {
        struct wf_timer *other = WF_CONTAINER(after, struct wf_timer, link);
        if (other->deadline_ns < timer->deadline_ns ||
            (other->deadline_ns == timer->deadline_ns && other->number < timer->number)) {
            break;
        }
        after = after->prev;
    }
    timer->link.prev = after;
    timer->link.next = after->next;
    after->next->prev = &timer->link;
    after->next = &timer->link;
}

/* Empties one slot: due timers go to `due`, the others are filed again. Returns false when nothing of
 * an exact wheel's current slot was due yet. */
static bool empty_slot(struct wf_wheel *wheel, const struct due_slot *at, int64_t now_ns,
                       struct wf_list *due)
{
    struct wf_list moved;
    wf_list_init(&moved);
    wf_list_splice(&moved, &wheel->slots[at->level][at->slot]);
    wheel->occupied[at->level] &= ~(UINT64_C(1) << at->slot);
    bool progress = at->level > 0;
    uint64_t now_tick = (uint64_t)now_ns >> WF_TICK_SHIFT;
    while (!wf_list_is_empty(&moved)) {
        struct wf_timer *timer = WF_CONTAINER(moved.next, struct wf_timer, link);
        wf_list_remove(&timer->link);
        bool is_due = wheel->is_exact ? timer->deadline_ns <= now_ns
                                      : tick_of(wheel, timer->deadline_ns) <= now_tick;
        if (is_due) {
            insert_sorted(due, timer);
            progress = true;
        } else {
            file_timer(wheel, timer);
        }
    }
    return progress;
}

static void collect_due(struct wf_wheel *wheel, int64_t now_ns, struct wf_list *due)
{
    uint64_t now_tick = (uint64_t)now_ns >> WF_TICK_SHIFT;
    struct due_slot first;
    while (first_slot(wheel, &first) && first.tick <= now_tick) {
        wheel->tick = first.tick;
        if (!empty_slot(wheel, &first, now_ns, due)) {
            break;
        }
    }
    if (now_tick > wheel->tick) {
        /* Nothing is left before now_tick; what is filed relative to an older tick stays right only
         * if no group of six above its own level changed, so file again what a jump would cross. */
        struct due_slot next;
        wheel->tick = first_slot(wheel, &next) && next.tick < now_tick ? next.tick : now_tick;
    }
}

uint32_t wf_wheel_expire(struct wf_wheel *wheel, int64_t now_ns, void *context)
{
    if (wf_wheel_next(wheel) > now_ns) {
        return 0;
    }
    struct wf_list due;
    wf_list_init(&due);
    uint32_t fired = 0;
    wf_lock(&wheel->lock);
    collect_due(wheel, now_ns, &due);
    while (!wf_list_is_empty(&due)) {
        struct wf_timer *timer = WF_CONTAINER(due.next, struct wf_timer, link);
        wf_list_remove(&timer->link);
        wf_store_rel(&timer->wheel, NULL);
        wheel->pending--;
        fired++;
        timer->fire(timer, context);
    }
    publish_next(wheel);
    wf_unlock(&wheel->lock);
    return fired;
}

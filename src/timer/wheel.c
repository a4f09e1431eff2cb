// SPDX-License-Identifier: MIT
/* wheel.c - filing, arming and disarming.
 *
 * A timer's tick differs from the wheel's in some bits; the highest group of six that differs is its
 * level, the group's value its slot. So everything in a lower level comes before everything in a
 * higher one, and the next slot to look at is the first occupied one of the lowest occupied level.
 */
#include "timer/wheel_inside.h"

#include <limits.h>

/* How many timers of a tick are told apart by their deadlines. */
enum { FEW = 8 };

void wf_wheel_init(struct wf_wheel *wheel, int64_t now_ns, bool is_exact)
{
    wf_store_rlx(&wheel->lock.value, 0);
    wheel->is_exact = is_exact;
    wheel->tick = (uint64_t)now_ns >> WF_TICK_SHIFT;
    wheel->number = 0;
    wheel->pending = 0;
    wf_store_rlx(&wheel->next_ns, WF_FOREVER);
    wf_list_init(&wheel->due);
    wf_list_init(&wheel->soon);
    wheel->spare = NULL;
    wheel->pieces = NULL;
    wheel->fresh_from = 0;
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

int64_t wf_wheel_file(struct wf_wheel *wheel, struct wf_timer_entry *entry)
{
    uint64_t tick = tick_of(wheel, entry->deadline_ns);
    if (tick < wheel->tick) {
        tick = wheel->tick;
    }
    uint64_t differs = tick ^ wheel->tick;
    int level = differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / WF_LEVEL_BITS;
    uint64_t begin = tick >> (level * WF_LEVEL_BITS);
    if (__builtin_expect(level >= WF_WHEEL_LEVELS, 0)) {
        /* The top level goes round: what is beyond a round waits in the slot that comes last, to be
         * filed again from there. */
        level = WF_WHEEL_LEVELS - 1;
        uint64_t now = wheel->tick >> (level * WF_LEVEL_BITS);
        uint64_t ahead = (tick >> (level * WF_LEVEL_BITS)) - now;
        begin = now + (ahead < WF_WHEEL_SLOTS ? ahead : WF_WHEEL_SLOTS - 1);
    }
    unsigned slot = (unsigned)begin & (WF_WHEEL_SLOTS - 1);
    wf_list_push(&wheel->slots[level][slot], &entry->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
    begin <<= level * WF_LEVEL_BITS;
    struct wf_due_slot at = {level, slot, begin > wheel->tick ? begin : wheel->tick};
    return wf_wheel_look_at(&at, entry->deadline_ns);
}

static bool first_slot(const struct wf_wheel *wheel, struct wf_due_slot *out)
{
    return wf_wheel_first_from(wheel, 0, out);
}

/* The earliest deadline in a slot; WF_FOREVER if it holds none, or more than `most`. */
static int64_t earliest_in(const struct wf_list *slot, int most)
{
    int64_t earliest = WF_FOREVER;
    for (const struct wf_list *l = slot->next; l != slot; l = l->next) {
        if (most-- == 0) {
            return WF_FOREVER;
        }
        int64_t deadline_ns = wf_wheel_entry(l)->deadline_ns;
        earliest = deadline_ns < earliest ? deadline_ns : earliest;
    }
    return earliest;
}

/* The earliest deadline itself. In the top level a slot may hold what waits for a later round, so all
 * of it counts. */
static int64_t earliest_from(struct wf_wheel *wheel, const struct wf_due_slot *first)
{
    int64_t earliest = earliest_in(&wheel->slots[first->level][first->slot], INT_MAX);
    for (int slot = 0; first->level == WF_WHEEL_LEVELS - 1 && slot < WF_WHEEL_SLOTS; slot++) {
        int64_t other = earliest_in(&wheel->slots[first->level][slot], INT_MAX);
        earliest = other < earliest ? other : earliest;
    }
    return earliest;
}

/* When to look into the first slot, of a wheel that is not exact: at the first one's deadline, where it holds few, also of a
 * higher level. Nobody need wake up just to file them again. */
static int64_t time_to_look(const struct wf_wheel *wheel, const struct wf_due_slot *first)
{
    int64_t tick_ns = wf_wheel_time_of(first->tick);
    int64_t deadline_ns = earliest_in(&wheel->slots[first->level][first->slot], FEW);
    return deadline_ns == WF_FOREVER ? tick_ns : wf_wheel_look_at(first, deadline_ns);
}

void wf_wheel_publish(struct wf_wheel *wheel)
{
    struct wf_due_slot first;
    int64_t next = WF_FOREVER;
    if (first_slot(wheel, &first)) {
        next = wheel->is_exact ? earliest_from(wheel, &first) : time_to_look(wheel, &first);
    }
    wf_store_rel(&wheel->next_ns, next);
}

/* ---- arming and disarming ---- */

/* Takes an armed timer out of its slot. */
static void unfile(struct wf_wheel *wheel, struct wf_timer *timer)
{
    struct wf_list *link = &timer->entry->link;
    struct wf_list *slot = link->next;
    wf_list_remove(link);
    wf_wheel_give_entry(wheel, timer);
    if (!wf_list_is_empty(slot) || slot == &wheel->due || slot == &wheel->soon) {
        return;
    }
    /* It was alone, so its neighbour is the slot itself. */
    long index = slot - &wheel->slots[0][0];
    wheel->occupied[index / WF_WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WF_WHEEL_SLOTS));
}

void wf_wheel_take_out(struct wf_wheel *wheel, struct wf_timer *timer)
{
    unfile(wheel, timer);
    if (wheel->pending == 0) {
        wf_store_rel(&wheel->next_ns, WF_FOREVER);
    } else if (wheel->is_exact) {
        wf_wheel_publish(wheel);
    }
}

bool wf_timer_arm_locked(struct wf_timer *timer, int64_t deadline_ns)
{
    struct wf_wheel *wheel = timer->wheel;
    if (wf_timer_is_armed(timer)) {
        wf_wheel_take_out(wheel, timer);
    }
    if (deadline_ns == WF_FOREVER) {
        return false;
    }
    timer->deadline_ns = deadline_ns;
    timer->number = wheel->number++;
    int64_t look_ns = wf_wheel_file(wheel, wf_wheel_take_entry(wheel, timer));
    bool is_earliest = deadline_ns < wf_load_rlx(&wheel->next_ns);
    if (is_earliest) {
        /* The time published so far is no later than any other's, so this one's is the next. */
        wf_store_rel(&wheel->next_ns, wheel->is_exact ? deadline_ns : look_ns);
    }
    return is_earliest;
}

bool wf_timer_arm(struct wf_timer *timer, int64_t deadline_ns)
{
    wf_lock(&timer->wheel->lock);
    bool is_earliest = wf_timer_arm_locked(timer, deadline_ns);
    wf_unlock(&timer->wheel->lock);
    return is_earliest;
}

bool wf_timer_disarm_locked(struct wf_timer *timer)
{
    bool was_armed = wf_timer_is_armed(timer);
    if (was_armed) {
        wf_wheel_take_out(timer->wheel, timer);
    }
    return was_armed;
}

bool wf_timer_disarm(struct wf_timer *timer)
{
    wf_lock(&timer->wheel->lock);
    bool was_armed = wf_timer_disarm_locked(timer);
    wf_unlock(&timer->wheel->lock);
    return was_armed;
}

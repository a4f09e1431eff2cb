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

/* The slot for a tick at or after the wheel's. */
static inline struct wf_due_slot slot_for(const struct wf_wheel *wheel, uint64_t tick)
{
    uint64_t differs = tick ^ wheel->tick;
    int level = differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / WF_LEVEL_BITS;
    uint64_t begin = tick >> (level * WF_LEVEL_BITS);
    if (WF_UNLIKELY(level >= WF_WHEEL_LEVELS)) {
        /* The top level goes round: what is beyond a round waits in the slot that comes last, to be
         * filed again from there. */
        level = WF_WHEEL_LEVELS - 1;
        uint64_t now = wheel->tick >> (level * WF_LEVEL_BITS);
        uint64_t ahead = (tick >> (level * WF_LEVEL_BITS)) - now;
        begin = now + (ahead < WF_WHEEL_SLOTS ? ahead : WF_WHEEL_SLOTS - 1);
    }
    return (struct wf_due_slot){level, (unsigned)begin & (WF_WHEEL_SLOTS - 1),
                                begin << (level * WF_LEVEL_BITS)};
}

/* Puts an entry into the slot of its deadline: which one that is. Its tick may be before the wheel's. */
static inline struct wf_due_slot file(struct wf_wheel *wheel, struct wf_timer_entry *entry)
{
    uint64_t tick = tick_of(wheel, entry->deadline_ns);
    struct wf_due_slot at = slot_for(wheel, tick < wheel->tick ? wheel->tick : tick);
    struct wf_list *slot = &wheel->slots[at.level][at.slot];
    WF_FORGET(slot);
    wf_list_push(slot, &entry->link);
    wheel->occupied[at.level] |= UINT64_C(1) << at.slot;
    return at;
}

void wf_wheel_file(struct wf_wheel *wheel, struct wf_timer_entry *entry)
{
    (void)file(wheel, entry);
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
static inline void unfile(struct wf_wheel *wheel, struct wf_timer *timer)
{
    struct wf_list *link = &timer->entry->link;
    struct wf_list *slot = link->next;
    wf_list_take(link);
    wf_wheel_give_entry(wheel, timer);
    if (!wf_list_is_empty(slot) || slot == &wheel->due || slot == &wheel->soon) {
        return;
    }
    /* It was alone, so its neighbour is the slot itself. */
    size_t index = (size_t)(slot - &wheel->slots[0][0]);
    wheel->occupied[index / WF_WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WF_WHEEL_SLOTS));
}

/* Of a wheel that is not exact. */
static inline void take_out(struct wf_wheel *wheel, struct wf_timer *timer)
{
    unfile(wheel, timer);
    if (wheel->pending == 0) {
        wf_store_rel(&wheel->next_ns, WF_FOREVER);
    }
}

void wf_wheel_take_out(struct wf_wheel *wheel, struct wf_timer *timer)
{
    take_out(wheel, timer);
    if (wheel->is_exact && wheel->pending > 0) {
        wf_wheel_publish(wheel);
    }
}

/* What has become the earliest of its wheel: the time published so far is no later than any other's, so this one's is the
 * next. */
static inline void publish_first(struct wf_wheel *wheel, struct wf_due_slot at, int64_t deadline_ns)
{
    at.tick = at.tick > wheel->tick ? at.tick : wheel->tick;
    wf_store_rel(&wheel->next_ns,
                 wheel->is_exact ? deadline_ns : wf_wheel_look_at(&at, deadline_ns));
}

/* A timer that is not armed. */
static inline bool arm(struct wf_wheel *wheel, struct wf_timer *timer, int64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    timer->number = wheel->number++;
    struct wf_due_slot at = file(wheel, wf_wheel_take_entry(wheel, timer));
    bool is_earliest = deadline_ns < wf_load_rlx(&wheel->next_ns);
    if (is_earliest) {
        publish_first(wheel, at, deadline_ns);
    }
    return is_earliest;
}

bool wf_timer_arm_locked(struct wf_timer *timer, int64_t deadline_ns)
{
    struct wf_wheel *wheel = timer->wheel;
    if (wf_timer_is_armed(timer)) {
        wf_wheel_take_out(wheel, timer);
    }
    return deadline_ns != WF_FOREVER && arm(wheel, timer, deadline_ns);
}

/* Under the wheel's lock, which is given back. */
static __attribute__((noinline)) bool unlock(struct wf_wheel *wheel, bool answer)
{
    wf_unlock(&wheel->lock);
    return answer;
}

static __attribute__((noinline)) bool arm_slowly(struct wf_timer *timer, int64_t deadline_ns)
{
    wf_lock(&timer->wheel->lock);
    return unlock(timer->wheel, wf_timer_arm_locked(timer, deadline_ns));
}

/* May it be armed without asking for memory, and has it not been? */
static inline bool is_plain(const struct wf_wheel *wheel, const struct wf_timer *timer)
{
    return !wf_timer_is_armed(timer) && (wheel->pending < WF_WHEEL_FEW || wheel->spare != NULL);
}

/* It is armed already, or memory may be needed. */
static __attribute__((noinline)) bool arm_further(struct wf_timer *timer, int64_t deadline_ns)
{
    return unlock(timer->wheel, wf_timer_arm_locked(timer, deadline_ns));
}

/* Without a frame: what is rare is its last act. */
bool wf_timer_arm(struct wf_timer *timer, int64_t deadline_ns)
{
    struct wf_wheel *wheel = timer->wheel;
    if (WF_UNLIKELY(deadline_ns == WF_FOREVER) || WF_UNLIKELY(!wf_lock_quickly(&wheel->lock))) {
        return arm_slowly(timer, deadline_ns);
    }
    if (WF_UNLIKELY(!is_plain(wheel, timer))) {
        return arm_further(timer, deadline_ns);
    }
    bool is_earliest = arm(wheel, timer, deadline_ns);
    return WF_LIKELY(wf_unlock_quickly(&wheel->lock)) ? is_earliest : unlock(wheel, is_earliest);
}

bool wf_timer_disarm_locked(struct wf_timer *timer)
{
    bool was_armed = wf_timer_is_armed(timer);
    if (was_armed) {
        wf_wheel_take_out(timer->wheel, timer);
    }
    return was_armed;
}

static __attribute__((noinline)) bool disarm_slowly(struct wf_timer *timer)
{
    wf_lock(&timer->wheel->lock);
    return unlock(timer->wheel, wf_timer_disarm_locked(timer));
}

bool wf_timer_disarm(struct wf_timer *timer)
{
    struct wf_wheel *wheel = timer->wheel;
    if (WF_UNLIKELY(wheel->is_exact) || WF_UNLIKELY(!wf_lock_quickly(&wheel->lock))) {
        return disarm_slowly(timer);
    }
    if (WF_UNLIKELY(!wf_timer_is_armed(timer))) {
        return unlock(wheel, false);
    }
    take_out(wheel, timer);
    return WF_LIKELY(wf_unlock_quickly(&wheel->lock)) ? true : unlock(wheel, true);
}

// SPDX-License-Identifier: MIT
/* wheel_inside.h - what the files of the wheel share; nobody else includes it.
 *
 * wheel.c files, arms and disarms; wheel_due.c fires; wheel_entries.c keeps entries; wheel_plan.c says when a
 * sleeper does best to look; wheel_one.c fires one by one, for simulations. All that is declared here is called
 * under the wheel's lock.
 */
#ifndef WF_TIMER_WHEEL_INSIDE_H
#define WF_TIMER_WHEEL_INSIDE_H

#include "base/hint.h"
#include "timer/wheel.h"

enum { WF_LEVEL_BITS = 6 };

/* One slot that is due: which, and the tick at which it begins. */
struct wf_due_slot {
    int level;
    unsigned slot;
    uint64_t tick;
};

static inline int64_t wf_wheel_time_of(uint64_t tick)
{
    return (int64_t)(tick << WF_TICK_SHIFT);
}

/* When to look at a slot for a timer in it. In the lowest level at its deadline, though the tick is not over. In higher
 * ones not before the slot begins: in its first tick it would not be found. The top level may hold those of later
 * rounds. */
static inline int64_t wf_wheel_look_at(const struct wf_due_slot *slot, int64_t deadline_ns)
{
    int64_t begin_ns = wf_wheel_time_of(slot->tick);
    bool is_top = slot->level == WF_WHEEL_LEVELS - 1;
    return slot->level == 0                   ? deadline_ns
           : is_top || deadline_ns < begin_ns ? begin_ns
                                              : deadline_ns;
}

/* The occupied slots of a level, as bits that begin with the wheel's own: `now`. */
static inline uint64_t wf_wheel_turned(const struct wf_wheel *wheel, int level, unsigned *now)
{
    uint64_t bits = wheel->occupied[level];
    *now = (unsigned)(wheel->tick >> (level * WF_LEVEL_BITS)) & (WF_WHEEL_SLOTS - 1);
    return *now == 0 ? bits : (bits >> *now) | (bits << (WF_WHEEL_SLOTS - *now));
}

/* The first occupied slot from a level upwards, false when there is none. */
static inline bool wf_wheel_first_from(const struct wf_wheel *wheel, int level,
                                       struct wf_due_slot *out)
{
    for (; level < WF_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0) {
            continue;
        }
        int shift = level * WF_LEVEL_BITS;
        unsigned now;
        unsigned ahead = (unsigned)__builtin_ctzll(wf_wheel_turned(wheel, level, &now));
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

static inline struct wf_timer_entry *wf_wheel_entry(const struct wf_list *link)
{
    return WF_CONTAINER(link, struct wf_timer_entry, link);
}

/* Up to so many timers lie in their own entries. */
enum { WF_WHEEL_FEW = 64 };

/* More free entries for `wheel->spare`, which has none; false: there is no memory. */
bool wf_wheel_add_entries(struct wf_wheel *wheel);

/* The timer's part of arming and of the end of it: which entry stands for it. */
static inline struct wf_timer_entry *wf_wheel_take_entry(struct wf_wheel *wheel,
                                                         struct wf_timer *timer)
{
    struct wf_timer_entry *entry = &timer->own;
    if (wheel->pending >= WF_WHEEL_FEW && (wheel->spare != NULL || wf_wheel_add_entries(wheel))) {
        entry = wheel->spare;
        wheel->spare = entry->link.next != NULL ? wf_wheel_entry(entry->link.next) : NULL;
        wf_fetch(wheel->spare);
    }
    wheel->pending++;
    entry->deadline_ns = timer->deadline_ns;
    entry->timer = timer;
    timer->entry = entry;
    return entry;
}

static inline void wf_wheel_give_entry(struct wf_wheel *wheel, struct wf_timer *timer)
{
    struct wf_timer_entry *entry = timer->entry;
    timer->entry = NULL;
    wheel->pending--;
    if (entry != &timer->own) {
        entry->link.next = wheel->spare != NULL ? &wheel->spare->link : NULL;
        wheel->spare = entry;
    }
}

/* Puts an entry into the slot of its deadline. */
void wf_wheel_file(struct wf_wheel *wheel, struct wf_timer_entry *entry);

/* Stores when to look next. */
void wf_wheel_publish(struct wf_wheel *wheel);

/* Takes an armed timer out of its slot; next_ns may then be early: whoever looks at that time publishes anew. */
void wf_wheel_take_out(struct wf_wheel *wheel, struct wf_timer *timer);

/* Takes out what is due: a chain of entries in the order of firing, linked by link.next and ended by NULL. Each is
 * still to be fired. */
struct wf_list *wf_wheel_collect(struct wf_wheel *wheel, int64_t now_ns);

/* Calls back for an entry that is in no list. */
void wf_wheel_fire(struct wf_wheel *wheel, struct wf_timer_entry *entry, void *context);

#endif

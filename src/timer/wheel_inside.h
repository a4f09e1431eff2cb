// SPDX-License-Identifier: MIT
/* wheel_inside.h - what the files of the wheel share; nobody else includes it.
 *
 * wheel.c files, arms, disarms and fires; wheel_plan.c says when a sleeper does best to look; wheel_one.c fires one by one,
 * for simulations. All that is declared here is called under the wheel's lock.
 */
#ifndef WF_TIMER_WHEEL_INSIDE_H
#define WF_TIMER_WHEEL_INSIDE_H

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

/* Stores when to look next. */
void wf_wheel_publish(struct wf_wheel *wheel);

/* Takes an armed timer out of its slot; next_ns may then be early: whoever looks at that time publishes anew. */
void wf_wheel_take_out(struct wf_wheel *wheel, struct wf_timer *timer);

/* Takes out what is due: a chain in the order of firing, linked by link.next and ended by NULL. Each is still to be fired. */
struct wf_list *wf_wheel_collect(struct wf_wheel *wheel, int64_t now_ns);

/* Calls back for a timer that is in no list. */
void wf_wheel_fire(struct wf_wheel *wheel, struct wf_timer *timer, void *context);

#endif

// SPDX-License-Identifier: MIT
/* wheel.h - each worker's timers: a hierarchical wheel behind one short lock.
 *
 * What: arm and disarm are list operations, from any worker; disarming is final, so a timer may live
 *       on a fiber's stack. Six levels of 64 slots; a tick is 2^16 ns (65.5 us), six levels are 52
 *       days, what is later is filed again from the top level.
 *       In the slots lie entries, not timers: where there are many these come from the wheel's own
 *       pages, side by side. A sleeper's stack is cold, and a timer is moved two or three times until it is
 *       due, next to neighbours that are cold too: each of these touches takes 0.3 to 1 us.
 * Promise: never early. A due timer fires at most a tick after its deadline plus the time until
 *       somebody looks, and without the tick where few share it. Timers that are due together fire by
 *       (deadline, order of arming).
 * Exact wheels (virtual time) know the next deadline itself, however many share a tick or are far away.
 * Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.
 */
#ifndef WF_TIMER_WHEEL_H
#define WF_TIMER_WHEEL_H

#include "base/atomic.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"

enum { WF_WHEEL_LEVELS = 6, WF_WHEEL_SLOTS = 64, WF_TICK_SHIFT = 16 };

struct wf_wheel;

/* What stands for an armed timer in a slot. */
struct wf_timer_entry {
    struct wf_list link;
    int64_t deadline_ns;
    struct wf_timer *timer;
};

struct wf_timer {
    struct wf_wheel *wheel; /* constant: its lock guards the rest */
    int64_t deadline_ns;
    uint64_t number;              /* order of arming */
    struct wf_timer_entry *entry; /* NULL: not armed */
    /* Called once, under the wheel's lock, after unlinking; must not touch the timer afterwards if
     * its owner may go on. `context` is wf_wheel_expire's. */
    void (*fire)(struct wf_timer *timer, void *context);
    struct wf_timer_entry own; /* where few are armed, or there is no memory for more entries */
};

struct wf_wheel {
    struct wf_lock lock;
    bool is_exact;
    uint64_t tick;   /* up to which all slots have been emptied; under lock */
    uint64_t number; /* timers armed so far; under lock */
    uint64_t pending;
    uint64_t occupied[WF_WHEEL_LEVELS]; /* bit per slot that is not empty; under lock */
    /* When to look next: stored under lock, loaded by anybody (acquire); WF_FOREVER when empty. */
    wf_ai64 next_ns;
    struct wf_list slots[WF_WHEEL_LEVELS][WF_WHEEL_SLOTS];
    /* Simulation: timers whose turn has come, armed until they are fired one by one. `due` by deadline,
     * `soon` in the order of arming. Under lock. */
    struct wf_list due;
    struct wf_list soon;
    /* Entries, see wheel_entries.c; under lock. */
    struct wf_timer_entry *spare;    /* free ones, by link.next */
    struct wf_timer_entries *pieces; /* their memory, the newest piece first */
    uint32_t fresh_from;             /* in that: the first that has never been used */
};

void wf_wheel_init(struct wf_wheel *wheel, int64_t now_ns, bool is_exact);

/* Gives the entries' memory back. Nobody uses the wheel any more, whatever is still armed. */
void wf_wheel_destroy(struct wf_wheel *wheel);

static inline void wf_timer_init(struct wf_timer *timer, struct wf_wheel *wheel,
                                 void (*fire)(struct wf_timer *, void *))
{
    timer->wheel = wheel;
    timer->entry = NULL;
    timer->fire = fire;
}

/* Under the wheel's lock. */
static inline bool wf_timer_is_armed(const struct wf_timer *timer)
{
    return timer->entry != NULL;
}

/* Arms a timer, or moves one that is armed; WF_FOREVER disarms it. Returns true when it became the
 * earliest of its wheel: if the wheel's worker sleeps, it must be woken. */
bool wf_timer_arm(struct wf_timer *timer, int64_t deadline_ns);

/* The same under the wheel's lock, for who must look at something else under it too. */
bool wf_timer_arm_locked(struct wf_timer *timer, int64_t deadline_ns);

/* Takes an armed timer out; under the wheel's lock. True when it was armed. */
bool wf_timer_disarm_locked(struct wf_timer *timer);

/* After this the timer will not fire, and its fire callback is not running. True when it was armed. */
bool wf_timer_disarm(struct wf_timer *timer);

/* Fires what is due at `now_ns`. Returns how many. */
uint32_t wf_wheel_expire(struct wf_wheel *wheel, int64_t now_ns, void *context);

/* ---- one by one, for a simulation that draws what comes next ---- */

/* Moves what is due at `now_ns` to the end of the due list; true if that has any. */
bool wf_wheel_take_due(struct wf_wheel *wheel, int64_t now_ns);

/* How many timers at the head of the due list have the deadline of the first; `most` at most. */
uint32_t wf_wheel_due_together(const struct wf_wheel *wheel, uint32_t most);

/* Fires the n-th of the due list, from 0; false when it has fewer. */
bool wf_wheel_fire_due(struct wf_wheel *wheel, uint32_t n, void *context);

/* Arms a timer that is due already and has a turn of its own, told by the number that is returned. Under
 * the lock. */
uint64_t wf_timer_arm_soon_locked(struct wf_timer *timer);

/* Fires the timer with that number; false when it was disarmed. In the order of the numbers. */
bool wf_wheel_fire_soon(struct wf_wheel *wheel, uint64_t number, void *context);

/* What wheels have next: some deadlines, the earliest of them, in order; and when a look may find the first. */
enum { WF_OUTLOOK_MOST = 32 };
struct wf_wheel_outlook {
    int64_t look_ns;
    int count;
    int64_t times[WF_OUTLOOK_MOST];
};

static inline void wf_wheel_outlook_init(struct wf_wheel_outlook *outlook)
{
    outlook->look_ns = WF_FOREVER;
    outlook->count = 0;
}

/* Adds what the wheel has. Whoever arms a timer there that is earlier than all of them is told so. Any thread. */
void wf_wheel_foresee(struct wf_wheel *wheel, struct wf_wheel_outlook *outlook);

/* The same for a wheel that is not opened, by what it has published: perhaps too early, never too late. */
void wf_wheel_foresee_at(struct wf_wheel_outlook *outlook, int64_t next_ns);

/* When a sleeper does best to look, and when for the second time if nothing changes until then; WF_FOREVER: there
 * is no such time. */
struct wf_wheel_plan {
    int64_t next_ns;
    int64_t following_ns;
};

/* Timers that follow another within `window_ns` wait for each other: one look for all of them, which is late by
 * the window at most. Not for exact wheels. */
struct wf_wheel_plan wf_wheel_plan(const struct wf_wheel_outlook *outlook, int64_t window_ns);

/* When to look next. Any thread. */
static inline int64_t wf_wheel_next(struct wf_wheel *wheel)
{
    return wf_load_acq(&wheel->next_ns);
}

#endif

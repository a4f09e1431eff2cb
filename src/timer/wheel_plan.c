// SPDX-License-Identifier: MIT
/* wheel_plan.c - when a sleeper does best to look: timers that follow each other closely wait for one look. */
#include "timer/wheel_inside.h"

/* How many timers a plan looks at. */
enum { LOOK_AHEAD = 16 };

/* Puts the deadlines in a slot into `times`; how many, `most` + 1 if there are more. */
static int list_times(const struct wf_list *slot, int64_t *times, int most)
{
    int count = 0;
    for (const struct wf_list *l = slot->next; l != slot; l = l->next) {
        if (count == most) {
            return most + 1;
        }
        times[count++] = wf_wheel_entry(l)->deadline_ns;
    }
    return count;
}

/* The same for the next slot above, or when that has to be emptied. How many. */
static int list_above(const struct wf_wheel *wheel, int64_t *times, int most)
{
    struct wf_due_slot above;
    if (!wf_wheel_first_from(wheel, 1, &above)) {
        return 0;
    }
    bool is_top = above.level == WF_WHEEL_LEVELS - 1; /* it may hold those of later rounds */
    int count = is_top ? most + 1 : list_times(&wheel->slots[above.level][above.slot], times, most);
    if (count > most) {
        times[0] = wf_wheel_time_of(above.tick);
        count = 1;
    }
    return count;
}

/* When there will be something to do, the first few times: deadlines of the lowest level, and then of the next slot
 * above. How many; not in order. */
static int look_ahead(const struct wf_wheel *wheel, int64_t *times)
{
    int count = 0;
    unsigned now;
    for (uint64_t bits = wf_wheel_turned(wheel, 0, &now); bits != 0; bits &= bits - 1) {
        unsigned ahead = (unsigned)__builtin_ctzll(bits);
        const struct wf_list *slot = &wheel->slots[0][(now + ahead) & (WF_WHEEL_SLOTS - 1)];
        int most = LOOK_AHEAD - count;
        int more = list_times(slot, times + count, most);
        if (more > most) { /* too many: all of its tick together */
            times[count] = wf_wheel_time_of(wheel->tick + ahead);
            return count + 1;
        }
        count += more;
    }
    return count + list_above(wheel, times + count, LOOK_AHEAD - count);
}

/* Keeps the earliest. */
static void add_time(struct wf_wheel_outlook *outlook, int64_t time)
{
    bool is_full = outlook->count == WF_OUTLOOK_MOST;
    int at = is_full ? outlook->count - 1 : outlook->count++;
    if (is_full && outlook->times[at] <= time) {
        return;
    }
    for (; at > 0 && outlook->times[at - 1] > time; at--) {
        outlook->times[at] = outlook->times[at - 1];
    }
    outlook->times[at] = time;
}

static void add_look(struct wf_wheel_outlook *outlook, int64_t next_ns)
{
    outlook->look_ns = next_ns < outlook->look_ns ? next_ns : outlook->look_ns;
}

void wf_wheel_foresee(struct wf_wheel *wheel, struct wf_wheel_outlook *outlook)
{
    int64_t times[LOOK_AHEAD + 1];
    wf_lock(&wheel->lock);
    int count = look_ahead(wheel, times);
    /* What was published may be the time of a timer that was disarmed: whoever arms one between that and the
     * sleep's end would wake nobody. */
    wf_wheel_publish(wheel);
    int64_t next_ns = wf_load_rlx(&wheel->next_ns);
    wf_unlock(&wheel->lock);
    add_look(outlook, next_ns);
    for (int i = 0; i < count; i++) {
        add_time(outlook, times[i]);
    }
}

void wf_wheel_foresee_at(struct wf_wheel_outlook *outlook, int64_t next_ns)
{
    if (next_ns != WF_FOREVER) {
        add_look(outlook, next_ns);
        add_time(outlook, next_ns);
    }
}

/* The last of those that follow the one at `*at` within the window; `*at` goes behind it. */
static int64_t last_within(const struct wf_wheel_outlook *outlook, int *at, int64_t window_ns)
{
    if (*at >= outlook->count) {
        return WF_FOREVER;
    }
    int first = (*at)++;
    while (*at < outlook->count && outlook->times[*at] - outlook->times[first] <= window_ns) {
        (*at)++;
    }
    return outlook->times[*at - 1];
}

struct wf_wheel_plan wf_wheel_plan(const struct wf_wheel_outlook *outlook, int64_t window_ns)
{
    int at = 0;
    struct wf_wheel_plan plan;
    plan.next_ns = last_within(outlook, &at, window_ns);
    /* Before that a look finds nothing, though it be late for some. */
    plan.next_ns = plan.next_ns < outlook->look_ns ? outlook->look_ns : plan.next_ns;
    do {
        plan.following_ns = last_within(outlook, &at, window_ns);
    } while (plan.following_ns <= plan.next_ns && at < outlook->count);
    plan.following_ns = plan.following_ns <= plan.next_ns ? WF_FOREVER : plan.following_ns;
    return plan;
}

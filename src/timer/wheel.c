// SPDX-License-Identifier: MIT
/* wheel.c - filing, cascading, firing.
 *
 * A timer's tick differs from the wheel's in some bits; the highest group of six that differs is its
 * level, the group's value its slot. So everything in a lower level comes before everything in a
 * higher one, and the next slot to look at is the first occupied one of the lowest occupied level.
 */
#include "timer/wheel.h"

#include <limits.h>

enum { LEVEL_BITS = 6 };

/* How many timers of a tick are told apart by their deadlines, and how many a plan looks at. */
enum { FEW = 8, LOOK_AHEAD = 16 };

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
    wf_list_init(&wheel->due);
    wf_list_init(&wheel->soon);
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

static int64_t time_of(uint64_t tick)
{
    return (int64_t)(tick << WF_TICK_SHIFT);
}

/* Returns when to look into its slot: when it is due, or at the tick at which a higher level's slot begins. */
static int64_t file_timer(struct wf_wheel *wheel, struct wf_timer *timer)
{
    uint64_t tick = tick_of(wheel, timer->deadline_ns);
    if (tick < wheel->tick) {
        tick = wheel->tick;
    }
    uint64_t differs = tick ^ wheel->tick;
    int level = differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / LEVEL_BITS;
    uint64_t begin = tick >> (level * LEVEL_BITS);
    if (__builtin_expect(level >= WF_WHEEL_LEVELS, 0)) {
        /* The top level goes round: what is beyond a round waits in the slot that comes last, to be
         * filed again from there. */
        level = WF_WHEEL_LEVELS - 1;
        uint64_t now = wheel->tick >> (level * LEVEL_BITS);
        uint64_t ahead = (tick >> (level * LEVEL_BITS)) - now;
        begin = now + (ahead < WF_WHEEL_SLOTS ? ahead : WF_WHEEL_SLOTS - 1);
    }
    unsigned slot = (unsigned)begin & (WF_WHEEL_SLOTS - 1);
    wf_list_push(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
    begin <<= level * LEVEL_BITS;
    return level == 0 ? timer->deadline_ns : time_of(begin > wheel->tick ? begin : wheel->tick);
}

/* The occupied slots of a level, as bits that begin with the wheel's own: `now`. */
static uint64_t turned(const struct wf_wheel *wheel, int level, unsigned *now)
{
    uint64_t bits = wheel->occupied[level];
    *now = (unsigned)(wheel->tick >> (level * LEVEL_BITS)) & (WF_WHEEL_SLOTS - 1);
    return *now == 0 ? bits : (bits >> *now) | (bits << (WF_WHEEL_SLOTS - *now));
}

/* The first occupied slot from a level upwards, false when there is none. */
static bool first_slot_from(const struct wf_wheel *wheel, int level, struct due_slot *out)
{
    for (; level < WF_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0) {
            continue;
        }
        int shift = level * LEVEL_BITS;
        unsigned now;
        unsigned ahead = (unsigned)__builtin_ctzll(turned(wheel, level, &now));
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

static bool first_slot(const struct wf_wheel *wheel, struct due_slot *out)
{
    return first_slot_from(wheel, 0, out);
}

/* The earliest deadline in a slot; WF_FOREVER if it holds none, or more than `most`. */
static int64_t earliest_in(const struct wf_list *slot, int most)
{
    int64_t earliest = WF_FOREVER;
    for (const struct wf_list *l = slot->next; l != slot; l = l->next) {
        if (most-- == 0) {
            return WF_FOREVER;
        }
        const struct wf_timer *timer = WF_CONTAINER(l, const struct wf_timer, link);
        earliest = timer->deadline_ns < earliest ? timer->deadline_ns : earliest;
    }
    return earliest;
}

/* The earliest deadline itself. In the top level a slot may hold what waits for a later round, so all
 * of it counts. */
static int64_t earliest_from(struct wf_wheel *wheel, const struct due_slot *first)
{
    int64_t earliest = earliest_in(&wheel->slots[first->level][first->slot], INT_MAX);
    for (int slot = 0; first->level == WF_WHEEL_LEVELS - 1 && slot < WF_WHEEL_SLOTS; slot++) {
        int64_t other = earliest_in(&wheel->slots[first->level][slot], INT_MAX);
        earliest = other < earliest ? other : earliest;
    }
    return earliest;
}

/* When to look into the first slot, of a wheel that is not exact: where few timers share the tick it is the first
 * one's deadline. */
static int64_t time_to_look(const struct wf_wheel *wheel, const struct due_slot *first)
{
    int64_t deadline_ns =
        first->level == 0 ? earliest_in(&wheel->slots[0][first->slot], FEW) : WF_FOREVER;
    int64_t tick_ns = time_of(first->tick);
    return deadline_ns < tick_ns ? deadline_ns : tick_ns;
}

static void publish_next(struct wf_wheel *wheel)
{
    struct due_slot first;
    int64_t next = WF_FOREVER;
    if (first_slot(wheel, &first)) {
        next = wheel->is_exact ? earliest_from(wheel, &first) : time_to_look(wheel, &first);
    }
    wf_store_rel(&wheel->next_ns, next);
}

/* ---- planning ---- */

/* Puts the deadlines in a slot into `times`; how many, `most` + 1 if there are more. */
static int list_times(const struct wf_list *slot, int64_t *times, int most)
{
    int count = 0;
    for (const struct wf_list *l = slot->next; l != slot; l = l->next) {
        if (count == most) {
            return most + 1;
        }
        times[count++] = WF_CONTAINER(l, const struct wf_timer, link)->deadline_ns;
    }
    return count;
}

/* When there will be something to do, the first few times: deadlines of the lowest level, and then when the next
 * slot above has to be emptied. How many; not in order. */
static int look_ahead(const struct wf_wheel *wheel, int64_t *times)
{
    int count = 0;
    unsigned now;
    for (uint64_t bits = turned(wheel, 0, &now); bits != 0; bits &= bits - 1) {
        unsigned ahead = (unsigned)__builtin_ctzll(bits);
        const struct wf_list *slot = &wheel->slots[0][(now + ahead) & (WF_WHEEL_SLOTS - 1)];
        int most = LOOK_AHEAD - count;
        int more = list_times(slot, times + count, most);
        if (more > most) { /* too many: all of its tick together */
            times[count] = time_of(wheel->tick + ahead);
            return count + 1;
        }
        count += more;
    }
    struct due_slot above;
    if (first_slot_from(wheel, 1, &above)) {
        times[count++] = time_of(above.tick);
    }
    return count;
}

static void sort_times(int64_t *times, int count)
{
    for (int i = 1; i < count; i++) {
        int64_t time = times[i];
        int at = i;
        for (; at > 0 && times[at - 1] > time; at--) {
            times[at] = times[at - 1];
        }
        times[at] = time;
    }
}

/* The last of those that follow the one at `*at` within the window; `*at` goes behind it. */
static int64_t last_within(const int64_t *times, int count, int *at, int64_t window_ns)
{
    if (*at >= count) {
        return WF_FOREVER;
    }
    int first = (*at)++;
    while (*at < count && times[*at] - times[first] <= window_ns) {
        (*at)++;
    }
    return times[*at - 1];
}

struct wf_wheel_plan wf_wheel_plan(struct wf_wheel *wheel, int64_t window_ns)
{
    int64_t times[LOOK_AHEAD + 1];
    int at = 0;
    struct wf_wheel_plan plan;
    wf_lock(&wheel->lock);
    int count = look_ahead(wheel, times);
    /* What was published may be the time of a timer that was disarmed: whoever arms one between that and the
     * sleep's end would wake nobody. */
    publish_next(wheel);
    int64_t next_ns = wf_load_rlx(&wheel->next_ns);
    wf_unlock(&wheel->lock);
    sort_times(times, count);
    plan.next_ns = last_within(times, count, &at, window_ns);
    plan.following_ns = last_within(times, count, &at, window_ns);
    /* Before that a look finds nothing, though it be late for some. */
    plan.next_ns = plan.next_ns < next_ns ? next_ns : plan.next_ns;
    return plan;
}

/* ---- arming and disarming ---- */

/* Takes an armed timer out of its slot. */
static void unfile(struct wf_wheel *wheel, struct wf_timer *timer)
{
    struct wf_list *slot = timer->link.next;
    wf_list_remove(&timer->link);
    timer->is_armed = false;
    wheel->pending--;
    if (!wf_list_is_empty(slot) || slot == &wheel->due || slot == &wheel->soon) {
        return;
    }
    /* It was alone, so its neighbour is the slot itself. */
    long index = slot - &wheel->slots[0][0];
    wheel->occupied[index / WF_WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WF_WHEEL_SLOTS));
}

/* The same; next_ns may then be early: whoever looks at that time publishes anew. */
static void take_out(struct wf_wheel *wheel, struct wf_timer *timer)
{
    unfile(wheel, timer);
    if (wheel->pending == 0) {
        wf_store_rel(&wheel->next_ns, WF_FOREVER);
    } else if (wheel->is_exact) {
        publish_next(wheel);
    }
}

bool wf_timer_arm_locked(struct wf_timer *timer, int64_t deadline_ns)
{
    struct wf_wheel *wheel = timer->wheel;
    if (timer->is_armed) {
        take_out(wheel, timer);
    }
    if (deadline_ns == WF_FOREVER) {
        return false;
    }
    timer->deadline_ns = deadline_ns;
    timer->number = wheel->number++;
    timer->is_armed = true;
    wheel->pending++;
    int64_t look_ns = file_timer(wheel, timer);
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
    bool was_armed = timer->is_armed;
    if (was_armed) {
        take_out(timer->wheel, timer);
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

/* ---- due timers, sorted ---- */

static bool is_before(const struct wf_timer *a, const struct wf_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns
                                            : a->number < b->number;
}

/* Merges two sorted chains linked by link.next and ended by NULL. */
static struct wf_list *merge(struct wf_list *a, struct wf_list *b)
{
    struct wf_list *first = NULL;
    struct wf_list **tail = &first;
    while (a != NULL && b != NULL) {
        bool take_a = !is_before(WF_CONTAINER(b, struct wf_timer, link),
                                 WF_CONTAINER(a, struct wf_timer, link));
        struct wf_list **from = take_a ? &a : &b;
        *tail = *from;
        tail = &(*from)->next;
        *from = (*from)->next;
    }
    *tail = a != NULL ? a : b;
    return first;
}

/* Bottom-up merge sort: bins[i] holds a sorted chain of 2^i timers. Leaves a chain, no ring. */
static struct wf_list *sort_due(struct wf_list *due)
{
    struct wf_list *bins[40] = {NULL};
    due->prev->next = NULL;
    for (struct wf_list *next, *node = due->next; node != NULL && node != due; node = next) {
        next = node->next;
        node->next = NULL;
        int i = 0;
        for (; bins[i] != NULL; i++) {
            node = merge(bins[i], node);
            bins[i] = NULL;
        }
        bins[i] = node;
    }
    struct wf_list *sorted = NULL;
    for (int i = 0; i < 40; i++) {
        sorted = merge(bins[i], sorted);
    }
    return sorted;
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
    while (!wf_list_is_empty(&moved)) {
        struct wf_timer *timer = WF_CONTAINER(moved.next, struct wf_timer, link);
        wf_list_remove(&timer->link);
        if (timer->deadline_ns <= now_ns) {
            wf_list_push(due, &timer->link);
            progress = true;
        } else {
            (void)file_timer(wheel, timer);
        }
    }
    return progress;
}

/* Of a tick that is not over: what is due already. It is in the lowest level, but at the end of a round. */
static void collect_from_tick(struct wf_wheel *wheel, uint64_t tick, int64_t now_ns,
                              struct wf_list *due)
{
    unsigned index = (unsigned)tick & (WF_WHEEL_SLOTS - 1);
    struct wf_list *slot = &wheel->slots[0][index];
    for (struct wf_list *next, *l = slot->next; l != slot; l = next) {
        next = l->next;
        if (WF_CONTAINER(l, struct wf_timer, link)->deadline_ns <= now_ns) {
            wf_list_remove(l);
            wf_list_push(due, l);
        }
    }
    if (wf_list_is_empty(slot)) {
        wheel->occupied[0] &= ~(UINT64_C(1) << index);
    }
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
        wheel->tick = now_tick; /* every slot that begins before it is empty */
    }
    if (!wheel->is_exact) {
        collect_from_tick(wheel, now_tick + 1, now_ns, due);
    }
}

static void fire(struct wf_wheel *wheel, struct wf_timer *timer, void *context)
{
    wf_list_init(&timer->link);
    timer->is_armed = false;
    wheel->pending--;
    timer->fire(timer, context);
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
    struct wf_list *node = wf_list_is_empty(&due) ? NULL : sort_due(&due);
    while (node != NULL) {
        struct wf_timer *timer = WF_CONTAINER(node, struct wf_timer, link);
        node = node->next;
        fired++;
        fire(wheel, timer, context);
    }
    publish_next(wheel);
    wf_unlock(&wheel->lock);
    return fired;
}

/* ---- one by one ---- */

bool wf_wheel_take_due(struct wf_wheel *wheel, int64_t now_ns)
{
    struct wf_list due;
    wf_list_init(&due);
    wf_lock(&wheel->lock);
    if (wf_load_rlx(&wheel->next_ns) <= now_ns) {
        collect_due(wheel, now_ns, &due);
        struct wf_list *node = wf_list_is_empty(&due) ? NULL : sort_due(&due);
        while (node != NULL) {
            struct wf_list *next = node->next;
            wf_list_push(&wheel->due, node);
            node = next;
        }
        publish_next(wheel);
    }
    bool any = !wf_list_is_empty(&wheel->due);
    wf_unlock(&wheel->lock);
    return any;
}

uint32_t wf_wheel_due_together(const struct wf_wheel *wheel, uint32_t most)
{
    const struct wf_list *first = wheel->due.next;
    uint32_t count = 0;
    for (const struct wf_list *l = first; l != &wheel->due && count < most; l = l->next) {
        if (WF_CONTAINER(l, const struct wf_timer, link)->deadline_ns !=
            WF_CONTAINER(first, const struct wf_timer, link)->deadline_ns) {
            break;
        }
        count++;
    }
    return count;
}

bool wf_wheel_fire_due(struct wf_wheel *wheel, uint32_t n, void *context)
{
    wf_lock(&wheel->lock);
    struct wf_list *chosen = wheel->due.next;
    for (; n > 0 && chosen != &wheel->due; n--) {
        chosen = chosen->next;
    }
    bool any = chosen != &wheel->due;
    if (any) {
        wf_list_remove(chosen);
        fire(wheel, WF_CONTAINER(chosen, struct wf_timer, link), context);
    }
    wf_unlock(&wheel->lock);
    return any;
}

uint64_t wf_timer_arm_soon_locked(struct wf_timer *timer)
{
    struct wf_wheel *wheel = timer->wheel;
    if (timer->is_armed) {
        take_out(wheel, timer);
    }
    timer->number = wheel->number++;
    timer->is_armed = true;
    wheel->pending++;
    wf_list_push(&wheel->soon, &timer->link);
    return timer->number;
}

bool wf_wheel_fire_soon(struct wf_wheel *wheel, uint64_t number, void *context)
{
    wf_lock(&wheel->lock);
    struct wf_list *first = wheel->soon.next;
    bool is_there =
        first != &wheel->soon && WF_CONTAINER(first, struct wf_timer, link)->number == number;
    if (is_there) {
        struct wf_timer *timer = WF_CONTAINER(first, struct wf_timer, link);
        wf_list_remove(&timer->link);
        fire(wheel, timer, context);
    }
    wf_unlock(&wheel->lock);
    return is_there;
}

// SPDX-License-Identifier: MIT
/* wheel_due.c - what is due: found in its slots, sorted, fired. Slots of higher levels are emptied on the way, and what
 * is not due yet filed again. */
#include "timer/wheel_inside.h"

static bool is_before(const struct wf_timer_entry *a, const struct wf_timer_entry *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns
                                            : a->timer->number < b->timer->number;
}

/* Merges two sorted chains linked by link.next and ended by NULL. */
static struct wf_list *merge(struct wf_list *a, struct wf_list *b)
{
    struct wf_list *first = NULL;
    struct wf_list **tail = &first;
    while (a != NULL && b != NULL) {
        bool take_a = !is_before(wf_wheel_entry(b), wf_wheel_entry(a));
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

/* What lies on the stack of its sleeper is fetched for all that are due together. */
static void add_due(struct wf_list *due, struct wf_timer_entry *entry)
{
    wf_fetch(entry->timer);
    wf_list_push(due, &entry->link);
}

/* Empties one slot: due timers go to `due`, the others are filed again. Returns false when nothing of
 * an exact wheel's current slot was due yet. */
static bool empty_slot(struct wf_wheel *wheel, const struct wf_due_slot *at, int64_t now_ns,
                       struct wf_list *due)
{
    struct wf_list moved;
    wf_list_init(&moved);
    wf_list_splice(&moved, &wheel->slots[at->level][at->slot]);
    wheel->occupied[at->level] &= ~(UINT64_C(1) << at->slot);
    bool progress = at->level > 0;
    while (!wf_list_is_empty(&moved)) {
        struct wf_timer_entry *entry = wf_wheel_entry(moved.next);
        wf_list_remove(&entry->link);
        if (entry->deadline_ns <= now_ns) {
            add_due(due, entry);
            progress = true;
        } else {
            wf_wheel_file(wheel, entry);
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
        struct wf_timer_entry *entry = wf_wheel_entry(l);
        if (entry->deadline_ns <= now_ns) {
            wf_list_remove(l);
            add_due(due, entry);
        }
    }
    if (wf_list_is_empty(slot)) {
        wheel->occupied[0] &= ~(UINT64_C(1) << index);
    }
}

static void collect_due(struct wf_wheel *wheel, int64_t now_ns, struct wf_list *due)
{
    uint64_t now_tick = (uint64_t)now_ns >> WF_TICK_SHIFT;
    struct wf_due_slot first;
    while (wf_wheel_first_from(wheel, 0, &first) && first.tick <= now_tick) {
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

struct wf_list *wf_wheel_collect(struct wf_wheel *wheel, int64_t now_ns)
{
    struct wf_list due;
    wf_list_init(&due);
    collect_due(wheel, now_ns, &due);
    return wf_list_is_empty(&due) ? NULL : sort_due(&due);
}

void wf_wheel_fire(struct wf_wheel *wheel, struct wf_timer_entry *entry, void *context)
{
    struct wf_timer *timer = entry->timer;
    wf_wheel_give_entry(wheel, timer);
    timer->fire(timer, context);
}

uint32_t wf_wheel_expire(struct wf_wheel *wheel, int64_t now_ns, void *context)
{
    if (wf_wheel_next(wheel) > now_ns) {
        return 0;
    }
    uint32_t fired = 0;
    wf_lock(&wheel->lock);
    struct wf_list *node = wf_wheel_collect(wheel, now_ns);
    while (node != NULL) {
        struct wf_timer_entry *entry = wf_wheel_entry(node);
        node = node->next;
        fired++;
        wf_wheel_fire(wheel, entry, context);
    }
    wf_wheel_publish(wheel);
    wf_unlock(&wheel->lock);
    return fired;
}

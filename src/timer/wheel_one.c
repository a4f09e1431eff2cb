// SPDX-License-Identifier: MIT
/* wheel_one.c - timers one by one, for a simulation that draws what comes next: what is due waits in lists of its own,
 * armed, until its turn comes. */
#include "timer/wheel_inside.h"

bool wf_wheel_take_due(struct wf_wheel *wheel, int64_t now_ns)
{
    wf_lock(&wheel->lock);
    if (wf_load_rlx(&wheel->next_ns) <= now_ns) {
        struct wf_list *node = wf_wheel_collect(wheel, now_ns);
        while (node != NULL) {
            struct wf_list *next = node->next;
            wf_list_push(&wheel->due, node);
            node = next;
        }
        wf_wheel_publish(wheel);
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
        if (wf_wheel_entry(l)->deadline_ns != wf_wheel_entry(first)->deadline_ns) {
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
        wf_wheel_fire(wheel, wf_wheel_entry(chosen), context);
    }
    wf_unlock(&wheel->lock);
    return any;
}

uint64_t wf_timer_arm_soon_locked(struct wf_timer *timer)
{
    struct wf_wheel *wheel = timer->wheel;
    if (wf_timer_is_armed(timer)) {
        wf_wheel_take_out(wheel, timer);
    }
    timer->number = wheel->number++;
    wf_list_push(&wheel->soon, &wf_wheel_take_entry(wheel, timer)->link);
    return timer->number;
}

bool wf_wheel_fire_soon(struct wf_wheel *wheel, uint64_t number, void *context)
{
    wf_lock(&wheel->lock);
    struct wf_list *first = wheel->soon.next;
    bool is_there = first != &wheel->soon && wf_wheel_entry(first)->timer->number == number;
    if (is_there) {
        wf_list_remove(first);
        wf_wheel_fire(wheel, wf_wheel_entry(first), context);
    }
    wf_unlock(&wheel->lock);
    return is_there;
}

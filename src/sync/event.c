// SPDX-License-Identifier: MIT
/* event.c - a bit, and those who wait for it.
 *
 * Whoever finds the event set with the lock bits clear, or has taken the lock, knows that the one who set
 * it has left it. Setting and clearing always write, also what is there already: clear, look, wait must
 * not miss news that came with a set before the clear.
 */
#include <string.h>

#include <weft/event.h>

#include "sync/event.h"
#include "sync/waiters.h"

struct wf_event {
    wf_au32
        word; /* SET and QUEUED above the bit lock: any thread, CAS or under the lock (acq_rel) */
    uint32_t leaving;       /* under the bit lock */
    struct wf_list waiters; /* under the bit lock */
};

enum {
    SET = 4,
    QUEUED = 8, /* somebody is linked or leaving: the lock is needed */
};

_Static_assert(sizeof(struct wf_event) <= sizeof(weft_event), "weft_event is too small");

static struct wf_event *inside(const weft_event *event)
{
    return (struct wf_event *)(uintptr_t)event;
}

int weft_event_init(weft_event *event)
{
    if (event == NULL) {
        return -EINVAL;
    }
    memset(event, 0, sizeof *event);
    return 0;
}

static uint32_t without_queue(const struct wf_event *event, uint32_t state)
{
    bool is_empty = event->leaving == 0 && wf_waiters_is_empty(&event->waiters);
    return is_empty ? state & ~(uint32_t)QUEUED : state;
}

/* SET, where nobody waits for it, becomes `value`. */
static bool write_free(struct wf_event *event, uint32_t value)
{
    uint32_t seen = wf_load_rlx(&event->word) & SET;
    return wf_solo_cas32(&event->word, &seen, value);
}

int weft_event_set(weft_event *event)
{
    if (event == NULL) {
        return -EINVAL;
    }
    struct wf_event *e = inside(event);
    if (write_free(e, SET)) {
        return 0;
    }
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&e->word);
    (void)wf_waiters_grant_some(&e->waiters, SIZE_MAX, WF_GRANTED, &e->leaving, &later);
    wf_bitunlock(&e->word, without_queue(e, state | SET));
    wf_later_run(&later);
    return 0;
}

int weft_event_clear(weft_event *event)
{
    if (event == NULL) {
        return -EINVAL;
    }
    struct wf_event *e = inside(event);
    if (!write_free(e, 0)) {
        uint32_t state = wf_bitlock(&e->word);
        wf_bitunlock(&e->word, state & ~(uint32_t)SET);
    }
    return 0;
}

bool weft_event_is_set(const weft_event *event)
{
    return event != NULL && (wf_load_acq(&inside(event)->word) & SET) != 0;
}

bool wf_event_watch(weft_event *event, struct wf_waiter *waiter)
{
    struct wf_event *e = inside(event);
    uint32_t state = wf_bitlock(&e->word);
    bool is_set = (state & SET) != 0;
    if (!is_set) {
        wf_waiters_add(&e->waiters, waiter);
        state |= QUEUED;
    }
    wf_bitunlock(&e->word, state);
    return !is_set;
}

void wf_event_unwatch(weft_event *event, struct wf_waiter *waiter)
{
    struct wf_event *e = inside(event);
    uint32_t state = wf_bitlock(&e->word);
    wf_waiters_remove(waiter, &e->leaving);
    wf_bitunlock(&e->word, without_queue(e, state));
}

bool wf_event_is_through(weft_event *event)
{
    struct wf_event *e = inside(event);
    uint32_t seen = wf_load_acq(&e->word);
    if ((seen & SET) != 0 && (seen & WF_BITLOCK_MASK) != 0) {
        seen = wf_bitlock(&e->word);
        wf_bitunlock(&e->word, seen);
    }
    return (seen & SET) != 0;
}

static __attribute__((noinline)) int wait_until_set(weft_event *event, weft_task *self)
{
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_take(seat, self, WF_WAIT_EVENT, event);
    if (!wf_event_watch(event, &seat->waiter)) {
        return 0;
    }
    enum wf_verdict verdict = wf_door_park_from(&seat->wait, WF_GO_SITE);
    if (verdict != WF_GRANTED || seat->wait.was_early) {
        wf_event_unwatch(event, &seat->waiter);
    }
    return wf_go_return(verdict == WF_GRANTED ? 0 : -ECANCELED, WF_GO_SITE);
}

static __attribute__((noinline)) int wait_anew(weft_event *event)
{
    int rc = 0;
    weft_task *self = wf_sync_enter(event, "weft_event_wait", &rc);
    return self != NULL ? wait_until_set(event, self) : rc;
}

/* All that is rare is the last act, so that there is no frame. */
WF_AT_LINE int weft_event_wait(weft_event *event)
{
    weft_task *self = wf_sync_enter_here(event);
    if (WF_UNLIKELY(self == NULL)) {
        return wait_anew(event);
    }
    uint32_t seen = wf_load_acq(&inside(event)->word);
    return (seen & (SET | WF_BITLOCK_MASK)) == SET ? 0 : wait_until_set(event, self);
}

int weft_event_destroy(weft_event *event)
{
    if (event == NULL) {
        return -EINVAL;
    }
    struct wf_event *e = inside(event);
    bool is_free = (wf_load_acq(&e->word) & ~(uint32_t)SET) == 0;
    return is_free ? 0 : wf_waiters_refuse(__func__, event, &e->word, &e->waiters);
}

// SPDX-License-Identifier: MIT
/* select.h - what weft_select asks of each kind of case.
 *
 * Protocol, by the selecting task:
 *       attempt each     no wait has begun; the first that is ready takes effect
 *       begin the wait
 *       link each        a case that is ready meanwhile claims the wait itself, then takes effect
 *       park             unless a case has taken effect
 *       unlink all       each under its source's lock
 *       finish           the case that was granted takes effect now, if it has not by the grant
 * Whoever grants a case does it under the source's lock: claims the wait, and writes down whom it granted
 *       after that (wait.granted). The task reads it when it runs again: it was made ready after the
 *       lock, or, if it had not left its stack yet (was_early), it first takes all those locks to unlink.
 * Why the own wait is claimed before a case takes effect while others are linked: else two of them
 *       could. Rejected: taking effect and giving back, which cannot be done to a queue unseen.
 */
#ifndef WF_SYNC_SELECT_H
#define WF_SYNC_SELECT_H

#include <weft/select.h>

#include "await/door.h"

/* One weft_select, on its task's stack. */
struct wf_selection {
    struct wf_wait wait;
    weft_task *self;
    weft_case *cases;
    uint32_t count;
    uint64_t random; /* state of the generator; 0: in the order of the cases */

    /* The earliest timer: one alarm does for all. */
    weft_case *next_timer;
    struct wf_alarm alarm;
};

enum wf_linking {
    WF_CASE_LINKED, /* not ready */
    WF_CASE_DONE,   /* was ready: the wait is claimed, the case has taken effect */
    WF_CASE_LOST,   /* was ready, but another case had been granted: nothing is done, or linked */
    WF_CASE_AGAIN, /* the wait is claimed, but what was ready had gone: nothing is done, or linked */
};

/* What a kind can do; all that are NULL have nothing to do. By the task itself. */
struct wf_case_kind {
    /* 0 or -EINVAL. Any state. */
    int (*check)(const weft_case *one);
    /* True: it was ready and took effect, `outcome` says how. */
    bool (*attempt)(struct wf_selection *selection, weft_case *one);
    enum wf_linking (*link)(struct wf_selection *selection, weft_case *one);
    /* Out of its source's lists, and out of its lock. */
    void (*unlink)(struct wf_selection *selection, weft_case *one);
    /* It was granted; nothing is linked any more. False: the grant was a hint, and came to nothing. */
    bool (*finish)(struct wf_selection *selection, weft_case *one);
    /* Also when granted: it may still be in a list. */
    bool stays_linked;
};

extern const struct wf_case_kind wf_case_queue; /* both ways */
extern const struct wf_case_kind wf_case_future;
extern const struct wf_case_kind wf_case_event;
extern const struct wf_case_kind wf_case_task;
extern const struct wf_case_kind wf_case_timer;
extern const struct wf_case_kind wf_case_fd;

/* NULL: unknown, or WEFT_CASE_NONE, which can't be asked anything. */
const struct wf_case_kind *wf_kind_of(const weft_case *one);

/* In weft_case.reserved. `order` is of the place in the array, the rest of the case. */
struct wf_case_note {
    uint32_t order;
    bool is_linked;
    bool is_live; /* false: never ready */
};
enum { WF_CASE_NOTE_WORDS = 1, WF_CASE_WORDS = 18 };
_Static_assert(sizeof(struct wf_case_note) <= WF_CASE_NOTE_WORDS * sizeof(uint64_t), "note");
_Static_assert(sizeof((weft_case *)NULL)->reserved == WF_CASE_WORDS * sizeof(uint64_t), "words");

static inline struct wf_case_note *wf_case_note(weft_case *one)
{
    return (struct wf_case_note *)(void *)one->reserved;
}

/* Where a kind keeps its waiter and what belongs to it. */
static inline void *wf_case_room(weft_case *one)
{
    return one->reserved + WF_CASE_NOTE_WORDS;
}
#define WF_CASE_FITS(type)                                                                  \
    _Static_assert(sizeof(type) <= (WF_CASE_WORDS - WF_CASE_NOTE_WORDS) * sizeof(uint64_t), \
                   "weft_case is too small")

/* A case with nothing but these. What is reserved is weft_select's to set. */
static inline weft_case wf_case_make(weft_case_kind kind, void *source, void *item)
{
    weft_case one;
    one.kind = kind;
    one.outcome = 0;
    one.source = source;
    one.item = item;
    one.deadline_ns = 0;
    one.fd = -1;
    one.events = 0;
    return one;
}

/* Notify function of waiters in lists that are granted by wf_waiter_grant. */
void wf_case_grant(struct wf_waiter *waiter, struct wf_later *later);

/* A waiter of the selection's, not linked. */
static inline void wf_case_waiter(struct wf_selection *selection, struct wf_waiter *waiter)
{
    wf_list_init(&waiter->link);
    waiter->wait = &selection->wait;
    waiter->notify = wf_case_grant;
    waiter->is_queued = false;
    waiter->is_leaving = false;
    waiter->turn = 0;
}

/* The task claims its own wait for a case that is ready: true when no other has been granted. */
static inline bool wf_selection_claim(struct wf_selection *selection)
{
    return wf_state_wake(&selection->self->word, wf_load_rlx(&selection->wait.epoch), WF_GRANTED) !=
           WF_WAKE_LOST;
}

#endif

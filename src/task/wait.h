// SPDX-License-Identifier: MIT
/* wait.h - what a waiting task leaves behind: a wait, and its entries in what it waits for.
 *
 * What: wf_wait is one suspension of one task; wf_waiter is its entry in one source's list (a task's
 *       end, a future, a descriptor). A source wakes by wf_waiter_grant under its own lock; the claim
 *       is on the task's state word, so of several sources, a canceller and a timer exactly one wins.
 * Rules: a waiter is linked and unlinked under its source's lock, and granted under it. The waiting
 *       task unlinks what is still linked before its wait returns, so records may live on its stack, or in its seat.
 * wf_later collects what a locked section must leave undone: woken tasks to queue, tasks to kick.
 */
#ifndef WF_TASK_WAIT_H
#define WF_TASK_WAIT_H

#include "base/hint.h"
#include "task/further.h"
#include "task/task.h"

/* What is to be queued, in the two low bits of its address. All but the first kind only in a simulation
 * that works like an event loop: there what follows from a task's end has a turn of its own. */
enum wf_ready_kind {
    WF_READY_TASK = 0, /* weft_task: goes on */
    WF_READY_NOTICE,   /* wf_waiter: its notify is called */
    WF_READY_ENDED,    /* weft_task with a hold: its owner is told */
    WF_READY_KINDS = 3,
};

/* Work for after the locks: the rooms below the scheduler fill it, wf_sched_flush empties it. */
struct wf_later {
    uintptr_t ready; /* address and kind, oldest first; 0: none */
    uintptr_t ready_tail;
    weft_task *kicks; /* linked by kick_next, oldest first */
    weft_task *kicks_tail;
    bool is_walking;    /* kicks are being worked off: new ones keep their order */
    uint32_t delivered; /* cancellations delivered on the way, for statistics */
    uint32_t handed;    /* requests handed on on the way: see cancel.c */
};

/* What a task waits for, in reports. */
enum wf_reason {
    WF_WAIT_NONE = 0,
    WF_WAIT_JOIN,
    WF_WAIT_SLEEP,
    WF_WAIT_FUTURE,
    WF_WAIT_GROUP,
    WF_WAIT_GATHER,
    WF_WAIT_TASKS,
    WF_WAIT_FD,
    WF_WAIT_SIGNAL,
    WF_WAIT_BLOCKING,
    WF_WAIT_MUTEX,
    WF_WAIT_RWLOCK,
    WF_WAIT_SEM,
    WF_WAIT_EVENT,
    WF_WAIT_COND,
    WF_WAIT_BARRIER,
    WF_WAIT_ONCE,
    WF_WAIT_PUT,
    WF_WAIT_GET,
    WF_WAIT_DONE, /* weft_queue_join */
    WF_WAIT_SELECT,
};

/* Told of a task (wf_task_token). */
typedef void wf_each(uint64_t token, void *arg);

/* What a granter touches comes first. */
struct wf_wait {
    weft_task *task;
    wf_au8 epoch;   /* of the state word: names this wait. The task stores, claimers load: relaxed,
                     * the claim itself is a CAS */
    uint8_t reason; /* enum wf_reason */
    /* Written by a canceller while WF_BUSY, read by the task after it. */
    bool handed_on;
    /* The wait was decided before the fiber was off its stack: the waker may still hold its source's
     * lock. Written by the worker that left the fiber, read by the task. */
    bool was_early;
    /* For hand_on: how many requests it is about, those from before the wait included. */
    uint32_t taken;
    /* Of a wait in several sources (weft_select): by which waiter it was granted. Whoever claimed it
     * writes, before its source's lock is given back; the task reads it when it runs again, and if that
     * was early, after it has had the locks. */
    struct wf_waiter *granted;
    int32_t number; /* of the descriptor, for reports; -1: none */
    uint32_t
        serial; /* for reports: differs from that of the task's other waits, but for rare chance */
    /* Not NULL: requests are not delivered here but handed on, by this. Adds at most one request to
     * each unfinished target and pushes it on later's kick list. Returns whether any target took
     * it. Runs on the canceller's thread under the task's lock. */
    bool (*hand_on)(struct wf_wait *wait, struct wf_later *later);
    const void *target; /* for reports and for hand_on */
    /* For a simulation whose deadlock the call waits in, and which takes it away: what it has on the heap,
     * NULL for nothing; its waiter in an object of the program, or else what unlinks several, so that the
     * object can be used and destroyed afterwards. */
    void *memory;
    struct wf_waiter *waiter;
    void (*leave)(struct wf_wait *wait);
    /* NULL, or names for reports whom in particular it waits for: calls `each` with their tokens. Runs on
     * the thread of whoever looks, under the task's lock and WF_BUSY; others run meanwhile. May take the
     * short locks that hand_on may. */
    void (*list)(const struct wf_wait *wait, wf_each *each, void *arg);
};

struct wf_waiter {
    union {
        uint64_t turn;
        uintptr_t chain; /* in wf_later */
    };
    /* NULL: the source's event grants the wait. Else called instead, under the source's lock, after
     * the waiter has been unlinked. */
    void (*notify)(struct wf_waiter *waiter, struct wf_later *later);

    /* The rest is what a queue's granter touches: it has no notify. */
    struct wf_list link;
    struct wf_wait *wait;
    /* Its notify gets a turn of its own (simulation); `turn` says which while it waits for it. */
    bool is_queued;
    bool is_leaving; /* see sync/waiters.h. Under the source's lock */
    /* In a task's own seat: so many bytes below its fiber's descriptor is the frame that waits. The task stores, whoever
     * fetches it loads (relaxed). */
    wf_au32 depth;
};

/* A wait with its waiter in the one source that it has: what a granter touches of the two is one cache line.
 * Each task has one beside its record (wf_task_seat), as it waits for one thing at a time: those of a crowd lie in a
 * row, and who wakes it touches no stack, each in a page that has to be translated. */
struct wf_seat {
    _Alignas(64) struct wf_waiter waiter;
    struct wf_wait wait;
};

_Static_assert(offsetof(struct wf_seat, wait.epoch) < 64, "a granter needs no second line");
_Static_assert(sizeof(struct wf_seat) == WF_SEAT_BYTES,
               "every line of a parked task is fetched again");

/* The seat of a task in a slab. From the beginning of a wait to its end it is that wait's. */
static inline struct wf_seat *wf_task_seat(const weft_task *task)
{
    uintptr_t within =
        (uintptr_t)task & (WF_SLAB_BYTES - 1); /* seats are twice as far apart as records */
    return (struct wf_seat *)((uintptr_t)task + within + 3 * (uintptr_t)WF_SLAB_LINES);
}

static inline void wf_later_init(struct wf_later *later)
{
    later->ready = 0;
    later->kicks = NULL;
    later->is_walking = false;
    later->delivered = 0;
    later->handed = 0;
}

/* Where what is to be queued keeps the next one. */
static inline uintptr_t *wf_ready_link_in(void *what, enum wf_ready_kind kind)
{
    return kind == WF_READY_NOTICE ? &((struct wf_waiter *)what)->chain
                                   : &((weft_task *)what)->next_ready;
}

static inline uintptr_t *wf_ready_link(uintptr_t entry)
{
    uintptr_t address = entry & ~(uintptr_t)WF_READY_KINDS;
    return wf_ready_link_in((void *)address, (enum wf_ready_kind)(entry & WF_READY_KINDS));
}

static inline void wf_later_add(struct wf_later *later, void *what, enum wf_ready_kind kind)
{
    uintptr_t entry = (uintptr_t)what | (uintptr_t)kind;
    *wf_ready_link_in(what, kind) = 0;
    if (later->ready == 0) {
        later->ready = entry;
    } else {
        *wf_ready_link(later->ready_tail) = entry;
    }
    later->ready_tail = entry;
}

static inline void wf_later_wake(struct wf_later *later, weft_task *task)
{
    wf_later_add(later, task, WF_READY_TASK);
}

/* Decides `wait`; on READY the task is put on later's woken list. */
static inline enum wf_wake wf_wait_decide(struct wf_wait *wait, enum wf_verdict verdict,
                                          struct wf_later *later)
{
    weft_task *task = wait->task; /* read first: once claimed, the record may be gone */
    enum wf_wake wake = wf_state_wake(&task->word, wf_load_rlx(&wait->epoch), verdict);
    if (wake == WF_WAKE_READY) {
        wf_later_wake(later, task);
    }
    return wake;
}

/* The same, for whoever need not know more than whether it was decided here. */
static inline bool wf_wait_claim(struct wf_wait *wait, enum wf_verdict verdict,
                                 struct wf_later *later)
{
    return wf_wait_decide(wait, verdict, later) != WF_WAKE_LOST;
}

/* Is this wait still to be decided? Under the lock of a source in which it has a waiter. A canceller may
 * decide it at any moment. */
static inline bool wf_wait_is_open(const struct wf_wait *wait)
{
    uint64_t word = wf_load_acq(&wait->task->word);
    uint8_t epoch = wf_load_rlx(&wait->epoch);
    return wf_word_life(word) == WF_PARKED ? wf_word_epoch(word) == epoch
                                           : wf_word_epoch(word) == (uint8_t)(epoch - 1U);
}

/* All of a list are granted, and `at` comes now: what is needed of later ones is fetched. */
static inline void wf_waiter_fetch(const struct wf_list *list, const struct wf_list *at,
                                   uint64_t turn)
{
    const struct wf_list *link = at->next;
    if (link != list && link->next != list) {
        const struct wf_waiter *now = WF_CONTAINER((uintptr_t)at, const struct wf_waiter, link);
        const struct wf_waiter *next = WF_CONTAINER((uintptr_t)link, const struct wf_waiter, link);
        if (now->notify == NULL && next->notify == NULL) { /* else they may have no wait */
            wf_task_fetch_further(now->wait->task, next->wait->task, next, turn);
        }
    }
}

/* Unlinks a waiter and tells it that its event has come. True when its wait took the grant. Under
 * the source's lock. */
static inline bool wf_waiter_grant(struct wf_waiter *waiter, enum wf_verdict verdict,
                                   struct wf_later *later)
{
    wf_list_remove(&waiter->link);
    if (waiter->notify != NULL) {
        if (waiter->is_queued) {
            wf_later_add(later, waiter, WF_READY_NOTICE);
        } else {
            waiter->notify(waiter, later);
        }
        return true;
    }
    return wf_wait_claim(waiter->wait, verdict, later);
}

/* The same for all of a source's list. */
static inline void wf_waiter_grant_all(struct wf_list *list, enum wf_verdict verdict,
                                       struct wf_later *later)
{
    for (uint64_t turn = 0; !wf_list_is_empty(list); turn++) {
        struct wf_waiter *waiter = WF_CONTAINER(list->next, struct wf_waiter, link);
        wf_waiter_fetch(list, &waiter->link, turn);
        (void)wf_waiter_grant(waiter, verdict, later);
    }
}

#endif

// SPDX-License-Identifier: MIT
/* task.h - the task record: one cache line from spawn to the last handle, another for what waits, one aside for what few have.
 *
 * What: identity, state word, references, what the task waits for and which scopes are open.
 * References: `owners` (handles, the owning group, the runtime for a detached task) and `holds` (the
 *       run itself, snapshots). At 0 owners an unfinished task is cancelled; at 0 of both the slot is
 *       free. Both live in one word together with the generation (the low half of the id), so that a
 *       weak handle can be upgraded by one CAS without owning anything.
 * Lines: the three of a record are in different parts of its slab, each in a row with the same of others. So who makes many
 *       tasks that do not wait touches half as many pages and lines. What a task has that is cancelled, shielded,
 *       watched by a callback, or a group's lies in the third (wf_task_side). The pages of the later ones come by their
 *       faults, so of most tasks they never do.
 * Allocation: a task that exists never needs memory again: suspending, waking, cancelling and
 *       finishing link what is there. `extra` is made at spawn, for what few tasks have.
 * Threads: captions below say who writes what.
 */
#ifndef WF_TASK_TASK_H
#define WF_TASK_TASK_H

#include <ck_stack.h>
#include <weft/local.h>
#include <weft/runtime.h>

#include "base/atomic.h"
#include "base/hint.h"
#include "base/list.h"
#include "base/lock.h"
#include "task/state.h"

struct wf_fiber;
struct wf_registry;
struct wf_scope;
struct wf_later;
struct wf_callback;

/* What few tasks have. Set at spawn, freed with the slot. */
struct wf_extra {
    void (*drop_arg)(void *);
    void (*drop_result)(intptr_t);
    size_t stack_bytes;
    char name[64];
};

struct wf_owner;

/* What an owner does. */
struct wf_owner_calls {
    /* Both on the finishing worker, without locks: `ended` when the outcome is there, `left` when the task's
     * callbacks have run as well, after which the owner is not touched any more. `left` must give up the
     * owner's reference. */
    void (*ended)(struct wf_owner *owner, weft_task *task, struct wf_later *later);
    void (*left)(struct wf_owner *owner, weft_task *task, struct wf_later *later);
    /* While one of the tasks runs inside the owner's (WF_JOINS_ALL), under the lock of that one: a request to
     * it goes to all of them; and their tokens, for reports. */
    void (*request)(struct wf_owner *owner, int cause, struct wf_later *later);
    void (*list)(struct wf_owner *owner, void (*each)(uint64_t token, void *arg), void *arg);
};

/* Whoever owns tasks and wants to know when they end: a group. */
struct wf_owner {
    const struct wf_owner_calls *calls;
    bool is_queued; /* it hears of an end in a turn of its own (simulation) */
};

/* A slab: its header in the place of a first record, the records' first lines, their second ones, what they have aside, all
 * in the same order and as far apart, then their seats (task/wait.h), which take two lines each. */
enum {
    WF_SLAB_BYTES = 1 << 19,
    WF_LINE_BYTES = 64,
    WF_SEAT_BYTES = 2 * WF_LINE_BYTES,
    WF_SLAB_SLOTS = WF_SLAB_BYTES / (3 * WF_LINE_BYTES + WF_SEAT_BYTES) - 1,
    WF_SLAB_LINES = (WF_SLAB_SLOTS + 1) * WF_LINE_BYTES /* from a line of a record to its next */
};

/* Of a record in a slab. The lines of others are in between: a record is never copied, and has no size. */
struct weft_task {
    /* Any thread, by state.h's transitions. */
    wf_au64 word;

    /* {generation:32, holds:12, owners:20}: any thread, by the functions in slab.h (acq_rel). */
    wf_au64 refs;

    /* Who starts it has loaded the one when he stores the other (both relaxed: a hint for the cache may load any time). */
    union {
        _Atomic(weft_fn *) fn; /* until it has started: the spawner, before it is queued */
        _Atomic(struct wf_fiber *) fiber; /* from then on: the worker that runs it */
    };

    union {
        struct {
            wf_au8 flags;         /* WF_TASK_*: by wf_task_add_flags, see there */
            uint8_t budget_spent; /* ready waits in a row; the task's own */

            /* Of the latest request (WEFT_CAUSE_* or the canceller's own): whoever adds one stores it first
             * (relaxed), the task loads; adding the request orders the two. Of cancellers that come
             * together either one's may stand. */
            wf_ai16 cause;

            /* The worker that spawned it, or that a pinned one belongs to. The spawner stores (relaxed) before the word
             * says NEW; not set for others. Until it has started, or was moved, its home may start it without a locked
             * operation. */
            _Atomic(uint16_t) home;

            /* Has it had one, or some? Else its end need not look. The spawner's, then the task's own. */
            bool has_scopes;
            bool has_values;
        };
        wf_au64
            early; /* all of them: the spawner stores the home, shifted by WF_EARLY_HOME, and else 0 */
    };

    wf_au64 id; /* relaxed: a snapshot reads it while the slot may be reused, and checks refs */

    /* First what fn is called with, or drop_arg; then what fn returned: the finisher writes before the
     * terminal transition publishes it. In between, while the task runs, it is neither. */
    union {
        void *arg;
        intptr_t raw;
    };

    /* Whoever has the task in a queue, a list of woken tasks or a free list. */
    union {
        weft_task *next;
        uintptr_t next_ready; /* wf_later */
        ck_stack_entry_t inbox_entry;
    };

    const char *site; /* set before the task is queued */

    /* The first line ends here. Whoever spawns a task, wakes it, or runs it inside a joiner from its start to its end
     * without a wait, on any worker, touches no other: those of tasks in a row fill their pages. */
    char others[WF_SLAB_LINES - WF_LINE_BYTES];

    /* From here on all is 0, or an empty list, when a task begins, and when it has ended: a spawn does not touch it. */

    /* Its values: NULL for none, and from its end on. The spawner sets, then the task itself and its
     * finisher. */
    weft_context *context;

    /* Guards the shields' deferred requests. A leaf: nothing else is taken under it. As `lock`, never
     * reset, because a late kick of the slot's last task may be in it. */
    struct wf_lock shield_lock;

    /* Guards waiters, callbacks, and what a wait of this task keeps readable while WF_BUSY. */
    struct wf_lock lock;

    /* Under lock: wf_waiter.link of those who wait for the end, in the order of their coming. All zero until somebody
     * is to be told of the end of one of this slot (wf_task_begin_list). */
    struct wf_list waiters;

    /* Innermost open scope: the task itself writes. */
    struct wf_scope *scope;

    /* What it waits for: the task stores (relaxed) before it parks, cancellers and reports load (relaxed) while
     * WF_BUSY; the address alone, which says where its frames are, or that its seat does, also whoever fetches these. */
    _Atomic(struct wf_wait *) wait;

    /* Whom it joins or gathers, and hands its requests on to, as one of WF_JOINS_*: see await/cycle.c and
     * await/inside.c. The task itself stores around the wait: before it seq_cst, or release with a locked operation after
     * it; after it release, or relaxed ahead of a full fence, where a gather or a child inside is left (while the worker
     * is biased: of a guest's heavy fence). Those who look for a cycle and cancellers load (seq_cst). */
    wf_au64 joins;

    wf_au8 marks;       /* WF_MARK_*: any thread, or and and (acq_rel); some survive reuse */
    bool has_callbacks; /* under lock */
};

/* What few tasks have. Whoever looks at something here in a hot path asks the record first whether there is any. */
struct wf_task_side {
    /* Under lock: newest first. */
    struct wf_callback *callbacks;

    /* Kick list: whoever set WF_MARK_KICKED links; both survive reuse of the slot. See cancel.h. */
    weft_task *kick_next;

    struct wf_scope *
        shield; /* innermost open one: the task itself, under shield_lock; NULL unless WF_SHIELDED */

    /* NULL unless WF_TASK_MORE. */
    struct wf_extra *extra;
    int *errors; /* codes of the last group that the task closed with many errors; its own */
    struct wf_owner *owner;

    struct wf_list
        siblings; /* in the owner's list, under its lock; anything where there is no owner */
};

/* Kinds of `joins`, in its low bits. Nothing else: 0, or the token of a task that it waits for, parked or
 * about to be. */
#define WF_JOINS_GATHER UINT64_C(1) /* the rest is the address of a struct wf_edges */
#define WF_JOINS_INSIDE UINT64_C(2) /* the rest is the token of a child that runs on its stack */
#define WF_JOINS_ALL UINT64_C(4) /* ... and that child's owner is waited for: for all its tasks */
#define WF_JOINS_KINDS (WF_JOINS_INSIDE | WF_JOINS_ALL)

enum {
    WF_TASK_PINNED = 1,    /* runs on worker `home` only */
    WF_TASK_NEVER_RAN = 2, /* finished without running: raw is no result of fn */
    WF_TASK_PROBED = 8,    /* a cancel sweep counts its await points; set when it first runs */
    WF_TASK_MAIN = 4,      /* the main task of weft_run: nobody retrieves its error but weft_run */
    WF_TASK_WALK = 16,     /* one open weft_completions; the task itself counts them, up to ... */
    WF_TASK_WALKS = 0x30,  /* ... this; more are not counted */
    WF_TASK_MORE =
        0x40, /* has had values, an owner, `extra` or `errors`: its end is no quick one */
    WF_TASK_APART =
        128, /* never runs inside its joiner: pinned, with a stack of its own size, or linked
                            * by some list until a worker has taken it; never cleared */
};

enum {
    WF_MARK_KICKED = 1, /* on some kick list */
    WF_MARK_SHUT = 2,   /* cancelled by closing: once is enough */
    WF_MARK_ONCE =
        8, /* in turns: pushed once more while on that list; counts up to WF_MARK_AGAIN */
    WF_MARK_AGAIN = 0xf8, /* all of the count */
    WF_MARK_FAILED = 4,   /* ... and ended with an error, which is to be reported */
};

#define WF_EARLY_HOME 32

_Static_assert(offsetof(struct weft_task, others) == WF_LINE_BYTES, "one line");
_Static_assert(offsetof(struct weft_task, context) == WF_SLAB_LINES, "the next one");
_Static_assert(sizeof(struct weft_task) == WF_SLAB_LINES + WF_LINE_BYTES, "a task costs two");
_Static_assert(sizeof(struct wf_task_side) == WF_LINE_BYTES, "as far from each other as records");
_Static_assert(offsetof(struct weft_task, home) - offsetof(struct weft_task, early) ==
                   WF_EARLY_HOME / 8,
               "little-endian");

/* The record of the slot that is `count` further in the same slab. */
static inline weft_task *wf_task_beside(const weft_task *task, intptr_t count)
{
    return (weft_task *)((uintptr_t)task + (uintptr_t)(count * WF_LINE_BYTES));
}

static inline struct wf_task_side *wf_task_side(const weft_task *task)
{
    return (struct wf_task_side *)((uintptr_t)task + 2 * (uintptr_t)WF_SLAB_LINES);
}

static inline weft_task *wf_side_task(const struct wf_task_side *side)
{
    return (weft_task *)((uintptr_t)side - 2 * (uintptr_t)WF_SLAB_LINES);
}

/* A joiner looks for WF_TASK_APART before it has claimed the task; somebody else may run it by then. */
static inline unsigned wf_task_flags(const weft_task *task)
{
    return wf_load_rlx(&((weft_task *)(uintptr_t)task)->flags);
}

/* Has it something of its own to give up at its end, besides its values? */
static inline bool wf_task_has_extra(const weft_task *task)
{
    const struct wf_task_side *side = wf_task_side(task);
    return (wf_task_flags(task) & WF_TASK_MORE) != 0 &&
           ((uintptr_t)side->extra | (uintptr_t)side->errors) != 0;
}

/* Has it one open? The task itself. */
static inline bool wf_task_has_scope(const weft_task *task)
{
    return WF_UNLIKELY(task->has_scopes) && task->scope != NULL;
}

/* Whoever makes the task, or runs it, or has claimed it to end it. */
static inline void wf_task_add_flags(weft_task *task, unsigned flags)
{
    wf_store_rlx(&task->flags, (uint8_t)(wf_load_rlx(&task->flags) | flags));
}

/* A last touch of a slot that somebody may have marked: the next task begins without. */
static inline void wf_task_unmark(weft_task *task)
{
    const uint8_t shut = WF_MARK_SHUT | WF_MARK_FAILED;
    if (__builtin_expect((wf_load_rlx(&task->marks) & shut) != 0, 0)) {
        (void)wf_and_acqrel(&task->marks, (uint8_t)~shut);
    }
}

static inline uint64_t wf_task_id(const weft_task *task)
{
    return wf_load_rlx(&((weft_task *)(uintptr_t)task)->id);
}

/* The address in a token, or in a `joins` that is no gather. */
static inline weft_task *wf_token_task(uint64_t token)
{
    return (weft_task *)(uintptr_t)(token & UINT64_C(0x0000ffffffffffc0));
}

/* Somebody is to be told of the end. Under the task's lock. */
static inline void wf_task_begin_list(weft_task *task)
{
    if (WF_UNLIKELY(task->waiters.next == NULL)) {
        wf_list_init(&task->waiters);
    }
}

static inline const char *wf_task_name(const weft_task *task)
{
    return wf_task_side(task)->extra != NULL ? wf_task_side(task)->extra->name : "";
}

/* The registry that `task` belongs to. */
struct wf_registry *wf_task_registry(const weft_task *task);

/* The outcome of an ended task: value, error or -ECANCELED. */
static inline intptr_t wf_task_outcome(weft_task *task, uint64_t word)
{
    return wf_word_life(word) == WF_CANCELLED ? -125 /* -ECANCELED */ : task->raw;
}

/* Writes: task "name" (#7), spawned at file.c:12. Async-signal-safe. Returns the length. */
size_t wf_task_describe(const weft_task *task, char *text, size_t size);

#endif

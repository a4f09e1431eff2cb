// SPDX-License-Identifier: MIT
/* descriptor.h - what a runtime knows of each file descriptor: who waits for it, what was seen of it.
 *
 * What: a record for each number, in memory that stays where it is until the runtime ends.
 * Protocol of a wait, the same for all:
 *         stamp = wf_fd_stamp(record)
 *         try the system call                        EAGAIN? then
 *         wf_fd_link(..., stamp, ...)                 LINKED: park, wf_fd_unlink; RETRY: try again
 *       The stamp counts events. If one came after it was read, the answer of the system call may be
 *       out of date, and linking says RETRY; one that came before was seen by the system call. An event
 *       grants everybody who waits for its direction, and a grant is only the permission to try
 *       again. So an event is never lost, whoever it met, and nothing needs to be handed over.
 *       Rejected: a ready bit that one waiter takes. Two datagrams may come as one event; the waiter
 *       that takes it reads one of them, and a second reader on its way to sleep misses the other.
 * Numbers are reused. The stamp counts closes too, so nobody who began with the old descriptor ever
 *       waits for the new one. Events carry the tag of their registration; one of an earlier
 *       registration is ignored. A descriptor that was closed by plain close(2) leaves a registration
 *       behind that is none: records of descriptors that weft makes are wiped (wf_fd_wipe), and
 *       when another task than last time is about to wait, the registration is renewed, which finds
 *       out. What remains: one task that waits for a descriptor, closes it by close(2), gets the
 *       number again for another one that weft did not make, and waits, or reads a stream where its last read of
 *       a stream was short: it may wait for ever. Close by weft_close.
 * Operations in a worker's ring (uring.h) need no stamps: the kernel looks for itself when they are submitted.
 *       They are in the record so that a close ends them. What is queued for a submission but not yet
 *       submitted names a number, not a description; while there is such a thing its number is held
 *       (wf_fd_hold): it belongs to a descriptor on which every call fails until the last of them is over.
 *       The same holds for system calls in progress on other threads (wf_fd_begin).
 * Threads: any; everything in a record is under its lock but where captions say otherwise. Claims of
 *       waits are made under it (wait.h). System calls made under it: those on the epoll
 *       descriptor, and what a watch does.
 */
#ifndef WF_POLL_DESCRIPTOR_H
#define WF_POLL_DESCRIPTOR_H

#include <stddef.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "poll/poller.h"
#include "poll/uring.h"
#include "task/wait.h"

/* Directions of a wait, and what an event says. */
enum {
    WF_FD_READ = 1,
    WF_FD_WRITE = 2,
    WF_FD_HANGUP = 4,     /* reset, error or full hang-up: meets both directions */
    WF_FD_HALF_CLOSE = 8, /* the peer sends no more: meets readers */
    WF_FD_URGENT = 16,    /* has come: a short read may mean its mark. Meets nobody */
};

/* wf_fd.nature */
enum {
    WF_FD_IS_TCP = 1, /* plain: short reads mean that there was no more */
    WF_FD_IS_NO_TCP = 2,
    WF_FD_IS_POLLABLE = 4,
    WF_FD_IS_NO_SOCKET = 8,
    WF_FD_IS_LOCAL = 16, /* a stream: they mean it too, unless something was sent along */
};

struct wf_fd;

/* Looks at a descriptor for longer than a wait: told of hang-ups, also of those already seen. */
struct wf_fd_watch {
    struct wf_list link;
    /* Look at record->seen. Under the record's lock. */
    void (*tell)(struct wf_fd_watch *watch, struct wf_fd *record, struct wf_later *later);
};

/* Waiters of one wait in one record that may wait for both directions. */
struct wf_fd_entry {
    unsigned directions;
    struct wf_waiter waiters[2]; /* [0] reader, [1] writer */
};

static inline void wf_fd_entry_init(struct wf_fd_entry *entry, struct wf_wait *wait,
                                    unsigned directions)
{
    entry->directions = directions;
    for (int i = 0; i < 2; i++) {
        wf_list_init(&entry->waiters[i].link);
        entry->waiters[i].wait = wait;
        entry->waiters[i].notify = NULL;
    }
}

/* What an event touches is in the first line, what the wait that it ends or an operation in a ring touches in the
 * first two. */
struct wf_fd {
    _Alignas(64) struct wf_lock lock;
    uint32_t tag; /* of the registration: what its events carry */

    /* {closes:24, closing:1, write events:19, read events:20}. Written under lock (release); waiters load it
     * (acquire) before their system call. */
    wf_au64 stamp;

    /* System calls in progress on the number, and WF_FD_HELD. Callers add before they load the stamp and subtract
     * when they are done; the closer, under lock, stores the stamp and then asks by an addition of 0 (all by
     * solo.h). Of the two additions one is first: either the closer counts the caller and holds the
     * number for it, or the caller sees what the closer has stored and keeps away. So it is where the caller's is
     * plain, too: the closer is a guest then, whose addition comes after the heavy fence, and his stamp before. */
    wf_au32 calls;

    /* Whether fd and the lists are set: stored once under lock (release), loaded by wf_fd_find
     * (acquire). */
    wf_au8 is_prepared;

    /* WF_FD_HANGUP, WF_FD_HALF_CLOSE, WF_FD_URGENT: sticky. Written under lock before the stamp that counts
     * the event; readers who have loaded that stamp (acquire) load it (relaxed) without the lock. */
    wf_au8 seen;

    /* How it has turned out, for waiters that would look first: WF_FD_IS_*. Stored under lock, loaded by anybody
     * (relaxed): hints, that a close or wipe takes back; what hangs on `drained_at` is said there. */
    wf_au8 nature;

    /* Of a listener: connections taken in this burst, since it was last found empty, and in the one before. As
     * `nature`, but stored without the lock: who takes at the same time may count less. */
    wf_au8 burst;
    wf_au8 last_burst;

    bool is_registered;
    bool is_probed;        /* a watch has found out whether a half-closed peer is there */
    bool may_have_writers; /* false: the list of writers, in another line, is empty */

    /* One more than the stamp before a read that has left nothing behind, of a stream: since then
     * nothing has come unless an event says so. 0: not known. Readers store and load (relaxed: it is compared with a stamp
     * that was loaded, acquire, just before). */
    wf_au64 drained_at;

    struct wf_list readers; /* wf_waiter.link */

    /* The waiter of the last reader, on its stack: stored under lock, loaded by whoever waits for events (relaxed).
     * Stale perhaps, and fetched into the caches only. */
    _Atomic(const void *) frame;

    /* Tasks, by id, that waited last for each direction: they need not look at the registration. */
    uint64_t users[2];

    /* Not NULL: the number is being closed; tells one closer from the next. The stamp says it too. */
    const void *closer;

    /* Not NULL: what the last of `calls` drops. Under lock. */
    struct wf_fd_hold *hold;

    int fd;

    struct wf_list ops;     /* wf_op.link */
    struct wf_list writers; /* wf_waiter.link */
    struct wf_list watches; /* wf_fd_watch.link */
};

_Static_assert(offsetof(struct wf_fd, users) == 64, "what an event touches is one line");
_Static_assert(offsetof(struct wf_fd, writers) <= 128, "what an operation touches is two");

/* A number that is closed but must not be given out yet; on the heap. */
struct wf_fd_hold {
    wf_au32
        users; /* operations that may still name it, records with calls in progress, and the closer: any
                    * thread (acq_rel) */
    int fd;
    wf_au8
        is_replaced; /* a dead descriptor has the number: the closer stores, others load (relaxed) */
};

/* One user less; the last one gives the number back. */
void wf_fd_hold_drop(struct wf_fd_hold *hold);

/* Segment k has 64 << k records: numbers up to INT_MAX, and a record never moves. */
enum { WF_FD_FIRST_SHIFT = 6, WF_FD_SEGMENTS = 26 };

struct wf_fd_table {
    /* Any thread by CAS from NULL (acq_rel), once; loaded (acquire) by everybody. */
    _Atomic(struct wf_fd *) segments[WF_FD_SEGMENTS];
    struct wf_poller *poller;
    struct wf_list link; /* all tables of the process, under a lock of descriptor.c */
};

/* Where the stamp counts closes, and its bit that says that one has not ended. */
enum { WF_FD_CLOSE_SHIFT = 40 };
#define WF_FD_CLOSING (UINT64_C(1) << 39)

/* wf_fd.calls: the number is closed, and held for those that are counted. */
#define WF_FD_HELD (UINT32_C(1) << 31)

enum { WF_FD_LINKED = 0, WF_FD_RETRY = 1, WF_FD_UNSURE = 2 };

int wf_fd_table_create(struct wf_fd_table **out, struct wf_poller *poller);

/* Held by whoever accepts from a listener that may block: between finding a connection and taking it nobody else of this
 * process takes it. */
struct wf_lock *wf_fd_accept_guard(void);

/* Nobody waits any more. Waits for a weft_close on another thread that is in the table. */
void wf_fd_table_destroy(struct wf_fd_table *table);

/* Where a number's record is: of segment k, `index` - (64 << k). */
static inline uint64_t wf_fd_index(int fd)
{
    return (uint64_t)fd + (UINT64_C(1) << WF_FD_FIRST_SHIFT);
}

static inline unsigned wf_fd_segment(uint64_t index)
{
    return 63U - (unsigned)__builtin_clzll(index) - WF_FD_FIRST_SHIFT;
}

/* Its address, whether it is prepared or not; NULL: no number near it has been used yet. */
static inline struct wf_fd *wf_fd_at(struct wf_fd_table *table, int fd)
{
    uint64_t index = wf_fd_index(fd);
    unsigned segment = wf_fd_segment(index);
    struct wf_fd *records = wf_load_acq(&table->segments[segment]);
    uint64_t first = UINT64_C(1) << (segment + WF_FD_FIRST_SHIFT);
    return records != NULL ? &records[index - first] : NULL;
}

/* What wf_fd_find does for a number that is not in use yet, as far as is known. */
int wf_fd_find_new(struct wf_fd_table *table, int fd, struct wf_fd **out);

/* The record of `fd`, made if need be. 0; -EBADF; -ENOMEM. */
static inline int wf_fd_find(struct wf_fd_table *table, int fd, struct wf_fd **out)
{
    struct wf_fd *record = WF_LIKELY(fd >= 0) ? wf_fd_at(table, fd) : NULL;
    if (WF_LIKELY(record != NULL) && WF_LIKELY(wf_load_acq(&record->is_prepared) != 0)) {
        *out = record;
        return 0;
    }
    return wf_fd_find_new(table, fd, out);
}

static inline uint64_t wf_fd_stamp(struct wf_fd *record)
{
    return wf_load_acq(&record->stamp);
}

/* ---- calls in progress: any thread ---- */

/* Begins a system call on the number, and returns the stamp for it; wf_fd_end when it is over, whatever the stamp
 * says. Only if the number is the same as when the whole call began and not being closed may the system call
 * be made: then the number stays what it is until wf_fd_end. */
static inline uint64_t wf_fd_begin(struct wf_fd *record)
{
    (void)wf_solo_add32(&record->calls, 1U);
    return wf_fd_stamp(record);
}

/* The last call on a closed number: gives it back. */
void wf_fd_end_held(struct wf_fd *record);

static inline void wf_fd_end(struct wf_fd *record)
{
    if (__builtin_expect(wf_solo_add32(&record->calls, UINT32_MAX) == (WF_FD_HELD | 1U), 0)) {
        wf_fd_end_held(record);
    }
}

/* Whether the number is being closed. */
static inline bool wf_fd_is_closing(uint64_t stamp)
{
    return (stamp & WF_FD_CLOSING) != 0;
}

/* Whether the number has not been closed between two stamps. */
static inline bool wf_fd_is_same(uint64_t stamp, uint64_t other)
{
    return stamp >> WF_FD_CLOSE_SHIFT == other >> WF_FD_CLOSE_SHIFT;
}

/* Makes sure that events of the descriptor come in; `user` is the id of the task that asks. 0; -EPERM
 * (can't be polled), -EBADF, -ENOMEM. */
int wf_fd_register(struct wf_poller *poller, struct wf_fd *record, uint64_t user,
                   struct wf_later *later);

/* Enters a wait among those who wait for the entry's directions. LINKED; RETRY; -EBADF (closed since
 * `stamp`); or as wf_fd_register. */
int wf_fd_link(struct wf_poller *poller, struct wf_fd *record, struct wf_fd_entry *entry,
               uint64_t stamp, struct wf_later *later);

/* The same for one waiter of one direction. *is_first: it has registered the descriptor, so every event is newer than
 * the link. */
int wf_fd_link_one(struct wf_poller *poller, struct wf_fd *record, struct wf_waiter *waiter,
                   unsigned direction, uint64_t stamp, struct wf_later *later, bool *is_first);

/* The same while `user`, a task's id, has no more to do than that: it has waited for that direction before, and nothing has
 * come. UNSURE: nothing has been done, wf_fd_link_one says more. */
int wf_fd_link_again(struct wf_fd *record, struct wf_waiter *waiter, unsigned direction,
                     uint64_t stamp, uint64_t user);

/* Enters an operation that the calling worker has queued last. LINKED; RETRY: the number is just being closed, and
 * it is not known yet whose it will be (wf_fd_link_closing); -EBADF: closed since `stamp`. */
int wf_fd_link_op(struct wf_fd *record, struct wf_op *op, uint64_t stamp);
void wf_fd_unlink_op(struct wf_fd *record, struct wf_op *op);

/* Enters a wait for the end of a closing among the readers. LINKED; RETRY: it has ended. */
int wf_fd_link_closing(struct wf_fd *record, struct wf_waiter *waiter);

/* Whether there are any. */
bool wf_fd_has_ops(struct wf_fd *record);

/* Takes out what is still linked. */
void wf_fd_unlink(struct wf_fd *record, struct wf_fd_entry *entry);

/* The same for one waiter, of a task or subscribed. */
static inline void wf_fd_unlink_one(struct wf_fd *record, struct wf_waiter *waiter)
{
    wf_lock(&record->lock);
    wf_list_remove(&waiter->link);
    wf_unlock(&record->lock);
}

/* Links a waiter with a notify function among the readers, for the runtime's own descriptors. */
int wf_fd_subscribe(struct wf_poller *poller, struct wf_fd *record, struct wf_waiter *waiter);

/* From the notify function itself: stays subscribed. */
static inline void wf_fd_resubscribe_locked(struct wf_fd *record, struct wf_waiter *waiter)
{
    wf_list_push(&record->readers, &waiter->link);
}

/* Starts a watch and tells it what has been seen so far, or refuses as wf_fd_register. */
int wf_fd_watch(struct wf_poller *poller, struct wf_fd *record, uint64_t user,
                struct wf_fd_watch *watch, struct wf_later *later);

/* After it `tell` is not running. */
void wf_fd_unwatch(struct wf_fd *record, struct wf_fd_watch *watch);

/* The number belongs to a descriptor that has just been made: whatever is known of it is old. `nature` of the new
 * one: WF_FD_IS_*. */
void wf_fd_wipe(struct wf_fd *record, uint8_t nature, struct wf_later *later);

/* Urgent data is about to be read. Its event, if that has not been fetched, will not tell of it any more; but its mark still
 * ends a read. */
void wf_fd_note_urgent(struct wf_fd *record);

/* Remembers its nature, beside what is known: WF_FD_IS_*. Unless it has been closed since `stamp`. */
void wf_fd_keep_nature(struct wf_fd *record, uint64_t stamp, uint8_t nature);

/* The descriptor is about to become something else (a connected socket). */
void wf_fd_renew(struct wf_fd *record);

/* A back end's event. */
void wf_fd_event(struct wf_fd_table *table, int fd, uint32_t tag, unsigned seen,
                 struct wf_later *later);

/* The two halves of closing a number in one table: see table.c. The address of `closer` tells apart those who
 * close it at the same time. */
struct wf_fd_closing {
    struct wf_fd_hold *hold; /* not NULL: the number must be held */
    bool is_closed;          /* it is held already, by a close before ... */
    bool is_replaced;        /* ... that has put a dead descriptor there */
};

void wf_fd_close_begin(struct wf_fd_table *table, int fd, struct wf_fd_closing *closer,
                       struct wf_later *later);
void wf_fd_close_end(struct wf_fd_table *table, int fd, struct wf_fd_closing *closer,
                     struct wf_later *later);

/* Closes `fd` as weft_close does, in `own` and in every other table of the process; `own` NULL on a
 * plain thread. `flush` makes the tasks ready that were woken. 0 or a negative errno. */
int wf_fd_close(struct wf_fd_table *own, int fd, void (*flush)(struct wf_later *later));

#endif

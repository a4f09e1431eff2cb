// SPDX-License-Identifier: MIT
/* uring.h - a worker's own io_uring, and the operations in it.
 *
 * What: an operation (wf_op) lies on the stack of the fiber that asks for it, and the fiber goes on only
 *       after the operation's own completion has been taken out of the ring. So its buffers, wherever
 *       they are, are never written by the kernel after the call.
 * Cancelling is asking: whoever wants an operation to end (a request, a close) marks it and puts it into
 *       the ring's inbox; the owner takes it out there and submits a cancellation. What the operation
 *       then completes with is its result: bytes that have come are bytes. The fiber goes on once all
 *       three that name the operation are back: its completion, the inbox, the cancellation.
 * Threads: functions are the owner's (the worker's thread) but those that end in _any. The ring is made
 *       disabled by whoever starts the runtime and enabled by its worker, which is from then on the only
 *       one that the kernel lets submit.
 * Why without liburing: what is used of it is some fifty lines; so the order of the loads and stores
 *       that are shared with the kernel is seen by grep, and there is no version to depend on.
 */
#ifndef WF_POLL_URING_H
#define WF_POLL_URING_H

#include <ck_stack.h>
#include <linux/io_uring.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/list.h"
#include "task/wait.h"

struct wf_fd_hold;

/* wf_op.state */
enum {
    WF_OP_ASKED = 1,  /* to end: it is, was or will be in its ring's inbox */
    WF_OP_CLOSED = 2, /* ... because its descriptor is being closed */
    WF_OP_DONE = 4,   /* result is there */
};

#define WF_OP_NOT_PLACED UINT64_MAX

enum { WF_URING_ALARMS = 2 };

/* Linux 6.15: who sleeps in a ring does not count as waiting for a disk. Else a program without anything to do shows as one
 * that is held up by its disks, in top and in /proc/pressure. */
#define WF_URING_NO_IOWAIT (1U << 7)

/* What the ring itself has in the kernel: WF_OWN_ALARM is the first of the alarms. */
enum wf_own { WF_OWN_WAKE, WF_OWN_WATCH, WF_OWN_ALARM };

struct wf_op {
    const struct io_uring_sqe *entry; /* the fiber's; stays until the operation ends */
    struct wf_uring *ring;
    struct wf_wait *wait; /* granted when all is over */

    /* WF_OP_*: whoever asks, and the owner at completion, by locked or (acq_rel): of the two one comes
     * first, and an operation that is done is not put into the inbox. */
    wf_au32 state;

    /* Where in the submission queue it is, or was: the owner stores (release), a close loads (acquire). */
    wf_au64 place;

    int32_t result; /* the owner writes, the fiber reads: as the next two */
    uint32_t flags; /* IORING_CQE_F_* */
    bool is_backlogged;
    bool has_mail;      /* has been taken out of the inbox */
    bool is_cancelling; /* a cancellation is on its way */

    ck_stack_entry_t mail;   /* in the ring's inbox */
    struct wf_list queue;    /* in the ring's backlog, or among its cancels */
    struct wf_list link;     /* in wf_fd.ops, under the record's lock */
    struct wf_fd_hold *hold; /* descriptor.h; under the record's lock */
};

struct wf_uring {
    int fd;
    uint32_t setup_flags; /* that the kernel took */
    int enter_fd;         /* fd, or its index among the thread's registered ones */
    uint32_t enter_flags; /* with every call: set when it is made, and by its owner */

    /* Shared with the kernel. It loads what we store (release) and stores what we load (acquire). */
    wf_au32 *sq_head; /* the kernel's; a close on any thread loads it too */
    wf_au32 *sq_tail;
    wf_au32 *sq_flags;
    wf_au32 *cq_head;
    wf_au32 *cq_tail; /* the kernel's */
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
    uint32_t sq_mask;
    uint32_t cq_mask;
    uint32_t tail; /* of the submission queue */
    /* Operations that the kernel has or will have: the owner writes (relaxed), reports load (relaxed). */
    wf_au64 in_use;

    /* When the worker last looked, and after how many turns; whether what is queued waits for the next look for a
     * moment only, as far as the last turns tell. The scheduler's. */
    int64_t looked_ns;
    uint64_t looked_turns;
    bool is_prompt;
    bool is_behind;       /* calls have waited here while the worker was stuck in one task */
    uint32_t times_stuck; /* ... as often as this when it last looked */

    struct wf_list backlog; /* wf_op.queue: found no place */
    struct wf_list
        cancels; /* wf_op.queue: whose cancellation found no place, or must be repeated */

    /* wf_op.mail: any thread pushes, the owner takes all. */
    ck_stack_t inbox;

    /* Ends the owner's sleep: any thread. Given by the scheduler. */
    void (*rouse_any)(struct wf_uring *ring);
    void *owner;

    int wake_fd;      /* an eventfd that a poll watches all the time; never read */
    bool is_awake;    /* that poll is there */
    int watch_fd;     /* a second descriptor to watch, the poller's; -1: none */
    bool is_watching; /* a poll of it is there */
    bool was_ready;   /* ... and has fired; or there was no room for it, and one has to look */
    bool is_blind;    /* there was no room for it: the next sleep is a short one */

    /* uring_alarm.c: when the kernel's timers of this ring ring, WF_FOREVER: that one is not set. The owner writes
     * (relaxed), reports load (relaxed). */
    wf_ai64 alarms_ns[WF_URING_ALARMS];
    struct __kernel_timespec alarm_delays[WF_URING_ALARMS]; /* until their submission */
    bool has_no_alarms;                                     /* the kernel has refused one */

    void *rings;
    size_t rings_bytes;
    size_t entries_bytes;
    uint64_t supported[4]; /* opcodes, a bit each */
};

/* Makes a ring, disabled: 0, -ENOSYS (the kernel has none, lacks what is needed, or does not let us),
 * -ENOMEM, -EMFILE. Any thread. */
int wf_uring_create(struct wf_uring **out);

/* The calling thread becomes the owner: 0 or a negative errno. */
int wf_uring_enable(struct wf_uring *ring);

/* The owner takes leave: what the thread has registered goes. */
void wf_uring_leave(struct wf_uring *ring);

/* Nothing is in flight but what belongs to the ring itself. Any thread. */
void wf_uring_destroy(struct wf_uring *ring);

static inline bool wf_uring_has(const struct wf_uring *ring, unsigned opcode)
{
    return opcode < 256 && (ring->supported[opcode / 64] >> (opcode % 64) & 1) != 0;
}

/* Queues an operation for the next submission: entry and wait are set. Never fails. */
void wf_uring_push(struct wf_uring *ring, struct wf_op *op);

/* Takes back the operation that was queued last. */
void wf_uring_pull(struct wf_uring *ring, struct wf_op *op);

/* Submits what is queued, and takes no completions. */
void wf_uring_submit(struct wf_uring *ring);

/* True if wf_uring_look would submit or find something. */
bool wf_uring_is_busy(struct wf_uring *ring);

/* Whether operations have ended that the owner has not looked at: their fibers wait for it. Where the kernel does
 * not tell what it has put off (setup_flags), what was put off is not seen. */
bool wf_uring_has_ended_any(const struct wf_uring *ring);

/* Whether something is queued that the kernel has not taken. */
bool wf_uring_has_queued(const struct wf_uring *ring);

/* Works off the inbox. */
void wf_uring_collect(struct wf_uring *ring, struct wf_later *later);

static inline bool wf_uring_has_mail(struct wf_uring *ring)
{
    return wf_load_acq((_Atomic(ck_stack_entry_t *) *)(void *)&ring->inbox.head) != NULL;
}

/* Submits, and takes what has completed: who has ended is in `later`. Returns how many. */
int wf_uring_look(struct wf_uring *ring, struct wf_later *later);

/* When to end a sleep: it is `now_ns`, and earlier; WF_FOREVER: no limit. The sleep after it is likely to end at
 * `following_ns`. */
struct wf_uring_limit {
    int64_t now_ns;
    int64_t deadline_ns;
    int64_t following_ns;
};

/* The same, and sleeps if nothing has completed yet. May end before the deadline, for nothing. */
int wf_uring_sleep(struct wf_uring *ring, const struct wf_uring_limit *limit,
                   struct wf_later *later);

/* Has the ring's sleep end when descriptor `fd` is readable (wf_uring.was_ready), once. */
void wf_uring_watch(struct wf_uring *ring, int fd);

/* Ends a sleep. Any thread, signal handlers too. */
void wf_uring_poke_any(struct wf_uring *ring);

/* Asks an operation to end, unless it is done: `why` WF_OP_ASKED, with WF_OP_CLOSED or without. The
 * caller sees to it that the operation does not go meanwhile. */
void wf_uring_ask_any(struct wf_op *op, uint32_t why);

/* ---- uring_alarm.c ---- */

/* Sees to it that a timer ends the ring's sleep at the deadline at the latest. False: the call that sleeps
 * must. */
bool wf_uring_set_alarms(struct wf_uring *ring, const struct wf_uring_limit *limit);

static inline bool wf_uring_has_alarm_any(const struct wf_uring *ring)
{
    return wf_load_rlx(&ring->alarms_ns[0]) != WF_FOREVER ||
           wf_load_rlx(&ring->alarms_ns[1]) != WF_FOREVER;
}

/* One has rung, or was refused. */
void wf_uring_end_alarm(struct wf_uring *ring, uint32_t which, int32_t result);

/* uring.c: queues an entry of the ring's own. False: there is no room, and the kernel takes nothing. */
bool wf_uring_place_own(struct wf_uring *ring, const struct io_uring_sqe *entry, enum wf_own own);

/* Whether the kernel has resolved the operation's descriptor. */
bool wf_uring_is_submitted_any(const struct wf_op *op);

#endif

// SPDX-License-Identifier: MIT
/* uring.c - operations into the ring, completions out of it, and how an operation is ended early.
 *
 * An operation that somebody has asked to end is named in up to three places: the kernel (until its
 * completion), the inbox (until it is taken out) and its cancellation (until that completes). The fiber
 * goes on when all three are back (release), so none of them can name a frame that is gone.
 * Nothing here waits for room. What finds no place in the submission queue, even after a submission, stays
 * in a list of the ring's and is placed after the next one.
 */
#include "poll/uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/hint.h"
#include "base/log.h"

/* The low bits of a completion's user data; the rest is the operation. */
enum { TAG_OP = 0, TAG_CANCEL = 1, TAG_OWN = 2, TAG_MASK = 3 };

/* With TAG_OWN: enum wf_own above the tag. */
enum { OWN_SHIFT = 2 };
#define DATA_OF(own) ((uint64_t)(own) << OWN_SHIFT | TAG_OWN)
#define FIRST_ALARM DATA_OF(WF_OWN_ALARM)
#define LAST_ALARM DATA_OF(WF_OWN_ALARM + WF_URING_ALARMS - 1)

CK_STACK_CONTAINER(struct wf_op, mail, op_of_mail)

/* ---- the system call ---- */

static uint32_t unsubmitted(const struct wf_uring *ring)
{
    return ring->tail - wf_load_acq(ring->sq_head);
}

/* Submits all. Returns what the kernel says. */
WF_WAKING static __attribute__((noinline)) long enter(struct wf_uring *ring, uint32_t least,
                                                      uint32_t flags, void *arg, size_t bytes)
{
    long rc = syscall(SYS_io_uring_enter, ring->enter_fd, unsubmitted(ring), least,
                      flags | ring->enter_flags, arg, bytes);
    return rc >= 0 ? rc : -errno;
}

void wf_uring_submit(struct wf_uring *ring)
{
    if (unsubmitted(ring) > 0) {
        (void)enter(ring, 0, 0, NULL, 0); /* what it does not take stays */
    }
}

/* ---- placing ---- */

/* NULL: there is no room, and the kernel takes nothing. */
static struct io_uring_sqe *next_entry(struct wf_uring *ring)
{
    if (unsubmitted(ring) > ring->sq_mask) {
        wf_uring_submit(ring);
        if (unsubmitted(ring) > ring->sq_mask) {
            return NULL;
        }
    }
    return &ring->entries[ring->tail & ring->sq_mask];
}

static void publish(struct wf_uring *ring)
{
    ring->tail++;
    wf_store_rel(ring->sq_tail, ring->tail);
}

static bool place(struct wf_uring *ring, struct wf_op *op)
{
    struct io_uring_sqe *entry = next_entry(ring);
    if (entry == NULL) {
        return false;
    }
    *entry = *op->entry;
    entry->user_data = (uint64_t)(uintptr_t)op | TAG_OP;
    wf_store_rel(&op->place, (uint64_t)ring->tail);
    publish(ring);
    return true;
}

void wf_uring_push(struct wf_uring *ring, struct wf_op *op)
{
    op->ring = ring;
    wf_store_rlx(&op->state, 0U);
    wf_store_rlx(&op->place, WF_OP_NOT_PLACED);
    op->has_mail = false;
    op->is_cancelling = false;
    wf_list_init(&op->queue);
    op->is_backlogged = !wf_list_is_empty(&ring->backlog) || !place(ring, op);
    if (op->is_backlogged) {
        wf_list_push(&ring->backlog, &op->queue);
    }
    wf_bump_own(&ring->in_use, 1);
}

void wf_uring_pull(struct wf_uring *ring, struct wf_op *op)
{
    wf_store_rlx(&ring->in_use, wf_load_rlx(&ring->in_use) - 1);
    if (op->is_backlogged) {
        wf_list_remove(&op->queue);
        return;
    }
    ring->tail--;
    wf_store_rel(ring->sq_tail, ring->tail);
}

static bool place_cancel(struct wf_uring *ring, struct wf_op *op)
{
    struct io_uring_sqe *entry = next_entry(ring);
    if (entry == NULL) {
        return false;
    }
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_ASYNC_CANCEL;
    entry->fd = -1;
    entry->addr = (uint64_t)(uintptr_t)op | TAG_OP;
    entry->user_data = (uint64_t)(uintptr_t)op | TAG_CANCEL;
    publish(ring);
    return true;
}

static void push_cancel(struct wf_uring *ring, struct wf_op *op)
{
    op->is_cancelling = true;
    if (!wf_list_is_empty(&ring->cancels) || !place_cancel(ring, op)) {
        wf_list_push(&ring->cancels, &op->queue);
    }
}

/* Places what found no room before: cancellations first. */
static void place_waiting(struct wf_uring *ring)
{
    while (!wf_list_is_empty(&ring->cancels)) {
        struct wf_op *op = WF_CONTAINER(ring->cancels.next, struct wf_op, queue);
        if (!place_cancel(ring, op)) {
            return;
        }
        wf_list_remove(&op->queue);
    }
    while (!wf_list_is_empty(&ring->backlog)) {
        struct wf_op *op = WF_CONTAINER(ring->backlog.next, struct wf_op, queue);
        if (!place(ring, op)) {
            return;
        }
        wf_list_remove(&op->queue);
        op->is_backlogged = false;
    }
}

/* ---- the ring's own ---- */

bool wf_uring_place_own(struct wf_uring *ring, const struct io_uring_sqe *entry, enum wf_own own)
{
    struct io_uring_sqe *place = next_entry(ring);
    if (place == NULL) {
        return false;
    }
    *place = *entry;
    place->user_data = DATA_OF(own);
    publish(ring);
    return true;
}

static bool place_poll(struct wf_uring *ring, int fd, enum wf_own own, uint32_t flags)
{
    struct io_uring_sqe entry = {
        .opcode = IORING_OP_POLL_ADD, .fd = fd, .len = flags, .poll32_events = POLLIN};
    return wf_uring_place_own(ring, &entry, own);
}

void wf_uring_watch(struct wf_uring *ring, int fd)
{
    ring->watch_fd = fd;
    if (!ring->is_watching) {
        ring->is_watching = place_poll(ring, fd, WF_OWN_WATCH, 0);
        ring->is_blind = !ring->is_watching;
        ring->was_ready = ring->was_ready || ring->is_blind;
    }
}

static void see_own(struct wf_uring *ring, const struct io_uring_cqe *completion)
{
    uint32_t own = (uint32_t)(completion->user_data >> OWN_SHIFT);
    if (own == WF_OWN_WATCH) {
        ring->is_watching = false;
        ring->was_ready = true;
    } else if (own >= WF_OWN_ALARM) {
        wf_uring_end_alarm(ring, own - WF_OWN_ALARM, completion->res);
    } else if ((completion->flags & IORING_CQE_F_MORE) == 0) {
        ring->is_awake = false; /* to be renewed */
    }
}

/* ---- the end of an operation ---- */

/* All that name it are back. */
static void release(struct wf_op *op, struct wf_later *later)
{
    bool was_asked = (wf_load_rlx(&op->state) & WF_OP_ASKED) != 0;
    if (was_asked && (!op->has_mail || op->is_cancelling)) {
        return;
    }
    wf_store_rlx(&op->ring->in_use, wf_load_rlx(&op->ring->in_use) - 1);
    (void)wf_wait_claim(op->wait, WF_GRANTED, later);
}

static void end(struct wf_op *op, int32_t result, uint32_t flags, struct wf_later *later)
{
    op->result = result;
    op->flags = flags;
    (void)wf_or_acqrel(&op->state, (uint32_t)WF_OP_DONE);
    release(op, later);
}

/* The cancellation is back. It may have missed an operation that was on its way from one of the
 * kernel's lists to another, or have failed of something else: then it is made again, if the operation does not
 * end. EALREADY: a thread of the kernel's is at it, and has been told. */
static void end_cancel(struct wf_uring *ring, struct wf_op *op, int32_t result,
                       struct wf_later *later)
{
    op->is_cancelling = false;
    if ((wf_load_rlx(&op->state) & WF_OP_DONE) != 0) {
        release(op, later);
    } else if (result < 0 && result != -EALREADY) {
        op->is_cancelling = true;
        wf_list_push(&ring->cancels, &op->queue);
    }
}

static void take_mail(struct wf_uring *ring, struct wf_op *op, struct wf_later *later)
{
    op->has_mail = true;
    if ((wf_load_rlx(&op->state) & WF_OP_DONE) != 0) {
        release(op, later);
    } else if (op->is_backlogged) {
        wf_list_remove(&op->queue);
        op->is_backlogged = false;
        end(op, -ECANCELED, 0, later);
    } else {
        push_cancel(ring, op);
    }
}

WF_WAKING void wf_uring_collect(struct wf_uring *ring, struct wf_later *later)
{
    if (!wf_uring_has_mail(ring)) {
        return;
    }
    ck_stack_entry_t *entry = ck_stack_batch_pop_upmc(&ring->inbox);
    while (entry != NULL) {
        ck_stack_entry_t *next = CK_STACK_NEXT(entry);
        take_mail(ring, op_of_mail(entry), later);
        entry = next;
    }
}

/* ---- completions ---- */

WF_WAKING static void take_completion(struct wf_uring *ring, const struct io_uring_cqe *completion,
                                      struct wf_later *later)
{
    struct wf_op *op = (struct wf_op *)(uintptr_t)(completion->user_data & ~(uint64_t)TAG_MASK);
    switch (completion->user_data & TAG_MASK) {
    case TAG_OP:
        end(op, completion->res, completion->flags, later);
        break;
    case TAG_CANCEL:
        end_cancel(ring, op, completion->res, later);
        break;
    default:
        see_own(ring, completion);
        break;
    }
}

static struct wf_op *op_at(const struct wf_uring *ring, uint32_t at)
{
    uint64_t data = ring->completions[at & ring->cq_mask].user_data;
    return (data & TAG_MASK) == TAG_OP ? (struct wf_op *)(uintptr_t)data : NULL;
}

/* With many connections each operation and its task have left the caches since they were last used. What is needed
 * some completions from now is fetched meanwhile. */
static void fetch_ahead(const struct wf_uring *ring, uint32_t at, uint32_t tail)
{
    enum { FAR = 8, NEAR = 4, OP_LINES = 2 }; /* of an operation and its wait behind it */
    if (tail - at > FAR) {
        wf_fetch_lines(op_at(ring, at + FAR), OP_LINES);
        const struct wf_op *op = op_at(ring, at + NEAR);
        if (op != NULL) {
            wf_fetch(op->wait->task);
        }
    }
}

WF_WAKING static int reap(struct wf_uring *ring, struct wf_later *later)
{
    uint32_t head = wf_load_rlx(ring->cq_head); /* ours */
    uint32_t first = head;
    uint32_t tail = wf_load_acq(ring->cq_tail);
    for (; head != tail; head++) {
        fetch_ahead(ring, head, tail);
        take_completion(ring, &ring->completions[head & ring->cq_mask], later);
    }
    if (head != first) {
        wf_store_rel(ring->cq_head, head);
    }
    return (int)(head - first);
}

/* ---- looking and sleeping ---- */

static bool has_completions(const struct wf_uring *ring)
{
    return wf_load_rlx(ring->cq_head) != wf_load_acq(ring->cq_tail);
}

static bool has_waiting(const struct wf_uring *ring)
{
    return !wf_list_is_empty(&ring->backlog) || !wf_list_is_empty(&ring->cancels);
}

/* Work that the kernel has put off until we come, or completions that it has found no room for. Without
 * the flag for the first we can't know. */
static bool must_enter(const struct wf_uring *ring)
{
    const uint32_t pending = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;
    return unsubmitted(ring) > 0 || (ring->setup_flags & IORING_SETUP_TASKRUN_FLAG) == 0 ||
           (wf_load_rlx(ring->sq_flags) & pending) != 0;
}

bool wf_uring_is_busy(struct wf_uring *ring)
{
    return wf_load_rlx(&ring->in_use) > 0 || ring->is_watching
               ? must_enter(ring) || has_completions(ring) || has_waiting(ring)
               : unsubmitted(ring) > 0 || has_completions(ring);
}

bool wf_uring_has_queued(const struct wf_uring *ring)
{
    return unsubmitted(ring) > 0;
}

/* How long the sleep may be if what found no room is to be tried again: perhaps just what was to end it. */
static int64_t bounded(const struct wf_uring *ring, int64_t timeout_ns)
{
    const int64_t soon_ns = 1000000;
    bool is_short = has_waiting(ring) || !ring->is_awake || ring->is_blind;
    return is_short && timeout_ns > soon_ns ? soon_ns : timeout_ns;
}

static void sleep_in(struct wf_uring *ring, int64_t timeout_ns)
{
    timeout_ns = wf_nap_most(timeout_ns);
    struct __kernel_timespec limit = {.tv_sec = timeout_ns / 1000000000,
                                      .tv_nsec = timeout_ns % 1000000000};
    struct io_uring_getevents_arg arg = {
        .sigmask_sz = 8, .ts = timeout_ns == WF_FOREVER ? 0 : (uint64_t)(uintptr_t)&limit};
    long rc = enter(ring, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
    wf_let_signals_in();
    if (rc == -EBUSY || rc == -EAGAIN) {
        /* It takes nothing now, for lack of memory or because completions wait to be taken; and so it has
         * not slept. */
        (void)enter(ring, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    }
}

static void place_all(struct wf_uring *ring)
{
    place_waiting(ring);
    if (!ring->is_awake) {
        ring->is_awake = place_poll(ring, ring->wake_fd, WF_OWN_WAKE, IORING_POLL_ADD_MULTI);
    }
}

static int look_now(struct wf_uring *ring, struct wf_later *later)
{
    if (must_enter(ring)) {
        (void)enter(ring, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    }
    return reap(ring, later);
}

int wf_uring_look(struct wf_uring *ring, struct wf_later *later)
{
    place_all(ring);
    return look_now(ring, later);
}

/* Takes alarms that come before anything else. True: there was one, and nothing else. */
static bool reap_alarms(struct wf_uring *ring)
{
    uint32_t first = wf_load_rlx(ring->cq_head); /* ours */
    uint32_t head = first;
    uint32_t tail = wf_load_acq(ring->cq_tail);
    for (; head != tail; head++) {
        const struct io_uring_cqe *completion = &ring->completions[head & ring->cq_mask];
        if (completion->user_data < FIRST_ALARM || completion->user_data > LAST_ALARM) {
            break;
        }
        see_own(ring, completion);
    }
    if (head != first) {
        wf_store_rel(ring->cq_head, head);
    }
    return head != first && head == tail;
}

/* An alarm may ring for nothing: its timers are gone, or it has rung while the worker was awake. */
WF_WAKING int wf_uring_sleep(struct wf_uring *ring, const struct wf_uring_limit *limit,
                             struct wf_later *later)
{
    struct wf_uring_limit rest = *limit;
    place_all(ring);
    (void)reap_alarms(ring);
    if (has_completions(ring)) {
        return look_now(ring, later);
    }
    do {
        bool is_set = rest.deadline_ns == WF_FOREVER || wf_uring_set_alarms(ring, &rest);
        sleep_in(ring, bounded(ring, is_set ? WF_FOREVER : rest.deadline_ns - rest.now_ns));
    } while (reap_alarms(ring) && (rest.now_ns = wf_monotonic_ns()) < rest.deadline_ns);
    ring->is_blind = false;
    return reap(ring, later);
}

/* ---- any thread ---- */

bool wf_uring_has_ended_any(const struct wf_uring *ring)
{
    return has_completions(ring) || (wf_load_rlx(ring->sq_flags) & IORING_SQ_TASKRUN) != 0;
}

/* errno belongs to whoever is interrupted. */
__attribute__((noinline)) void wf_uring_poke_any(struct wf_uring *ring)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(ring->wake_fd, &one, sizeof one);
    (void)written; /* a full counter has been an event already */
    errno = saved;
}

void wf_uring_ask_any(struct wf_op *op, uint32_t why)
{
    uint32_t seen = wf_load_acq(&op->state);
    do {
        if ((seen & WF_OP_DONE) != 0) {
            return;
        }
    } while (!wf_cas_weak_acqrel(&op->state, &seen, seen | why | WF_OP_ASKED));
    if ((seen & WF_OP_ASKED) == 0) {
        struct wf_uring *ring = op->ring; /* first: once in the inbox, the operation may end */
        ck_stack_push_upmc(&ring->inbox, &op->mail);
        ring->rouse_any(ring);
    }
}

bool wf_uring_is_submitted_any(const struct wf_op *op)
{
    uint64_t at = wf_load_acq(&((struct wf_op *)(uintptr_t)op)->place);
    return at != WF_OP_NOT_PLACED && (int32_t)(wf_load_acq(op->ring->sq_head) - (uint32_t)at) > 0;
}

/* SPDX-License-Identifier: MIT */
/* ring_faults.h - rings that go wrong: an operation that ends with an error or with one byte, a call that submits
 * nothing or not all, queues that are too small.
 *
 * What: all that a ring says to the kernel goes through syscall(3), and `syscall` below takes its place in the program.
 *       An operation that is to fail is replaced by one that does nothing before the kernel sees it, and what that
 *       completes with by the error: so it fails as the kernel's own do, without having done anything.
 * Which: struct wt_ring_plan; one plan at a time, for all rings. wt_ring_seen counts what came by.
 * Threads: the wrapper runs on the thread of the ring's owner, under a lock of its own, for there may be several.
 */
#ifndef WEFT_TEST_RING_FAULTS_H
#define WEFT_TEST_RING_FAULTS_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "poll/uring.h"
#include "sched/sched.h"
#include "weft_test.h"

/* What a ring queues, as far as its user data tells it apart (poll/uring.c). */
enum wt_ring_kind {
    WT_RING_OP,     /* a fiber's, of the plan's opcode */
    WT_RING_CANCEL, /* asks one to end */
    WT_RING_WAKE, /* the polls of the ring itself: what others write to, and the poller's descriptor */
    WT_RING_WATCH,
    WT_RING_ALARM,
    WT_RING_KINDS,
    WT_RING_NOTHING,
};

enum { WT_OPCODES = 64, WT_RINGS = 8, WT_SPOILT = 64 };

struct wt_ring_plan {
    enum wt_ring_kind kind;
    unsigned opcode;
    int nth, times;      /* the first that fails, from 1, and how many do */
    int32_t result;      /* instead of theirs; 0: the same, of one byte */
    int call_nth, calls; /* of the calls that submit something: they fail, ... */
    int call_error;      /* ... with this; 0: but take the first entry */
    unsigned entries;    /* not 0: so few has a queue of a ring that is made */
};

struct wt_ring_seen {
    int kinds[WT_RING_KINDS];
    int opcodes[WT_OPCODES];
    int calls;
    int spoilt;    /* operations */
    int refused;   /* calls */
    int overflows; /* calls after which completions were left that had found no room */
};

static struct wt_ring_plan wt_ring_plan = {.kind = WT_RING_NOTHING};
static struct wt_ring_seen wt_ring_seen;
static struct wf_uring *wt_ring_own; /* of a test without a runtime */

static pthread_mutex_t wt_ring_lock =
    PTHREAD_MUTEX_INITIALIZER; /* guards all below, and wt_ring_seen */
static struct {
    struct wf_uring *ring;
    uint32_t looked; /* so far its submission queue has been looked at */
} wt_rings[WT_RINGS];
static struct {
    uint64_t data;
    int32_t result;
} wt_spoilt[WT_SPOILT];
static int wt_spoilt_count;

typedef long wt_syscall(long number, ...);
static wt_syscall *wt_real_syscall;

__attribute__((constructor)) static void wt_find_syscall(void)
{
    void *found = dlsym(RTLD_NEXT, "syscall");
    memcpy(&wt_real_syscall, &found, sizeof found);
}

/* ---- what is queued ---- */

static enum wt_ring_kind wt_kind_of(const struct io_uring_sqe *entry)
{
    const uint64_t own = entry->user_data >> 2;
    switch (entry->user_data & 3) {
    case 0:
        return WT_RING_OP;
    case 1:
        return WT_RING_CANCEL;
    default:
        return own == WF_OWN_WAKE    ? WT_RING_WAKE
               : own == WF_OWN_WATCH ? WT_RING_WATCH
                                     : WT_RING_ALARM;
    }
}

static bool wt_is_planned(enum wt_ring_kind kind, const struct io_uring_sqe *entry)
{
    const struct wt_ring_plan *plan = &wt_ring_plan;
    int nth = kind == WT_RING_OP ? wt_ring_seen.opcodes[entry->opcode % WT_OPCODES]
                                 : wt_ring_seen.kinds[kind];
    return kind == plan->kind && (kind != WT_RING_OP || entry->opcode == plan->opcode) &&
           nth >= plan->nth && nth < plan->nth + plan->times && wt_spoilt_count < WT_SPOILT;
}

static void wt_look_at(struct io_uring_sqe *entry)
{
    enum wt_ring_kind kind = wt_kind_of(entry);
    uint64_t data = entry->user_data;
    wt_ring_seen.kinds[kind]++;
    wt_ring_seen.opcodes[entry->opcode % WT_OPCODES] += kind == WT_RING_OP;
    if (!wt_is_planned(kind, entry)) {
        return;
    }
    wt_ring_seen.spoilt++;
    if (wt_ring_plan.result == 0) {
        entry->len = entry->len > 0 ? 1 : 0;
        return;
    }
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_NOP;
    entry->user_data = data;
    wt_spoilt[wt_spoilt_count].data = data;
    wt_spoilt[wt_spoilt_count++].result = wt_ring_plan.result;
}

static uint32_t *wt_looked(struct wf_uring *ring)
{
    int i = 0;
    while (wt_rings[i].ring != NULL && wt_rings[i].ring != ring) {
        i++;
    }
    wt_rings[i].ring = ring;
    return &wt_rings[i].looked;
}

static void wt_look_at_entries(struct wf_uring *ring, uint32_t count)
{
    uint32_t *looked = wt_looked(ring);
    uint32_t end = wf_load_acq(ring->sq_head) + count;
    for (; (int32_t)(end - *looked) > 0; (*looked)++) {
        wt_look_at(&ring->entries[*looked & ring->sq_mask]);
    }
}

/* ---- what has completed ---- */

/* The user data of one operation may come again once it has ended: the oldest counts. */
static void wt_spoil(struct io_uring_cqe *completion)
{
    for (int i = 0; i < wt_spoilt_count; i++) {
        if (wt_spoilt[i].data == completion->user_data) {
            completion->res = wt_spoilt[i].result;
            wt_spoilt_count--;
            memmove(&wt_spoilt[i], &wt_spoilt[i + 1],
                    (size_t)(wt_spoilt_count - i) * sizeof wt_spoilt[0]);
            return;
        }
    }
}

static void wt_look_at_completions(struct wf_uring *ring, uint32_t first)
{
    uint32_t tail = wf_load_acq(ring->cq_tail);
    for (; first != tail; first++) {
        wt_spoil(&ring->completions[first & ring->cq_mask]);
    }
    wt_ring_seen.overflows += (wf_load_acq(ring->sq_flags) & IORING_SQ_CQ_OVERFLOW) != 0;
}

/* ---- the call ---- */

/* True: the call is not made, or `*count` smaller. */
static bool wt_is_refused(uint32_t *count)
{
    const struct wt_ring_plan *plan = &wt_ring_plan;
    wt_ring_seen.calls += *count > 0;
    if (*count == 0 || wt_ring_seen.calls < plan->call_nth ||
        wt_ring_seen.calls >= plan->call_nth + plan->calls) {
        return false;
    }
    wt_ring_seen.refused++;
    *count = 1;
    return plan->call_error != 0;
}

/* `arguments`: the descriptor, how many entries, and the rest. */
static long wt_enter(struct wf_uring *ring, const long arguments[6])
{
    uint32_t count = (uint32_t)arguments[1];
    pthread_mutex_lock(&wt_ring_lock);
    uint32_t first = wf_load_acq(ring->cq_tail);
    bool is_refused = wt_is_refused(&count);
    if (!is_refused) {
        wt_look_at_entries(ring, count);
    }
    pthread_mutex_unlock(&wt_ring_lock);
    if (is_refused) {
        errno = wt_ring_plan.call_error;
        return -1;
    }
    long rc;
    if (count == (uint32_t)arguments[1]) {
        rc = wt_real_syscall(SYS_io_uring_enter, arguments[0], arguments[1], arguments[2],
                             arguments[3], arguments[4], arguments[5]);
    } else { /* who is told of fewer than he has asked for has not slept */
        rc = wt_real_syscall(SYS_io_uring_enter, arguments[0], (long)count, 0L,
                             arguments[3] & (long)IORING_ENTER_REGISTERED_RING, 0L, 0L);
    }
    int error = errno;
    pthread_mutex_lock(&wt_ring_lock);
    wt_look_at_completions(ring, first);
    pthread_mutex_unlock(&wt_ring_lock);
    errno = error;
    return rc;
}

/* The ring of that call, if it is one of ours. */
static struct wf_uring *wt_ring_here(long fd)
{
    struct wf_worker *worker = wf_here();
    struct wf_uring *ring = worker != NULL ? worker->ring : wt_ring_own;
    return ring != NULL && ring->enter_fd == (int)fd ? ring : NULL;
}

/* In the place of the C library's. */
long syscall(long number, ...)
{
    long arguments[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) {
        arguments[i] = va_arg(rest, long);
    }
    va_end(rest);
    struct wf_uring *ring = number == SYS_io_uring_enter ? wt_ring_here(arguments[0]) : NULL;
    if (ring != NULL) {
        return wt_enter(ring, arguments);
    }
    if (number == SYS_io_uring_setup && wt_ring_plan.entries != 0) {
        struct io_uring_params *params = (struct io_uring_params *)arguments[1];
        params->cq_entries = wt_ring_plan.entries;
        arguments[0] = (long)wt_ring_plan.entries;
    }
    return wt_real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                           arguments[4], arguments[5]);
}

/* ---- for tests ---- */

static char wt_ring_text[160];

static void wt_ring_hung(int number)
{
    (void)number;
    ssize_t written = write(2, wt_ring_text, strlen(wt_ring_text));
    written += write(2, ": it hung\n", 10);
    (void)written;
    _exit(1);
}

/* From here on this plan is in force; who hangs says under which. No ring is there. */
static void wt_ring_begin(const char *name, const struct wt_ring_plan *plan)
{
    enum { LIMIT_S = 20 * WT_TIME_SCALE };
    memset(&wt_ring_seen, 0, sizeof wt_ring_seen);
    memset(wt_rings, 0, sizeof wt_rings);
    wt_spoilt_count = 0;
    wt_ring_plan = *plan;
    (void)snprintf(
        wt_ring_text, sizeof wt_ring_text,
        "--- %s: kind %d, opcode %u, %d from %d on: %d; calls: %d from %d on: %d; %u entries", name,
        (int)plan->kind, plan->opcode, plan->times, plan->nth, plan->result, plan->calls,
        plan->call_nth, plan->call_error, plan->entries);
    (void)signal(SIGALRM, wt_ring_hung);
    (void)alarm(LIMIT_S);
}

/* How many operations have failed so far. */
static int wt_ring_spoilt(void)
{
    pthread_mutex_lock(&wt_ring_lock);
    int count = wt_ring_seen.spoilt;
    pthread_mutex_unlock(&wt_ring_lock);
    return count;
}

static void wt_ring_end(void)
{
    (void)alarm(0);
    wt_ring_plan = (struct wt_ring_plan){.kind = WT_RING_NOTHING};
}

#endif

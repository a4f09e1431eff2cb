// SPDX-License-Identifier: MIT
/* ring_sweep.h - a scenario under each fault of a ring, by one worker and by two: a call tells the error, or it is
 * made again; nothing is lost, nothing hangs, nothing stays open. How faults are made is in ring_faults.h. */
#ifndef WEFT_RING_SWEEP_H
#define WEFT_RING_SWEEP_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weft.h>

#include "ring_faults.h"
#include "support.h"

/* The error that a call may tell, once for each operation that has failed of it; 0: none may. */
static int32_t expected;
static atomic_int told;

WT_FN bool is_told(int64_t rc)
{
    bool yes = expected != 0 && rc == expected && atomic_load(&told) < wt_ring_spoilt();
    if (yes) {
        atomic_fetch_add(&told, 1);
    }
    return yes;
}

/* The call, again until it does not tell the fault any more. */
#define CALL(Rc, ...)         \
    do {                      \
        (Rc) = (__VA_ARGS__); \
    } while (is_told(Rc))

/* ---- what scenarios share ---- */

enum { PART = 1500 };

/* The bytes that are sent and written. */
WT_FN char byte_at(size_t at)
{
    return (char)(at * 7 + (at >> 8));
}

/* A pair with little room. */
/* Two ends with little room between them. */
WT_FN void make_pair(int fds[2])
{
    int room = 4096;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
}

/* ---- runs ---- */

WT_FN void run_once(const char *name, weft_fn *fn, int workers, const struct wt_ring_plan *plan)
{
    const weft_options options = {.workers = workers, .io = WEFT_IO_URING, .diagnostic = ignore};
    int before = count_descriptors();
    wt_ring_begin(name, plan);
    atomic_store(&told, 0);
    wt_check(weft_run(fn, NULL, &options) == 0);
    wt_ring_end();
    wt_check(count_descriptors() == before);
    bool may_be_silent = expected == -EAGAIN; /* some wait, and try again */
    wt_check(expected == 0 || (atomic_load(&told) <= wt_ring_seen.spoilt &&
                               (may_be_silent || atomic_load(&told) == wt_ring_seen.spoilt)));
    if (atomic_load(&wt_failures) != 0) {
        fprintf(stderr, "%s, %d workers: told %d of %d\n", wt_ring_text, workers,
                atomic_load(&told), wt_ring_seen.spoilt);
        wt_assert_clean();
    }
}

struct sweep {
    const char *name;
    weft_fn *fn;
    int workers;
    struct wt_ring_seen clean;
    int runs, missed;
};

WT_FN void try_plan(struct sweep *sweep, const struct wt_ring_plan *plan)
{
    run_once(sweep->name, sweep->fn, sweep->workers, plan);
    sweep->runs++;
    sweep->missed += wt_ring_seen.spoilt + wt_ring_seen.refused == 0;
}

/* The first, the second and the last of `count`, alone and three in a row. */
WT_FN void try_some(struct sweep *sweep, struct wt_ring_plan plan, int count)
{
    for (plan.times = 1; plan.times <= 3; plan.times += 2) {
        for (plan.nth = 1; plan.nth <= count && plan.nth <= 2; plan.nth++) {
            try_plan(sweep, &plan);
        }
        if (count > 2) {
            plan.nth = count;
            try_plan(sweep, &plan);
        }
    }
}

/* ---- completions ---- */

/* Of those a call tells: what ended it, and did nothing, is made again. */
WT_FN bool is_telling(int32_t result)
{
    return result != 0 && result != -EINTR && result != -ECANCELED;
}

WT_FN void spoil_operations(struct sweep *sweep)
{
    const int32_t results[] = {0, -EINTR, -ECANCELED, -ENOMEM, -ENOBUFS, -EBADF, -EAGAIN};
    for (unsigned opcode = 0; opcode < WT_OPCODES; opcode++) {
        for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
            bool has_length = opcode == IORING_OP_RECV || opcode == IORING_OP_SEND ||
                              opcode == IORING_OP_READ || opcode == IORING_OP_WRITE;
            if (results[i] != 0 || has_length) {
                expected = is_telling(results[i]) ? results[i] : 0;
                try_some(sweep,
                         (struct wt_ring_plan){
                             .kind = WT_RING_OP, .opcode = opcode, .result = results[i]},
                         sweep->clean.opcodes[opcode]);
            }
        }
    }
    expected = 0;
}

/* What is the ring's own no call hears of. */
WT_FN void spoil_own(struct sweep *sweep)
{
    static const struct {
        enum wt_ring_kind kind;
        int32_t result;
    } faults[] = {
        {WT_RING_CANCEL, -ENOENT},   {WT_RING_CANCEL, -ENOMEM},    {WT_RING_CANCEL, -EINTR},
        {WT_RING_CANCEL, -EAGAIN},   {WT_RING_CANCEL, -ECANCELED}, {WT_RING_WAKE, -ENOMEM},
        {WT_RING_WAKE, -ECANCELED},  {WT_RING_WAKE, -EBADF},       {WT_RING_WATCH, -ENOMEM},
        {WT_RING_WATCH, -ECANCELED}, {WT_RING_ALARM, -EBUSY},      {WT_RING_ALARM, -ENOMEM},
        {WT_RING_ALARM, -ECANCELED}, {WT_RING_ALARM, -EINTR},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct wt_ring_plan plan = {.kind = faults[i].kind, .result = faults[i].result};
        try_some(sweep, plan, sweep->clean.kinds[faults[i].kind]);
    }
}

/* ---- calls ---- */

WT_FN void refuse_calls(struct sweep *sweep)
{
    enum { CALLS_MOST = 8 };
    const int errors[] = {0, EINTR, EAGAIN, EBUSY, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct wt_ring_plan plan = {.kind = WT_RING_NOTHING, .call_error = errors[i]};
        for (plan.calls = 1; plan.calls <= 4; plan.calls += 3) {
            for (plan.call_nth = 1;
                 plan.call_nth <= sweep->clean.calls && plan.call_nth <= CALLS_MOST;
                 plan.call_nth++) {
                try_plan(sweep, &plan);
            }
        }
    }
}

WT_FN void need_ring(void)
{
    struct wf_uring *ring = NULL;
    (void)unsetenv("WEFT_IO");
    if (wf_uring_create(&ring) < 0) {
        wt_skip("no io_uring here");
    }
    wf_uring_destroy(ring);
}

WT_FN void sweep_faults(const char *name, weft_fn *fn)
{
    need_ring();
    for (int workers = 1; workers <= 2; workers++) {
        struct sweep sweep = {.name = name, .fn = fn, .workers = workers};
        try_plan(&sweep, &(struct wt_ring_plan){.kind = WT_RING_NOTHING});
        sweep.clean = wt_ring_seen;
        sweep.runs = 0;
        sweep.missed = 0;
        spoil_operations(&sweep);
        spoil_own(&sweep);
        refuse_calls(&sweep);
        for (unsigned entries = 1; entries <= 4; entries *= 2) {
            try_plan(&sweep, &(struct wt_ring_plan){.kind = WT_RING_NOTHING, .entries = entries});
        }
        fprintf(stderr, "%s, %d workers: %d runs, %d without their fault\n", name, workers,
                sweep.runs, sweep.missed);
        cr_assert(sweep.runs > 2 * sweep.missed);
    }
}

#define FAULT_TEST(Name)                                    \
    Test(ring_faults, Name, .timeout = 200 * WT_TIME_SCALE) \
    {                                                       \
        sweep_faults(#Name, use_##Name);                    \
    }

#endif

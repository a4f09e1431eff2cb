// SPDX-License-Identifier: MIT
/* lean.c - who watches, and who leans. */
#include "sched/lean.h"

#include "sched/brief.h"

/* 0: there are more workers than bits, and this one is one of the others. */
static uint64_t bit_of(const struct wf_worker *worker)
{
    return worker->index < 64 ? UINT64_C(1) << worker->index : 0;
}

/* True: somebody wakes up at `until_ns` at the latest, and sees this. */
static bool lean(struct wf_worker *worker, int64_t until_ns)
{
    weft_runtime *runtime = worker->runtime;
    uint64_t bit = bit_of(worker);
    if (bit == 0) {
        return false;
    }
    (void)wf_or_sc(&runtime->leaning, bit);
    if (wf_load_sc(&runtime->watch_ns) > until_ns) {
        (void)wf_and_sc(&runtime->leaning, ~bit);
        return false;
    }
    worker->is_leaning = true;
    return true;
}

static void watch(struct wf_worker *worker, int64_t alarm_ns)
{
    weft_runtime *runtime = worker->runtime;
    int64_t before_ns = wf_load_sc(&runtime->watch_ns);
    while (alarm_ns < before_ns) {
        if (wf_cas_sc(&runtime->watch_ns, &before_ns, alarm_ns)) {
            worker->watch_ns = alarm_ns;
            return;
        }
    }
}

/* That of the lowest bit. */
static struct wf_worker *worker_of(weft_runtime *runtime, uint64_t bits)
{
    return &runtime->workers[__builtin_ctzll(bits)];
}

/* Adds what those have next that lean. A wheel that says it has nothing until long after the first of all is not opened; its
 * word counts, since the first may turn out to have been disarmed. */
static void foresee_all(weft_runtime *runtime, uint64_t leaning, struct wf_wheel_outlook *outlook,
                        int64_t window_ns)
{
    int64_t first_ns = outlook->look_ns;
    for (uint64_t bits = leaning; bits != 0; bits &= bits - 1) {
        int64_t next_ns = wf_wheel_next(&worker_of(runtime, bits)->wheel);
        first_ns = next_ns < first_ns ? next_ns : first_ns;
    }
    for (uint64_t bits = leaning; bits != 0; bits &= bits - 1) {
        struct wf_wheel *wheel = &worker_of(runtime, bits)->wheel;
        int64_t next_ns = wf_wheel_next(wheel);
        if (next_ns - first_ns <= 2 * window_ns) {
            wf_wheel_foresee(wheel, outlook);
        } else {
            wf_wheel_foresee_at(outlook, next_ns);
        }
    }
}

/* `own`: what its wheel wants; `all`: what those want too that lean. */
static struct wf_wheel_plan plan_with(struct wf_worker *worker, struct wf_wheel_plan own,
                                      struct wf_wheel_plan all)
{
    wf_brief_end(worker, wf_monotonic_ns());
    bool is_trusted = wf_brief_is_trusted(worker);
    if (wf_load_sc(&worker->runtime->watch_ns) > all.next_ns) {
        if (is_trusted) {
            watch(worker, all.next_ns);
        }
        return all;
    }
    /* Somebody else minds them all. */
    if (is_trusted && own.next_ns != WF_FOREVER && lean(worker, own.next_ns)) {
        return (struct wf_wheel_plan){own.next_ns + WF_LEAN_LATER_NS, WF_FOREVER};
    }
    return own;
}

struct wf_wheel_plan wf_lean_plan(struct wf_worker *worker, int64_t window_ns)
{
    weft_runtime *runtime = worker->runtime;
    struct wf_wheel_outlook outlook;
    wf_wheel_outlook_init(&outlook);
    wf_wheel_foresee(&worker->wheel, &outlook);
    struct wf_wheel_plan own = wf_wheel_plan(&outlook, window_ns);
    if (runtime->worker_count == 1) {
        return own;
    }
    struct wf_wheel_plan all = own;
    uint64_t leaning = wf_lean_bits(runtime);
    if (leaning != 0) {
        foresee_all(runtime, leaning, &outlook, window_ns);
        all = wf_wheel_plan(&outlook, window_ns);
    }
    return all.next_ns == WF_FOREVER ? all : plan_with(worker, own, all);
}

void wf_lean_end(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (worker->watch_ns != 0) {
        int64_t expected_ns = worker->watch_ns; /* an earlier one may have taken its place */
        worker->watch_ns = 0;
        (void)wf_cas_sc(&runtime->watch_ns, &expected_ns, WF_FOREVER);
    }
    if (worker->is_leaning) {
        worker->is_leaning = false;
        (void)wf_and_sc(&runtime->leaning, ~bit_of(worker));
    }
}

struct wf_worker *wf_lean_next_due(weft_runtime *runtime, uint64_t *bits, int64_t now_ns)
{
    while (*bits != 0) {
        struct wf_worker *worker = worker_of(runtime, *bits);
        *bits &= *bits - 1;
        if (wf_wheel_next(&worker->wheel) <= now_ns) {
            return worker;
        }
    }
    return NULL;
}

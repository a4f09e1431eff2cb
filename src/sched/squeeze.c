// SPDX-License-Identifier: MIT
/* squeeze.c - who was woken to where it is only in the way. */
#include "sched/squeeze.h"

#include <sched.h>

#include "sched/sched.h"

/* For how long a worker wakes nobody, the first time and at most. */
enum { FIRST_NS = 100000, MOST_NS = 2000000 };

/* Asking the clock takes as long as two spawns: so many times it is as it was the last time. The watchdog ends it, too. */
enum { LOOKS = 16 };

/* {index of who woke + 1:16, processor + 1:16} */
enum { INDEX_SHIFT = 16, PROCESSOR_MASK = 0xffff };

/* 0: not known. */
static uint32_t this_processor(void)
{
    int cpu = sched_getcpu();
    return cpu >= 0 && cpu < PROCESSOR_MASK ? (uint32_t)cpu + 1 : 0;
}

static bool keeps(struct wf_worker *worker)
{
    int64_t until_ns = wf_load_rlx(&worker->squeezed_until_ns);
    if (until_ns == 0) {
        return false;
    }
    if (worker->squeezed_looks > 0) {
        worker->squeezed_looks--;
        return true;
    }
    bool is_over = wf_monotonic_ns() >= until_ns;
    worker->squeezed_looks = is_over ? 0 : LOOKS;
    return !is_over;
}

void wf_squeeze_wake(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (!keeps(worker)) {
        wf_sched_wake_from(runtime, (worker->index + 1) << INDEX_SHIFT | this_processor());
    } else if (wf_load_rlx(&runtime->has_kept) == 0) {
        wf_store_rlx(&runtime->has_kept, (uint8_t)1);
    }
}

/* The one that woke it: on this processor, or, not so any more. */
static void tell(struct wf_worker *waker, bool is_here)
{
    if (is_here) {
        uint32_t more_ns = 2 * wf_load_rlx(&waker->squeezed_ns);
        more_ns = more_ns == 0 ? FIRST_NS : more_ns < MOST_NS ? more_ns : MOST_NS;
        wf_store_rlx(&waker->squeezed_ns, more_ns);
        wf_store_rlx(&waker->squeezed_until_ns, wf_monotonic_ns() + more_ns);
    } else if (wf_load_rlx(&waker->squeezed_ns) != 0) {
        wf_store_rlx(&waker->squeezed_ns, 0U);
        wf_store_rlx(&waker->squeezed_until_ns, INT64_C(0));
    }
}

void wf_squeeze_judge(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    uint32_t waker = wf_load_rlx(&runtime->waker);
    if (waker == 0 || runtime->options.pin) {
        return;
    }
    uint32_t here = this_processor();
    if (here != 0) {
        bool is_here = (waker & PROCESSOR_MASK) == here;
        uint32_t index = (waker >> INDEX_SHIFT) - 1;
        tell(&runtime->workers[index], is_here);
        worker->in_the_way_of = is_here ? index + 1 : 0;
    }
}

bool wf_squeeze_holds(struct wf_worker *worker)
{
    if (worker->in_the_way_of == 0) {
        return false;
    }
    struct wf_worker *waker = &worker->runtime->workers[worker->in_the_way_of - 1];
    if (wf_load_rlx(&waker->squeezed_until_ns) == 0) {
        worker->in_the_way_of = 0;
    }
    return worker->in_the_way_of != 0;
}

bool wf_squeeze_take_kept(weft_runtime *runtime, int64_t now_ns)
{
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        struct wf_worker *worker = &runtime->workers[i];
        int64_t until_ns = wf_load_rlx(&worker->squeezed_until_ns);
        if (until_ns != 0 && until_ns <= now_ns) {
            wf_store_rlx(&worker->squeezed_until_ns, INT64_C(0));
        }
    }
    bool has_kept = wf_load_rlx(&runtime->has_kept) != 0;
    if (has_kept) {
        wf_store_rlx(&runtime->has_kept, (uint8_t)0);
    }
    return has_kept;
}

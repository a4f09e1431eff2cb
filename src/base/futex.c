// SPDX-License-Identifier: MIT
/* futex.c - the system call behind every sleep that is not in the poller. */
#include "base/futex.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"

void wf_let_signals_in(void)
{
#if WF_TSAN_BUILD
    (void)poll(NULL, 0, 0);
#endif
}

void wf_futex_wait(wf_au32 *word, uint32_t value, int64_t deadline_ns)
{
    struct timespec until;
    struct timespec *limit = NULL;
#if WF_TSAN_BUILD
    int64_t now_ns = wf_monotonic_ns();
    deadline_ns = now_ns + wf_nap_most(deadline_ns - now_ns);
#endif
    if (deadline_ns != INT64_MAX) {
        if (deadline_ns < 0) {
            deadline_ns = 0;
        }
        until.tv_sec = (time_t)(deadline_ns / 1000000000);
        until.tv_nsec = (long)(deadline_ns % 1000000000);
        limit = &until;
    }
    /* The bitset form takes an absolute deadline on the monotonic clock. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, limit, NULL,
                  FUTEX_BITSET_MATCH_ANY);
    wf_let_signals_in();
}

void wf_let_others(int tried)
{
    enum { YIELDS = 4 };
    const int64_t pause_ns = 50000;
    static wf_au32 nothing;
    if (tried < YIELDS) {
        sched_yield();
    } else {
        wf_futex_wait(&nothing, 0,
                      wf_monotonic_ns() + pause_ns); /* it may need this very processor */
    }
}

void wf_futex_wake(wf_au32 *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

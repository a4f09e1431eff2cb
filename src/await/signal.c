// SPDX-License-Identifier: MIT
/* signal.c - weft_signal_wait: a wait for the eventfd that the signal handler writes. */
#include <errno.h>

#include <weft/signal.h>

#include "await/io.h"
#include "sched/signals.h"

int weft_signal_wait(const sigset_t *set)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || set == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_runtime *runtime = worker->runtime;
    struct wf_io io = {.self = wf_self_on(worker), .poller = runtime->poller};
    struct wf_signals *signals;
    uint64_t mask = wf_signals_mask(set);
    if (mask == 0) {
        return -EINVAL;
    }
    rc = wf_door_enter(io.self, __func__);
    if (rc == 0) {
        rc = wf_signals_of(runtime, &signals);
    }
    if (rc == 0) {
        rc = wf_signals_claim(signals, mask);
    }
    while (rc == 0) {
        io.record = signals->record;
        io.fd = signals->event_fd;
        uint64_t stamp = wf_fd_stamp(io.record);
        rc = wf_signals_take(signals, mask);
        if (rc == 0) {
            rc = wf_io_wait(&io, WF_FD_READ, stamp, WF_WAIT_SIGNAL);
        }
    }
    return rc;
}

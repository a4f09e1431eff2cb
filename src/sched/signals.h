// SPDX-License-Identifier: MIT
/* signals.h - signals that a runtime has taken over, and the interrupt of options.sigint.
 *
 * What: a handler that only notes the signal and writes an eventfd, which the runtime's poller knows
 *       like any other descriptor. Whoever waits for a signal waits for the eventfd and then takes the
 *       signal from what is pending; so one that comes while nobody waits is kept.
 * Dispositions belong to the process: a signal is taken over by one runtime at a time, and given back
 *       when that runtime ends.
 * Threads: any; the handler runs on any thread too.
 */
#ifndef WF_SCHED_SIGNALS_H
#define WF_SCHED_SIGNALS_H

#include <signal.h>

#include "poll/descriptor.h"
#include "sched/runtime.h"

enum { WF_SIGNAL_COUNT = 64 }; /* signals 1 to 64: a bit each */

struct wf_signals {
    /* Bit number - 1. The handler sets (acq_rel), wf_signals_take clears (acq_rel). */
    wf_au64 pending;

    /* SIGINTs, with options.sigint: the handler adds, its subscriber reads (acq_rel, acquire). */
    wf_au32 interrupts;

    /* Set once before any signal is taken over. */
    int event_fd;
    struct wf_fd *record; /* of event_fd */

    uint64_t taken;         /* under the lock of signals.c */
    bool counts_interrupts; /* set before SIGINT is taken over */
    struct sigaction former[WF_SIGNAL_COUNT];
};

/* The runtime's, made by the first call. 0; -ENOTSUP (simulation); -ENOMEM; -EMFILE, -ENFILE. */
int wf_signals_of(weft_runtime *runtime, struct wf_signals **out);

/* The signals of a set as bits; 0 if there is one that can't be waited for. */
uint64_t wf_signals_mask(const sigset_t *set);

/* Takes over those of `mask` that are not taken yet. 0; -EBUSY: another runtime has one of them, or
 * options.sigint has SIGINT; -EINVAL: the system refuses one. */
int wf_signals_claim(struct wf_signals *signals, uint64_t mask);

/* Takes over SIGINT to count it. 0 or -EBUSY. */
int wf_signals_claim_interrupt(struct wf_signals *signals);

/* Gives back those of `mask` that were taken over; no handler is running for them any more. */
void wf_signals_release(struct wf_signals *signals, uint64_t mask);

/* Takes one pending signal of `mask`: its number, 0 if there is none. */
int wf_signals_take(struct wf_signals *signals, uint64_t mask);

/* ---- options.sigint (sigint.c) ---- */

/* From now on the first SIGINT cancels runtime->main, the second abandons the run (phase
 * WF_ABANDONED), a third one kills the process, as it would have without us. Both set
 * runtime->was_interrupted. Call it when main is set and before the workers run. 0 or a negative
 * errno. */
int wf_sigint_start(weft_runtime *runtime);

/* SIGINT is what it was. Once no worker is in the poller any more, or after abandoning; harmless
 * without a start. Before the handle of main is dropped. */
void wf_sigint_stop(weft_runtime *runtime);

#endif

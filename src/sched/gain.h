// SPDX-License-Identifier: MIT
/* gain.h - whether stealing pays.
 *
 * What: of each theft the first turn is timed. Where these take less on average than what a theft costs both sides, the
 *       thief leaves the others alone for a while, longer each time, and then takes one task to see whether it pays by now. So
 *       does who was woken for nothing.
 * Why this way: a task that changes its processor takes its lines along, and its owner fetches them back. Who spawns what
 *       is over in less than that is faster without help: 12 ns for a spawn and its await, 46 with a thief that
 *       takes what it can get. What a thief has until it is out of work again would be no measure: of two workers
 *       that take one task from each other each has much. Whoever waits looks on. Where an owner does not get on
 *       it is at something long, and what waits there is taken at once.
 *       A turn may also be long because of the theft, where two workers meet at one lock again and again: one that
 *       has found a lock held, and done little between its ready awaits, counts for nothing. How many these were is
 *       what the task has spent of its budget when it leaves (left_awaits).
 * Threads: the worker's own.
 */
#ifndef WF_SCHED_GAIN_H
#define WF_SCHED_GAIN_H

#include "sched/sched.h"

void wf_gain_init(struct wf_gain *gain);

/* It has stolen, and the first of what it has taken runs now. The host has its turn after that one. */
void wf_gain_note(struct wf_worker *worker, enum wf_gain_kind kind);

/* That turn is over. */
void wf_gain_settle(struct wf_worker *worker);

/* Out of work, and a searcher: leaves the others alone for as long as stealing does not pay, or until something comes for
 * this worker by another way. False: another searcher is there, and this worker may as well sleep. */
bool wf_gain_wait(struct wf_worker *worker);

/* It has found nothing. True: it had been woken for that, or has taken what was over; it has waited for a moment, and should
 * search once more. */
bool wf_gain_wait_more(struct wf_worker *worker);

/* How many entries at once. */
static inline uint32_t wf_gain_most(const struct wf_worker *worker, uint32_t most)
{
    return worker->gain.patience_ns == 0 ? most : 1;
}

#endif

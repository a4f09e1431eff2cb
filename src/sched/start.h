// SPDX-License-Identifier: MIT
/* start.h - the steps by which a runtime comes and goes.
 *
 * What: its options are checked and completed, it is made, with workers and rings, its threads start, and in the end it is
 *       freed. start.c puts them together for the public calls.
 */
#ifndef WF_SCHED_START_H
#define WF_SCHED_START_H

#include "sched/runtime.h"

/* ---- options.c ---- */

/* 0 or -EINVAL. */
int wf_options_check(const weft_options *options);

/* What the environment says goes first; then what the program asks for; AUTO if neither wants any. */
weft_io_backend wf_options_io(const weft_options *options, bool *is_demanded);

uint32_t wf_options_workers(const weft_options *options);

/* ---- runtime.c ---- */

/* `options` NULL: the defaults. No thread has started yet. 0 or a negative errno. */
int wf_runtime_create(const weft_options *options, weft_runtime **out);

/* No worker runs any more. Waits for plain threads that are inside a call. */
void wf_runtime_free(weft_runtime *runtime);

/* ---- threads.c ---- */

/* What only the worker's own thread can do for it, and what may fail. */
int wf_worker_settle(struct wf_worker *worker);

/* Takes back what wf_worker_settle has done, on the same thread. */
void wf_worker_unsettle(struct wf_worker *worker);

/* The calling thread, which has settled, becomes the worker for as long as the runtime lives; then it unsettles. */
void wf_worker_serve(struct wf_worker *worker);

/* Starts the threads of the workers from `first` on, and the watchdog; none in a simulation. 0 once they all run, or a
 * negative errno and there are none. */
int wf_threads_start(weft_runtime *runtime, uint32_t first);

/* Waits for the ends of those from `first` on, before `end`. */
void wf_threads_join(weft_runtime *runtime, uint32_t first, uint32_t end);

#endif

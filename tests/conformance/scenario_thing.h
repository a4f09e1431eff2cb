/* SPDX-License-Identifier: MIT */
/* scenario_thing.h - what labels name that is not waited for as a whole: locks, queues and their like. */
#ifndef SCENARIO_THING_H
#define SCENARIO_THING_H

#include <weft/barrier.h>
#include <weft/cond.h>
#include <weft/event.h>
#include <weft/mutex.h>
#include <weft/queue.h>
#include <weft/sem.h>

#include "scenario_run.h"

enum thing_kind { THING_LOCK, THING_COND, THING_EVENT, THING_SEM, THING_BARRIER, THING_QUEUE };

struct thing {
    enum thing_kind kind;
    weft_mutex mutex; /* a lock, or a condition's */
    weft_cond cond;
    weft_event event;
    weft_sem sem;
    bool is_empty; /* a semaphore that may never have a permit */
    weft_barrier barrier;
    weft_queue queue;         /* of texts */
    struct thing *next_queue; /* of the run's */
};

/* Gives the statement's label to a new one. */
struct thing *thing_make(struct frame *frame, const struct statement *statement,
                         enum thing_kind kind);

/* What a label of a statement names. NULL after having logged "op(label)!V" and raised V. */
struct thing *thing_of(struct frame *frame, const struct statement *statement,
                       enum thing_kind kind);

/* What a failed call of theirs means. */
struct outcome outcome_of_thing(struct run *run, int64_t rc);

/* Logs "call.ok" and goes on, or "call!X" and leaves with it. */
enum flow settle_wait(struct frame *frame, const char *call, int64_t rc);

/* Logs "call!X" where it failed, and goes on. */
enum flow settle_try(struct frame *frame, const char *call, int64_t rc);

/* Frees what queues have left, once the run is over. */
void queues_end(struct run *run);

#endif

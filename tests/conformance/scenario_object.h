/* SPDX-License-Identifier: MIT */
/* scenario_object.h - what labels name: tasks, completions, shielded objects, gathers.
 *
 * All four can be awaited, cancelled, asked and watched alike. Tasks are weft's own. The others rest on
 * a weft_future, the cell, and a list of watchers that are called when it completes. */
#ifndef SCENARIO_OBJECT_H
#define SCENARIO_OBJECT_H

#include <weft/future.h>
#include <weft/task.h>

#include "scenario_run.h"

struct object;
struct gather;

typedef void watcher_fn(struct object *object, void *arg);

struct watcher {
    watcher_fn *fn;
    void *arg;
    struct object *object;
    struct watcher *next;
};

/* A task that waits for a gather or a shield. A request to it goes to what it waits for. */
struct joiner {
    weft_task *task;
    int count; /* of its requests when it began */
    struct object *object;
    struct joiner *next;
    bool is_native;     /* the library hands its requests on; else whoever runs next does */
    bool has_handed_on; /* one that was taken */
    bool was_refused;   /* one that nobody was left to take */
};

enum object_kind { OBJECT_TASK, OBJECT_COMPLETION, OBJECT_SHIELD, OBJECT_GATHER };

struct object {
    enum object_kind kind;
    const char *label;
    struct run *run;

    /* A task. The handle is NULL after `drop`, and for one that could not be spawned any more. */
    weft_task *task;
    const struct block *body;
    bool is_main;
    bool was_refused; /* counts as cancelled */
    bool broke_cycle; /* a join of its own was refused since it would have closed a cycle */
    bool ended_by_it; /* and that is what it ended with */
    int error;        /* what its body ended with, for those that ask without looking at it */

    /* The others. */
    weft_future cell;
    struct watcher *watchers;
    struct watcher **last_watcher;
    struct object *inner; /* of a shield */
    bool has_let_go;      /* an abandoned shield: whose error the task's is, others have to see */
    struct gather *gather;
};

/* The calling task begins, and ends, to wait for it. */
void joiner_announce(struct joiner *joiner, struct object *object, bool is_native);
void joiner_withdraw(struct joiner *joiner);

/* Hands on what has come to those that wait. */
void joiners_serve(struct run *run);

/* Makes a request undelivered again that has been delivered; it stays counted once. */
void request_again(void);

struct object *object_new(struct run *run, enum object_kind kind, const char *label);

/* What a label of a statement names. NULL after having logged "op(label)!V" and raised V. */
struct object *object_of(struct frame *frame, const struct statement *statement);

/* Those of a statement's list; NULL as above. */
struct object **objects_of(struct frame *frame, const struct statement *statement);

weft_state object_state(const struct object *object);

/* What became of it; counts as having looked at an error, of a shield at its task's. False while it is
 * pending. */
bool object_look(const struct object *object, struct outcome *outcome);

/* The same of one that has ended, without counting. */
void object_peek(const struct object *object, struct outcome *outcome);

/* Calls fn(arg) a trip through the ready queue later, from no task; at once where none is left. */
void call_soon(void (*fn)(void *), void *arg);

/* Calls fn(object, arg) a trip after it completes, or from now. */
void object_watch(struct object *object, watcher_fn *fn, void *arg);

bool object_cancel(struct object *object);

/* Waits for it as `join` does: a request to the caller is handed on to a task, a gather, or kills the
 * shielded object; waiting for a completion is private. */
struct outcome object_join(struct frame *frame, struct object *object);

/* Waits for it and keeps the caller's cancellation to the caller. */
struct outcome object_join_private(struct frame *frame, struct object *object);

/* Completes the cell; false: it was complete. */
bool cell_complete(struct object *object, weft_state state, struct outcome outcome);

/* What a failed call of the library means: C, T, or R for misuse. */
struct outcome outcome_of_call(struct run *run, intptr_t rc);

/* scenario_gather.c */
struct object *gather_new(struct run *run, const char *label, struct object **children, int count,
                          bool collects);
bool gather_cancel(struct object *object);
bool gather_was_told(struct object *object); /* its children have had a request: had they to? */
struct outcome gather_join(struct frame *frame, struct object *object);

/* scenario_task.c */
struct object *task_new(struct frame *frame, const struct statement *statement);
intptr_t task_body(void *object);

#endif

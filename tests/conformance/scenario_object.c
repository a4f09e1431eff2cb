/* SPDX-License-Identifier: MIT */
/* scenario_object.c - what all kinds of objects have in common. */
#include "scenario_object.h"

#include <errno.h>

#include <weft/shield.h>
#include <weft/testing.h>
#include <weft/time.h>

#include "scenario_operation.h"

enum { IN_TURN = -1 }; /* a delay of weft_sim_after */

struct object *object_new(struct run *run, enum object_kind kind, const char *label)
{
    struct object *object = arena_take(run->arena, sizeof *object);
    object->kind = kind;
    object->label = label;
    object->run = run;
    object->last_watcher = &object->watchers;
    return object;
}

struct object *object_of(struct frame *frame, const struct statement *statement)
{
    struct object *object = frame->run->objects[statement->label->index];
    if (object == NULL) {
        (void)refuse(frame, call_text(frame, statement), "V");
    }
    return object;
}

struct object **objects_of(struct frame *frame, const struct statement *statement)
{
    size_t count = (size_t)statement->name_count;
    struct object **objects = arena_take(frame->run->arena, (count + 1) * sizeof(struct object *));
    for (size_t i = 0; i < count; i++) {
        objects[i] = frame->run->objects[statement->names[i]->index];
        if (objects[i] == NULL) {
            (void)refuse(frame, statement->operation->name, "V");
            return NULL;
        }
    }
    return objects;
}

/* ---- asking ---- */

weft_state object_state(const struct object *object)
{
    if (object->kind != OBJECT_TASK) {
        return weft_future_state(&object->cell);
    }
    if (object->was_refused) {
        return WEFT_CANCELLED;
    }
    return object->task != NULL ? weft_task_state(object->task) : WEFT_PENDING;
}

bool object_look(const struct object *object, struct outcome *outcome)
{
    intptr_t result = -ECANCELED;
    int rc = 0;
    if (object->kind != OBJECT_TASK) {
        rc = weft_future_result(&object->cell, &result);
        if (rc == 0 && object->kind == OBJECT_SHIELD && !object->has_let_go &&
            object_state(object) == WEFT_ERROR) {
            struct outcome seen;
            (void)object_look(object->inner, &seen); /* of the same outcome */
        }
    } else if (!object->was_refused) {
        rc = object->task != NULL ? weft_task_result(object->task, &result) : -EAGAIN;
    }
    *outcome = outcome_from_weft(result);
    return rc == 0;
}

void object_peek(const struct object *object, struct outcome *outcome)
{
    intptr_t result = 0;
    if (object->kind == OBJECT_TASK && object->error != 0 && object_state(object) == WEFT_ERROR) {
        *outcome = (struct outcome){object->error, NULL};
    } else if (object->kind == OBJECT_TASK) {
        (void)object_look(object, outcome);
    } else if (weft_future_result(&object->cell, &result) == 0) {
        *outcome = outcome_from_weft(result);
    }
}

struct outcome outcome_of_call(struct run *run, intptr_t rc)
{
    if (rc == -ECANCELED || rc == -ETIMEDOUT) {
        return (struct outcome){(int)rc, NULL};
    }
    return (struct outcome){exception_code(&run->exceptions, "R"), NULL};
}

/* ---- completing and watching ---- */

void call_soon(void (*fn)(void *), void *arg)
{
    if (weft_sim_after(IN_TURN, fn, arg) != 0) {
        fn(arg);
    }
}

static void call_watcher(void *arg)
{
    struct watcher *watcher = arg;
    joiners_serve(watcher->object->run);
    watcher->fn(watcher->object, watcher->arg);
}

static void on_task_done(weft_task *task, void *arg)
{
    (void)task;
    call_watcher(arg);
}

void object_watch(struct object *object, watcher_fn *fn, void *arg)
{
    struct watcher *watcher = arena_take(object->run->arena, sizeof *watcher);
    *watcher = (struct watcher){fn, arg, object, NULL};
    if (object_state(object) != WEFT_PENDING) {
        call_soon(call_watcher, watcher);
    } else if (object->kind != OBJECT_TASK) {
        *object->last_watcher = watcher;
        object->last_watcher = &watcher->next;
    } else if (object->task == NULL || weft_on_done(object->task, on_task_done, watcher) != 0) {
        object->run->fault = "a watched task was dropped";
    }
}

bool cell_complete(struct object *object, weft_state state, struct outcome outcome)
{
    int rc;
    if (state == WEFT_CANCELLED) {
        rc = weft_future_cancel(&object->cell) == 1 ? 0 : -EALREADY;
    } else if (state == WEFT_ERROR) {
        rc = weft_future_fail(&object->cell, outcome.code);
    } else {
        rc = weft_future_set(&object->cell, (intptr_t)outcome.value);
    }
    if (rc != 0) {
        return false;
    }
    struct watcher *watcher = object->watchers;
    for (; watcher != NULL; watcher = watcher->next) {
        call_soon(call_watcher, watcher);
    }
    return true;
}

/* A trip later, as watchers are told. */
static void let_go(void *arg)
{
    struct object *shield = arg;
    shield->has_let_go = object_state(shield->inner) == WEFT_PENDING;
}

bool object_cancel(struct object *object)
{
    if (object->kind == OBJECT_TASK) {
        return object->task != NULL && weft_cancel(object->task) == 1;
    }
    if (object->kind == OBJECT_GATHER) {
        return gather_cancel(object);
    }
    bool is_first = cell_complete(object, WEFT_CANCELLED, (struct outcome){-ECANCELED, NULL});
    if (is_first && object->kind == OBJECT_SHIELD) {
        call_soon(let_go, object);
    }
    return is_first;
}

/* ---- waiting ---- */

void joiner_announce(struct joiner *joiner, struct object *object, bool is_native)
{
    struct run *run = object->run;
    *joiner = (struct joiner){.task = weft_self(),
                              .count = weft_cancelling(weft_self()),
                              .object = object,
                              .next = run->joiners,
                              .is_native = is_native};
    run->joiners = joiner;
}

void joiner_withdraw(struct joiner *joiner)
{
    struct run *run = joiner->object->run;
    joiners_serve(run);
    struct joiner **link = &run->joiners;
    while (*link != joiner) {
        link = &(*link)->next;
    }
    *link = joiner->next;
}

static void serve(struct joiner *joiner)
{
    int count = weft_cancelling(joiner->task);
    while (joiner->count < count) {
        joiner->count++;
        bool is_taken =
            joiner->is_native ? gather_was_told(joiner->object) : object_cancel(joiner->object);
        joiner->has_handed_on = joiner->has_handed_on || is_taken;
        joiner->was_refused = joiner->was_refused || !is_taken;
    }
    joiner->count = count;
}

void request_again(void)
{
    (void)weft_cancel(weft_self());
    (void)weft_uncancel(weft_self());
}

void joiners_serve(struct run *run)
{
    for (struct joiner *joiner = run->joiners; joiner != NULL; joiner = joiner->next) {
        serve(joiner);
    }
}

static struct outcome join_task(struct frame *frame, struct object *object, bool is_private)
{
    if (object->task == NULL) {
        return (struct outcome){-ECANCELED, NULL};
    }
    weft_task *held = weft_retain(object->task); /* somebody may drop the label meanwhile */
    intptr_t result = 0;
    int rc = is_private ? weft_join_shielded(held, &result) : weft_join(held, &result);
    bool closes_cycle = rc == -EDEADLK && held != weft_self();
    weft_drop(held);
    if (closes_cycle) {
        frame->self->broke_cycle = true;
        return (struct outcome){object->run->code_of_cycle, NULL};
    }
    return rc == 0 ? outcome_from_weft(result) : outcome_of_call(object->run, rc);
}

/* What came out of awaiting it. */
static struct outcome outcome_of_cell(const struct object *object, int rc, intptr_t result)
{
    struct outcome outcome;
    if (rc != 0) {
        return outcome_of_call(object->run, rc);
    }
    return object_look(object, &outcome) ? outcome : outcome_from_weft(result);
}

static struct outcome join_cell(struct object *object)
{
    intptr_t result = 0;
    int rc = weft_future_await(&object->cell, &result);
    return outcome_of_cell(object, rc, result);
}

/* One trip through the ready queue; requests that come meanwhile stay. */
static void make_a_trip(void)
{
    weft_shield section;
    intptr_t rc = weft_shield_enter(&section, WEFT_FOREVER);
    if (rc == 0) {
        rc = weft_shield_leave(&section, weft_yield());
    }
    (void)rc; /* without the section there is no trip, no more */
}

/* A request kills the shielded object, which then is what the joiner gets. */
static struct outcome join_shield(struct object *object)
{
    struct outcome outcome;
    if (object_look(object, &outcome)) {
        return outcome; /* as of a task: a request stays undelivered */
    }
    if (weft_checkpoint() < 0) {
        (void)object_cancel(object);
        make_a_trip();
        return outcome_of_call(object->run, -ECANCELED);
    }
    struct joiner joiner;
    intptr_t result = 0;
    joiner_announce(&joiner, object, false);
    int rc = weft_future_await(&object->cell, &result);
    joiner_withdraw(&joiner);
    if (rc == -ECANCELED && joiner.was_refused) {
        request_again();
    }
    return object_look(object, &outcome) ? outcome : outcome_of_cell(object, rc, result);
}

/* A join that waited for one whose own join closed a cycle, and that ended with this R, is granted
 * nothing: like a yield it reports the request that came meanwhile. */
static struct outcome join_plainly(struct frame *frame, struct object *object)
{
    bool waits = object_state(object) == WEFT_PENDING;
    struct outcome outcome = join_task(frame, object, false);
    if (waits && object->ended_by_it && weft_checkpoint() < 0) {
        outcome = (struct outcome){-ECANCELED, NULL};
    }
    return outcome;
}

struct outcome object_join(struct frame *frame, struct object *object)
{
    switch (object->kind) {
    case OBJECT_TASK:
        return join_plainly(frame, object);
    case OBJECT_GATHER:
        return gather_join(frame, object);
    case OBJECT_SHIELD:
        return join_shield(object);
    case OBJECT_COMPLETION:
        break;
    }
    return join_cell(object);
}

static void on_shielded_done(struct object *object, void *arg)
{
    (void)object;
    (void)weft_future_set(arg, 0);
}

struct outcome object_join_private(struct frame *frame, struct object *object)
{
    if (object->kind == OBJECT_TASK) {
        return join_task(frame, object, true);
    }
    struct outcome outcome;
    int rc = weft_checkpoint();
    if (rc == 0 && object_look(object, &outcome)) {
        return outcome;
    }
    if (rc == 0) {
        weft_future *is_done = arena_take(frame->run->arena, sizeof *is_done);
        object_watch(object, on_shielded_done, is_done);
        rc = weft_future_await(is_done, NULL);
    }
    return outcome_of_cell(object, rc, -EAGAIN);
}

/* SPDX-License-Identifier: MIT */
/* scenario_task.c - operations on tasks, and the other things that can be joined. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <weft/future.h>
#include <weft/shield.h>
#include <weft/task.h>
#include <weft/time.h>

#include "scenario_object.h"
#include "scenario_operation.h"

/* ---- bodies ---- */

intptr_t task_body(void *arg)
{
    struct object *self = arg;
    struct run *run = self->run;
    struct outcome outcome = body_run(run, self, self->body, NULL);
    run->now_s = run_second(run);
    self->error = outcome.code;
    self->ended_by_it = self->broke_cycle && outcome.code == run->code_of_cycle;
    if (outcome.code < 0) {
        note(run, self->label, ".end!%s", exception_text(&run->exceptions, outcome.code));
    } else {
        note(run, self->label, ".end=%s", outcome.value);
    }
    return outcome_to_weft(outcome);
}

/* The object of a task to be spawned, not yet known by its label. */
struct object *task_new(struct frame *frame, const struct statement *statement)
{
    const struct name *label = statement->other != NULL ? statement->other : statement->callee_name;
    struct object *object = object_new(frame->run, OBJECT_TASK, label->text);
    object->body = statement->callee->block;
    if (frame->run->tasks_left-- <= 0) {
        run_fault(frame->run, statement, "too many tasks");
    }
    return object;
}

OPERATION(do_spawn)
{
    struct run *run = frame->run;
    const struct name *label = statement->other != NULL ? statement->other : statement->callee_name;
    struct object *object = task_new(frame, statement);
    const weft_spawn_options options = {.size = sizeof options, .name = label->text};
    int rc = weft_spawn_with(&object->task, task_body, object, &options);
    if (rc != 0 && rc != -ESHUTDOWN) {
        note_own(frame, ".spawn(%s)!R", label->text);
        return FLOW_NEXT;
    }
    object->was_refused = rc != 0;
    run->objects[label->index] = object;
    return FLOW_NEXT;
}

/* ---- looking and cancelling ---- */

/* The task that a statement names, itself without a label; NULL after having refused. */
static struct object *task_of(struct frame *frame, const struct statement *statement)
{
    return statement->label != NULL ? object_of(frame, statement) : frame->self;
}

OPERATION(do_cancel)
{
    bool is_self = strcmp(statement->label->text, "self") == 0;
    struct object *object = is_self ? frame->self : object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    bool accepted = is_self ? weft_cancel(weft_self()) == 1 : object_cancel(object);
    note_own(frame, ".cancel(%s)=%d", is_self ? object->label : statement->label->text, accepted);
    return FLOW_NEXT;
}

/* weft's task behind an object; one's own is there even when its label was dropped. */
static weft_task *handle_of(const struct frame *frame, const struct object *object)
{
    return object == frame->self ? weft_self() : object->task;
}

/* What the program calls it: a shield of a finished task is that task. */
static const char *shown_label(const struct object *object, const struct statement *statement)
{
    return statement->label != NULL ? statement->label->text : object->label;
}

OPERATION(do_uncancel)
{
    struct object *object = task_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    weft_task *task = handle_of(frame, object);
    int remaining = task != NULL ? weft_uncancel(task) : 0;
    note_own(frame, ".uncancel(%s)=%d", shown_label(object, statement), remaining);
    return FLOW_NEXT;
}

OPERATION(do_count)
{
    struct object *object = task_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    weft_task *task = handle_of(frame, object);
    int count = task != NULL ? weft_cancelling(task) : 0;
    note_own(frame, ".count(%s)=%d", shown_label(object, statement), count);
    return FLOW_NEXT;
}

OPERATION(do_state)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    const char *label = statement->label->text;
    struct outcome outcome;
    switch (object_state(object)) {
    case WEFT_PENDING:
        note_own(frame, ".state(%s)=pending", label);
        break;
    case WEFT_CANCELLED:
        note_own(frame, ".state(%s)=cancelled", label);
        break;
    case WEFT_OK:
        (void)object_look(object, &outcome);
        note_own(frame, ".state(%s)=ok(%s)", label, outcome.value);
        break;
    case WEFT_ERROR:
        (void)object_look(object, &outcome);
        note_own(frame, ".state(%s)=err(%s)", label,
                 exception_text(&frame->run->exceptions, outcome.code));
        break;
    }
    return FLOW_NEXT;
}

OPERATION(do_drop)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    frame->run->objects[statement->label->index] = NULL;
    if (object->kind == OBJECT_TASK && !object->is_main) {
        weft_task *task = object->task;
        object->task = NULL;
        weft_drop(task);
    }
    return FLOW_NEXT;
}

OPERATION(do_count_tasks)
{
    (void)statement;
    note_own(frame, ".ntasks=%" PRId64, weft_tasks(NULL, NULL, 0));
    return FLOW_NEXT;
}

/* ---- waiting ---- */

OPERATION(do_join)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    return settle(frame, call_text(frame, statement), object_join(frame, object));
}

/* Of a call that says nothing when it succeeds. */
static enum flow silent(struct frame *frame, const struct statement *statement, int rc)
{
    if (rc == 0) {
        return FLOW_NEXT;
    }
    return settle(frame, statement->operation->name, outcome_of_call(frame->run, rc));
}

OPERATION(do_yield)
{
    return silent(frame, statement, weft_yield());
}

OPERATION(do_sleep)
{
    return silent(frame, statement, weft_sleep(statement->number * WEFT_S));
}

OPERATION(do_park)
{
    weft_future never = WEFT_FUTURE_INIT;
    return silent(frame, statement, weft_future_await(&never, NULL));
}

/* ---- shields ---- */

OPERATION(do_shield)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    return settle(frame, call_text(frame, statement), object_join_private(frame, object));
}

static void on_inner_done(struct object *inner, void *arg)
{
    struct object *shield = arg;
    struct outcome outcome;
    if (object_state(shield) == WEFT_PENDING) {
        object_peek(inner, &outcome);
        (void)cell_complete(shield, object_state(inner), outcome);
    } else if (!shield->has_let_go) {
        (void)object_look(inner, &outcome); /* it failed in the moment in which the shield went */
    }
}

OPERATION(do_shield_object)
{
    struct run *run = frame->run;
    struct object *inner = run->objects[statement->other->index];
    if (inner == NULL) {
        return refuse(frame, call_text(frame, statement), "V");
    }
    if (object_state(inner) != WEFT_PENDING) {
        run->objects[statement->label->index] = inner; /* nothing left to shield */
        return FLOW_NEXT;
    }
    struct object *shield = object_new(run, OBJECT_SHIELD, statement->label->text);
    shield->inner = inner;
    object_watch(inner, on_inner_done, shield);
    run->objects[statement->label->index] = shield;
    return FLOW_NEXT;
}

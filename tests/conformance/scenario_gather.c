/* SPDX-License-Identifier: MIT */
/* scenario_gather.c - waiting for all of several objects, and the gather as an object of its own.
 *
 * Where all children are tasks, waiting is weft_gather's. The object beside it holds what weft has no handle
 * for: its own state, for those that ask or cancel it without waiting. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/gather.h>
#include <weft/shield.h>
#include <weft/time.h>

#include "scenario_object.h"
#include "scenario_operation.h"

struct child {
    struct object *object;
    struct object *gather;
    bool has_ended;
    bool was_in_flight; /* had ended when the gather was cancelled, but not been told of */
};

struct gather {
    struct child *children; /* each object once */
    int count;
    int left;
    struct object **members; /* as they were named */
    int member_count;
    bool collects;
    bool is_cancelled;
    bool is_passing_on; /* a request, which may come back to it in a circle */
    int error;          /* the first; 0: none */
};

/* ---- results ---- */

static const char *append(struct arena *arena, const char *list, struct exceptions *exceptions,
                          struct outcome outcome)
{
    const char *comma = list[1] != '\0' ? "," : "";
    if (outcome.code < 0) {
        return arena_print(arena, "%s%s!%s", list, comma, exception_text(exceptions, outcome.code));
    }
    return arena_print(arena, "%s%s%s", list, comma, outcome.value);
}

static const char *list_of(struct run *run, const intptr_t *results, size_t count)
{
    const char *list = "[";
    for (size_t i = 0; i < count; i++) {
        list = append(run->arena, list, &run->exceptions, outcome_from_weft(results[i]));
    }
    return arena_print(run->arena, "%s]", list);
}

static const char *list_of_members(struct object *object)
{
    const struct gather *gather = object->gather;
    size_t count = (size_t)gather->member_count;
    intptr_t *results = arena_take(object->run->arena, (count + 1) * sizeof *results);
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = {0, "0"};
        (void)object_look(gather->members[i], &outcome);
        results[i] = outcome_to_weft(outcome);
    }
    return list_of(object->run, results, count);
}

/* ---- the object ---- */

static void conclude(struct object *object)
{
    struct gather *gather = object->gather;
    if (gather->error != 0) {
        (void)cell_complete(object, WEFT_ERROR, (struct outcome){gather->error, NULL});
    } else if (gather->is_cancelled) {
        (void)cell_complete(object, WEFT_ERROR, (struct outcome){-ECANCELED, NULL});
    } else {
        (void)cell_complete(object, WEFT_OK, (struct outcome){0, list_of_members(object)});
    }
}

static void on_child_done(struct object *done, void *arg)
{
    struct child *child = arg;
    struct object *object = child->gather;
    struct gather *gather = object->gather;
    child->has_ended = true;
    gather->left--;
    struct outcome outcome = {0, NULL};
    (void)object_look(done, &outcome); /* also when it comes too late: then nobody else will */
    if (object_state(object) != WEFT_PENDING) {
        return;
    }
    bool counts = !gather->collects && (!gather->is_cancelled || child->was_in_flight);
    if (outcome.code < 0 && counts && gather->error == 0) {
        gather->error = outcome.code;
    }
    if (gather->left == 0 || (gather->error != 0 && !gather->is_cancelled)) {
        conclude(object);
    }
}

static bool is_known(const struct gather *gather, const struct object *object)
{
    for (int i = 0; i < gather->count; i++) {
        if (gather->children[i].object == object) {
            return true;
        }
    }
    return false;
}

struct object *gather_new(struct run *run, const char *label, struct object **members, int count,
                          bool collects)
{
    struct object *object = object_new(run, OBJECT_GATHER, label);
    struct gather *gather = arena_take(run->arena, sizeof *gather);
    object->gather = gather;
    gather->members = members;
    gather->member_count = count;
    gather->collects = collects;
    gather->children = arena_take(run->arena, ((size_t)count + 1) * sizeof *gather->children);
    for (int i = 0; i < count; i++) {
        if (!is_known(gather, members[i])) {
            gather->children[gather->count++] = (struct child){members[i], object, false, false};
        }
    }
    gather->left = gather->count;
    for (int i = 0; i < gather->count; i++) {
        struct child *child = &gather->children[i];
        if (object_state(child->object) == WEFT_PENDING) {
            object_watch(child->object, on_child_done, child);
        } else {
            on_child_done(child->object, child);
        }
    }
    if (count == 0) {
        conclude(object);
    }
    return object;
}

static void note_in_flight(struct gather *gather)
{
    for (int i = 0; i < gather->count && !gather->is_cancelled; i++) {
        struct child *child = &gather->children[i];
        child->was_in_flight = !child->has_ended && object_state(child->object) != WEFT_PENDING;
    }
}

bool gather_cancel(struct object *object)
{
    struct gather *gather = object->gather;
    if (object_state(object) != WEFT_PENDING || gather->is_passing_on) {
        return false;
    }
    bool accepted = false;
    gather->is_passing_on = true;
    note_in_flight(gather);
    for (int i = 0; i < gather->member_count; i++) {
        accepted = object_cancel(gather->members[i]) || accepted;
        joiners_serve(object->run); /* it may have handed it on, before the next one's turn */
    }
    gather->is_passing_on = false;
    gather->is_cancelled = gather->is_cancelled || accepted;
    return accepted;
}

static bool have_all_ended(const struct gather *gather)
{
    for (int i = 0; i < gather->count; i++) {
        if (object_state(gather->children[i].object) == WEFT_PENDING) {
            return false;
        }
    }
    return true;
}

bool gather_was_told(struct object *object)
{
    struct gather *gather = object->gather;
    if (object_state(object) != WEFT_PENDING || have_all_ended(gather)) {
        return false;
    }
    note_in_flight(gather);
    gather->is_cancelled = true;
    return true;
}

/* ---- waiting ---- */

/* The tasks, retained; NULL when one of the objects is none. */
static weft_task **tasks_of(struct run *run, struct object **objects, int count)
{
    weft_task **tasks = arena_take(run->arena, ((size_t)count + 1) * sizeof(weft_task *));
    for (int i = 0; i < count; i++) {
        if (objects[i]->kind != OBJECT_TASK || objects[i]->task == NULL) {
            return NULL;
        }
        tasks[i] = objects[i]->task;
    }
    for (int i = 0; i < count; i++) {
        (void)weft_retain(tasks[i]);
    }
    return tasks;
}

/* By weft_gather, for the requests; what came out is then told by the object. */
static int join_natively(struct object *object, weft_task **tasks)
{
    const struct gather *gather = object->gather;
    size_t count = (size_t)gather->member_count;
    bool sees_all = gather->collects || gather->is_cancelled;
    struct joiner joiner;
    joiner_announce(&joiner, object, true);
    if (weft_checkpoint() < 0) {
        request_again(); /* it is handed on at once, and a child may end by it at once */
        (void)gather_was_told(object);
    }
    int rc = weft_gather(tasks, count, NULL,
                         sees_all ? WEFT_GATHER_COLLECT : WEFT_GATHER_FIRST_ERROR, NULL);
    weft_drop_all(tasks, count);
    joiner_withdraw(&joiner);
    return rc;
}

/* The children have ended, and the object will hear of it: a request has nobody to go to and stays. */
static int join_last_trip(struct object *object)
{
    weft_shield section;
    bool was_told = weft_checkpoint() < 0;
    int rc = weft_shield_enter(&section, WEFT_FOREVER);
    if (rc == 0) {
        rc = (int)weft_shield_leave(&section, weft_future_await(&object->cell, NULL));
    }
    if (was_told) {
        request_again();
    }
    return rc;
}

/* By its cell, where not all are tasks: 0 to look again. A request that nobody is left to take stays, and no
 * later one will find anybody: what is missing are trips. */
static int join_by_cell(struct object *object)
{
    struct joiner joiner;
    joiner_announce(&joiner, object, false);
    int rc = weft_future_await(&object->cell, NULL);
    joiner_withdraw(&joiner);
    if (rc != -ECANCELED) {
        return rc;
    }
    bool was_there_before = !joiner.has_handed_on && !joiner.was_refused;
    if (joiner.was_refused || (was_there_before && !gather_cancel(object))) {
        request_again();
        return join_last_trip(object);
    }
    return 0;
}

struct outcome gather_join(struct frame *frame, struct object *object)
{
    struct gather *gather = object->gather;
    struct outcome outcome;
    bool was_native = false; /* it ended with an error of which the object has not heard yet */
    while (!object_look(object, &outcome)) {
        int rc;
        weft_task **tasks = tasks_of(frame->run, gather->members, gather->member_count);
        if (have_all_ended(gather)) {
            weft_drop_all(tasks, tasks != NULL ? (size_t)gather->member_count : 0);
            rc = join_last_trip(object);
        } else if (tasks != NULL && (!was_native || gather->is_cancelled)) {
            rc = join_natively(object, tasks);
            was_native = true;
        } else {
            weft_drop_all(tasks, tasks != NULL ? (size_t)gather->member_count : 0);
            rc = join_by_cell(object);
        }
        if (rc != 0) {
            return outcome_of_call(frame->run, rc);
        }
    }
    return outcome;
}

OPERATION(do_make_gather)
{
    struct object **members = objects_of(frame, statement);
    if (members == NULL) {
        return FLOW_RAISE;
    }
    struct name *label = statement->label;
    frame->run->objects[label->index] =
        gather_new(frame->run, label->text, members, statement->name_count, statement->flag);
    return FLOW_NEXT;
}

/* ---- gjoin ---- */

static void look_only(weft_task *task, void *arg)
{
    (void)arg;
    intptr_t result;
    int rc = weft_task_result(task, &result);
    (void)rc; /* the error counts as seen, whatever it is */
}

static struct outcome gather_tasks(struct frame *frame, const struct statement *statement,
                                   weft_task **tasks)
{
    struct run *run = frame->run;
    size_t count = (size_t)statement->name_count;
    size_t failed = count;
    intptr_t *results = arena_take(run->arena, (count + 1) * sizeof *results);
    int rc = weft_gather(tasks, count, results,
                         statement->flag ? WEFT_GATHER_COLLECT : WEFT_GATHER_FIRST_ERROR, &failed);
    for (size_t i = 0; rc == 0 && failed < count && i < count; i++) {
        /* Errors that come after the first one are nobody's any more. */
        if (weft_on_done(tasks[i], look_only, NULL) != 0) {
            run_fault(run, statement, "weft_on_done failed");
        }
    }
    weft_drop_all(tasks, count);
    if (rc != 0) {
        return outcome_of_call(run, rc);
    }
    return failed < count ? outcome_from_weft(results[failed])
                          : (struct outcome){0, list_of(run, results, count)};
}

OPERATION(do_gather)
{
    struct run *run = frame->run;
    struct object **members = objects_of(frame, statement);
    if (members == NULL) {
        return FLOW_RAISE;
    }
    weft_task **tasks = tasks_of(run, members, statement->name_count);
    struct outcome outcome;
    if (tasks != NULL) {
        outcome = gather_tasks(frame, statement, tasks);
    } else {
        outcome = gather_join(
            frame, gather_new(run, "gjoin", members, statement->name_count, statement->flag));
    }
    return settle(frame, "gjoin", outcome);
}

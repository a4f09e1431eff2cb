/* SPDX-License-Identifier: MIT */
/* scenario_scope.c - blocks with a limit, blocks with children, and waits with a limit.
 *
 * Scopes live in the arena: they are asked, moved and cancelled by other tasks, also after they were left. */
#include <errno.h>

#include <weft/gather.h>
#include <weft/group.h>
#include <weft/testing.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "scenario_object.h"
#include "scenario_operation.h"

struct scope {
    weft_timeout limit;
};

struct task_group {
    weft_group group;
    bool was_entered;
};

static int64_t delay_of(const struct statement *statement)
{
    return statement->forever ? WEFT_FOREVER : statement->number * WEFT_S;
}

/* ---- timeouts ---- */

OPERATION(do_timeout)
{
    const char *label = statement->label->text;
    struct scope *scope = arena_take(frame->run->arena, sizeof *scope);
    frame->run->scopes[statement->label->index] = scope;
    if (weft_timeout_enter(&scope->limit, delay_of(statement)) != 0) {
        return refuse(frame, call_text(frame, statement), "R");
    }
    enum flow flow = block_run(frame, statement->block);
    int code = flow == FLOW_RAISE ? frame->code : 0;
    intptr_t left = weft_timeout_leave(&scope->limit, code);
    if (left < 0) {
        return settle(frame, call_text(frame, statement), (struct outcome){(int)left, NULL});
    }
    note_own(frame, ".tmo(%s).ok", label);
    return flow;
}

OPERATION(do_timeout_state)
{
    static const char *const phases[] = {
        [WEFT_TIMEOUT_CREATED] = "created",   [WEFT_TIMEOUT_ACTIVE] = "active",
        [WEFT_TIMEOUT_EXPIRING] = "expiring", [WEFT_TIMEOUT_EXPIRED] = "expired",
        [WEFT_TIMEOUT_FINISHED] = "finished",
    };
    const struct scope *scope = frame->run->scopes[statement->label->index];
    weft_timeout_phase phase =
        scope != NULL ? weft_timeout_state(&scope->limit) : WEFT_TIMEOUT_CREATED;
    note_own(frame, ".tstate(%s)=%s", statement->label->text, phases[phase]);
    return FLOW_NEXT;
}

OPERATION(do_reschedule)
{
    struct scope *scope = frame->run->scopes[statement->label->index];
    bool is_moved =
        scope != NULL && weft_timeout_reschedule(&scope->limit, delay_of(statement)) == 0;
    note_own(frame, ".resched(%s)%s", statement->label->text, is_moved ? ".ok" : "!R");
    return FLOW_NEXT;
}

/* ---- groups ---- */

OPERATION(do_make_group)
{
    struct task_group *group = arena_take(frame->run->arena, sizeof *group);
    frame->run->groups[statement->label->index] = group;
    return FLOW_NEXT;
}

/* The code of what leaves a closed group; 0 for nothing. */
static int errors_of(struct run *run, const struct task_group *group, intptr_t rc)
{
    int count = weft_group_errors(&group->group, NULL, 0);
    if (count <= 0) {
        return rc < 0 ? (int)rc : 0;
    }
    int *codes = arena_take(run->arena, (size_t)count * sizeof *codes);
    (void)weft_group_errors(&group->group, codes, (size_t)count);
    int code = exception_group(&run->exceptions, codes, count);
    if (code == 0) {
        run->fault = "too many different exceptions";
        code = -ECANCELED;
    }
    return code;
}

OPERATION(do_group)
{
    struct task_group **made = &frame->run->groups[statement->label->index];
    if (*made == NULL || (*made)->was_entered) {
        (void)do_make_group(frame, statement);
    }
    struct task_group *group = *made;
    group->was_entered = true;
    if (weft_group_open(&group->group, WEFT_GROUP_ZEROED) != 0) {
        return refuse(frame, call_text(frame, statement), "R");
    }
    enum flow flow = block_run(frame, statement->block);
    int code = flow == FLOW_RAISE ? frame->code : 0;
    intptr_t rc = weft_group_close(&group->group, code);
    code = errors_of(frame->run, group, rc);
    if (code < 0) {
        return settle(frame, call_text(frame, statement), (struct outcome){code, NULL});
    }
    note_own(frame, ".tg(%s).ok", statement->label->text);
    return flow == FLOW_RETURN ? flow : FLOW_NEXT;
}

OPERATION(do_group_spawn)
{
    struct run *run = frame->run;
    const struct name *label = statement->other != NULL ? statement->other : statement->callee_name;
    struct task_group *group = run->groups[statement->label->index];
    struct object *object = task_new(frame, statement);
    const weft_spawn_options options = {.size = sizeof options, .name = label->text};
    if (group == NULL ||
        weft_group_spawn(&group->group, &object->task, task_body, object, &options) != 0) {
        note_own(frame, ".gspawn(%s)!R", label->text);
        return FLOW_NEXT;
    }
    run->objects[label->index] = object;
    return FLOW_NEXT;
}

OPERATION(do_group_cancel)
{
    struct task_group *group = frame->run->groups[statement->label->index];
    if (group == NULL) {
        return refuse(frame, call_text(frame, statement), "V");
    }
    (void)weft_group_cancel(&group->group);
    return FLOW_NEXT;
}

/* ---- waits with a limit ---- */

static void on_ended(struct object *object, void *arg)
{
    (void)object;
    (void)weft_future_set(arg, 0);
}

/* Without time: it is cancelled, and waited for privately. */
static struct outcome end_without_time(struct frame *frame, struct object *object)
{
    weft_future *has_ended = arena_take(frame->run->arena, sizeof *has_ended);
    struct outcome outcome;
    if (object_look(object, &outcome)) {
        return outcome;
    }
    object_watch(object, on_ended, has_ended);
    (void)object_cancel(object);
    int rc = weft_future_await(has_ended, NULL);
    if (rc != 0 || !object_look(object, &outcome)) {
        return outcome_of_call(frame->run, rc);
    }
    return outcome.code == -ECANCELED ? outcome_of_call(frame->run, -ETIMEDOUT) : outcome;
}

/* A scope around a join, for what is not a task. */
static struct outcome join_within(struct frame *frame, struct object *object, int64_t delay_ns,
                                  bool is_private)
{
    struct outcome outcome;
    if (!is_private && object->kind != OBJECT_COMPLETION && object_look(object, &outcome)) {
        return outcome; /* private waits observe the caller's own requests first */
    }
    struct scope *scope = arena_take(frame->run->arena, sizeof *scope);
    int rc = weft_timeout_enter(&scope->limit, delay_ns);
    if (rc != 0) {
        return outcome_of_call(frame->run, rc);
    }
    outcome = is_private ? object_join_private(frame, object) : object_join(frame, object);
    intptr_t left = weft_timeout_leave(&scope->limit, outcome.code);
    return left < 0 ? (struct outcome){(int)left, NULL} : outcome;
}

OPERATION(do_wait_for)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    struct outcome outcome;
    if (object->kind == OBJECT_TASK && object->task != NULL) {
        weft_task *held = weft_retain(object->task);
        intptr_t result = 0;
        int rc = weft_wait_for(held, delay_of(statement), &result);
        weft_drop(held);
        outcome = rc == 0 ? outcome_from_weft(result) : outcome_of_call(frame->run, rc);
    } else if (statement->forever || statement->number > 0) {
        outcome = join_within(frame, object, delay_of(statement), false);
    } else {
        outcome = end_without_time(frame, object);
    }
    return settle(frame, call_text(frame, statement), outcome);
}

/* Without time: the shielded object is made, cancelled, and waited for privately. */
struct brief_shield {
    struct object *inner;
    weft_future is_gone;
};

static void on_gone(void *arg)
{
    struct brief_shield *shield = arg;
    struct outcome outcome;
    (void)object_look(shield->inner, &outcome); /* what fails in this moment was looked at */
    (void)weft_future_set(&shield->is_gone, 0);
}

static struct outcome shield_without_time(struct frame *frame, struct object *object)
{
    struct brief_shield *shield = arena_take(frame->run->arena, sizeof *shield);
    struct outcome outcome;
    shield->inner = object;
    int rc = weft_checkpoint();
    if (rc == 0 && object_look(object, &outcome)) {
        return outcome;
    }
    if (rc == 0) {
        call_soon(on_gone, shield);
        rc = weft_future_await(&shield->is_gone, NULL);
    }
    return outcome_of_call(frame->run, rc < 0 ? rc : -ETIMEDOUT);
}

OPERATION(do_wait_for_shield)
{
    struct object *object = object_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    bool has_time = statement->forever || statement->number > 0;
    struct outcome outcome = has_time ? join_within(frame, object, delay_of(statement), true)
                                      : shield_without_time(frame, object);
    return settle(frame, call_text(frame, statement), outcome);
}

struct call {
    const struct frame *caller;
    const struct block *body;
};

static intptr_t run_call(void *arg)
{
    const struct call *call = arg;
    const struct frame *caller = call->caller;
    return outcome_to_weft(body_run(caller->run, caller->self, call->body, caller));
}

OPERATION(do_call_for)
{
    struct call call = {frame, statement->callee->block};
    intptr_t result = 0;
    int rc = weft_call_for(run_call, &call, delay_of(statement), &result);
    struct outcome outcome = rc == 0 ? outcome_from_weft(result) : outcome_of_call(frame->run, rc);
    const char *text = arena_print(frame->run->arena, "wfcall(%s)", statement->callee_name->text);
    return settle(frame, text, outcome);
}

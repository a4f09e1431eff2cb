/* SPDX-License-Identifier: MIT */
/* scenario_run.c - a program from its text to its trace: main, the end of the run, diagnostics. */
#include "scenario_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <weft/runtime.h>
#include <weft/testing.h>
#include <weft/base.h>
#include <weft/time.h>

#include "scenario_object.h"
#include "scenario_operation.h"
#include "scenario_thing.h"

enum { STEPS_MAX = 50000, TASKS_MAX = 2000, EVENT_MAX = 1024, STACK_BYTES = 512 * 1024 };

/* ---- notes ---- */

int64_t run_second(struct run *run)
{
    return (weft_now() - run->start_ns) / WEFT_S;
}

void note(struct run *run, const char *who, const char *format, ...)
{
    char what[EVENT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    (void)trace_add(&run->trace, run->now_s, arena_print(run->arena, "%s%s", who, what));
}

const char *self_label(const struct frame *frame)
{
    frame->run->now_s = run_second(frame->run);
    return frame->self->label;
}

enum flow raise_code(struct frame *frame, int code)
{
    frame->code = code;
    return FLOW_RAISE;
}

enum flow raise_text(struct frame *frame, const char *text)
{
    int code = exception_code(&frame->run->exceptions, text);
    if (code == 0) {
        frame->run->fault = "too many different exceptions";
        code = -ECANCELED;
    }
    return raise_code(frame, code);
}

enum flow refuse(struct frame *frame, const char *call, const char *text)
{
    note_own(frame, ".%s!%s", call, text);
    return raise_text(frame, text);
}

enum flow settle(struct frame *frame, const char *call, struct outcome outcome)
{
    if (outcome.code < 0) {
        const char *text = exception_text(&frame->run->exceptions, outcome.code);
        note_own(frame, ".%s!%s", call, text);
        return raise_code(frame, outcome.code);
    }
    note_own(frame, ".%s=%s", call, outcome.value);
    return FLOW_NEXT;
}

const char *call_text(struct frame *frame, const struct statement *statement)
{
    return arena_print(frame->run->arena, "%s(%s)", statement->operation->name,
                       statement->label->text);
}

void run_fault(struct run *run, const struct statement *statement, const char *what)
{
    if (run->fault == NULL) {
        run->fault = arena_print(run->arena, "%d:%d: %s", statement->place.line,
                                 statement->place.column, what);
    }
}

void run_ends(struct run *run)
{
    if (!run->has_run_event && !run->trace.is_closed) {
        run->has_run_event = true;
        run->run_event = trace_add(&run->trace, run->now_s, NULL);
    }
}

void run_strays(struct run *run)
{
    if (run_second(run) > run->now_s) {
        run->stray_s = run_second(run);
    }
}

/* ---- diagnostics ---- */

static void on_deadlock(struct run *run)
{
    if (!run->trace.is_closed) {
        if (run_second(run) != run->stray_s) {
            run->now_s = run_second(run); /* a timer may have fired that let nobody go on */
        }
        (void)trace_add(&run->trace, run->now_s, "run.DEADLOCK");
        run->trace.is_closed = true;
    }
}

static void on_diagnostic(const weft_diagnostic *what, void *arg)
{
    struct run *run = arg;
    switch (what->kind) {
    case WEFT_DIAG_ERROR_NEVER_RETRIEVED:
        note(run, "diag", ".error_never_retrieved:%s",
             exception_text(&run->exceptions, what->error));
        break;
    case WEFT_DIAG_ERROR_AT_SHUTDOWN:
        note(run, "diag", ".error_at_shutdown:%s", exception_text(&run->exceptions, what->error));
        break;
    case WEFT_DIAG_DROPPED_WHILE_PENDING:
        note(run, "diag", ".dropped_while_pending(%s)", what->name);
        break;
    case WEFT_DIAG_DEADLOCK:
        on_deadlock(run);
        break;
    case WEFT_DIAG_CANCEL_SWALLOWED:
    case WEFT_DIAG_GROUP_ERROR:
    case WEFT_DIAG_STUCK_WORKER:
    case WEFT_DIAG_LEFT_AT_SHUTDOWN:
    case WEFT_DIAG_CYCLE:
    case WEFT_DIAG_LOCK_HELD:
    case WEFT_DIAG_MISUSE:
        break; /* not part of a trace */
    }
}

/* ---- main ---- */

/* Once the turn is over in which the run stops: others may burn time in it after main's end. */
static void on_run_stopping(void *arg)
{
    struct run *run = arg;
    run->now_s = run_second(run);
    run_ends(run);
}

static intptr_t main_body(void *arg)
{
    struct object *self = arg;
    struct run *run = self->run;
    self->task = weft_self();
    run->start_ns = weft_now();
    intptr_t result = task_body(self);
    if (!weft_is_error(result) && weft_checkpoint() < 0) {
        result = -ECANCELED; /* as its end makes of it: for a run of which nothing else is heard */
    }
    if (weft_sim_after(0, on_run_stopping, run) != 0) {
        run_ends(run);
    }
    run->main_result = result;
    if (result == -ECANCELED && run->interrupts > 0 && weft_cancelling(self->task) == 1) {
        run->main_result = -EINTR;
    }
    return result;
}

static void fill_run_event(struct run *run, intptr_t result)
{
    if (run->trace.count > 0) {
        run_ends(run); /* for the run whose last turn was cut short */
    }
    if (!run->has_run_event) {
        return;
    }
    if (result == -EDEADLK) {
        result = run->main_result; /* main had ended; the deadlock came after it */
    }
    struct outcome outcome = outcome_from_weft(result);
    const char *text;
    if (result == -EINTR) {
        text = "run!KI";
    } else if (outcome.code < 0) {
        text = arena_print(run->arena, "run!%s", exception_text(&run->exceptions, outcome.code));
    } else {
        text = arena_print(run->arena, "run=%s", outcome.value);
    }
    run->trace.events[run->run_event].text = text;
}

static void prepare(struct run *run, struct arena *arena, const struct program *program)
{
    size_t count = (size_t)program->name_count;
    *run = (struct run){
        .arena = arena,
        .program = program,
        .trace = {.arena = arena},
        .exceptions = {.arena = arena},
        .stray_s = -1,
        .steps_left = STEPS_MAX,
        .tasks_left = TASKS_MAX,
    };
    /* First of all, so that the codes of misuse are there even when a program uses up all others. */
    (void)exception_code(&run->exceptions, "R");
    (void)exception_code(&run->exceptions, "V");
    run->code_of_cycle = exception_code_apart(&run->exceptions, "R");
    run->objects = arena_take(arena, count * sizeof *run->objects);
    run->scopes = arena_take(arena, count * sizeof *run->scopes);
    run->groups = arena_take(arena, count * sizeof *run->groups);
    run->locals = arena_take(arena, count * sizeof *run->locals);
    run->things = arena_take(arena, count * sizeof *run->things);
    run->variables = arena_take(arena, count * sizeof *run->variables);
}

static const char *run_program(struct run *run)
{
    const struct definition *definition = run->program->main;
    struct object *main_object = object_new(run, OBJECT_TASK, definition->name->text);
    main_object->body = definition->block;
    main_object->is_main = true;
    run->objects[definition->name->index] = main_object;
    const weft_options options = {
        .size = sizeof options,
        .simulate = true,
        .sigint = true,
        .stack_bytes = STACK_BYTES,
        .diagnostic = on_diagnostic,
        .diagnostic_arg = run,
    };
    intptr_t result = weft_run(main_body, main_object, &options);
    queues_end(run);
    fill_run_event(run, result);
    if (run->fault == NULL && run->trace.count == 0) {
        run->fault = arena_print(run->arena, "weft_run failed: %d", (int)result);
    }
    return trace_text(&run->trace);
}

struct run_result scenario_run(struct arena *arena, const char *text)
{
    const char *error = NULL;
    const struct program *program = parse(arena, text, &error);
    if (program == NULL) {
        return (struct run_result){RUN_BAD, error};
    }
    struct run run;
    prepare(&run, arena, program);
    const char *trace = run_program(&run);
    if (run.fault != NULL) {
        return (struct run_result){RUN_BAD, run.fault};
    }
    return (struct run_result){RUN_TRACED, trace};
}

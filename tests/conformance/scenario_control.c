/* SPDX-License-Identifier: MIT */
/* scenario_control.c - blocks, exceptions, calls, context values and interrupts. */
#include <weft/local.h>
#include <weft/testing.h>
#include <weft/time.h>

#include "scenario_object.h"
#include "scenario_operation.h"

enum { DEPTH_MAX = 256 };

/* ---- blocks ---- */

static bool may_go_on(struct frame *frame, const struct statement *statement)
{
    struct run *run = frame->run;
    if (run->fault == NULL && run->steps_left-- <= 0) {
        run_fault(run, statement, "the program does not end");
    }
    return run->fault == NULL;
}

enum flow block_run(struct frame *frame, const struct block *block)
{
    enum flow flow = FLOW_NEXT;
    const struct statement *statement = block->first;
    if (frame->depth++ >= DEPTH_MAX && statement != NULL) {
        run_fault(frame->run, statement, "calls nest too deep");
    }
    for (; statement != NULL && flow == FLOW_NEXT; statement = statement->next) {
        if (!may_go_on(frame, statement)) {
            flow = raise_text(frame, "FAULT");
            break;
        }
        joiners_serve(frame->run);
        flow = statement->operation->run(frame, statement);
        joiners_serve(frame->run);
        frame->run->now_s = run_second(frame->run);
    }
    frame->depth--;
    return flow;
}

struct outcome body_run(struct run *run, struct object *self, const struct block *body,
                        const struct frame *caller)
{
    struct frame frame = {.run = run, .self = self, .value = "0"};
    if (caller != NULL) {
        frame.depth = caller->depth;
        frame.caught = caller->caught;
    }
    enum flow flow = block_run(&frame, body);
    if (flow == FLOW_RAISE) {
        return (struct outcome){frame.code, NULL};
    }
    return (struct outcome){0, flow == FLOW_RETURN ? frame.value : "0"};
}

OPERATION(do_log)
{
    note_own(frame, ".%s", statement->word);
    return FLOW_NEXT;
}

OPERATION(do_return)
{
    frame->value = statement->word != NULL ? statement->word : "0";
    return FLOW_RETURN;
}

OPERATION(do_loop)
{
    enum flow flow = FLOW_NEXT;
    for (int64_t i = 0; i < statement->number && flow == FLOW_NEXT; i++) {
        if (!may_go_on(frame, statement)) {
            return raise_text(frame, "FAULT");
        }
        flow = block_run(frame, statement->block);
    }
    return flow;
}

OPERATION(do_call)
{
    struct outcome outcome = body_run(frame->run, frame->self, statement->callee->block, frame);
    return outcome.code < 0 ? raise_code(frame, outcome.code) : FLOW_NEXT;
}

/* ---- exceptions ---- */

OPERATION(do_raise)
{
    if (statement->word != NULL) {
        return raise_text(frame, statement->word);
    }
    return frame->caught != 0 ? raise_code(frame, frame->caught) : raise_text(frame, "R");
}

static enum flow run_handler(struct frame *frame, const struct block *block, int caught)
{
    int before = frame->caught;
    frame->caught = caught;
    enum flow flow = block_run(frame, block);
    frame->caught = before;
    return flow;
}

static enum flow run_clauses(struct frame *frame, const struct statement *statement)
{
    const struct clause *clause = statement->clauses;
    for (; clause != NULL; clause = clause->next) {
        if (exception_matches(&frame->run->exceptions, frame->code, clause->kind)) {
            return run_handler(frame, clause->block, frame->code);
        }
    }
    return FLOW_RAISE;
}

OPERATION(do_try)
{
    enum flow flow = block_run(frame, statement->block);
    if (frame->run->fault != NULL) {
        return raise_text(frame, "FAULT");
    }
    if (flow == FLOW_RAISE) {
        flow = run_clauses(frame, statement);
    }
    if (statement->finally == NULL) {
        return flow;
    }
    const char *value = frame->value;
    int code = frame->code;
    int caught = flow == FLOW_RAISE ? code : frame->caught;
    enum flow last = run_handler(frame, statement->finally, caught);
    if (last != FLOW_NEXT) {
        return last; /* what leaves the clean-up replaces what was on its way */
    }
    frame->value = value;
    frame->code = code;
    return flow;
}

/* ---- time, context values, interrupts ---- */

OPERATION(do_advance)
{
    int64_t duration_ns = statement->number > 0 ? statement->number * WEFT_S : 0;
    if (weft_sim_advance(duration_ns) != 0) {
        return refuse(frame, "advance", "R");
    }
    return FLOW_NEXT;
}

OPERATION(do_set_local)
{
    struct weft_local **local = &frame->run->locals[statement->label->index];
    if (*local == NULL) {
        *local = arena_take(frame->run->arena, sizeof **local);
        (*local)->name = statement->label->text;
    }
    if (weft_local_set(*local, (void *)(uintptr_t)statement->word) != 0) {
        return refuse(frame, "ctxset", "R");
    }
    return FLOW_NEXT;
}

OPERATION(do_get_local)
{
    const struct weft_local *local = frame->run->locals[statement->label->index];
    const char *value = local != NULL ? weft_local_get(local) : NULL;
    note_own(frame, ".ctx(%s)=%s", statement->label->text, value != NULL ? value : "none");
    return FLOW_NEXT;
}

/* The second interrupt ends the run on the spot, whatever main does afterwards. */
static int interrupt(struct run *run)
{
    run->now_s = run_second(run);
    run->interrupts++;
    if (run->interrupts >= 2) {
        run_ends(run);
    }
    return weft_sim_interrupt();
}

static void on_interrupt_due(void *arg)
{
    (void)interrupt(arg);
}

OPERATION(do_interrupt)
{
    (void)statement;
    return interrupt(frame->run) == 0 ? FLOW_NEXT : refuse(frame, "sigint", "R");
}

OPERATION(do_interrupt_at)
{
    int64_t delay_ns = statement->number > 0 ? statement->number * WEFT_S : 0;
    int rc = weft_sim_after(delay_ns, on_interrupt_due, frame->run);
    return rc == 0 ? FLOW_NEXT : refuse(frame, "sigint_at", "R");
}

/* SPDX-License-Identifier: MIT */
/* scenario_completion.c - completions, by hand and by timers. */
#include <weft/testing.h>

#include "scenario_object.h"
#include "scenario_operation.h"

OPERATION(do_future)
{
    const struct name *label = statement->label;
    frame->run->objects[label->index] = object_new(frame->run, OBJECT_COMPLETION, label->text);
    return FLOW_NEXT;
}

/* The statement's completion; a label of another kind is refused like an unknown one. */
static struct object *completion_of(struct frame *frame, const struct statement *statement)
{
    struct object *object = object_of(frame, statement);
    if (object != NULL && object->kind != OBJECT_COMPLETION) {
        (void)refuse(frame, call_text(frame, statement), "V");
        return NULL;
    }
    return object;
}

OPERATION(do_set)
{
    struct object *object = completion_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    if (!cell_complete(object, WEFT_OK, (struct outcome){0, statement->word})) {
        note_own(frame, ".set(%s)!INV", statement->label->text);
    }
    return FLOW_NEXT;
}

OPERATION(do_fail)
{
    struct object *object = completion_of(frame, statement);
    if (object == NULL) {
        return FLOW_RAISE;
    }
    int code = exception_code(&frame->run->exceptions, statement->word);
    if (!cell_complete(object, WEFT_ERROR, (struct outcome){code, NULL})) {
        note_own(frame, ".fail(%s)!INV", statement->label->text);
    }
    return FLOW_NEXT;
}

/* ---- later ---- */

struct later {
    struct run *run;
    const struct statement *statement;
};

static void on_set_due(void *arg)
{
    const struct later *later = arg;
    later->run->now_s = run_second(later->run);
    struct object *object = later->run->objects[later->statement->label->index];
    if (object == NULL || object->kind != OBJECT_COMPLETION ||
        object_state(object) == WEFT_CANCELLED) {
        return; /* a timer that comes too late for a cancelled completion says nothing */
    }
    if (!cell_complete(object, WEFT_OK, (struct outcome){0, later->statement->word})) {
        note(later->run, "loop", ".set(%s)!INV", object->label);
    }
}

static void on_cancel_due(void *arg)
{
    const struct later *later = arg;
    struct run *run = later->run;
    run->now_s = run_second(run);
    struct object *object = run->objects[later->statement->label->index];
    if (object != NULL) {
        note(run, "loop", ".cancel(%s)=%d", later->statement->label->text, object_cancel(object));
        joiners_serve(run);
    }
}

static enum flow do_later(struct frame *frame, const struct statement *statement,
                          void (*fn)(void *))
{
    struct later *later = arena_take(frame->run->arena, sizeof *later);
    *later = (struct later){frame->run, statement};
    int64_t delay_ns = statement->number > 0 ? statement->number * WEFT_S : 0;
    int rc = weft_sim_after(delay_ns, fn, later);
    return rc == 0 ? FLOW_NEXT : refuse(frame, call_text(frame, statement), "R");
}

OPERATION(do_set_at)
{
    return do_later(frame, statement, on_set_due);
}

OPERATION(do_cancel_at)
{
    return do_later(frame, statement, on_cancel_due);
}

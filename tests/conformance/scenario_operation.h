/* SPDX-License-Identifier: MIT */
/* scenario_operation.h - what a statement can do: its name, what follows the name, and the function.
 *
 * The table is in scenario_operation.c, the functions in the files of their groups. */
#ifndef SCENARIO_OPERATION_H
#define SCENARIO_OPERATION_H

#include "scenario_run.h"
#include "scenario_syntax.h"

/* The letters of a shape, in the order in which the parts stand. */
enum {
    SHAPE_LABEL = 'l',
    SHAPE_LABEL_MAYBE = 'L',
    SHAPE_OTHER = 'm',
    SHAPE_AS = 'a', /* `as` LABEL, or nothing */
    SHAPE_DEFINITION = 'D',
    SHAPE_INTEGER = 'i',
    SHAPE_INTEGER_MAYBE = 'I',
    SHAPE_SECONDS = 's', /* a number or `none` */
    SHAPE_VALUE = 'v',
    SHAPE_VALUE_MAYBE = 'V',
    SHAPE_EXCEPTION = 'x',
    SHAPE_EXCEPTION_MAYBE = 'X',
    SHAPE_WORDS = 'w',
    SHAPE_COLLECT_MAYBE = 'r', /* `rx` or nothing */
    SHAPE_NOW_MAYBE = 'n',     /* `now` or nothing */
    SHAPE_WAIT_MODE = 'k',     /* ALL, FC or FX, and perhaps `timeout` SECONDS */
    SHAPE_LABELS = '*',
    SHAPE_BLOCK = '{',
    SHAPE_CLAUSES = 'c', /* catch X{} ... finally{} */
};

struct operation {
    const char *name;
    const char *shape;
    enum flow (*run)(struct frame *frame, const struct statement *statement);
};

/* NULL: there is none of this name. */
const struct operation *operation_find(const char *name);

#define OPERATION(Name) enum flow Name(struct frame *frame, const struct statement *statement)

/* scenario_control.c */
OPERATION(do_log);
OPERATION(do_return);
OPERATION(do_raise);
OPERATION(do_try);
OPERATION(do_loop);
OPERATION(do_call);
OPERATION(do_advance);
OPERATION(do_set_local);
OPERATION(do_get_local);
OPERATION(do_interrupt);
OPERATION(do_interrupt_at);

/* scenario_task.c */
OPERATION(do_spawn);
OPERATION(do_cancel);
OPERATION(do_uncancel);
OPERATION(do_count);
OPERATION(do_state);
OPERATION(do_join);
OPERATION(do_yield);
OPERATION(do_sleep);
OPERATION(do_park);
OPERATION(do_drop);
OPERATION(do_count_tasks);
OPERATION(do_shield);
OPERATION(do_shield_object);

/* scenario_completion.c */
OPERATION(do_future);
OPERATION(do_set);
OPERATION(do_fail);
OPERATION(do_set_at);
OPERATION(do_cancel_at);

/* scenario_scope.c */
OPERATION(do_timeout);
OPERATION(do_timeout_state);
OPERATION(do_reschedule);
OPERATION(do_group);
OPERATION(do_make_group);
OPERATION(do_group_spawn);
OPERATION(do_group_cancel);
OPERATION(do_wait_for);
OPERATION(do_wait_for_shield);
OPERATION(do_call_for);

/* scenario_gather.c */
OPERATION(do_make_gather);
OPERATION(do_gather);

/* scenario_several.c */
OPERATION(do_wait);
OPERATION(do_completions);

/* scenario_sync.c */
OPERATION(do_lock);
OPERATION(do_acquire);
OPERATION(do_release);
OPERATION(do_locked);
OPERATION(do_condition);
OPERATION(do_condition_wait);
OPERATION(do_condition_wait_for);
OPERATION(do_notify);
OPERATION(do_notify_all);
OPERATION(do_set_variable);
OPERATION(do_add_variable);
OPERATION(do_get_variable);
OPERATION(do_event);
OPERATION(do_event_set);
OPERATION(do_event_clear);
OPERATION(do_event_wait);
OPERATION(do_semaphore);
OPERATION(do_bounded_semaphore);
OPERATION(do_semaphore_acquire);
OPERATION(do_semaphore_release);
OPERATION(do_semaphore_value);
OPERATION(do_barrier);
OPERATION(do_barrier_wait);
OPERATION(do_barrier_reset);
OPERATION(do_barrier_abort);
OPERATION(do_barrier_state);

/* scenario_queue.c */
OPERATION(do_queue);
OPERATION(do_put);
OPERATION(do_get);
OPERATION(do_get_within);
OPERATION(do_try_put);
OPERATION(do_try_get);
OPERATION(do_queue_size);
OPERATION(do_queue_done);
OPERATION(do_queue_join);
OPERATION(do_shutdown);

#endif

/* SPDX-License-Identifier: MIT */
/* scenario_sync.c - locks, events, conditions, semaphores, barriers, and the variables that conditions are
 * about. */
#include <errno.h>
#include <inttypes.h>

#include <weft/time.h>

#include "scenario_operation.h"
#include "scenario_thing.h"

/* ---- things ---- */

struct thing *thing_make(struct frame *frame, const struct statement *statement,
                         enum thing_kind kind)
{
    struct run *run = frame->run;
    struct thing *thing = arena_take(run->arena, sizeof *thing);
    thing->kind = kind;
    run->things[statement->label->index] = thing;
    return thing;
}

/* The thing of one of these kinds that a statement names; NULL after having refused. */
static struct thing *find(struct frame *frame, const struct statement *statement,
                          enum thing_kind kind, enum thing_kind or_kind)
{
    struct thing *thing = frame->run->things[statement->label->index];
    if (thing == NULL || (thing->kind != kind && thing->kind != or_kind)) {
        (void)refuse(frame, call_text(frame, statement), "V");
        return NULL;
    }
    return thing;
}

struct thing *thing_of(struct frame *frame, const struct statement *statement, enum thing_kind kind)
{
    return find(frame, statement, kind, kind);
}

struct outcome outcome_of_thing(struct run *run, int64_t rc)
{
    const char *text = "R";
    switch (rc) {
    case -ECANCELED:
    case -ETIMEDOUT:
        return (struct outcome){(int)rc, NULL};
    case -EINVAL:
    case -EOVERFLOW:
        text = "V";
        break;
    case -ESHUTDOWN:
        text = "SHUT";
        break;
    case -EPIPE:
        text = "BRK";
        break;
    default:
        break;
    }
    return (struct outcome){exception_code(&run->exceptions, text), NULL};
}

enum flow settle_wait(struct frame *frame, const char *call, int64_t rc)
{
    if (rc < 0) {
        return settle(frame, call, outcome_of_thing(frame->run, rc));
    }
    note_own(frame, ".%s.ok", call);
    return FLOW_NEXT;
}

enum flow settle_try(struct frame *frame, const char *call, int64_t rc)
{
    if (rc < 0) {
        struct run *run = frame->run;
        int code = outcome_of_thing(run, rc).code;
        note_own(frame, ".%s!%s", call, exception_text(&run->exceptions, code));
    }
    return FLOW_NEXT;
}

/* ---- locks ---- */

OPERATION(do_lock)
{
    struct thing *thing = thing_make(frame, statement, THING_LOCK);
    (void)weft_mutex_init(&thing->mutex, WEFT_MUTEX_UNOWNED);
    return FLOW_NEXT;
}

static struct thing *lock_of(struct frame *frame, const struct statement *statement)
{
    return find(frame, statement, THING_LOCK, THING_COND);
}

OPERATION(do_acquire)
{
    struct thing *thing = lock_of(frame, statement);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_wait(frame, call_text(frame, statement), weft_mutex_lock(&thing->mutex));
}

OPERATION(do_release)
{
    struct thing *thing = lock_of(frame, statement);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_try(frame, call_text(frame, statement), weft_mutex_unlock(&thing->mutex));
}

OPERATION(do_locked)
{
    const struct thing *thing = lock_of(frame, statement);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    note_own(frame, ".%s=%d", call_text(frame, statement), weft_mutex_is_locked(&thing->mutex));
    return FLOW_NEXT;
}

/* ---- conditions ---- */

OPERATION(do_condition)
{
    struct thing *thing = thing_make(frame, statement, THING_COND);
    (void)weft_mutex_init(&thing->mutex, WEFT_MUTEX_UNOWNED);
    (void)weft_cond_init(&thing->cond, &thing->mutex);
    return FLOW_NEXT;
}

OPERATION(do_condition_wait)
{
    struct thing *thing = thing_of(frame, statement, THING_COND);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_wait(frame, call_text(frame, statement), weft_cond_wait(&thing->cond));
}

OPERATION(do_condition_wait_for)
{
    struct thing *thing = thing_of(frame, statement, THING_COND);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    const int64_t *variable = &frame->run->variables[statement->other->index];
    int rc = weft_checkpoint(); /* an await point even where nothing is left to wait for */
    while (rc == 0 && *variable < statement->number) {
        rc = weft_cond_wait(&thing->cond);
    }
    return settle_wait(frame, call_text(frame, statement), rc);
}

OPERATION(do_notify)
{
    struct thing *thing = thing_of(frame, statement, THING_COND);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    int64_t count = statement->has_number ? statement->number : 1;
    int rc = weft_cond_notify(&thing->cond, count > 0 ? (size_t)count : 0);
    return settle_try(frame, call_text(frame, statement), rc);
}

OPERATION(do_notify_all)
{
    struct thing *thing = thing_of(frame, statement, THING_COND);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_try(frame, call_text(frame, statement), weft_cond_notify_all(&thing->cond));
}

OPERATION(do_set_variable)
{
    frame->run->variables[statement->label->index] = statement->number;
    return FLOW_NEXT;
}

OPERATION(do_add_variable)
{
    frame->run->variables[statement->label->index] += statement->number;
    return FLOW_NEXT;
}

OPERATION(do_get_variable)
{
    int64_t value = frame->run->variables[statement->label->index];
    note_own(frame, ".%s=%" PRId64, call_text(frame, statement), value);
    return FLOW_NEXT;
}

/* ---- events ---- */

OPERATION(do_event)
{
    (void)weft_event_init(&thing_make(frame, statement, THING_EVENT)->event);
    return FLOW_NEXT;
}

OPERATION(do_event_set)
{
    struct thing *thing = thing_of(frame, statement, THING_EVENT);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    (void)weft_event_set(&thing->event);
    return FLOW_NEXT;
}

OPERATION(do_event_clear)
{
    struct thing *thing = thing_of(frame, statement, THING_EVENT);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    (void)weft_event_clear(&thing->event);
    return FLOW_NEXT;
}

OPERATION(do_event_wait)
{
    struct thing *thing = thing_of(frame, statement, THING_EVENT);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_wait(frame, call_text(frame, statement), weft_event_wait(&thing->event));
}

/* ---- semaphores ---- */

static enum flow make_semaphore(struct frame *frame, const struct statement *statement,
                                bool is_bounded)
{
    struct thing *thing = thing_make(frame, statement, THING_SEM);
    bool is_good = statement->number >= 0;
    uint32_t permits = is_good ? (uint32_t)statement->number : 0;
    /* A bound of no permits would mean none: such a semaphore counts what it lacks by hand. */
    thing->is_empty = is_bounded && permits == 0;
    if (!is_good || weft_sem_init(&thing->sem, permits, is_bounded ? permits : 0) != 0) {
        return refuse(frame, call_text(frame, statement), "V");
    }
    return FLOW_NEXT;
}

OPERATION(do_semaphore)
{
    return make_semaphore(frame, statement, false);
}

OPERATION(do_bounded_semaphore)
{
    return make_semaphore(frame, statement, true);
}

OPERATION(do_semaphore_acquire)
{
    struct thing *thing = thing_of(frame, statement, THING_SEM);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    return settle_wait(frame, call_text(frame, statement), weft_sem_acquire(&thing->sem, 1));
}

OPERATION(do_semaphore_release)
{
    struct thing *thing = thing_of(frame, statement, THING_SEM);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    int rc = thing->is_empty ? -EOVERFLOW : weft_sem_release(&thing->sem, 1);
    return settle_try(frame, call_text(frame, statement), rc);
}

OPERATION(do_semaphore_value)
{
    const struct thing *thing = thing_of(frame, statement, THING_SEM);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    note_own(frame, ".%s=%" PRIu32, call_text(frame, statement), weft_sem_value(&thing->sem));
    return FLOW_NEXT;
}

/* ---- barriers ---- */

OPERATION(do_barrier)
{
    struct thing *thing = thing_make(frame, statement, THING_BARRIER);
    uint32_t parties = statement->number > 0 ? (uint32_t)statement->number : 0;
    if (weft_barrier_init(&thing->barrier, parties) != 0) {
        return refuse(frame, call_text(frame, statement), "V");
    }
    return FLOW_NEXT;
}

OPERATION(do_barrier_wait)
{
    struct thing *thing = thing_of(frame, statement, THING_BARRIER);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    int number = weft_barrier_wait(&thing->barrier);
    struct outcome outcome =
        number < 0 ? outcome_of_thing(frame->run, number)
                   : (struct outcome){0, arena_print(frame->run->arena, "%d", number)};
    return settle(frame, call_text(frame, statement), outcome);
}

OPERATION(do_barrier_reset)
{
    struct thing *thing = thing_of(frame, statement, THING_BARRIER);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    (void)weft_barrier_reset(&thing->barrier);
    return FLOW_NEXT;
}

OPERATION(do_barrier_abort)
{
    struct thing *thing = thing_of(frame, statement, THING_BARRIER);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    (void)weft_barrier_abort(&thing->barrier);
    return FLOW_NEXT;
}

OPERATION(do_barrier_state)
{
    const struct thing *thing = thing_of(frame, statement, THING_BARRIER);
    if (thing == NULL) {
        return FLOW_RAISE;
    }
    note_own(frame, ".%s=%" PRIu32 ",%s", call_text(frame, statement),
             weft_barrier_waiting(&thing->barrier),
             weft_barrier_is_broken(&thing->barrier) ? "broken" : "ok");
    return FLOW_NEXT;
}

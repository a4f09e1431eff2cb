/* SPDX-License-Identifier: MIT */
/* scenario_queue.c - queues; their items are values, as texts. */
#include <errno.h>

#include <weft/time.h>
#include <weft/gather.h>

#include "scenario_operation.h"
#include "scenario_thing.h"

OPERATION(do_queue)
{
    struct run *run = frame->run;
    struct thing *thing = thing_make(frame, statement, THING_QUEUE);
    bool is_bounded = statement->has_number && statement->number > 0;
    size_t capacity = is_bounded ? (size_t)statement->number : WEFT_QUEUE_UNBOUNDED;
    if (weft_queue_init(&thing->queue, sizeof(const char *), capacity, NULL) != 0) {
        run_fault(run, statement, "no memory for a queue");
        return raise_text(frame, "FAULT");
    }
    thing->next_queue = run->queues;
    run->queues = thing;
    return FLOW_NEXT;
}

void queues_end(struct run *run)
{
    for (struct thing *thing = run->queues; thing != NULL; thing = thing->next_queue) {
        (void)weft_queue_destroy(&thing->queue);
    }
}

static weft_queue *queue_of(struct frame *frame, const struct statement *statement)
{
    struct thing *thing = thing_of(frame, statement, THING_QUEUE);
    return thing != NULL ? &thing->queue : NULL;
}

static const char *put_text(struct frame *frame, const struct statement *statement)
{
    return arena_print(frame->run->arena, "%s(%s,%s)", statement->operation->name,
                       statement->label->text, statement->word);
}

/* ---- putting and getting ---- */

OPERATION(do_put)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    int rc = weft_queue_put(queue, &statement->word);
    return settle_wait(frame, put_text(frame, statement), rc);
}

static struct outcome get(struct run *run, weft_queue *queue)
{
    const char *item;
    int rc = weft_queue_get(queue, &item);
    return rc < 0 ? outcome_of_thing(run, rc) : (struct outcome){0, item};
}

OPERATION(do_get)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    return settle(frame, call_text(frame, statement), get(frame->run, queue));
}

struct limited_get {
    struct run *run;
    weft_queue *queue;
};

static intptr_t run_get(void *arg)
{
    const struct limited_get *call = arg;
    return outcome_to_weft(get(call->run, call->queue));
}

OPERATION(do_get_within)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    struct limited_get call = {frame->run, queue};
    int64_t delay_ns = statement->forever ? WEFT_FOREVER : statement->number * WEFT_S;
    intptr_t result = 0;
    int rc = weft_call_for(run_get, &call, delay_ns, &result);
    struct outcome outcome = rc == 0 ? outcome_from_weft(result) : outcome_of_thing(frame->run, rc);
    return settle(frame, call_text(frame, statement), outcome);
}

/* ---- without waiting ---- */

OPERATION(do_try_put)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    const char *call = put_text(frame, statement);
    int rc = weft_queue_try_put(queue, &statement->word);
    if (rc == -EAGAIN) {
        note_own(frame, ".%s!FULL", call);
        return FLOW_NEXT;
    }
    return settle_try(frame, call, rc);
}

OPERATION(do_try_get)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    const char *call = call_text(frame, statement);
    const char *item;
    int rc = weft_queue_try_get(queue, &item);
    if (rc == -EAGAIN) {
        note_own(frame, ".%s!EMPTY", call);
    } else if (rc == 0) {
        note_own(frame, ".%s=%s", call, item);
    }
    return rc == -EAGAIN ? FLOW_NEXT : settle_try(frame, call, rc);
}

OPERATION(do_queue_size)
{
    const weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    note_own(frame, ".%s=%zu", call_text(frame, statement), weft_queue_count(queue));
    return FLOW_NEXT;
}

/* ---- the end of the work ---- */

OPERATION(do_queue_done)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    return settle_try(frame, call_text(frame, statement), weft_queue_done(queue));
}

OPERATION(do_queue_join)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    return settle_wait(frame, call_text(frame, statement), weft_queue_join(queue));
}

OPERATION(do_shutdown)
{
    weft_queue *queue = queue_of(frame, statement);
    if (queue == NULL) {
        return FLOW_RAISE;
    }
    (void)(statement->flag ? weft_queue_close_now(queue) : weft_queue_close(queue));
    return FLOW_NEXT;
}

/* SPDX-License-Identifier: MIT */
/* scenario_several.c - waiting for several objects privately: `wait` and `ascomp`.
 *
 * Tasks alone are waited for by weft_wait and weft_completions. A mixed list is watched, and the watchers
 * set a future that the statement awaits. */
#include <errno.h>
#include <string.h>

#include <weft/gather.h>
#include <weft/testing.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "scenario_object.h"
#include "scenario_operation.h"

/* What a label names at the beginning: two may name one object. */
struct named {
    const char *label;
    struct object *object;
};

/* The objects of a statement, each once, and their tasks if all of them are tasks. */
struct several {
    struct object **objects;
    struct named *named;
    size_t named_count;
    weft_task **tasks; /* retained; NULL: a mixed list */
    size_t count;
};

static void take_tasks(struct run *run, struct several *several)
{
    weft_task **tasks = arena_take(run->arena, (several->count + 1) * sizeof(weft_task *));
    for (size_t i = 0; i < several->count; i++) {
        tasks[i] = several->objects[i]->task;
        if (tasks[i] == NULL) {
            return;
        }
    }
    for (size_t i = 0; i < several->count; i++) {
        (void)weft_retain(tasks[i]);
    }
    several->tasks = tasks;
}

static void add_named(struct several *several, const char *label, struct object *object)
{
    for (size_t i = 0; i < several->named_count; i++) {
        if (strcmp(several->named[i].label, label) == 0) {
            return;
        }
    }
    several->named[several->named_count++] = (struct named){label, object};
}

static void add_object(struct several *several, struct object *object)
{
    for (size_t i = 0; i < several->count; i++) {
        if (several->objects[i] == object) {
            return;
        }
    }
    several->objects[several->count++] = object;
}

static bool take_several(struct frame *frame, const struct statement *statement,
                         struct several *several)
{
    struct object **all = objects_of(frame, statement);
    if (all == NULL) {
        return false;
    }
    size_t count = (size_t)statement->name_count;
    *several = (struct several){.objects = all};
    several->named = arena_take(frame->run->arena, (count + 1) * sizeof *several->named);
    for (size_t i = 0; i < count; i++) {
        struct object *object = all[i];
        add_named(several, statement->names[i]->text, object);
        add_object(several, object);
    }
    take_tasks(frame->run, several);
    return true;
}

static void let_go(const struct several *several)
{
    if (several->tasks != NULL) {
        weft_drop_all(several->tasks, several->count);
    }
}

/* ---- wait ---- */

struct gate {
    enum wait_mode mode;
    size_t left;
    bool has_failed;
    weft_future open;
};

static bool is_open(const struct gate *gate, size_t count)
{
    return gate->left == 0 || (gate->mode == WAIT_FIRST_DONE && gate->left < count) ||
           (gate->mode == WAIT_FIRST_ERROR && gate->has_failed);
}

struct gate_child {
    struct gate *gate;
    size_t count;
};

static void on_gate_child_done(struct object *object, void *arg)
{
    const struct gate_child *child = arg;
    struct gate *gate = child->gate;
    gate->left--;
    gate->has_failed = gate->has_failed || object_state(object) == WEFT_ERROR;
    if (is_open(gate, child->count)) {
        (void)weft_future_set(&gate->open, 0);
    }
}

static int64_t limit_of(const struct statement *statement)
{
    return statement->has_number && !statement->forever ? statement->number * WEFT_S : WEFT_FOREVER;
}

static void on_gate_time(void *gate)
{
    (void)weft_future_set(&((struct gate *)gate)->open, 0);
}

/* 0, also when the time is over, or -ECANCELED; always suspends. */
static int wait_at_gate(struct gate *gate, int64_t limit_ns)
{
    if (limit_ns <= 0) {
        int rc = weft_sim_after(0, on_gate_time, gate);
        return rc == 0 ? weft_future_await(&gate->open, NULL) : rc;
    }
    weft_timeout limit;
    int rc = weft_timeout_enter(&limit, limit_ns);
    if (rc != 0) {
        return rc;
    }
    rc = (int)weft_timeout_leave(&limit, weft_future_await(&gate->open, NULL));
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int wait_mixed(struct run *run, const struct several *several,
                      const struct statement *statement)
{
    struct gate *gate = arena_take(run->arena, sizeof *gate);
    struct gate_child *child = arena_take(run->arena, sizeof *child);
    *child = (struct gate_child){gate, several->count};
    gate->mode = statement->mode;
    gate->left = several->count;
    for (size_t i = 0; i < several->count; i++) {
        object_watch(several->objects[i], on_gate_child_done, child);
    }
    return wait_at_gate(gate, limit_of(statement));
}

static const char *split(struct run *run, const struct several *several, bool is_done)
{
    const char *list = "";
    for (size_t i = 0; i < several->named_count; i++) {
        const struct named *named = &several->named[i];
        if ((object_state(named->object) != WEFT_PENDING) == is_done) {
            list = arena_print(run->arena, "%s%s%s", list, *list != '\0' ? "," : "", named->label);
        }
    }
    return list;
}

OPERATION(do_wait)
{
    static const weft_wait_when whens[] = {
        [WAIT_ALL] = WEFT_WAIT_ALL,
        [WAIT_FIRST_DONE] = WEFT_WAIT_FIRST_DONE,
        [WAIT_FIRST_ERROR] = WEFT_WAIT_FIRST_ERROR,
    };
    struct several several;
    if (!take_several(frame, statement, &several)) {
        return FLOW_RAISE;
    }
    int rc = several.tasks != NULL ? weft_wait(several.tasks, several.count, whens[statement->mode],
                                               limit_of(statement), NULL)
                                   : wait_mixed(frame->run, &several, statement);
    let_go(&several);
    if (rc == -EINVAL) {
        return refuse(frame, "wait", "V");
    }
    if (rc != 0) {
        return settle(frame, "wait", outcome_of_call(frame->run, rc));
    }
    note_own(frame, ".wait{%s|%s}", split(frame->run, &several, true),
             split(frame->run, &several, false));
    return FLOW_NEXT;
}

/* ---- ascomp ---- */

static void note_step(struct frame *frame, const struct object *object)
{
    struct outcome outcome = {-ECANCELED, NULL};
    (void)object_look(object, &outcome);
    (void)settle(frame, "asc", outcome); /* an error is this step's result, no more */
}

static bool have_all_ended(const struct several *several)
{
    for (size_t i = 0; i < several->count; i++) {
        if (object_state(several->objects[i]) == WEFT_PENDING) {
            return false;
        }
    }
    return true;
}

/* A walk that is left early leaves its timer, until all have ended; it shows where the run waits for ever
 * afterwards. */
struct walk {
    struct run *run;
    struct several several;
};

static void on_left_timer(void *arg)
{
    const struct walk *walk = arg;
    if (have_all_ended(&walk->several)) {
        run_strays(walk->run);
    }
}

static void leave_timer(struct run *run, const struct several *several, int64_t deadline_ns)
{
    if (deadline_ns != WEFT_FOREVER && deadline_ns > weft_now() && !have_all_ended(several)) {
        struct walk *walk = arena_take(run->arena, sizeof *walk);
        *walk = (struct walk){run, *several};
        int rc = weft_sim_after(deadline_ns - weft_now(), on_left_timer, walk);
        (void)rc; /* without it the deadlock is told at an earlier time, no more */
    }
}

static int complete_tasks(struct frame *frame, const struct several *several, int64_t limit_ns)
{
    weft_completions each;
    int rc = weft_completions_open(&each, several->tasks, several->count, limit_ns);
    for (size_t left = several->count; rc == 0 && left > 0; left--) {
        size_t index = 0;
        rc = weft_completions_next(&each, &index);
        if (rc == 0) {
            note_step(frame, several->objects[index]);
        } else if (rc == -ETIMEDOUT) {
            note_own(frame, ".asc!T");
            rc = 0;
        }
    }
    weft_completions_close(&each);
    return rc;
}

/* Those of a mixed list that have ended, in the order in which they did. */
struct ended {
    struct run *run;
    size_t all;
    struct object **objects;
    size_t count;
    size_t taken;
    bool is_over; /* the time is; who ends now is not given */
    weft_future *more;
};

static void tell(struct ended *ended)
{
    if (ended->more != NULL) {
        (void)weft_future_set(ended->more, 0);
    }
}

static void on_one_done(struct object *object, void *arg)
{
    struct ended *ended = arg;
    if (!ended->is_over) {
        ended->objects[ended->count++] = object;
        tell(ended);
    }
}

static void on_time_over(void *arg)
{
    struct ended *ended = arg;
    if (ended->count == ended->all) {
        run_strays(ended->run);
        return;
    }
    ended->is_over = true;
    tell(ended);
}

/* As weft_completions_next. */
static int next_mixed(struct ended *ended, struct object **next)
{
    int rc = weft_checkpoint();
    if (rc == 0 && ended->taken == ended->count && !ended->is_over) {
        weft_future more = WEFT_FUTURE_INIT;
        ended->more = &more;
        rc = weft_future_await(&more, NULL);
        ended->more = NULL;
    }
    if (rc == 0 && ended->taken == ended->count) {
        return -ETIMEDOUT;
    }
    *next = rc == 0 ? ended->objects[ended->taken++] : NULL;
    return rc;
}

static int complete_mixed(struct frame *frame, const struct several *several, int64_t limit_ns)
{
    struct arena *arena = frame->run->arena;
    struct ended *ended = arena_take(arena, sizeof *ended);
    ended->run = frame->run;
    ended->all = several->count;
    ended->objects = arena_take(arena, (several->count + 1) * sizeof(struct object *));
    for (size_t i = 0; i < several->count; i++) {
        object_watch(several->objects[i], on_one_done, ended);
    }
    int rc = 0;
    if (limit_ns != WEFT_FOREVER) {
        rc = weft_sim_after(limit_ns > 0 ? limit_ns : 0, on_time_over, ended);
    }
    for (size_t left = several->count; rc == 0 && left > 0; left--) {
        struct object *next = NULL;
        rc = next_mixed(ended, &next);
        if (rc == 0) {
            note_step(frame, next);
        } else if (rc == -ETIMEDOUT) {
            note_own(frame, ".asc!T");
            rc = 0;
        }
    }
    return rc;
}

OPERATION(do_completions)
{
    struct several several;
    if (!take_several(frame, statement, &several)) {
        return FLOW_RAISE;
    }
    int64_t limit_ns = statement->forever ? WEFT_FOREVER : statement->number * WEFT_S;
    int64_t deadline_ns = statement->forever ? WEFT_FOREVER : weft_now() + limit_ns;
    int rc = several.tasks != NULL ? complete_tasks(frame, &several, limit_ns)
                                   : complete_mixed(frame, &several, limit_ns);
    let_go(&several);
    if (several.tasks != NULL) {
        leave_timer(frame->run, &several, deadline_ns);
    }
    return rc == 0 ? FLOW_NEXT : settle(frame, "asc", outcome_of_call(frame->run, rc));
}

/* SPDX-License-Identifier: MIT */
/* scenario_run.h - one program that runs: its labels, its trace, its limits; and one body that runs in it. */
#ifndef SCENARIO_RUN_H
#define SCENARIO_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "scenario_outcome.h"
#include "scenario_syntax.h"
#include "scenario_trace.h"

/* How a statement leaves. */
enum flow { FLOW_NEXT, FLOW_RETURN, FLOW_RAISE };

struct joiner;
struct object;
struct scope;
struct task_group;
struct thing;
struct weft_local;

/* The tables are indexed by struct name's index; NULL: that label does not exist (yet). */
struct run {
    struct arena *arena;
    const struct program *program;
    struct trace trace;
    struct exceptions exceptions;
    int code_of_cycle;       /* the R of a join that would close a cycle */
    struct object **objects; /* tasks, completions, shields, gathers */
    struct scope **scopes;   /* timeouts */
    struct task_group **groups;
    struct weft_local **locals; /* context values */
    struct thing **things;      /* locks, queues and their like */
    int64_t *variables;
    struct thing *queues;   /* all that were made */
    struct joiner *joiners; /* those whose requests are handed on here */
    int64_t start_ns;
    int64_t now_s;        /* as of the last statement, for events that have no clock at hand */
    int64_t stray_s;      /* when a timer fired last that nobody had any use for */
    int64_t steps_left;   /* statements, so that every program ends */
    int64_t tasks_left;   /* spawns, so that it ends before memory does */
    const char *fault;    /* the program did what no program may; everything unwinds */
    intptr_t main_result; /* -EINTR where main was interrupted and nothing else */
    int interrupts;
    bool has_run_event; /* its place in the trace is taken */
    size_t run_event;
};

/* A body that runs. A function called by another body gets a frame of its own, in the same task. */
struct frame {
    struct run *run;
    struct object *self;
    const char *value; /* of FLOW_RETURN */
    int code;          /* of FLOW_RAISE */
    int caught;        /* what `raise` alone raises; 0: nothing */
    int depth;         /* of blocks and calls */
};

enum flow block_run(struct frame *frame, const struct block *block);

/* Runs a body to its end. */
struct outcome body_run(struct run *run, struct object *self, const struct block *body,
                        const struct frame *caller);

/* Seconds since main began. */
int64_t run_second(struct run *run);

/* Adds "who.what" to the trace. */
__attribute__((format(printf, 3, 4))) void note(struct run *run, const char *who,
                                                const char *format, ...);

/* note() for the task of a frame. */
#define note_own(Frame, ...) note((Frame)->run, self_label(Frame), __VA_ARGS__)
const char *self_label(const struct frame *frame);

/* Leaves with an exception. */
enum flow raise_code(struct frame *frame, int code);
enum flow raise_text(struct frame *frame, const char *text);

/* Logs "call!X" and leaves with it. */
enum flow refuse(struct frame *frame, const char *call, const char *text);

/* Logs "call=value" and goes on, or "call!X" and leaves with it. */
enum flow settle(struct frame *frame, const char *call, struct outcome outcome);

/* "op(label)", the usual form of a call in the trace. */
const char *call_text(struct frame *frame, const struct statement *statement);

/* The run's own event has its place here, unless it has one. */
void run_ends(struct run *run);

/* A timer fires that a finished walk has left: a run that ends here has ended before. */
void run_strays(struct run *run);

/* The program is at fault: no way to go on. */
void run_fault(struct run *run, const struct statement *statement, const char *what);

enum run_end { RUN_TRACED, RUN_BAD };

struct run_result {
    enum run_end end;
    const char *text; /* the trace, or what is wrong and where */
};

/* Reads and runs a program in a simulation of its own. Plain threads. The text lives in the arena. */
struct run_result scenario_run(struct arena *arena, const char *program);

#endif

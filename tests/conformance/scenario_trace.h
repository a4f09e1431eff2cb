/* SPDX-License-Identifier: MIT */
/* scenario_trace.h - what happened, and at which virtual second. */
#ifndef SCENARIO_TRACE_H
#define SCENARIO_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "scenario_arena.h"

struct event {
    int64_t second;
    const char *text; /* "A.join(B)=5"; NULL: a place kept free */
};

struct trace {
    struct arena *arena;
    struct event *events;
    size_t count;
    size_t room;
    bool is_closed; /* nothing is added any more */
};

/* Adds an event, or with NULL a place to be filled in later. Returns its index. */
size_t trace_add(struct trace *trace, int64_t second, const char *text);

/* On one line: "@0 main.a @3 main.end=0 run=0". */
const char *trace_text(const struct trace *trace);

#endif

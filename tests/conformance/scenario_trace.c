/* SPDX-License-Identifier: MIT */
/* scenario_trace.c - a growing array of events. */
#include "scenario_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SECOND_TEXT_MAX = 24 };

size_t trace_add(struct trace *trace, int64_t second, const char *text)
{
    if (trace->is_closed) {
        return 0;
    }
    if (trace->count == trace->room) {
        size_t room = trace->room == 0 ? 64 : trace->room * 2;
        struct event *events = arena_take(trace->arena, room * sizeof *events);
        if (trace->count > 0) {
            memcpy(events, trace->events, trace->count * sizeof *events);
        }
        trace->events = events;
        trace->room = room;
    }
    trace->events[trace->count] = (struct event){second, text};
    return trace->count++;
}

static size_t room_for(const struct trace *trace)
{
    size_t size = 1;
    for (size_t i = 0; i < trace->count; i++) {
        const char *text = trace->events[i].text;
        size += text != NULL ? strlen(text) + 1 + SECOND_TEXT_MAX : 0;
    }
    return size;
}

const char *trace_text(const struct trace *trace)
{
    size_t size = room_for(trace);
    char *text = arena_take(trace->arena, size);
    size_t length = 0;
    int64_t second = -1;
    for (size_t i = 0; i < trace->count; i++) {
        const struct event *event = &trace->events[i];
        if (event->text == NULL) {
            continue;
        }
        if (event->second != second) {
            second = event->second;
            length += (size_t)snprintf(text + length, size - length, "%s@%" PRId64,
                                       length > 0 ? " " : "", second);
        }
        length += (size_t)snprintf(text + length, size - length, " %s", event->text);
    }
    return text;
}

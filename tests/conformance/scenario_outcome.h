/* SPDX-License-Identifier: MIT */
/* scenario_outcome.h - values and exceptions, and how they travel through weft as an intptr_t.
 *
 * A value is its text. An exception is its code: C and T are -ECANCELED and -ETIMEDOUT, each other one
 * gets a code of its own within a run, below the real errnos, so that results of tasks, failures of
 * futures and the errors of groups lead back to it. Two exceptions that read the same share a code. */
#ifndef SCENARIO_OUTCOME_H
#define SCENARIO_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "scenario_arena.h"

/* What became of a call: code 0 and a value, or the code of an exception. */
struct outcome {
    int code;
    const char *value;
};

struct exceptions {
    struct arena *arena;
    const char **texts;
    int count;
    int room;
};

/* The code of the exception that reads so; 0 when the run has used up all codes. */
int exception_code(struct exceptions *exceptions, const char *text);

/* A new code for it, beside those that others that read the same have; 0 as above. */
int exception_code_apart(struct exceptions *exceptions, const char *text);

const char *exception_text(const struct exceptions *exceptions, int code);

/* The code of EG[...] of these errors, sorted; 0 as above. */
int exception_group(struct exceptions *exceptions, const int *codes, int count);

/* Does `catch kind` take it? */
bool exception_matches(const struct exceptions *exceptions, int code, const char *kind);

intptr_t outcome_to_weft(struct outcome outcome);
struct outcome outcome_from_weft(intptr_t result);

#endif

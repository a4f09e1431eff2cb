/* SPDX-License-Identifier: MIT */
/* scenario_cases.h - lists of programs in JSON files, to be traced or checked. */
#ifndef SCENARIO_CASES_H
#define SCENARIO_CASES_H

#include <stdbool.h>
#include <stdio.h>

#include "scenario_arena.h"

/* A whole file, or standard input for NULL; NULL when it can't be read (errno says why). */
char *file_read(struct arena *arena, const char *path);

/* Prints one {"id": ..., "trace": ...} line for each case, or {"id": ..., "error": ...}. False: the file
 * can't be read or isn't a list of cases, as standard error then says. */
bool cases_trace(const char *path, FILE *out);

struct tally {
    int same;
    int different;
};

/* Runs every case, compares its trace with `expect` and `also`, and prints those that differ. False as
 * above. */
bool cases_check(const char *path, FILE *out, struct tally *tally);

#endif

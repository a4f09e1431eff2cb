/* SPDX-License-Identifier: MIT */
/* scenario_syntax.h - the language: what a program is once it has been read.
 *
 *     main{ spawn A; join A } A{ sleep 1; ret 5 }
 *
 * A program is a list of definitions, a definition a block, a block a list of statements. Each
 * statement has an operation (scenario_operation.h), whose shape says which of the fields below are filled.
 * All of it lives in the arena that was given to parse(). */
#ifndef SCENARIO_SYNTAX_H
#define SCENARIO_SYNTAX_H

#include <stdbool.h>
#include <stdint.h>

#include "scenario_arena.h"

struct operation;

struct place {
    int line;
    int column; /* both from 1 */
};

/* A name that occurs in the program. Two that read the same are one object; `index` counts them. */
struct name {
    const char *text;
    int index;
    struct name *next;
};

struct block {
    struct statement *first;
};

struct clause {
    const char *kind; /* of exception; "*" any */
    struct block *block;
    struct clause *next;
};

struct definition {
    struct name *name;
    struct block *block;
    struct definition *next;
};

enum wait_mode { WAIT_ALL, WAIT_FIRST_DONE, WAIT_FIRST_ERROR };

struct statement {
    const struct operation *operation;
    struct place place;
    struct name *label; /* what it works on; NULL: left out */
    struct name *other; /* a second name, or the one after `as` */
    struct name *callee_name;
    struct definition *callee;
    int64_t number; /* an integer, or seconds */
    bool has_number;
    bool forever;     /* seconds: `none` */
    const char *word; /* a value, a kind of exception, or all words of a log */
    struct name **names;
    int name_count;
    enum wait_mode mode;
    bool flag; /* rx, now */
    struct block *block;
    struct clause *clauses;
    struct block *finally;
    struct statement *next;
};

struct program {
    struct name *names;
    int name_count;
    struct definition *definitions;
    struct definition *main;
};

/* Reads a program. NULL on an error: *error is then one line with the place. */
const struct program *parse(struct arena *arena, const char *text, const char **error);

#endif

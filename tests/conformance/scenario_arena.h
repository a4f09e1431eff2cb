/* SPDX-License-Identifier: MIT */
/* scenario_arena.h - memory that lives as long as one scenario and goes all at once.
 *
 * Why: labels outlive blocks, scopes are asked after they were left, and a run may end in a deadlock
 * with fibers that never unwind. Nothing of a run is freed before its end. */
#ifndef SCENARIO_ARENA_H
#define SCENARIO_ARENA_H

#include <stddef.h>

struct arena_block;

/* {0} is empty. */
struct arena {
    struct arena_block *newest;
    size_t room; /* bytes left in the newest block */
};

/* Zeroed, aligned for anything. Ends the program when there is no memory. */
void *arena_take(struct arena *arena, size_t size);

char *arena_copy(struct arena *arena, const char *text, size_t length);

__attribute__((format(printf, 2, 3))) char *arena_print(struct arena *arena, const char *format,
                                                        ...);

void arena_free(struct arena *arena);

#endif

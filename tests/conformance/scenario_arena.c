/* SPDX-License-Identifier: MIT */
/* scenario_arena.c - blocks, filled from the front. */
#include "scenario_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 32 * 1024, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(ALIGNMENT) char bytes[];
};

static void add_block(struct arena *arena, size_t size)
{
    struct arena_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        fputs("weft-scenario: out of memory\n", stderr);
        exit(3);
    }
    block->older = arena->newest;
    block->size = size;
    arena->newest = block;
    arena->room = size;
}

void *arena_take(struct arena *arena, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->newest == NULL || size > arena->room) {
        add_block(arena, size > BLOCK_BYTES ? size : BLOCK_BYTES);
    }
    void *memory = arena->newest->bytes + (arena->newest->size - arena->room);
    arena->room -= size;
    return memset(memory, 0, size);
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_take(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *arena_print(struct arena *arena, const char *format, ...)
{
    char small[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (length < 0) {
        abort();
    }
    if ((size_t)length < sizeof small) {
        return arena_copy(arena, small, (size_t)length);
    }
    char *text = arena_take(arena, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void arena_free(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_block *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->room = 0;
}

/* SPDX-License-Identifier: MIT */
/* scenario_outcome.c - values and exceptions. */
#include "scenario_outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base.h>

enum { FIRST_CODE = -1000, LAST_CODE = -4095 };

int exception_code(struct exceptions *exceptions, const char *text)
{
    if (strcmp(text, "C") == 0 || strcmp(text, "T") == 0) {
        return *text == 'C' ? -ECANCELED : -ETIMEDOUT;
    }
    for (int i = 0; i < exceptions->count; i++) {
        if (strcmp(exceptions->texts[i], text) == 0) {
            return FIRST_CODE - i;
        }
    }
    return exception_code_apart(exceptions, text);
}

int exception_code_apart(struct exceptions *exceptions, const char *text)
{
    if (FIRST_CODE - exceptions->count < LAST_CODE) {
        return 0;
    }
    if (exceptions->count == exceptions->room) {
        int room = exceptions->room == 0 ? 16 : exceptions->room * 2;
        const char **texts = arena_take(exceptions->arena, (size_t)room * sizeof *texts);
        if (exceptions->count > 0) {
            memcpy(texts, exceptions->texts, (size_t)exceptions->count * sizeof *texts);
        }
        exceptions->texts = texts;
        exceptions->room = room;
    }
    exceptions->texts[exceptions->count] = text;
    return FIRST_CODE - exceptions->count++;
}

const char *exception_text(const struct exceptions *exceptions, int code)
{
    if (code == -ECANCELED || code == -ETIMEDOUT) {
        return code == -ECANCELED ? "C" : "T";
    }
    int index = FIRST_CODE - code;
    if (index < 0 || index >= exceptions->count) {
        return arena_print(exceptions->arena, "unknown_error_%d", -code);
    }
    return exceptions->texts[index];
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int exception_group(struct exceptions *exceptions, const int *codes, int count)
{
    const char **parts = arena_take(exceptions->arena, (size_t)count * sizeof *parts);
    size_t size = sizeof "EG[]";
    for (int i = 0; i < count; i++) {
        parts[i] = exception_text(exceptions, codes[i]);
        size += strlen(parts[i]) + 1;
    }
    qsort(parts, (size_t)count, sizeof *parts, compare);
    char *text = arena_take(exceptions->arena, size);
    char *end = stpcpy(text, "EG[");
    for (int i = 0; i < count; i++) {
        end = stpcpy(end, i > 0 ? "," : "");
        end = stpcpy(end, parts[i]);
    }
    (void)stpcpy(end, "]");
    return exception_code(exceptions, text);
}

bool exception_matches(const struct exceptions *exceptions, int code, const char *kind)
{
    const char *text = exception_text(exceptions, code);
    if (strcmp(kind, "*") == 0 || strcmp(kind, text) == 0) {
        return true;
    }
    return strcmp(kind, "EG") == 0 && strncmp(text, "EG[", 3) == 0;
}

intptr_t outcome_to_weft(struct outcome outcome)
{
    return outcome.code < 0 ? outcome.code : (intptr_t)outcome.value;
}

struct outcome outcome_from_weft(intptr_t result)
{
    if (weft_is_error(result)) {
        return (struct outcome){(int)result, NULL};
    }
    return (struct outcome){0, result != 0 ? (const char *)result : "0"};
}

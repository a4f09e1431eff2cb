// SPDX-License-Identifier: MIT
/* text.c - growing a line. */
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool reserve(struct wf_text *text, size_t more)
{
    size_t need = text->length + more + 1;
    if (need <= text->room) {
        return true;
    }
    size_t room = 2 * need;
    char *at = realloc(text->at, room);
    if (at == NULL) {
        return false;
    }
    text->at = at;
    text->room = room;
    return true;
}

void wf_text_add_list(struct wf_text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n >= 0 && reserve(text, (size_t)n)) {
        (void)vsnprintf(text->at + text->length, (size_t)n + 1, format, args);
        text->length += (size_t)n;
    }
}

void wf_text_add(struct wf_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wf_text_add_list(text, format, args);
    va_end(args);
}

void wf_text_clear(struct wf_text *text)
{
    text->length = 0;
    if (text->at != NULL) {
        text->at[0] = '\0';
    }
}

void wf_text_free(struct wf_text *text)
{
    free(text->at);
    *text = (struct wf_text){0};
}

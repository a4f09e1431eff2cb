// SPDX-License-Identifier: MIT
/* text.h - a line that grows.
 *
 * Without memory it ends early, which a reader of reports survives.
 */
#ifndef WF_BASE_TEXT_H
#define WF_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* Zeroed: empty. */
struct wf_text {
    char *at; /* NULL while empty */
    size_t length;
    size_t room;
};

__attribute__((format(printf, 2, 3))) void wf_text_add(struct wf_text *text, const char *format,
                                                       ...);
__attribute__((format(printf, 2, 0))) void wf_text_add_list(struct wf_text *text,
                                                            const char *format, va_list args);

/* Makes it empty; keeps its memory. */
void wf_text_clear(struct wf_text *text);

void wf_text_free(struct wf_text *text);

static inline const char *wf_text_line(const struct wf_text *text)
{
    return text->at != NULL ? text->at : "";
}

#endif

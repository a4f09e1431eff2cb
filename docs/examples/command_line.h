// SPDX-License-Identifier: MIT
/* command_line.h - numbers and times on the command line, for both example programs. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

__attribute__((noreturn, format(printf, 1, 2))) static inline void usage_error(const char *format,
                                                                               ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputs(" (--help tells more)\n", stderr);
    va_end(arguments);
    exit(EXIT_USAGE);
}

/* A whole number in [least, most]. */
static inline long parse_number(const char *option, const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        usage_error("--%s: '%s' is not a number from %ld to %ld", option, text, least, most);
    }
    return value;
}

/* "2", "2s", "0.5" or "500ms", up to a day, in nanoseconds. */
static inline int64_t parse_duration(const char *option, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (strcmp(end, "ms") == 0) {
        seconds /= 1000;
        end += 2;
    } else if (strcmp(end, "s") == 0) {
        end++;
    }
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 86400)) {
        usage_error("--%s: '%s' is not a time such as 2s or 500ms", option, text);
    }
    return (int64_t)(seconds * 1e9);
}

#endif

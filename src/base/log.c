// SPDX-License-Identifier: MIT
/* log.c - one line, one write. */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void write_line(const char *format, va_list args)
{
    char line[1024] = "weft: ";
    const size_t prefix = 6;
    const size_t room = sizeof line - prefix - 1;
    int n = vsnprintf(line + prefix, room, format, args);
    size_t length = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    line[prefix + length] = '\n';
    ssize_t written = write(STDERR_FILENO, line, prefix + length + 1);
    (void)written; /* nowhere left to report to */
}

void wf_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
}

void wf_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
    abort();
}

// SPDX-License-Identifier: MIT
/* log.h - lines on standard error, and the end of the process when memory can't be trusted.
 *
 * What: one write(2) a line, no stdio, so that signal handlers and forked children may use it.
 */
#ifndef WF_BASE_LOG_H
#define WF_BASE_LOG_H

#include <stdarg.h>

/* Writes "weft: " and the formatted line. Any thread; formatting is vsnprintf's. */
__attribute__((format(printf, 1, 2))) void wf_say(const char *format, ...);

/* As wf_say, then aborts: for corruption, never for a user's error. */
__attribute__((format(printf, 1, 2), noreturn, cold)) void wf_die(const char *format, ...);

/* Two strengths of assertion. WF_CHECK is always on: what fails here would corrupt or hang.
 * WF_ASSERT is on in debug builds. */
#define WF_CHECK(cond, ...)                 \
    do {                                    \
        if (__builtin_expect(!(cond), 0)) { \
            wf_die(__VA_ARGS__);            \
        }                                   \
    } while (0)

#ifdef WF_DEBUG
#define WF_IS_DEBUG 1
#else
#define WF_IS_DEBUG 0
#endif

#ifdef WF_DEBUG
#define WF_ASSERT(cond) WF_CHECK(cond, "assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__)
#else
#define WF_ASSERT(cond) ((void)sizeof((cond) ? 1 : 0))
#endif

#endif

// SPDX-License-Identifier: MIT
/* tools.h - what sanitizers and valgrind must be told about fibers.
 *
 * What: which tool this build runs under, and the calls that teach it about stacks and switches.
 *       In an ordinary build everything here is empty.
 * Why this way: only fiber/ includes the tools' headers; no other room has an #ifdef for them.
 */
#ifndef WF_FIBER_TOOLS_H
#define WF_FIBER_TOOLS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#define WF_HAS_FEATURE(x) __has_feature(x)
#else
#define WF_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || WF_HAS_FEATURE(address_sanitizer)
#define WF_ASAN 1
#else
#define WF_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || WF_HAS_FEATURE(thread_sanitizer)
#define WF_TSAN 1
#else
#define WF_TSAN 0
#endif

/* A switch must call the tools: it is then a function of fiber.c instead of a bare call. */
#define WF_SWITCH_HOOKS (WF_ASAN || WF_TSAN)

/* Instrumented frames are several times larger. Mappings grow by this factor and room is divided
 * by it, so that a promise of 64 KiB means the same amount of the user's code everywhere. */
#if WF_SWITCH_HOOKS
#define WF_STACK_SCALE 4
#else
#define WF_STACK_SCALE 1
#endif

#endif

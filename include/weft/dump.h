// SPDX-License-Identifier: MIT
/* dump.h - who waits for what and for whom, in words: for when something hangs. */
#ifndef WEFT_DUMP_H
#define WEFT_DUMP_H

#include <weft/base.h>

WEFT_BEGIN

/* Describes every unfinished task, in the order of ids, one to a line: id, name, where it was spawned, what
 * it does, what it waits for and whom; then who waits for whom, as a tree; then each cycle:
 *
 *     cycle: task #3 "a" (file.c:12) waits for mutex 0x7f..., held by task #5 "b" (file.c:20), which
 *     joins task #3 "a"
 *
 * on one line. In a simulation things are numbered (mutex 1) in the order in which the tasks wait for them,
 * instead of named by their addresses. Tasks go on meanwhile: each line was true at a moment of its own. A
 * cycle is told when all its tasks were found in the same waits twice. Those through queues may be ended by
 * somebody else: a task that waits for an item is said to wait for whoever put last, one that waits for room
 * or for the end of the work for whoever took last.
 *
 * runtime  NULL = the caller's own
 * line     receives one line at a time, without a newline; NULL prints them on standard error. May take its
 *          time, must not await
 * returns  0; -EPERM (runtime NULL outside a fiber); -ENOMEM (there was no memory for all of it)
 * context  any thread while the runtime lives, not a signal handler; never switches */
WEFT_API int weft_dump(weft_runtime *runtime, void (*line)(const char *text, void *arg), void *arg);

WEFT_END

#endif

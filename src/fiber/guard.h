// SPDX-License-Identifier: MIT
/* guard.h - what catches a fiber that runs off the low end of its stack.
 *
 * Threads: any.
 */
#ifndef WF_FIBER_GUARD_H
#define WF_FIBER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fiber/fiber.h"

/* Bytes of guard below every stack: 16 KiB, or a page where pages are larger. Signal-safe. */
size_t wf_guard_bytes(void);

size_t wf_page_bytes(void);

/* The best kind that this kernel has. A few system calls. */
enum wf_guard wf_guard_probe(void);

/* Guards [at, at + wf_guard_bytes()) by `kind`, or by the next worse one that works; the canary
 * always does. `at` must be fresh from mmap. returns the kind in force. */
enum wf_guard wf_guard_install(char *at, enum wf_guard kind);

/* The same for `count` stacks of a slab, at most 64, `stride` apart, by the best kind: true if the kernel has
 * put up all of them. Else none may be in force, and wf_guard_install is to be called for each. */
bool wf_guard_install_row(char *first, size_t stride, unsigned count);

/* `count` guards of one kind have been unmapped. */
void wf_guard_unmapped(enum wf_guard kind, unsigned count);

/* False if something was written to the canary at `at`. */
bool wf_guard_is_clean(const char *at);

#endif

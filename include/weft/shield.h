// SPDX-License-Identifier: MIT
/* shield.h - a section that cancellation from outside does not interrupt, for clean-up.
 *
 * Requests made by others while the section is open are deferred, not dropped: they are undelivered
 * again once it is left. Timeouts and groups opened inside it work as always.
 */
#ifndef WEFT_SHIELD_H
#define WEFT_SHIELD_H

#include <weft/base.h>

WEFT_BEGIN

typedef struct weft_shield {
    uint64_t reserved[20];
} weft_shield;

/* Opens the section for at most `bound_ns` (WEFT_FOREVER: no bound). At the bound the current or
 * next await inside returns -ECANCELED and leaving returns -ETIMEDOUT. A bound of 0 or less is over at
 * once: the first await that suspends is told, and a section that never suspends ends as without a bound. Looks
 * for no request: one that is undelivered already is deferred too, whatever the bound.
 * Returns 0, -EPERM, -EINVAL, -EBUSY (already open). Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_shield_enter(weft_shield *section, int64_t bound_ns);

/* Closes it and returns `rc`, or -ETIMEDOUT where the bound's own -ECANCELED leaves it; -EINVAL
 * when it is not the innermost open scope; -EPERM. Fiber only; never switches. */
WEFT_API WEFT_NODISCARD intptr_t weft_shield_leave(weft_shield *section, intptr_t rc);

WEFT_END

#endif

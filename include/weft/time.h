// SPDX-License-Identifier: MIT
/* time.h - the clock, sleeping and yielding. */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

WEFT_BEGIN

/* The runtime's monotonic clock (virtual in a simulation), in nanoseconds; outside a fiber the system's. Any
 * thread; never switches. */
WEFT_API int64_t weft_now(void);

/* Suspends for `delay_ns`; 0 or less is weft_yield. Never returns early.
 * Returns 0, -ECANCELED, -EPERM. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_sleep(int64_t delay_ns);

/* Suspends until `deadline_ns`; a deadline that has passed is weft_yield. As above. */
WEFT_API WEFT_NODISCARD int weft_sleep_until(int64_t deadline_ns);

/* Lets others of the same worker run first: those that have not started or have yielded before, and those that
 * were woken, by turns; where there are none of the former, all of the latter.
 * Returns 0, -ECANCELED, -EPERM. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_yield(void);

/* Only observes: returns -ECANCELED for an undelivered request, else 0. Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_checkpoint(void);

WEFT_END

#endif

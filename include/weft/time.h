// SPDX-License-Identifier: MIT
/* time.h - the clock, sleeping and yielding. */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

WEFT_BEGIN

/* The runtime's monotonic clock (virtual in a simulation); outside a fiber the system's. */
WEFT_API int64_t weft_now(void);

/* Suspends for `delay_ns`; 0 or less is weft_yield. Never returns early.
 * Returns 0, -ECANCELED, -EPERM. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_sleep(int64_t delay_ns);

/* Suspends until `deadline_ns`; a deadline that has passed is weft_yield. As above. */
WEFT_API WEFT_NODISCARD int weft_sleep_until(int64_t deadline_ns);

/* Lets others run: all that have not started yet or have yielded here before, and by turns with them, or with the
 * caller where there are none, one each of those that were woken. In a simulation with seed 0 all that are ready.
 * Who waits for what others do had better wait for it than yield until it is there.
 * Returns 0, -ECANCELED, -EPERM. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_yield(void);

/* Only observes: returns -ECANCELED for an undelivered request, else 0. Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_checkpoint(void);

WEFT_END

#endif

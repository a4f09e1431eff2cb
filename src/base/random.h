// SPDX-License-Identifier: MIT
/* random.h - numbers that are good enough to spread load and to be fair, not to keep secrets.
 *
 * Source: xorshift64*, Marsaglia 2003 and Vigna 2016. The state is never 0.
 */
#ifndef WF_BASE_RANDOM_H
#define WF_BASE_RANDOM_H

#include <stdint.h>

/* The next 32 bits. */
static inline uint32_t wf_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((x * UINT64_C(2685821657736338717)) >> 32);
}

/* Evenly below `bound`, but for a bias that a bound far below 2^32 does not show. */
static inline uint32_t wf_random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(((uint64_t)wf_random(state) * bound) >> 32);
}

#endif

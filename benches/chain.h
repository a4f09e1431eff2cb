// SPDX-License-Identifier: MIT
/* chain.h - work of a known amount: multiplications that wait for each other, four cycles each. 1000 are
 * about a microsecond at 4 GHz. The peers in other languages compute the same. C and C++. */
#ifndef BENCH_CHAIN_H
#define BENCH_CHAIN_H

#include <stdint.h>

enum { CHAIN_US = 1000 };

static inline void bench_chain(uint64_t rounds)
{
    uint64_t x = rounds;
    for (uint64_t i = 0; i < rounds; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        __asm__ volatile("" : "+r"(x));
    }
}

#endif

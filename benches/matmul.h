// SPDX-License-Identifier: MIT
/* matmul.h - the arithmetic of the matrix benchmark, the same for weft and its C++ peers.
 *
 * Square matrices whose size is a power of two, row after row; a block of one is told by its first
 * element and the length of a whole row. C and C++.
 */
#ifndef BENCH_MATMUL_H
#define BENCH_MATMUL_H

#include <stddef.h>

enum { MATMUL_LEAF = 32 };

/* c += a * b for blocks of MATMUL_LEAF by MATMUL_LEAF. */
static inline void matmul_leaf(const float *a, const float *b, float *c, size_t stride)
{
    for (size_t i = 0; i < MATMUL_LEAF; i++) {
        float *__restrict__ row = c + i * stride;
        for (size_t k = 0; k < MATMUL_LEAF; k++) {
            float factor = a[i * stride + k];
            const float *__restrict__ other = b + k * stride;
            for (size_t j = 0; j < MATMUL_LEAF; j++) {
                row[j] += factor * other[j];
            }
        }
    }
}

/* Small whole numbers, so that sums are exact in any order. */
static inline void matmul_fill(float *a, float *b, float *c, size_t size)
{
    for (size_t i = 0; i < size * size; i++) {
        a[i] = (float)(i % 7);
        b[i] = (float)(i % 5);
        c[i] = 0;
    }
}

/* Some elements against the definition. */
static inline int matmul_is_right(const float *a, const float *b, const float *c, size_t size)
{
    for (size_t at = 0; at < size * size; at += size * size / 61 + 1) {
        size_t row = at / size;
        size_t column = at % size;
        float sum = 0;
        for (size_t k = 0; k < size; k++) {
            sum += a[row * size + k] * b[k * size + column];
        }
        if (c[at] != sum) {
            return 0;
        }
    }
    return 1;
}

#endif

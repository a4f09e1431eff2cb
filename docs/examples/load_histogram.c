// SPDX-License-Identifier: MIT
/* load_histogram.c - latencies into percentiles.
 *
 * A value below SUB_BUCKETS has a bucket of its own. Above, its highest bit picks a row and the
 * SUB_BITS bits after it a bucket in the row: with SUB_BITS = 2, 44 = 101100b lies in the row of 32
 * and there in part 01b of 4, which is 40 to 47. */
#include "load.h"

#include <string.h>

static size_t bucket_of(int64_t value)
{
    if (value < SUB_BUCKETS) {
        return value < 0 ? 0 : (size_t)value;
    }
    int high_bit = 63 - __builtin_clzll((unsigned long long)value);
    int shift = high_bit - SUB_BITS;
    size_t row = (size_t)shift + 1;
    size_t bucket = row * SUB_BUCKETS + (size_t)((value >> shift) & (SUB_BUCKETS - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The largest value that falls into the bucket: a percentile is rounded up, never down. */
static int64_t top_of(size_t bucket)
{
    if (bucket < SUB_BUCKETS) {
        return (int64_t)bucket;
    }
    int shift = (int)(bucket / SUB_BUCKETS) - 1;
    int64_t part = (int64_t)(bucket % SUB_BUCKETS) + SUB_BUCKETS;
    return ((part + 1) << shift) - 1;
}

/* Relaxed: nothing is read because of these numbers but the numbers themselves. */
void histogram_add(struct histogram *histogram, int64_t latency_ns)
{
    atomic_fetch_add_explicit(&histogram->counts[bucket_of(latency_ns)], 1, memory_order_relaxed);
    int_fast64_t max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    while (latency_ns > max_ns &&
           !atomic_compare_exchange_weak_explicit(&histogram->max_ns, &max_ns, latency_ns,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void latencies_add(struct latencies *sum, const struct histogram *histogram)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        sum->counts[i] += count;
        sum->total += count;
    }
    int64_t max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
    if (sum->max_ns < max_ns) {
        sum->max_ns = max_ns;
    }
}

void latencies_subtract(struct latencies *from, const struct latencies *what)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        from->counts[i] -= what->counts[i];
    }
    from->total -= what->total;
}

int64_t latencies_at(const struct latencies *latencies, double share)
{
    double wanted = share * (double)latencies->total;
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += latencies->counts[i];
        if (seen > 0 && (double)seen >= wanted) {
            int64_t top = top_of(i);
            return top < latencies->max_ns ? top : latencies->max_ns;
        }
    }
    return 0;
}

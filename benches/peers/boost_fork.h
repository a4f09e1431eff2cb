// SPDX-License-Identifier: MIT
/* boost_fork.h - fork and join with Boost.Fiber: a fiber for each child, on any number of threads.
 *
 * Children are launched at once (launch::dispatch) and share work by stealing when there are several
 * threads. */
#ifndef PEER_BOOST_FORK_H
#define PEER_BOOST_FORK_H

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include <boost/fiber/all.hpp>

#include "../matmul.h"

namespace forking {

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;

inline double ns_since(clock_type::time_point start)
{
    return std::chrono::duration<double, std::nano>(clock_type::now() - start).count();
}

inline long fib(long n)
{
    if (n < 2) {
        return n;
    }
    long left = 0;
    fibers::fiber child(fibers::launch::dispatch, [&left, n] { left = fib(n - 1); });
    long right = fib(n - 2);
    child.join();
    return left + right;
}

inline double run_fib(long n)
{
    auto start = clock_type::now();
    fib(n);
    double elapsed = ns_since(start);
    double here = 0;
    double next = 1;
    for (long i = 0; i <= n; i++) {
        double sum = here + next;
        here = next;
        next = sum;
    }
    return elapsed / (here - 1);
}

inline long skynet(long first, long count)
{
    if (count == 1) {
        return first;
    }
    std::array<long, 10> sums{};
    std::vector<fibers::fiber> children;
    children.reserve(10);
    for (long i = 0; i < 10; i++) {
        children.emplace_back(fibers::launch::dispatch, [&sums, i, first, count] {
            sums[static_cast<std::size_t>(i)] = skynet(first + i * (count / 10), count / 10);
        });
    }
    long sum = 0;
    for (std::size_t i = 0; i < 10; i++) {
        children[i].join();
        sum += sums[i];
    }
    return sum;
}

inline double run_skynet(long leaves)
{
    auto start = clock_type::now();
    if (skynet(0, leaves) != leaves * (leaves - 1) / 2) {
        std::abort();
    }
    return ns_since(start) / static_cast<double>(leaves);
}

struct board {
    int size;
    int placed;
    std::array<char, 16> columns;
};

inline bool is_free(const board &board, int column)
{
    for (int row = 0; row < board.placed; row++) {
        int other = board.columns[static_cast<std::size_t>(row)];
        int apart = board.placed - row;
        if (other == column || other == column - apart || other == column + apart) {
            return false;
        }
    }
    return true;
}

inline long queens(const board &board)
{
    if (board.placed == board.size) {
        return 1;
    }
    std::array<long, 16> ways{};
    std::vector<fibers::fiber> children;
    for (int column = 0; column < board.size; column++) {
        if (is_free(board, column)) {
            auto child = board;
            child.columns[static_cast<std::size_t>(child.placed++)] = static_cast<char>(column);
            long *out = &ways[children.size()];
            children.emplace_back(fibers::launch::dispatch, [child, out] { *out = queens(child); });
        }
    }
    long sum = 0;
    for (std::size_t i = 0; i < children.size(); i++) {
        children[i].join();
        sum += ways[i];
    }
    return sum;
}

inline double run_queens(long n)
{
    static const double placements[] = {1,    1,    2,    5,     16,     53,    152,
                                        551,  2056, 8393, 35538, 166925, 856188};
    auto start = clock_type::now();
    if ((queens(board{static_cast<int>(n), 0, {}}) == 92) != (n == 8)) {
        std::abort();
    }
    return ns_since(start) / placements[n];
}

inline void multiply(const float *a, const float *b, float *c, std::size_t size, std::size_t stride)
{
    if (size == MATMUL_LEAF) {
        matmul_leaf(a, b, c, stride);
        return;
    }
    std::size_t half = size / 2;
    for (std::size_t inner = 0; inner < size; inner += half) {
        std::array<fibers::fiber, 3> children;
        for (std::size_t i = 0; i < 3; i++) {
            std::size_t row = i / 2 * half * stride;
            std::size_t column = i % 2 * half;
            children[i] = fibers::fiber(fibers::launch::dispatch, [=] {
                multiply(a + row + inner, b + inner * stride + column, c + row + column, half,
                         stride);
            });
        }
        std::size_t row = half * stride;
        multiply(a + row + inner, b + inner * stride + half, c + row + half, half, stride);
        for (auto &child : children) {
            child.join();
        }
    }
}

inline double run_matmul(long size_given)
{
    auto size = static_cast<std::size_t>(size_given);
    std::vector<float> a(size * size), b(size * size), c(size * size);
    matmul_fill(a.data(), b.data(), c.data(), size);
    auto start = clock_type::now();
    multiply(a.data(), b.data(), c.data(), size, size);
    double elapsed = ns_since(start);
    if (!matmul_is_right(a.data(), b.data(), c.data(), size)) {
        std::abort();
    }
    return elapsed / 1e6;
}

/* Calls run(n) in a fiber while `workers` threads share the fibers. */
inline double on_workers(unsigned workers, double (*run)(long), long warmup, long n)
{
    if (workers == 1) {
        run(warmup);
        return run(n);
    }
    fibers::mutex mutex;
    fibers::condition_variable_any ended;
    bool is_over = false;
    auto work = [&] {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(workers);
        std::unique_lock<fibers::mutex> lock(mutex);
        ended.wait(lock, [&] { return is_over; });
    };
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < workers; i++) {
        threads.emplace_back(work);
    }
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(workers);
    double figure = 0;
    fibers::fiber([&] {
        run(warmup);
        figure = run(n);
    }).join();
    {
        std::unique_lock<fibers::mutex> lock(mutex);
        is_over = true;
    }
    ended.notify_all();
    for (auto &thread : threads) {
        thread.join();
    }
    return figure;
}

} // namespace forking

#endif

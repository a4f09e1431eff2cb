// SPDX-License-Identifier: MIT
/* tbb.cpp - the TBB peer: peer_tbb CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see
 * ../README.md. Task groups throughout: what oneTBB offers for spawn and wait. */
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "../chain.h"
#include "../matmul.h"

using clock_type = std::chrono::steady_clock;

static double ns_since(clock_type::time_point start)
{
    return std::chrono::duration<double, std::nano>(clock_type::now() - start).count();
}

/* ---- fork and join ------------------------------------------------------------------------------ */

static long fib(long n)
{
    if (n < 2) {
        return n;
    }
    long left;
    tbb::task_group group;
    group.run([&left, n] { left = fib(n - 1); });
    long right = fib(n - 2);
    group.wait();
    return left + right;
}

static double run_fib(long n)
{
    auto start = clock_type::now();
    long value = fib(n);
    double elapsed = ns_since(start);
    double spawns = -1;
    double here = 0;
    double next = 1;
    for (long i = 0; i <= n; i++) {
        double sum = here + next;
        here = next;
        next = sum;
        if (i == n - 1 && here != (double)value) {
            std::abort();
        }
    }
    spawns += here;
    return elapsed / (spawns > 0 ? spawns : 1);
}

static long skynet(long first, long count)
{
    if (count == 1) {
        return first;
    }
    std::array<long, 10> sums;
    tbb::task_group group;
    long each = count / 10;
    for (long i = 0; i < 10; i++) {
        group.run([&sums, i, first, each] { sums[i] = skynet(first + i * each, each); });
    }
    group.wait();
    long sum = 0;
    for (long one : sums) {
        sum += one;
    }
    return sum;
}

static double run_skynet(long most)
{
    long leaves = 1;
    while (leaves * 10 <= most) {
        leaves *= 10;
    }
    auto start = clock_type::now();
    long sum = skynet(0, leaves);
    double elapsed = ns_since(start);
    if (sum != leaves * (leaves - 1) / 2) {
        std::abort();
    }
    return elapsed / (double)leaves;
}

struct board {
    int size;
    int placed;
    std::array<char, 16> columns;
};

static bool is_free(const board &board, int column)
{
    for (int row = 0; row < board.placed; row++) {
        int other = board.columns[row];
        int apart = board.placed - row;
        if (other == column || other == column - apart || other == column + apart) {
            return false;
        }
    }
    return true;
}

static long queens(const board &board)
{
    if (board.placed == board.size) {
        return 1;
    }
    std::array<long, 16> ways{};
    int count = 0;
    tbb::task_group group;
    for (int column = 0; column < board.size; column++) {
        if (is_free(board, column)) {
            auto child = board;
            child.columns[child.placed++] = (char)column;
            long *out = &ways[count++];
            group.run([child, out] { *out = queens(child); });
        }
    }
    group.wait();
    long sum = 0;
    for (int i = 0; i < count; i++) {
        sum += ways[i];
    }
    return sum;
}

static double run_queens(long n)
{
    static const double placements[] = {1,    1,    2,     5,      16,     53,      152,     551,
                                        2056, 8393, 35538, 166925, 856188, 4674889, 27358552};
    auto start = clock_type::now();
    long ways = queens(board{(int)n, 0, {}});
    double elapsed = ns_since(start);
    if ((n == 8 && ways != 92) || (n == 14 && ways != 365596)) {
        std::abort();
    }
    return elapsed / placements[n];
}

static void multiply(const float *a, const float *b, float *c, size_t size, size_t stride)
{
    if (size == MATMUL_LEAF) {
        matmul_leaf(a, b, c, stride);
        return;
    }
    size_t half = size / 2;
    for (size_t inner = 0; inner < size; inner += half) {
        tbb::task_group group;
        for (size_t i = 0; i < 3; i++) {
            size_t row = i / 2 * half * stride;
            size_t column = i % 2 * half;
            group.run([=] {
                multiply(a + row + inner, b + inner * stride + column, c + row + column, half, stride);
            });
        }
        size_t row = half * stride;
        multiply(a + row + inner, b + inner * stride + half, c + row + half, half, stride);
        group.wait();
    }
}

static double run_matmul(long most)
{
    size_t size = MATMUL_LEAF;
    while (size * 2 <= (size_t)most) {
        size *= 2;
    }
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

/* ---- spawning ----------------------------------------------------------------------------------- */

static double spawn_await(long n)
{
    tbb::task_group group;
    auto start = clock_type::now();
    for (long i = 0; i < n; i++) {
        group.run([] {});
        group.wait();
    }
    return ns_since(start) / (double)n;
}

static double spawn_many(long n)
{
    const long batch = 10000;
    tbb::task_group group;
    auto start = clock_type::now();
    for (long done = 0; done < n; done += batch) {
        for (long i = 0; i < batch; i++) {
            group.run([] {});
        }
        group.wait();
    }
    return ns_since(start) / (double)n;
}

static double storm(long n)
{
    const long burst = 1000;
    tbb::task_group group;
    auto start = clock_type::now();
    for (long done = 0; done < n; done += burst) {
        for (long i = 0; i < burst; i++) {
            group.run([] { bench_chain(CHAIN_US); });
        }
        group.wait();
    }
    return ns_since(start) / (double)n;
}

struct work {
    double (*run)(long n);
    long warmup; /* operations before it is timed; 0: none */
};

int main(int argc, char **argv)
{
    static const std::map<std::string, work> cases = {
        {"fib", {run_fib, 20}},
        {"skynet", {run_skynet, 10000}},
        {"nqueens", {run_queens, 8}},
        {"matmul", {run_matmul, 128}},
        {"spawn_await", {spawn_await, 10000}},
        {"spawn_many_cold", {spawn_many, 0}},
        {"spawn_many_warm", {spawn_many, 100000}},
        {"storm", {storm, 10000}},
    };
    for (auto &one : cases) {
        if (argc < 2) {
            std::printf("%s 0\n", one.first.c_str());
        }
    }
    auto found = cases.find(argc > 1 ? argv[1] : "");
    if (found == cases.end()) {
        return argc < 2 ? 0 : 77;
    }
    long n = argc > 2 ? std::atol(argv[2]) : 20;
    int workers = argc > 3 ? std::atoi(argv[3]) : 1;
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, (size_t)workers);
    tbb::task_arena arena(workers);
    double figure = arena.execute([&] {
        if (found->second.warmup > 0) {
            found->second.run(found->second.warmup);
        }
        return found->second.run(n);
    });
    std::printf("%s %f\n", argv[1], figure);
    return 0;
}

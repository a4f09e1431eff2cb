// SPDX-License-Identifier: MIT
/* boost.cpp - the Boost.Fiber peer: peer_boost CASE [OPERATIONS [WORKERS]] prints lines
 * "CASE NUMBER"; see ../README.md. One thread, but for fork and join: its default scheduler shares
 * nothing. */
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <boost/fiber/all.hpp>

#include "boost_fork.h"

using forking::clock_type;
using forking::ns_since;
namespace fibers = boost::fibers;


static double spawn_await(long n)
{
    auto start = clock_type::now();
    for (long i = 0; i < n; i++) {
        fibers::fiber([] {}).join();
    }
    return ns_since(start);
}

static double spawn_batches(long n, long batch)
{
    std::vector<fibers::fiber> all;
    all.reserve(batch);
    auto start = clock_type::now();
    for (long done = 0; done < n; done += batch) {
        for (long i = 0; i < batch; i++) {
            all.emplace_back([] {});
        }
        for (auto &one : all) {
            one.join();
        }
        all.clear();
    }
    return ns_since(start);
}

static double spawn_many(long n)
{
    return spawn_batches(n, 10000);
}

static double gather(long n)
{
    return spawn_batches(n, 100);
}

static double spawn_detached(long n)
{
    const long batch = 10000;
    auto start = clock_type::now();
    for (long done = 0; done < n; done += batch) {
        long left = batch;
        fibers::promise<void> all_done;
        for (long i = 0; i < batch; i++) {
            fibers::fiber([&] {
                if (--left == 0) {
                    all_done.set_value();
                }
            }).detach();
        }
        all_done.get_future().wait();
    }
    return ns_since(start);
}

static void yield_times(long n)
{
    for (long i = 0; i < n; i++) {
        boost::this_fiber::yield();
    }
}

/* Fibers that wait for a promise each are woken one by one, and joined. */
static double wake_crowd(long n)
{
    std::vector<fibers::promise<void>> turns(static_cast<std::size_t>(n));
    std::vector<fibers::fiber> all;
    all.reserve(turns.size());
    for (auto &turn : turns) {
        all.emplace_back(fibers::launch::dispatch, [&turn] { turn.get_future().wait(); });
    }
    auto start = clock_type::now();
    for (auto &turn : turns) {
        turn.set_value();
    }
    for (auto &one : all) {
        one.join();
    }
    return ns_since(start);
}

static double yield_two(long n)
{
    fibers::fiber partner(yield_times, n / 2);
    auto start = clock_type::now();
    yield_times(n / 2);
    partner.join();
    return ns_since(start);
}

static double yield_lone(long n)
{
    auto start = clock_type::now();
    yield_times(n);
    return ns_since(start);
}

static double pingpong(long n)
{
    fibers::unbuffered_channel<int> asks, answers;
    fibers::fiber partner([&] {
        int turn;
        while (asks.pop(turn) == fibers::channel_op_status::success) {
            answers.push(turn);
        }
    });
    auto start = clock_type::now();
    for (long i = 0; i < n; i++) {
        asks.push(0);
        answers.value_pop();
    }
    double elapsed = ns_since(start);
    asks.close();
    partner.join();
    return elapsed;
}

using queue_type = fibers::buffered_channel<std::uint64_t>;

static double queue_lone(long n)
{
    queue_type items(128);
    std::uint64_t item;
    auto start = clock_type::now();
    for (long i = 0; i < n; i++) {
        items.push(static_cast<std::uint64_t>(i));
        items.pop(item);
    }
    return ns_since(start);
}

static double queue_crowd(long n, int producers, int consumers)
{
    queue_type items(128);
    std::vector<fibers::fiber> putting, getting;
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(consumers));
    auto start = clock_type::now();
    for (auto &sum : sums) {
        getting.emplace_back([&items, &sum] {
            std::uint64_t item;
            while (items.pop(item) == fibers::channel_op_status::success) {
                sum += item;
            }
        });
    }
    for (int p = 0; p < producers; p++) {
        putting.emplace_back([&items, n, producers] {
            for (long i = 0; i < n / producers; i++) {
                items.push(static_cast<std::uint64_t>(i));
            }
        });
    }
    for (auto &fiber : putting) {
        fiber.join();
    }
    items.close();
    for (auto &fiber : getting) {
        fiber.join();
    }
    return ns_since(start);
}

static double queue_4x4(long n)
{
    return queue_crowd(n, 4, 4);
}

static double queue_4x1(long n)
{
    return queue_crowd(n, 4, 1);
}

static double mutex_free(long n)
{
    fibers::mutex mutex;
    auto start = clock_type::now();
    for (long i = 0; i < n; i++) {
        mutex.lock();
        mutex.unlock();
    }
    return ns_since(start);
}

static double lock_in_turn(long n, bool is_held)
{
    const long lockers = 4;
    fibers::mutex mutex;
    std::vector<fibers::fiber> all;
    auto start = clock_type::now();
    for (long i = 0; i < lockers; i++) {
        all.emplace_back([&mutex, is_held, n, lockers] {
            for (long done = 0; done < n / lockers; done++) {
                mutex.lock();
                if (is_held) {
                    boost::this_fiber::yield();
                }
                mutex.unlock();
            }
        });
    }
    for (auto &one : all) {
        one.join();
    }
    return ns_since(start);
}

static double mutex_shared(long n)
{
    return lock_in_turn(n, false);
}

static double mutex_held(long n)
{
    return lock_in_turn(n, true);
}

static const std::map<std::string, double (*)(long)> cases = {
    {"queue_lone", queue_lone},           {"queue_4x4", queue_4x4},
    {"queue_4x1", queue_4x1},
    {"spawn_await", spawn_await},         {"spawn_many_cold", spawn_many},
    {"spawn_many_warm", spawn_many},      {"spawn_detached", spawn_detached},
    {"yield_two", yield_two},             {"yield_lone", yield_lone},
    {"pingpong", pingpong},               {"gather", gather},
    {"mutex_free", mutex_free},           {"mutex_shared", mutex_shared},
    {"mutex_held", mutex_held},           {"wake_crowd", wake_crowd},
};

struct fork_case {
    double (*run)(long);
    long warmup;
    long most; /* sizes are cut: all but the product report the time of an operation */
};

static const std::map<std::string, fork_case> forks = {
    {"fib", {forking::run_fib, 15, 24}},
    {"skynet", {forking::run_skynet, 1000, 100000}},
    {"nqueens", {forking::run_queens, 7, 11}},
    {"matmul", {forking::run_matmul, 128, 4096}},
};

static int run_fork(const std::string &name, long n, unsigned workers)
{
    const auto &found = forks.at(name);
    n = n < found.most ? n : found.most;
    std::printf("%s %f\n", name.c_str(), forking::on_workers(workers, found.run, found.warmup, n));
    return 0;
}

static void list()
{
    for (auto &one : cases) {
        std::printf("%s 1\n", one.first.c_str());
    }
    for (auto &one : forks) {
        std::printf("%s 0\n", one.first.c_str());
    }
}

int main(int argc, char **argv)
{
    const std::string name = argc > 1 ? argv[1] : "";
    const long n = argc > 2 ? std::atol(argv[2]) : 100000;
    if (argc < 2) {
        list();
        return 0;
    }
    if (forks.count(name) != 0) {
        return run_fork(name, n, argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 1);
    }
    const auto found = cases.find(name);
    if (found == cases.end() || (argc > 3 && std::atol(argv[3]) > 1)) {
        return 77;
    }
    if (name != "spawn_many_cold" && name != "wake_crowd") {
        found->second(n / 10 + 1);
    }
    std::printf("%s %f\n", name.c_str(), found->second(n) / static_cast<double>(n));
    return 0;
}

// SPDX-License-Identifier: MIT
/* bench_steal.c - does work spread? One fiber spawns tasks that compute; more workers, less time.
 *
 * What: the time for all tasks, divided by their number. Perfect stealing on two processors halves
 *       it: weft/peer is then 0.5, where the peer is the same with one worker.
 *       stolen is the share of the tasks that another worker took.
 * Each task runs a fixed number of instructions, about 100 us of them: unlike waiting for the clock
 * it can't gain from being preempted.
 */
#include "harness.h"

#include <stdlib.h>

enum { TASK_NS = 100000 };

static intptr_t compute(void *arg)
{
    (void)arg;
    bench_spin(TASK_NS);
    return 0;
}

static uint64_t count_stolen(struct bench *b)
{
    weft_stats_t stats = {.size = sizeof stats};
    bench_require(b, weft_stats(NULL, &stats) == 0, "stats");
    return stats.tasks_stolen;
}

static void spread_work(struct bench *b)
{
    weft_task **tasks = calloc(b->operations, sizeof(weft_task *));
    bench_require(b, tasks != NULL, "memory");
    uint64_t stolen_before = count_stolen(b);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_spawn(&tasks[i], compute, NULL) == 0, "spawn");
    }
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
    bench_stop(b);
    double stolen = (double)(count_stolen(b) - stolen_before);
    bench_report(b, "stolen", "%", 100 * stolen / (double)b->operations);
    free(tasks);
}

static const struct bench_case cases[] = {
    {.name = "steal",
     .operations = 10000,
     .quick_operations = 1000,
     .body = spread_work,
     .workers = 2,
     .reps_most = 5,
     .peers = {{.name = "one worker", .body = spread_work, .in_runtime = true, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "steal", cases, sizeof cases / sizeof *cases);
}

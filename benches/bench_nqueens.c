// SPDX-License-Identifier: MIT
/* bench_nqueens.c - uneven trees: in how many ways n queens stand on a board of n by n squares.
 *
 * What: a task for each placement that is possible; it tries all squares of the next row, spawns a child
 *       for each that no queen can reach, and awaits them, the newest first. An operation is such a
 *       task; --operations N sets n, --full makes it 14 (27 million tasks).
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { QUEENS_MOST = 16 };

struct board {
    int size;
    int placed;                /* queens in rows 0 to placed - 1 */
    char columns[QUEENS_MOST]; /* where they stand */
};

static bool is_free(const struct board *board, int column)
{
    for (int row = 0; row < board->placed; row++) {
        int other = board->columns[row];
        int apart = board->placed - row;
        if (other == column || other == column - apart || other == column + apart) {
            return false;
        }
    }
    return true;
}

static intptr_t await_all(weft_task **tasks, int count)
{
    intptr_t ways = 0;
    while (count-- > 0) {
        intptr_t value;
        if (weft_await(tasks[count], &value) != 0) {
            abort();
        }
        ways += value;
    }
    return ways;
}

static intptr_t queens(void *arg)
{
    const struct board *board = arg;
    if (board->placed == board->size) {
        return 1;
    }
    struct board children[QUEENS_MOST];
    weft_task *tasks[QUEENS_MOST];
    int count = 0;
    for (int column = 0; column < board->size; column++) {
        if (is_free(board, column)) {
            struct board *child = &children[count];
            *child = *board;
            child->columns[child->placed++] = (char)column;
            if (weft_spawn(&tasks[count++], queens, child) != 0) {
                abort();
            }
        }
    }
    return await_all(tasks, count);
}

static void run_queens(struct bench *b)
{
    enum { KNOWN = 15 };
    static const intptr_t ways[KNOWN] = {1,  1,   0,   0,    2,     10,    4,     40,
                                         92, 352, 724, 2680, 14200, 73712, 365596};
    /* Placements that are possible, in all rows together: one task each. */
    static const uint64_t placements[KNOWN] = {
        1, 1, 2, 5, 16, 53, 152, 551, 2056, 8393, 35538, 166925, 856188, 4674889, 27358552};
    bench_require(b, b->operations < KNOWN, "at most 14 queens");
    struct board board = {.size = (int)b->operations};
    b->done = placements[board.size];
    bench_start(b);
    intptr_t found = queens(&board);
    bench_stop(b);
    bench_require(b, found == ways[board.size], "wrong number");
}

static const struct bench_case cases[] = {
    {.name = "nqueens",
     .operations = 11,
     .quick_operations = 8,
     .full_operations = 14,
     .body = run_queens,
     .reps_most = 7,
     .peers = {{.name = "one worker", .body = run_queens, .in_runtime = true, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "nqueens", cases, sizeof cases / sizeof *cases);
}

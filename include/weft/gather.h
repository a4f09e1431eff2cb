// SPDX-License-Identifier: MIT
/* gather.h - waiting for several tasks. All calls borrow the handles. */
#ifndef WEFT_GATHER_H
#define WEFT_GATHER_H

#include <weft/base.h>

WEFT_BEGIN

typedef enum weft_gather_mode {
    WEFT_GATHER_FIRST_ERROR, /* the first error (or cancelled task) ends the wait; the rest goes on */
    WEFT_GATHER_COLLECT,     /* waits for all; errors and -ECANCELED are results like others */
} weft_gather_mode;

/* Waits for `count` tasks; results[i] belongs to tasks[i]; the same task may stand several times.
 *
 * results       outcomes; in FIRST_ERROR mode after an error only those of finished tasks are
 *               written. May be NULL
 * first_failed  index of the error that ended it, `count` if none; may be NULL
 * returns       what became of me: 0; -ECANCELED when a request to the caller was handed on and all
 *               tasks have ended (in FIRST_ERROR mode an error from before it wins: 0); -EDEADLK
 *               (oneself among them, or a task that waits for the caller, through joins and gathers);
 *               -ENOMEM (more than 16 tasks); -EINVAL; -EPERM
 * cancel        handed on to every unfinished task; returns only after all of them have ended
 * context       fiber only; await point; count 0 does not suspend */
WEFT_API WEFT_NODISCARD int weft_gather(weft_task *const *tasks, size_t count, intptr_t *results,
                                        weft_gather_mode mode, size_t *first_failed);

typedef enum weft_wait_when {
    WEFT_WAIT_ALL,
    WEFT_WAIT_FIRST_DONE,
    WEFT_WAIT_FIRST_ERROR, /* a cancelled task is not an error; without one this is ALL */
} weft_wait_when;

/* Waits until the condition holds or `delay_ns` has passed (0 or less: only looks); never cancels a task,
 * never fails for one. Always suspends once.
 *
 * done     receives how many entries of `tasks` have ended by now, where 0 is returned; ask
 *          weft_task_state which. May be NULL
 * returns  0, also when the time is over; -ECANCELED (the tasks are untouched); -EINVAL (no tasks);
 *          -ENOMEM (more than 16 tasks); -EPERM
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_wait(weft_task *const *tasks, size_t count, weft_wait_when when,
                                      int64_t delay_ns, size_t *done);

/* Tasks one by one, in the order in which they end.
 *
 *     weft_completions each;
 *     rc = weft_completions_open(&each, tasks, count, WEFT_FOREVER);
 *     while (rc == 0 && (rc = weft_completions_next(&each, &index)) == 0) {
 *         ... weft_task_result(tasks[index], &result) ...
 *     }
 *     weft_completions_close(&each);
 *
 * Lives in the frame of the task that opened it and must be closed before that goes; `tasks` and the
 * handles are borrowed until then. */
typedef struct weft_completions {
    uint64_t reserved[56];
} weft_completions;

/* Begins. A task that stands several times is given once. `delay_ns` limits all the waiting together:
 * tasks that end after it are not given; with 0 or less only those that have ended are.
 * Returns 0, -ENOMEM (more than 4 tasks), -EINVAL, -EPERM. count 0 is allowed. Fiber only; never
 * switches. */
WEFT_API WEFT_NODISCARD int weft_completions_open(weft_completions *each, weft_task *const *tasks,
                                                  size_t count, int64_t delay_ns);

/* The next task that has ended.
 *
 * index    receives its place in `tasks`
 * returns  0; -ENODATA when all have been given; -ETIMEDOUT when the time is over and what had ended
 *          before has been given, as often as it is called; nothing is cancelled. -ECANCELED: nothing
 *          was taken, the tasks are left alone; -EINVAL (not open); -EPERM (another task's)
 * context  the task that opened it; await point; does not suspend when one has ended and its
 *          turn has come */
WEFT_API WEFT_NODISCARD int weft_completions_next(weft_completions *each, size_t *index);

/* Ends it, at any time; NULL and one that failed to open are allowed. A task that ends before it has done so
 * aborts the process, by name: it would be told in a dead frame. The task that opened it; never switches. */
WEFT_API void weft_completions_close(weft_completions *each);

/* weft_join with a time limit: at the limit the task is cancelled, and the call returns when it has
 * ended. A limit of 0 or less cancels an unfinished task at once.
 *
 * returns  0 and *result, also of a task that ended otherwise than cancelled after the limit;
 *          -ETIMEDOUT when it ended cancelled because of the limit; -ECANCELED; -EDEADLK; -EINVAL;
 *          -EPERM. Borrows the handle
 * cancel   handed on, as by weft_join. With a limit of 0 or less the task has been cancelled anyway, and
 *          -ECANCELED comes at once
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_wait_for(weft_task *task, int64_t delay_ns, intptr_t *result);

/* Calls fn(arg) in the calling task under a time limit. A limit of 0 or less: never called, but one trip
 * through the ready queue.
 *
 * returns  0 and *result, which may be an error of fn's; -ETIMEDOUT when the limit ended it with
 *          -ECANCELED; -ECANCELED otherwise; -EINVAL; -EPERM
 * context  fiber only; the await points are those of fn */
WEFT_API WEFT_NODISCARD int weft_call_for(weft_fn *fn, void *arg, int64_t delay_ns,
                                          intptr_t *result);

WEFT_END

#endif

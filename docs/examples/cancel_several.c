// SPDX-License-Identifier: MIT
/* cancel_several.c - cancelling several tasks at once and looking at what became of each.
 *
 * Each task answers the cancellation in its own way. The workers run in parallel, so the tasks keep
 * what they did in their own records and main prints it, in order, when all have ended.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

struct job {
    const char *name;
    intptr_t after_cancel; /* what the job returns once it was told */
    weft_future is_ready;  /* set by the job: it is about to sleep */
    bool has_cleaned_up;
};

static intptr_t run_job(void *arg)
{
    struct job *job = arg;
    int rc = weft_future_set(&job->is_ready, 0);
    if (rc == 0) {
        rc = weft_sleep(3600 * WEFT_S);
    }
    if (rc != -ECANCELED) {
        return rc;
    }
    /* Told once, a task may go on awaiting: its clean-up is not interrupted by the same request. */
    job->has_cleaned_up = weft_sleep(1 * WEFT_MS) == 0;
    if (!weft_is_error(job->after_cancel)) {
        (void)weft_uncancel(weft_self()); /* it goes on by intent: says so, or is reported */
    }
    return job->after_cancel;
}

static void print_outcome(const struct job *job, intptr_t outcome)
{
    printf("%s: cleaned up: %s, ", job->name, job->has_cleaned_up ? "yes" : "no");
    if (outcome == -ECANCELED) {
        puts("cancelled");
    } else if (weft_is_error(outcome)) {
        printf("failed: %s\n", strerror((int)-outcome));
    } else {
        printf("returned %ld\n", (long)outcome);
    }
}

static intptr_t app(void *arg)
{
    (void)arg;
    struct job jobs[] = {
        {.name = "obeys", .after_cancel = -ECANCELED},
        {.name = "fails in its clean-up", .after_cancel = -EIO},
        {.name = "has a result anyway", .after_cancel = 42},
    };
    enum { COUNT = sizeof jobs / sizeof jobs[0] };
    weft_task *tasks[COUNT];
    intptr_t outcomes[COUNT];
    size_t started = 0;
    int rc = 0;
    while (rc == 0 && started < COUNT) {
        rc = weft_spawn(&tasks[started], run_job, &jobs[started]);
        started += rc == 0 ? 1 : 0;
    }
    for (size_t i = 0; rc == 0 && i < started; i++) {
        rc = weft_future_await(&jobs[i].is_ready, NULL);
    }
    for (size_t i = 0; i < started; i++) {
        (void)weft_cancel(tasks[i]);
    }
    /* COLLECT waits for all: afterwards nobody uses `jobs` any more. It borrows the handles. */
    int gathered = weft_gather(tasks, started, outcomes, WEFT_GATHER_COLLECT, NULL);
    for (size_t i = 0; i < started; i++) {
        print_outcome(&jobs[i], outcomes[i]);
    }
    weft_drop_all(tasks, started);
    return rc < 0 ? rc : gathered;
}

int main(void)
{
    return weft_run(app, NULL, NULL) == 0 ? 0 : 1;
}

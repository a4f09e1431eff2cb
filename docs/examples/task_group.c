// SPDX-License-Identifier: MIT
/* task_group.c - a group of tasks that ends as one; the examples of TaskGroup in Python's
 * documentation. A simulation: sleeps take virtual time.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

struct job {
    int id;
    int64_t sleep_ns;
};

static intptr_t job(void *arg)
{
    const struct job *self = arg;
    printf("Task %d: start\n", self->id);
    int rc = weft_sleep(self->sleep_ns);
    printf("Task %d: %s\n", self->id, rc == 0 ? "done" : strerror(-rc));
    return rc == 0 ? self->id : rc;
}

static intptr_t fail(void *arg)
{
    (void)arg;
    return -EPROTO;
}

/* Children may borrow this frame: closing the group returns only when all of them have ended. */
static intptr_t with_results(void)
{
    struct job one = {1, 500 * WEFT_MS};
    struct job two = {2, 1500 * WEFT_MS};
    weft_task *tasks[2] = {NULL, NULL};
    intptr_t results[2];
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, &tasks[0], job, &one, NULL);
    rc = rc < 0 ? rc : weft_group_spawn(&group, &tasks[1], job, &two, NULL);
    rc = weft_group_close(&group, rc); /* in: how the body ended; out: how the group did */
    if (rc == 0 && weft_task_result(tasks[0], &results[0]) == 0 &&
        weft_task_result(tasks[1], &results[1]) == 0) {
        printf("Both tasks have completed now: %ld, %ld\n", (long)results[0], (long)results[1]);
    }
    weft_drop_all(tasks, 2); /* handles taken from the group; NULL is allowed */
    return rc;
}

/* The first error cancels the siblings and the body, and is what closing returns. */
static intptr_t with_an_error(void)
{
    struct job three = {3, 500 * WEFT_MS};
    struct job four = {4, 1500 * WEFT_MS};
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, NULL, job, &three, NULL);
    rc = rc < 0 ? rc : weft_group_spawn(&group, NULL, job, &four, NULL);
    rc = rc < 0 ? rc : weft_sleep(1 * WEFT_S);
    rc = rc < 0 ? rc : weft_group_spawn(&group, NULL, fail, NULL, NULL);
    rc = rc < 0 ? rc : weft_sleep(3600 * WEFT_S); /* the body is cancelled here */
    rc = weft_group_close(&group, rc);
    int codes[4]; /* the failed child; more when clean-up of others fails too */
    int count = weft_group_errors(&group, codes, 4);
    for (int i = 0; i < count && i < 4; i++) {
        printf("error: %s\n", strerror(-codes[i]));
    }
    return rc == -EPROTO ? 0 : rc;
}

static intptr_t app(void *arg)
{
    (void)arg;
    intptr_t rc = with_results();
    return rc < 0 ? rc : with_an_error();
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

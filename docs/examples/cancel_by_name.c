// SPDX-License-Identifier: MIT
/* cancel_by_name.c - finding a task by its name among all tasks, and cancelling it.
 *
 * The registry is weak: a snapshot keeps no task alive. A weak handle becomes a handle by
 * weft_upgrade, or NULL if the task's last handle is gone by then.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

enum { COUNT = 3, MOST = 16 };

/* Waits until everybody may go. */
static intptr_t serve(void *arg)
{
    weft_future *closing = arg;
    intptr_t result = 0;
    int rc = weft_future_await(closing, &result);
    return rc < 0 ? rc : result;
}

/* Cancels every unfinished task of that name; returns how many. */
static int cancel_by_name(const char *name)
{
    weft_weak weak[MOST];
    int64_t found = weft_tasks(NULL, weak, MOST); /* may be more than MOST; those are written */
    int cancelled = 0;
    for (int64_t i = 0; i < found && i < MOST; i++) {
        weft_task *task = weft_upgrade(weak[i]);
        if (task != NULL && strcmp(weft_task_name(task), name) == 0) {
            cancelled += weft_cancel(task);
        }
        weft_drop(task); /* NULL is allowed */
    }
    return cancelled;
}

static intptr_t app(void *arg)
{
    (void)arg;
    const char *const names[COUNT] = {"indexer", "mailer", "janitor"};
    weft_task *tasks[COUNT];
    intptr_t outcomes[COUNT];
    weft_future closing = WEFT_FUTURE_INIT;
    size_t started = 0;
    int rc = 0;
    while (rc == 0 && started < COUNT) {
        const weft_spawn_options options = {.name = names[started]}; /* copied */
        rc = weft_spawn_with(&tasks[started], serve, &closing, &options);
        started += rc == 0 ? 1 : 0;
    }
    printf("cancelled by name: %d\n", cancel_by_name("mailer"));
    printf("cancelled by name: %d\n", cancel_by_name("nobody"));
    int set = weft_future_set(&closing, 0); /* the others end */
    int gathered = weft_gather(tasks, started, outcomes, WEFT_GATHER_COLLECT, NULL);
    for (size_t i = 0; i < started; i++) {
        printf("%s: %s\n", weft_task_name(tasks[i]),
               outcomes[i] == -ECANCELED ? "cancelled" : "finished");
    }
    weft_drop_all(tasks, started);
    return rc < 0 ? rc : set < 0 ? set : gathered;
}

int main(void)
{
    return weft_run(app, NULL, NULL) == 0 ? 0 : 1;
}

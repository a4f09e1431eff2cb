// SPDX-License-Identifier: MIT
/* task_cancel.c - cancelling a task; the example of Task.cancel() in Python's documentation.
 *
 * A simulation: weft_sleep takes virtual time, so an hour passes at once.
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>

static intptr_t cancel_me(void *arg)
{
    (void)arg;
    puts("cancel_me(): before sleep");
    int rc = weft_sleep(3600 * WEFT_S);
    if (rc == -ECANCELED) {
        puts("cancel_me(): cancel sleep");
    }
    puts("cancel_me(): after sleep"); /* what `finally` does in Python */
    return rc;                        /* "raise": a task that returns -ECANCELED ends cancelled */
}

static intptr_t app(void *arg)
{
    (void)arg;
    weft_task *task;
    int rc = weft_spawn(&task, cancel_me, NULL);
    if (rc < 0) {
        return rc;
    }
    rc = weft_sleep(1 * WEFT_S); /* let it start: a task cancelled before that never runs */
    (void)weft_cancel(task);     /* a request; the task's sleep returns -ECANCELED */
    intptr_t result = 0;
    int joined = weft_await(task, &result); /* `joined` is about me, `result` about the task */
    if (joined == 0 && result == -ECANCELED) {
        puts("main(): cancel_me is cancelled now");
    }
    return rc < 0 ? rc : joined;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

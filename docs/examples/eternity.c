// SPDX-License-Identifier: MIT
/* eternity.c - waiting for a task with a limit; the example of asyncio.wait_for() in Python's
 * documentation. A simulation: sleeps take virtual time.
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>

static intptr_t eternity(void *arg)
{
    (void)arg;
    int rc = weft_sleep(3600 * WEFT_S);
    if (rc == 0) {
        puts("yay!");
    }
    return rc;
}

static intptr_t app(void *arg)
{
    (void)arg;
    weft_task *task;
    int rc = weft_spawn(&task, eternity, NULL);
    if (rc < 0) {
        return rc;
    }
    /* At the limit the task is cancelled; the call returns when it has ended. */
    rc = weft_wait_for(task, 1 * WEFT_S, NULL);
    weft_drop(task);
    if (rc == -ETIMEDOUT) {
        puts("timeout!");
    }
    /* A function instead of a task runs in the caller: no task is made. */
    int called = weft_call_for(eternity, NULL, 1 * WEFT_S, NULL);
    if (called == -ETIMEDOUT) {
        puts("timeout!");
    }
    return rc == -ETIMEDOUT && called == -ETIMEDOUT ? 0 : -EPROTO;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

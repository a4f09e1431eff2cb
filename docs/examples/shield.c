// SPDX-License-Identifier: MIT
/* shield.c - two ways to keep work from being cancelled. A simulation: sleeps take virtual time.
 *
 * weft_join_shielded   protects the task that is waited for: only the wait is cancelled
 * weft_shield_enter    protects a section of one's own code: requests wait until it is left
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>

static intptr_t save(void *arg)
{
    (void)arg;
    int rc = weft_sleep(2 * WEFT_S);
    puts(rc == 0 ? "save: done" : "save: cancelled");
    return rc;
}

/* Waits for a task that others need too. */
static intptr_t wait_for_save(void *arg)
{
    int rc = weft_join_shielded(arg, NULL);
    if (rc == -ECANCELED) {
        puts("waiter: cancelled, the save goes on");
    }
    return rc;
}

/* Cleans up for three seconds, whoever cancels it meanwhile. */
static intptr_t careful(void *arg)
{
    (void)arg;
    intptr_t rc = weft_sleep(3600 * WEFT_S);
    weft_shield section;
    int clean_up = weft_shield_enter(&section, 10 * WEFT_S); /* a bound: no clean-up is for ever */
    if (clean_up == 0) {
        clean_up = (int)weft_shield_leave(&section, weft_sleep(3 * WEFT_S));
    }
    puts(clean_up == 0 ? "careful: cleaned up" : "careful: clean-up failed");
    /* The request that came meanwhile was deferred, not dropped. */
    puts(weft_checkpoint() == -ECANCELED ? "careful: told again" : "careful: not told again");
    return rc;
}

/* Spawns fn(arg), cancels it after a second `times` times, a second apart, and awaits it. */
static int cancel_after_a_second(weft_fn *fn, void *arg, int times)
{
    weft_task *task;
    int rc = weft_spawn(&task, fn, arg);
    if (rc < 0) {
        return rc;
    }
    for (int i = 0; rc == 0 && i < times; i++) {
        rc = weft_sleep(1 * WEFT_S);
        (void)weft_cancel(task);
    }
    int joined = weft_await(task, NULL);
    return rc < 0 ? rc : joined;
}

static intptr_t app(void *arg)
{
    (void)arg;
    weft_task *saving;
    int rc = weft_spawn(&saving, save, NULL);
    if (rc < 0) {
        return rc;
    }
    rc = cancel_after_a_second(wait_for_save, saving, 1);
    int joined = weft_await(saving, NULL);
    if (rc == 0 && joined == 0) {
        rc = cancel_after_a_second(careful, NULL, 2);
    }
    return rc < 0 ? rc : joined;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

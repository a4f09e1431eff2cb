// SPDX-License-Identifier: MIT
/* timeout.c - a time limit around code that awaits; the examples of asyncio.timeout() in Python's
 * documentation. A simulation: sleeps take virtual time.
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>

static intptr_t long_running_task(void)
{
    return weft_sleep(3600 * WEFT_S); /* inside the scope the limit looks like a cancellation */
}

/* Leaving the scope turns its own -ECANCELED into -ETIMEDOUT. */
static intptr_t limited(void)
{
    weft_timeout limit;
    intptr_t rc = weft_timeout_enter(&limit, 10 * WEFT_S);
    if (rc == 0) {
        rc = weft_timeout_leave(&limit, long_running_task());
    }
    if (rc == -ETIMEDOUT) {
        puts("The long operation timed out, but we've handled it.");
        rc = 0;
    }
    puts("This statement will run regardless.");
    return rc;
}

/* The limit may move, and can be asked afterwards. */
static intptr_t rescheduled(void)
{
    weft_timeout limit;
    intptr_t rc = weft_timeout_enter(&limit, WEFT_FOREVER); /* not known yet */
    if (rc < 0) {
        return rc;
    }
    rc = weft_timeout_reschedule(&limit, 10 * WEFT_S);
    if (rc == 0) {
        rc = long_running_task();
    }
    rc = weft_timeout_leave(&limit, rc);
    if (weft_timeout_expired(&limit)) {
        puts("Looks like we haven't finished on time.");
    }
    return rc == -ETIMEDOUT ? 0 : rc;
}

static intptr_t app(void *arg)
{
    (void)arg;
    intptr_t rc = limited();
    if (rc == 0) {
        rc = rescheduled();
    }
    if (rc == 0) {
        /* The same for a single expression. */
        intptr_t within = weft_within(1 * WEFT_S, long_running_task());
        printf("weft_within: %s\n", within == -ETIMEDOUT ? "-ETIMEDOUT" : "?");
    }
    return rc;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

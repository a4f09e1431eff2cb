// SPDX-License-Identifier: MIT
/* factorial_gather.c - running tasks concurrently; the example of asyncio.gather() in Python's
 * documentation.
 *
 * Each step sleeps for a second. options.simulate runs the program in virtual time on one thread, so
 * that it takes no real time and prints the same every time.
 */
#include <stdio.h>
#include <weft.h>

struct factorial {
    const char *name;
    int number;
};

static intptr_t factorial(void *arg)
{
    const struct factorial *self = arg;
    intptr_t f = 1;
    for (int i = 2; i <= self->number; i++) {
        printf("Task %s: Compute factorial(%d), currently i=%d...\n", self->name, self->number, i);
        int rc = weft_sleep(1 * WEFT_S);
        if (rc < 0) {
            return rc;
        }
        f *= i;
    }
    printf("Task %s: factorial(%d) = %ld\n", self->name, self->number, (long)f);
    return f;
}

static intptr_t app(void *arg)
{
    (void)arg;
    struct factorial args[] = {{"A", 2}, {"B", 3}, {"C", 4}};
    weft_task *tasks[3];
    intptr_t results[3];
    size_t started = 0;
    int rc = 0;
    while (rc == 0 && started < 3) {
        rc = weft_spawn(&tasks[started], factorial, &args[started]);
        started += rc == 0 ? 1 : 0;
    }
    /* All have ended when it returns, also when main is cancelled; results stand in order. */
    int gathered = weft_gather(tasks, started, results, WEFT_GATHER_COLLECT, NULL);
    weft_drop_all(tasks, started);
    if (rc == 0 && gathered == 0) {
        printf("[%ld, %ld, %ld]\n", (long)results[0], (long)results[1], (long)results[2]);
    }
    return rc < 0 ? rc : gathered;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

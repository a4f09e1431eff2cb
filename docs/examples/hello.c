// SPDX-License-Identifier: MIT
/* hello.c - the smallest program: a task that sleeps. */
#include <stdio.h>
#include <weft.h>

static intptr_t app(void *arg)
{
    puts(arg);
    int rc = weft_sleep(100 * WEFT_MS);
    puts("... world");
    return rc;
}

int main(void)
{
    return weft_run(app, "hello ...", NULL) == 0 ? 0 : 1;
}

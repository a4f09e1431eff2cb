/* SPDX-License-Identifier: MIT */
/* hello.c - the smallest program; built against an installed weft by the install test. */
#include <stddef.h>
#include <weft.h>

static intptr_t seven(void *arg)
{
    (void)arg;
    return 7;
}

int main(void)
{
    return weft_run(seven, NULL, NULL) == 7 ? 0 : 1;
}

// SPDX-License-Identifier: MIT
/* bare_switch.h - what is beneath every turn: the thread and one fiber switch to each other. */
#ifndef BENCHES_BARE_SWITCH_H
#define BENCHES_BARE_SWITCH_H

#include "harness.h"

#include <stdlib.h>

#include "fiber/fiber.h"

static struct wf_fiber host;
static struct wf_fiber other;

static void switch_back(void *arg)
{
    (void)arg;
    for (;;) {
        wf_fiber_switch(&other, &host);
    }
}

/* Two switches make one round. */
static void bare_switch(struct bench *b)
{
    enum { STACK = 65536 };
    char *stack = aligned_alloc(4096, STACK);
    bench_require(b, stack != NULL, "memory");
    wf_fiber_adopt(&host);
    other = (struct wf_fiber){.lo = stack, .hi = stack + STACK};
    other.sp = wf_context_make(other.hi, switch_back, NULL);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations / 2; i++) {
        wf_fiber_switch(&host, &other);
    }
    bench_stop(b);
    wf_fiber_unadopt(&host);
    free(stack);
}

#endif

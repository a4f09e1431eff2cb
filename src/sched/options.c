// SPDX-License-Identifier: MIT
/* options.c - what a runtime is to be like: the program's options, and what the environment says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpus.h"
#include "base/sized.h"
#include "sched/start.h"

enum { WORKERS_MAX = 1024, SIMULATED_WORKERS = 4 };

int wf_options_check(const weft_options *options)
{
    if (!wf_size_is_known(options->size, sizeof *options)) {
        return -EINVAL; /* fields that this version does not know */
    }
    if (options->workers < 0 || options->workers > WORKERS_MAX ||
        options->stack_bytes > WF_STACK_MAX || options->shutdown_grace_ns < 0 ||
        options->io < WEFT_IO_AUTO || options->io > WEFT_IO_URING) {
        return -EINVAL;
    }
    return 0;
}

weft_io_backend wf_options_io(const weft_options *options, bool *is_demanded)
{
    static const struct {
        const char *name;
        weft_io_backend io;
    } names[] = {{"auto", WEFT_IO_AUTO}, {"epoll", WEFT_IO_EPOLL}, {"uring", WEFT_IO_URING}};
    const char *text = getenv("WEFT_IO");
    *is_demanded = options->io == WEFT_IO_URING;
    if (text == NULL || text[0] == '\0') {
        return options->io;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            *is_demanded = false;
            return names[i].io != WEFT_IO_AUTO ? names[i].io : options->io;
        }
    }
    wf_say("WEFT_IO=%s is none of auto, epoll, uring: ignored", text);
    return options->io;
}

uint32_t wf_options_workers(const weft_options *options)
{
    if (options->simulate && options->seed == 0) {
        return 1;
    }
    if (options->workers > 0) {
        return (uint32_t)options->workers;
    }
    if (options->simulate) {
        return SIMULATED_WORKERS; /* the same on every machine */
    }
    const char *text = getenv("WEFT_WORKERS");
    if (text != NULL && text[0] != '\0') {
        char *end;
        long count = strtol(text, &end, 10);
        if (*end == '\0' && count >= 1 && count <= WORKERS_MAX) {
            return (uint32_t)count;
        }
        wf_say("WEFT_WORKERS=%s is not a number from 1 to %d: ignored", text, WORKERS_MAX);
    }
    int allowed = wf_cpus_allowed();
    return (uint32_t)(allowed < WORKERS_MAX ? allowed : WORKERS_MAX);
}

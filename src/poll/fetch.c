// SPDX-License-Identifier: MIT
/* fetch.c - see fetch.h. */
#include "poll/fetch.h"

#include "fiber/fiber.h"
#include "task/task.h"

/* Of a stack: from where it was left to what a call that reads had above it. */
enum { STACK_LINES = 10 };

void wf_fetch_reader(struct wf_fd_table *table, int fd)
{
    struct wf_fd *record = wf_fd_at(table, fd);
    const void *frame = record != NULL ? wf_load_rlx(&record->frame) : NULL;
    if (frame != NULL) {
        wf_fetch(frame); /* a seat: its waiter and what a claim reads of its wait are one line */
    }
}

/* What is woken is nobody else's until it is queued, and nobody stands on its stack. */
static const weft_task *woken(uintptr_t entry)
{
    return (entry & WF_READY_KINDS) == WF_READY_TASK ? (const weft_task *)entry : NULL;
}

void wf_fetch_woken(const struct wf_later *later)
{
    for (uintptr_t entry = later->ready; entry != 0; entry = *wf_ready_link(entry)) {
        if (woken(entry) != NULL) {
            wf_fetch(wf_load_rlx(&woken(entry)->fiber));
            wf_fetch(&woken(entry)->wait);
        }
    }
    for (uintptr_t entry = later->ready; entry != 0; entry = *wf_ready_link(entry)) {
        if (woken(entry) != NULL) {
            wf_fetch_lines(wf_load_rlx(&woken(entry)->fiber)->sp, STACK_LINES);
        }
    }
}

/* SPDX-License-Identifier: MIT */
/* crowd.h - many tasks that read from one descriptor at once, some of which are cancelled. For fibers. */
#ifndef WEFT_CROWD_H
#define WEFT_CROWD_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "support.h"

static atomic_int crowd_bytes;

/* Counts its byte: a request that comes behind it makes the task end as cancelled all the same. */
WT_FN intptr_t read_and_count(void *fd)
{
    intptr_t result = read_byte(fd);
    atomic_fetch_add(&crowd_bytes, result == 'x');
    return result;
}

/* Each is answered: by a byte, of which there are half as many, by its cancellation, which one in three has, or in the
 * end by the end. No byte is missing. */
WT_FN intptr_t read_in_crowd(weft_task **tasks, int count)
{
    int fds[2];
    atomic_store(&crowd_bytes, 0);
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    for (int i = 0; i < count; i++) {
        wt_check(weft_spawn(&tasks[i], read_and_count, &fds[0]) == 0);
    }
    wt_check(weft_yield() == 0); /* all wait, and some of it is not yet submitted */
    for (int i = 0; i < count; i += 3) {
        wt_check(weft_cancel(tasks[i]) == 1);
    }
    for (int i = 0; i < count; i += 2) {
        wt_check(weft_write(fds[1], "x", 1) == 1);
    }
    wt_check(weft_close(fds[1]) == 0);
    for (int i = 0; i < count; i++) {
        intptr_t result = finish(tasks[i]);
        wt_check(result == 'x' || result == 0 || (result == -ECANCELED && i % 3 == 0));
    }
    wt_check(atomic_load(&crowd_bytes) == count / 2);
    return weft_close(fds[0]);
}

#endif

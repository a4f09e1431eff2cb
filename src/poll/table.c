// SPDX-License-Identifier: MIT
/* table.c - from a number to its record, and closing a number in all tables.
 *
 * Closing (wf_fd_close) in this order, so that nobody waits for a number's next owner and nobody is
 * forgotten:
 *     1. under the lock: count the close in the stamp, tell all waiters, forget the registration,
 *        mark the record with the closer
 *     2. close(2)
 *     3. under the lock: take the mark away, grant who came meanwhile
 * Who tried its system call before 1 and links after it finds the stamp changed: -EBADF. Who begins
 * between 1 and 2 might register a descriptor that is about to go and wait for ever, so nobody
 * registers while the mark is there; 3 tells them to try again. Some of those may be rightful users of
 * the number's next descriptor, so they are granted, not refused.
 * With system calls in progress on other threads (wf_fd_begin), or operations that are queued in a ring but not
 * submitted, 2 replaces what the number stands for instead of freeing it, and the last of those to end does
 * that (wf_fd_hold).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "poll/descriptor.h"

/* All tables of the process: a plain thread's weft_close knows no runtime. */
static struct {
    struct wf_lock lock;
    wf_au32 count; /* written under lock; a fiber reads it (acquire): its own table is always in */
    struct wf_list tables; /* wf_fd_table.link, under lock */
    pthread_once_t once;
    struct wf_lock accept_guard;
} all = {.tables = {&all.tables, &all.tables}, .once = PTHREAD_ONCE_INIT};

/* The parent's tables are nothing to a forked child; a thread that is no more may hold the locks. */
static void forget_all(void)
{
    wf_store_rlx(&all.lock.value, 0U);
    wf_store_rlx(&all.accept_guard.value, 0U);
    wf_store_rlx(&all.count, 0U);
    wf_list_init(&all.tables);
}

static void install_fork_handler(void)
{
    (void)pthread_atfork(NULL, NULL, forget_all);
}

struct wf_lock *wf_fd_accept_guard(void)
{
    return &all.accept_guard;
}

static size_t segment_bytes(unsigned segment)
{
    return (sizeof(struct wf_fd) << WF_FD_FIRST_SHIFT) << segment;
}

/* Fresh pages: zero, and most of them never touched. */
static __attribute__((noinline)) int make_segment(struct wf_fd_table *table, int fd)
{
    unsigned segment = wf_fd_segment(wf_fd_index(fd));
    if (fcntl(fd, F_GETFD) < 0) {
        return -EBADF; /* no memory for arbitrary numbers */
    }
    void *pages = mmap(NULL, segment_bytes(segment), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return -ENOMEM;
    }
    struct wf_fd *seen = NULL;
    if (!wf_cas_acqrel(&table->segments[segment], &seen, pages)) {
        (void)munmap(pages, segment_bytes(segment)); /* somebody else was faster */
    }
    return 0;
}

/* First use. Whoever comes at the same time finds it done, or does it under the lock. */
static void prepare(struct wf_fd *record, int fd)
{
    wf_lock(&record->lock);
    if (wf_load_rlx(&record->is_prepared) == 0) {
        record->fd = fd;
        wf_list_init(&record->readers);
        wf_list_init(&record->writers);
        wf_list_init(&record->watches);
        wf_list_init(&record->ops);
        wf_store_rel(&record->is_prepared, 1);
    }
    wf_unlock(&record->lock);
}

int wf_fd_find_new(struct wf_fd_table *table, int fd, struct wf_fd **out)
{
    if (fd < 0) {
        return -EBADF;
    }
    struct wf_fd *record = wf_fd_at(table, fd);
    if (__builtin_expect(record == NULL, 0)) {
        int rc = make_segment(table, fd);
        if (rc < 0) {
            return rc;
        }
        record = wf_fd_at(table, fd);
    }
    if (__builtin_expect(wf_load_acq(&record->is_prepared) == 0, 0)) {
        prepare(record, fd);
    }
    *out = record;
    return 0;
}

/* ---- closing ---- */

/* Applies `step` to `own`, or to all tables there are. Tables can't go meanwhile: their tasks are
 * made ready before the lock of all is free, and a fiber's own table lives as long as the fiber. */
static void each_table(struct wf_fd_table *own, int fd, struct wf_fd_closing *closer,
                       void (*step)(struct wf_fd_table *, int, struct wf_fd_closing *,
                                    struct wf_later *),
                       void (*flush)(struct wf_later *))
{
    struct wf_later later;
    wf_later_init(&later);
    if (own != NULL && wf_load_acq(&all.count) == 1) {
        step(own, fd, closer, &later);
        flush(&later);
        return;
    }
    wf_lock(&all.lock);
    for (struct wf_list *link = all.tables.next; link != &all.tables; link = link->next) {
        step(WF_CONTAINER(link, struct wf_fd_table, link), fd, closer, &later);
        flush(&later);
        wf_later_init(&later);
    }
    wf_unlock(&all.lock);
}

static __attribute__((noinline)) int close_descriptor(int fd)
{
    /* Interrupted or not, Linux has given the number back. */
    return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

/* A dup2 onto the number gives it to somebody while it is held. */
static __attribute__((noinline)) bool is_dead(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_PATH) != 0;
}

/* Puts a descriptor in its place that can't be read or written and in which nothing can be found: what it was is
 * closed, the number is not free. Without one to put there it stays what it was until the hold ends. -EBADF: there is nothing to be
 * closed, now or later. */
static __attribute__((noinline)) int replace_descriptor(struct wf_fd_hold *hold, int fd)
{
    if (fcntl(fd, F_GETFD) < 0) {
        hold->fd = -1; /* before the closer's own drop, so before anybody reads it */
        return -EBADF;
    }
    int dead = open("/dev/null", O_PATH | O_CLOEXEC);
    if (dead >= 0) {
        bool is_replaced = dup3(dead, fd, O_CLOEXEC) >= 0;
        wf_store_rlx(&hold->is_replaced,
                     (uint8_t)is_replaced); /* before the closer's own drop, too */
        (void)close(dead);
    }
    return 0;
}

void wf_fd_hold_drop(struct wf_fd_hold *hold)
{
    if (wf_sub_acqrel(&hold->users, 1U) == 1) {
        if (wf_load_rlx(&hold->is_replaced) == 0 || is_dead(hold->fd)) {
            (void)close_descriptor(hold->fd);
        }
        free(hold);
    }
}

int wf_fd_close(struct wf_fd_table *own, int fd, void (*flush)(struct wf_later *later))
{
    struct wf_fd_closing closing = {.hold =
                                        NULL}; /* its address is nobody else's until we return */
    if (fd < 0) {
        return -EBADF;
    }
    each_table(own, fd, &closing, wf_fd_close_begin, flush);
    bool is_closed = closing.is_closed && (!closing.is_replaced || is_dead(fd));
    if (is_closed && closing.hold != NULL) {
        closing.hold->fd = -1; /* it is another hold's to give back */
    }
    int rc = is_closed              ? -EBADF
             : closing.hold == NULL ? close_descriptor(fd)
                                    : replace_descriptor(closing.hold, fd);
    each_table(own, fd, &closing, wf_fd_close_end, flush);
    if (closing.hold != NULL) {
        wf_fd_hold_drop(closing.hold);
    }
    return rc;
}

/* ---- life ---- */

int wf_fd_table_create(struct wf_fd_table **out, struct wf_poller *poller)
{
    struct wf_fd_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return -ENOMEM;
    }
    table->poller = poller;
    (void)pthread_once(&all.once, install_fork_handler);
    wf_lock(&all.lock);
    wf_list_push(&all.tables, &table->link);
    wf_store_rel(&all.count, wf_load_rlx(&all.count) + 1);
    wf_unlock(&all.lock);
    *out = table;
    return 0;
}

void wf_fd_table_destroy(struct wf_fd_table *table)
{
    wf_lock(&all.lock);
    wf_list_remove(&table->link);
    wf_store_rel(&all.count, wf_load_rlx(&all.count) - 1);
    wf_unlock(&all.lock);
    for (unsigned i = 0; i < WF_FD_SEGMENTS; i++) {
        struct wf_fd *records = wf_load_acq(&table->segments[i]);
        if (records != NULL) {
            (void)munmap(records, segment_bytes(i));
        }
    }
    free(table);
}

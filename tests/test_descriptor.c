// SPDX-License-Identifier: MIT
/* test_descriptor.c - records of descriptors and the poller, without a scheduler: waits of made-up
 * tasks, and events at the moment that a test wants. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fiber/hooks.h"
#include "poll/descriptor.h"
#include "weft_test.h"

static struct wf_poller *poller;

static void open_poller(void)
{
    cr_assert_eq(wf_epoll_create(&poller), 0);
}

static void close_poller(void)
{
    wf_poller_destroy(poller);
}

/* A task on its way to sleep: a grant is a claim that comes early. */
struct sleeper {
    weft_task task;
    struct wf_wait wait;
    struct wf_fd_entry entry;
};

static void prepare(struct sleeper *sleeper, uint64_t id, unsigned directions)
{
    memset(sleeper, 0, sizeof *sleeper);
    wf_store_rlx(&sleeper->task.id, id);
    wf_store_rlx(&sleeper->task.word, (uint64_t)WF_RUN);
    sleeper->wait.task = &sleeper->task;
    wf_store_rlx(&sleeper->wait.epoch, 1);
    wf_fd_entry_init(&sleeper->entry, &sleeper->wait, directions);
}

static enum wf_verdict verdict(const struct sleeper *sleeper)
{
    uint64_t word = wf_load_acq(&((struct sleeper *)(uintptr_t)sleeper)->task.word);
    return wf_word_epoch(word) == 1 ? wf_word_verdict(word) : WF_NONE;
}

static struct wf_fd *find(int fd)
{
    struct wf_fd *record = NULL;
    cr_assert_eq(wf_fd_find(poller->table, fd, &record), 0);
    return record;
}

static int link_at(struct sleeper *sleeper, int fd, uint64_t stamp)
{
    struct wf_later later;
    wf_later_init(&later);
    int rc = wf_fd_link(poller, find(fd), &sleeper->entry, stamp, &later);
    cr_assert_eq(later.ready, 0); /* made-up tasks are claimed early */
    return rc;
}

static int look(void)
{
    struct wf_later later;
    wf_later_init(&later);
    return wf_poller_wait(poller, 0, &later);
}

static void no_flush(struct wf_later *later)
{
    cr_assert_eq(later->ready, 0);
}

static void make_pair(int fds[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* ---- the table ---- */

Test(descriptor, table, .init = open_poller, .fini = close_poller)
{
    struct wf_fd *record;
    struct wf_fd *again;
    cr_assert_eq(wf_fd_find(poller->table, -1, &record), -EBADF);
    cr_assert_eq(wf_fd_find(poller->table, 1 << 30, &record), -EBADF);
    cr_assert_eq(wf_fd_find(poller->table, 0, &record), 0);
    cr_assert_eq(wf_fd_find(poller->table, 0, &again), 0);
    cr_assert_eq(record, again);
    cr_assert_eq(wf_fd_find(poller->table, 63, &again), 0, "in the first segment");
    cr_assert_eq(again - record, 63);
    int high = fcntl(0, F_DUPFD_CLOEXEC, 200);
    if (high >= 0) {
        cr_assert_eq(wf_fd_find(poller->table, high, &record), 0);
        cr_assert_eq(record->fd, high);
        close(high);
    }
}

/* ---- waiting ---- */

Test(descriptor, grants_everybody_of_a_direction, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper readers[3];
    make_pair(fds);
    for (uint64_t i = 0; i < 3; i++) {
        prepare(&readers[i], i + 1, WF_FD_READ);
        int rc;
        do { /* registering anew brings an event: writable */
            (void)look();
            rc = link_at(&readers[i], fds[0], wf_fd_stamp(find(fds[0])));
        } while (rc == WF_FD_RETRY);
        cr_assert_eq(rc, WF_FD_LINKED);
    }
    (void)look();
    cr_assert_eq(verdict(&readers[0]), WF_NONE);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(look(), 1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(verdict(&readers[i]), WF_GRANTED);
    }
    close(fds[0]);
    close(fds[1]);
}

/* The event comes between the system call that would have blocked and the linking. */
Test(descriptor, no_event_is_missed, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper first;
    struct sleeper second;
    make_pair(fds);
    prepare(&first, 1, WF_FD_READ);
    cr_assert_eq(link_at(&first, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    (void)look();
    uint64_t stamp = wf_fd_stamp(find(fds[0]));
    cr_assert_eq(write(fds[1], "xy", 2), 2);
    cr_assert_eq(look(), 1);
    cr_assert_eq(verdict(&first), WF_GRANTED, "and it may take only one byte");
    prepare(&second, 1, WF_FD_READ);
    cr_assert_eq(link_at(&second, fds[0], stamp), WF_FD_RETRY);
    cr_assert_eq(link_at(&second, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    wf_fd_unlink(find(fds[0]), &second.entry);
    close(fds[0]);
    close(fds[1]);
}

static int link_one(struct sleeper *sleeper, int fd, uint64_t stamp, bool *is_first)
{
    struct wf_later later;
    wf_later_init(&later);
    return wf_fd_link_one(poller, find(fd), &sleeper->entry.waiters[0], WF_FD_READ, stamp, &later,
                          is_first);
}

static int link_again(struct sleeper *sleeper, int fd, uint64_t stamp)
{
    return wf_fd_link_again(find(fd), &sleeper->entry.waiters[0], WF_FD_READ, stamp,
                            wf_task_id(&sleeper->task));
}

/* The short way is for who has waited there before, if nothing has come since. */
Test(descriptor, links_again, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    bool is_first;
    struct sleeper own;
    struct sleeper other;
    make_pair(fds);
    struct wf_fd *record = find(fds[0]);
    prepare(&own, 1, WF_FD_READ);
    prepare(&other, 2, WF_FD_READ);
    cr_assert_eq(link_again(&own, fds[0], wf_fd_stamp(record)), WF_FD_UNSURE, "not registered");
    cr_assert_eq(link_one(&own, fds[0], wf_fd_stamp(record), &is_first), WF_FD_LINKED);
    cr_assert(is_first);
    wf_fd_unlink_one(record, &own.entry.waiters[0]);
    (void)look();
    cr_assert_eq(link_again(&own, fds[0], wf_fd_stamp(record)), WF_FD_LINKED);
    cr_assert_eq(link_again(&other, fds[0], wf_fd_stamp(record)), WF_FD_UNSURE, "a new user");
    uint64_t stamp = wf_fd_stamp(record);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(look(), 1);
    cr_assert_eq(verdict(&own), WF_GRANTED);
    prepare(&own, 1, WF_FD_READ);
    cr_assert_eq(link_again(&own, fds[0], stamp), WF_FD_UNSURE, "something has come");
    cr_assert_eq(link_one(&own, fds[0], stamp, &is_first), WF_FD_RETRY);
    cr_assert_not(is_first);
    close(fds[0]);
    close(fds[1]);
}

/* While a number is being closed nobody waits for its events, nor takes the end of that for one. */
Test(descriptor, links_nothing_again_while_closing, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    bool is_first;
    struct sleeper reader;
    struct wf_later later;
    struct wf_fd_closing closing = {.hold = NULL};
    make_pair(fds);
    struct wf_fd *record = find(fds[0]);
    prepare(&reader, 1, WF_FD_READ);
    wf_later_init(&later);
    uint64_t before = wf_fd_stamp(record);
    wf_fd_close_begin(poller->table, fds[0], &closing, &later);
    cr_assert_eq(link_again(&reader, fds[0], before), WF_FD_UNSURE);
    cr_assert_eq(link_one(&reader, fds[0], before, &is_first), -EBADF);
    cr_assert_eq(link_again(&reader, fds[0], wf_fd_stamp(record)), WF_FD_UNSURE);
    cr_assert_eq(link_one(&reader, fds[0], wf_fd_stamp(record), &is_first), WF_FD_LINKED);
    cr_assert_not(is_first);
    wf_fd_close_end(poller->table, fds[0], &closing, &later);
    cr_assert_eq(verdict(&reader), WF_GRANTED);
    close(fds[0]);
    close(fds[1]);
}

/* What is ready when it is registered for the first time is an event too. */
Test(descriptor, registering_reports, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper reader;
    make_pair(fds);
    uint64_t stamp = wf_fd_stamp(find(fds[0]));
    cr_assert_eq(write(fds[1], "x", 1), 1);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, fds[0], stamp), WF_FD_LINKED);
    cr_assert_eq(look(), 1);
    cr_assert_eq(verdict(&reader), WF_GRANTED);
    close(fds[0]);
    close(fds[1]);
}

Test(descriptor, both_directions, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper both;
    make_pair(fds);
    prepare(&both, 1, WF_FD_READ | WF_FD_WRITE);
    cr_assert_eq(link_at(&both, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    cr_assert_eq(look(), 1);
    cr_assert_eq(verdict(&both), WF_GRANTED);
    cr_assert_not(wf_list_is_empty(&find(fds[0])->readers));
    wf_fd_unlink(find(fds[0]), &both.entry);
    cr_assert(wf_list_is_empty(&find(fds[0])->readers));
    close(fds[0]);
    close(fds[1]);
}

Test(descriptor, files_cannot_be_polled, .init = open_poller, .fini = close_poller)
{
    struct sleeper reader;
    int fd = open("/proc/self/exe", O_RDONLY);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, fd, wf_fd_stamp(find(fd))), -EPERM);
    close(fd);
    cr_assert_eq(link_at(&reader, fd, wf_fd_stamp(find(fd))), -EBADF);
}

/* ---- closing and reuse ---- */

Test(descriptor, closing, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper waiting;
    struct sleeper late;
    make_pair(fds);
    prepare(&waiting, 1, WF_FD_READ);
    uint64_t stamp = wf_fd_stamp(find(fds[0]));
    cr_assert_eq(link_at(&waiting, fds[0], stamp), WF_FD_LINKED);
    cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), 0);
    cr_assert_eq(verdict(&waiting), WF_CLOSED);
    int again = dup(fds[1]);
    cr_assert_eq(again, fds[0]);
    prepare(&late, 2, WF_FD_READ);
    cr_assert_eq(link_at(&late, again, stamp), -EBADF, "it began with the old descriptor");
    cr_assert_eq(wf_fd_close(poller->table, again, no_flush), 0);
    cr_assert_eq(wf_fd_close(poller->table, again, no_flush), -EBADF);
    close(fds[1]);
}

/* The description lives on, but not its events. */
Test(descriptor, closing_a_duplicate, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct sleeper reader;
    make_pair(fds);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    (void)look();
    int copy = dup(fds[0]);
    cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), 0);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(look(), 0);
    close(copy);
    close(fds[1]);
}

/* Who comes while the number is being closed registers nothing, and tries again after it. */
Test(descriptor, coming_while_it_closes, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct wf_fd_closing mark = {.hold = NULL};
    struct sleeper reader;
    struct wf_later later;
    wf_later_init(&later);
    make_pair(fds);
    wf_fd_close_begin(poller->table, fds[0], &mark, &later);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    cr_assert_not(find(fds[0])->is_registered);
    close(fds[0]);
    cr_assert_eq(verdict(&reader), WF_NONE);
    wf_fd_close_end(poller->table, fds[0], &mark, &later);
    cr_assert_eq(verdict(&reader), WF_GRANTED);
    /* The same, but the kernel has given the number to somebody before the end. */
    int again = dup(fds[1]);
    cr_assert_eq(again, fds[0]);
    wf_fd_close_begin(poller->table, again, &mark, &later);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, again, wf_fd_stamp(find(again))), WF_FD_LINKED);
    wf_fd_wipe(find(again), 0, &later); /* accepted */
    cr_assert_eq(verdict(&reader), WF_CLOSED);
    prepare(&reader, 2, WF_FD_READ);
    cr_assert_eq(link_at(&reader, again, wf_fd_stamp(find(again))), WF_FD_LINKED);
    cr_assert(find(again)->is_registered);
    wf_fd_close_end(poller->table, again, &mark, &later); /* has no say any more */
    cr_assert_eq(verdict(&reader), WF_NONE);
    wf_fd_unlink(find(again), &reader.entry);
    close(again);
    close(fds[1]);
}

/* Closed behind weft's back: another task's wait finds out, whoever still waits hears of it. */
Test(descriptor, stale_registration, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    int next[2];
    struct sleeper old;
    struct sleeper new;
    make_pair(fds);
    prepare(&old, 1, WF_FD_READ);
    cr_assert_eq(link_at(&old, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    (void)look();
    close(fds[0]);
    make_pair(next);
    cr_assert_eq(next[0], fds[0]);
    prepare(&new, 2, WF_FD_READ);
    cr_assert_eq(link_at(&new, next[0], wf_fd_stamp(find(next[0]))), WF_FD_LINKED);
    cr_assert_eq(verdict(&old), WF_CLOSED);
    (void)look();
    cr_assert_eq(verdict(&new), WF_NONE);
    cr_assert_eq(write(next[1], "x", 1), 1);
    (void)look();
    cr_assert_eq(verdict(&new), WF_GRANTED);
    close(fds[1]);
    close(next[0]);
    close(next[1]);
}

/* The old description lives on under another number; its events carry an old tag. */
Test(descriptor, events_of_the_former_owner, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    int next[2];
    struct sleeper reader;
    make_pair(fds);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, fds[0], wf_fd_stamp(find(fds[0]))), WF_FD_LINKED);
    (void)look();
    int copy = dup(fds[0]);
    close(fds[0]);
    make_pair(next);
    cr_assert_eq(next[0], fds[0]);
    struct wf_later later;
    wf_later_init(&later);
    wf_fd_wipe(find(next[0]), 0, &later);
    prepare(&reader, 1, WF_FD_READ);
    cr_assert_eq(link_at(&reader, next[0], wf_fd_stamp(find(next[0]))), WF_FD_LINKED);
    (void)look();
    cr_assert_eq(write(fds[1], "x", 1), 1); /* for the former owner */
    (void)look();
    cr_assert_eq(verdict(&reader), WF_NONE);
    cr_assert_eq(write(next[1], "x", 1), 1);
    (void)look();
    cr_assert_eq(verdict(&reader), WF_GRANTED);
    close(copy);
    close(fds[1]);
    close(next[0]);
    close(next[1]);
}

/* ---- calls in progress ---- */

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

Test(descriptor, a_number_is_held_for_calls, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    char byte;
    make_pair(fds);
    struct wf_fd *record = find(fds[0]);
    uint64_t opened = wf_fd_begin(record);
    (void)wf_fd_begin(record);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), 0);
    cr_assert(is_open(fds[0]), "nobody else's yet");
    cr_assert_eq(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1, "and what was there is closed");
    cr_assert_eq(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
    cr_assert_not(wf_fd_is_same(wf_fd_begin(record), opened), "who comes now keeps away");
    wf_fd_end(record);
    cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), -EBADF, "it is closed already");
    wf_fd_end(record);
    cr_assert(is_open(fds[0]));
    wf_fd_end(record);
    cr_assert_not(is_open(fds[0]), "the last one gives it back");
    cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), -EBADF);
    int again = dup(fds[1]);
    cr_assert_eq(again, fds[0]);
    cr_assert_eq(wf_fd_close(poller->table, again, no_flush), 0);
    cr_assert_not(is_open(again), "no call in progress, none held");
    close(fds[1]);
}

Test(descriptor, calls_outside_a_closing, .init = open_poller, .fini = close_poller)
{
    int fds[2];
    struct wf_later later;
    struct wf_fd_closing closing = {.hold = NULL};
    wf_later_init(&later);
    make_pair(fds);
    struct wf_fd *record = find(fds[0]);
    wf_fd_close_begin(poller->table, fds[0], &closing, &later);
    cr_assert_null(closing.hold);
    cr_assert(wf_fd_is_closing(wf_fd_begin(record)));
    wf_fd_end(record);
    wf_fd_close_end(poller->table, fds[0], &closing, &later);
    cr_assert_not(wf_fd_is_closing(wf_fd_begin(record)));
    wf_fd_end(record);
    close(fds[0]);
    close(fds[1]);
}

enum { OWNERS = 300, READERS = 2 };

/* What the readers are at: the number and the stamp of its owner. */
static _Atomic uint64_t owner_stamp;
static atomic_int owner_fd, strangers, bytes_taken;

/* Now and then a reader gives its processor away, in a call or between two: with one processor it would else be
 * taken away where the slice ends, which is milliseconds for each turn of the closer. */
static void let_others_run(unsigned *attempts, bool in_call)
{
    enum { STRETCH = 32 };
    *attempts += in_call ? 1U : 0U;
    if (*attempts % (2U * STRETCH) == (in_call ? 0U : STRETCH)) {
        sched_yield();
    }
}

/* As a call does: an owner is found, and attempts are made until it is gone. */
static void *take_bytes(void *arg)
{
    unsigned attempts = 0;
    (void)arg;
    for (int fd = atomic_load(&owner_fd); fd != -1; fd = atomic_load(&owner_fd)) {
        uint64_t opened = atomic_load(&owner_stamp);
        struct wf_fd *record = fd >= 0 ? find(fd) : NULL;
        bool is_same = fd >= 0 && atomic_load(&owner_fd) == fd;
        while (is_same) {
            char byte = 0;
            uint64_t stamp = wf_fd_begin(record);
            is_same = wf_fd_is_same(stamp, opened) && !wf_fd_is_closing(stamp);
            let_others_run(&attempts, true);
            if (is_same && recv(fd, &byte, 1, MSG_DONTWAIT) == 1) {
                atomic_fetch_add(byte == 's' ? &strangers : &bytes_taken, 1);
            }
            wf_fd_end(record);
            let_others_run(&attempts, false);
        }
        if (fd < 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* The next owner of the number has bytes that are none of the readers' business. ThreadSanitizer sees a close beside a
 * recv even where nothing comes of it. */
Test(descriptor, calls_never_meet_the_next_owner, .init = open_poller, .fini = close_poller,
     .timeout = 60)
{
    pthread_t readers[READERS];
    int fds[2];
    atomic_store(&owner_fd, -2);
    for (int i = 0; i < READERS; i++) {
        cr_assert_eq(pthread_create(&readers[i], NULL, take_bytes, NULL), 0);
    }
    for (int i = 0; i < OWNERS; i++) {
        int next[2];
        make_pair(fds);
        cr_assert_eq(write(fds[1], "aaaa", 4), 4);
        atomic_store(&owner_stamp, wf_fd_stamp(find(fds[0])));
        atomic_store(&owner_fd, fds[0]);
        for (int k = 0; k < i % 50 || (i == 0 && atomic_load(&bytes_taken) == 0); k++) {
            sched_yield(); /* the first owner waits until a reader is there at all */
        }
        atomic_store(&owner_fd, -2);
        cr_assert_eq(wf_fd_close(poller->table, fds[0], no_flush), 0);
        make_pair(next);
        cr_assert_eq(write(next[1], "ssss", 4), 4);
        sched_yield();
        for (int k = 0; k < 2; k++) {
            cr_assert_eq(wf_fd_close(poller->table, next[k], no_flush), 0);
        }
        close(fds[1]);
    }
    atomic_store(&owner_fd, -1);
    for (int i = 0; i < READERS; i++) {
        cr_assert_eq(pthread_join(readers[i], NULL), 0);
    }
    cr_assert_eq(atomic_load(&strangers), 0);
    cr_assert_gt(atomic_load(&bytes_taken), 0);
}

/* ---- sleeping and poking ---- */

static int sleep_in_poller(int64_t timeout_ns)
{
    struct wf_later later;
    wf_later_init(&later);
    return wf_poller_wait(poller, timeout_ns, &later);
}

Test(descriptor, sleep_is_never_early, .init = open_poller, .fini = close_poller)
{
    const int64_t delays[] = {1, 50000, 1000000, 1234567};
    for (int i = 0; i < 4; i++) {
        int64_t before = wf_monotonic_ns();
        cr_assert_eq(sleep_in_poller(delays[i]), 0);
        cr_assert_geq(wf_monotonic_ns() - before, delays[i]);
    }
}

Test(descriptor, poke_before, .init = open_poller, .fini = close_poller, .timeout = 10)
{
    wf_poller_poke(poller);
    wf_poller_poke(poller);
    cr_assert_eq(sleep_in_poller(0), 0, "a look is no sleep");
    cr_assert_eq(sleep_in_poller(WF_FOREVER), 0);
    int64_t before = wf_monotonic_ns();
    (void)sleep_in_poller(1000000); /* spent: this one sleeps */
    cr_assert_geq(wf_monotonic_ns() - before, 1000000);
}

static void *poke_on_thread(void *arg)
{
    for (int i = 0; i < *(const int *)arg; i++) {
        wf_poller_poke(poller);
    }
    return NULL;
}

Test(descriptor, poke_meanwhile, .init = open_poller, .fini = close_poller, .timeout = 20)
{
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        int pokes = 1;
        cr_assert_eq(pthread_create(&thread, NULL, poke_on_thread, &pokes), 0);
        cr_assert_eq(sleep_in_poller(WF_FOREVER), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
}

static void poke_in_handler(int number)
{
    (void)number;
    wf_poller_poke(poller);
}

static void *raise_on_thread(void *arg)
{
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

Test(descriptor, poke_in_a_signal_handler, .init = open_poller, .fini = close_poller, .timeout = 20)
{
    struct sigaction action;
    pthread_t self = pthread_self();
    if (WF_TSAN) {
        wt_skip("the sanitizer keeps a signal back while its thread is in a system call");
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = poke_in_handler;
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, raise_on_thread, &self), 0);
        cr_assert_eq(sleep_in_poller(WF_FOREVER), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
}

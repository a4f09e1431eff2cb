// SPDX-License-Identifier: MIT
/* test_sim_faults.c - what an unkind world does to transfers, and what it must not do: bytes are lost
 * in resets alone, nothing comes twice, and -ECANCELED means that nothing was moved. */
#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "sched/simulate.h"
#include "weft_test.h"

static void run_seed(weft_fn *fn, void *arg, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed, .workers = 3};
    intptr_t rc = weft_run(fn, arg, &options);
    cr_assert_eq(rc, 0, "seed %" PRIu64 " ended with %" PRIdPTR, seed, rc);
    int failures = atomic_exchange(&wt_failures, 0);
    cr_assert_eq(failures, 0, "seed %" PRIu64 ": %d checks failed, see above", seed, failures);
}

/* One test's seeds follow each other, so that a failure's number can be run alone. */
static void run_seeds(weft_fn *fn, void *arg, uint64_t count)
{
    for (uint64_t seed = 1; seed <= count; seed++) {
        run_seed(fn, arg, seed);
    }
}

/* ---- each fault by itself ---- */

static intptr_t refused_faults(void *arg)
{
    const weft_sim_faults good = {.size = sizeof good, .late = 1000, .late_ns = 5};
    weft_sim_faults bad[] = {good, good, good, good, good, good};
    (void)arg;
    bad[0].short_transfers = -1;
    bad[1].late = 1001;
    bad[2].late_ns = -1;
    bad[3].resets = 5000;
    bad[4].late_cancels = -5;
    bad[5].size = 3;
    for (int i = 0; i < 6; i++) {
        wt_check(weft_sim_set_faults(&bad[i]) == -EINVAL);
    }
    wt_check(weft_sim_set_faults(NULL) == -EINVAL);
    return weft_sim_set_faults(&good);
}

Test(sim_faults, set_faults)
{
    run_seeds(refused_faults, NULL, 1);
}

static intptr_t seed_0_is_kind(void *arg)
{
    const weft_sim_faults all = {.short_transfers = 1000,
                                 .late = 1000,
                                 .late_ns = WEFT_S,
                                 .resets = 1000,
                                 .late_cancels = 1000};
    int fds[2];
    char bytes[100] = "";
    (void)arg;
    wt_check(weft_sim_set_faults(&all) == 0);
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_write(fds[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    wt_check(weft_read(fds[1], bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    return weft_now();
}

Test(sim_faults, seed_0_knows_none)
{
    run_seed(seed_0_is_kind, NULL, 0);
}

static intptr_t shortened(void *arg)
{
    const weft_sim_faults faults = {.short_transfers = 1000};
    char bytes[100] = "";
    int fds[2];
    int *lengths = arg;
    wt_check(weft_sim_set_faults(&faults) == 0);
    wt_check(weft_sim_pipe(fds) == 0);
    ssize_t n = weft_write(fds[1], bytes, sizeof bytes);
    wt_check(n >= 1 && n <= (ssize_t)sizeof bytes);
    lengths[n]++;
    ssize_t m = weft_read(fds[0], bytes, sizeof bytes);
    wt_check(m >= 1 && m <= n);
    wt_check(weft_now() == 0);
    return 0;
}

Test(sim_faults, short_transfers)
{
    int lengths[101] = {0};
    int different = 0;
    run_seeds(shortened, lengths, 300);
    for (int i = 1; i <= 100; i++) {
        different += lengths[i] > 0;
    }
    cr_assert(different > 50, "%d different lengths in 300 writes", different);
}

/* A reader that is cancelled while its transfer is under way. */
struct late {
    bool must_win;
    int fd;
    int won;
    int stayed; /* requests that the next await point found */
    int lost;
};

static intptr_t read_late(void *arg)
{
    struct late *late = arg;
    char byte = 0;
    ssize_t n = weft_read(late->fd, &byte, 1);
    wt_check(n == 1 ? byte == 'x' : n == -ECANCELED && byte == 0);
    late->won += n == 1;
    late->lost += n != 1;
    late->stayed += weft_checkpoint() == -ECANCELED;
    (void)weft_uncancel(weft_self());
    return n;
}

static intptr_t cancelled_late(void *arg)
{
    struct late *late = arg;
    const weft_sim_faults faults = {
        .late = 1000, .late_ns = WEFT_S, .late_cancels = late->must_win ? 1000 : 0};
    int fds[2];
    char byte = 0;
    weft_task *reader;
    intptr_t result = 0;
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_write(fds[1], "x", 1) == 1);
    wt_check(weft_sim_set_faults(&faults) == 0);
    late->fd = fds[0];
    wt_check(weft_spawn(&reader, read_late, late) == 0);
    wt_check(weft_sleep(1) == 0); /* less than what is drawn for the read, in these seeds */
    wt_check(weft_cancel(reader) == 1);
    wt_check(weft_await(reader, &result) == 0);
    if (result == 1) {
        wt_check(weft_within(2 * WEFT_S, weft_read(fds[0], &byte, 1)) == -ETIMEDOUT);
    } else { /* and so the byte is there */
        wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'x');
    }
    return 0;
}

Test(sim_faults, late_transfers_can_be_cancelled)
{
    struct late late = {.must_win = false};
    run_seeds(cancelled_late, &late, 100);
    cr_assert_eq(late.lost, 100);
    cr_assert_eq(late.stayed, 0);
}

Test(sim_faults, late_cancels_lose)
{
    struct late late = {.must_win = true};
    run_seeds(cancelled_late, &late, 100);
    cr_assert_eq(late.won, 100);
    cr_assert_eq(late.stayed, 100);
}

static intptr_t read_byte(void *arg)
{
    char byte;
    return weft_read(*(const int *)arg, &byte, 1);
}

static intptr_t close_late(void *arg)
{
    const weft_sim_faults faults = {.late = 1000, .late_ns = 1000 * WEFT_S};
    int fds[2];
    weft_task *reader;
    intptr_t result = 0;
    char byte;
    (void)arg;
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_write(fds[1], "x", 1) == 1);
    wt_check(weft_sim_set_faults(&faults) == 0);
    int64_t start_ns = weft_now();
    wt_check(weft_spawn(&reader, read_byte, &fds[0]) == 0);
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_await(reader, &result) == 0);
    wt_check(result == -EBADF);
    wt_check(weft_now() < start_ns + WEFT_S);
    wt_check(weft_read(fds[1], &byte, 1) == 0);
    return 0;
}

Test(sim_faults, closing_ends_late_transfers)
{
    run_seeds(close_late, NULL, 20);
}

static intptr_t reset(void *arg)
{
    const weft_sim_faults never = {.size = sizeof never};
    const weft_sim_faults always = {.resets = 1000};
    int fds[2];
    int pipes[2];
    char byte = 0;
    weft_task *reader;
    intptr_t result = 0;
    weft_watch watch;
    (void)arg;
    wt_check(weft_sim_set_faults(&never) == 0);
    wt_check(weft_sim_pipe(pipes) == 0);
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_write(fds[0], "lost", 4) == 4);
    wt_check(weft_spawn(&reader, read_byte, &fds[0]) == 0);
    wt_check(weft_sleep(1) == 0);
    wt_check(weft_watch_enter(&watch, fds[1], 0) == 0);
    wt_check(weft_sim_set_faults(&always) == 0);
    wt_check(weft_write(pipes[1], "x", 1) == 1); /* never of pipes */
    wt_check(weft_read(pipes[0], &byte, 1) == 1);
    wt_check(weft_write(fds[0], "x", 1) == -ECONNRESET);
    wt_check(weft_watch_leave(&watch, weft_sleep(1)) == -ECONNRESET);
    wt_check(weft_await(reader, &result) == 0 && result == -ECONNRESET);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_read(fds[i], &byte, 1) == -ECONNRESET);
        wt_check(weft_write(fds[i], &byte, 1) == -ECONNRESET);
        wt_check((weft_wait_fd(fds[i], WEFT_READABLE) & WEFT_HANGUP) != 0);
        wt_check(weft_close(fds[i]) == 0);
    }
    return 0;
}

Test(sim_faults, resets_break_both_ends)
{
    run_seeds(reset, NULL, 20);
}

/* ---- conservation: a pipe whose readers and writers are cancelled now and then ---- */

enum { PIPE_BYTES = 3000, PIPE_TASKS = 2 };

struct conservation {
    int fds[2];
    bool is_stopping;
    int64_t written;
    int64_t read;
    uint64_t sum_written;
    uint64_t sum_read;
    int cancelled;
};

static intptr_t read_some(void *arg)
{
    struct conservation *all = arg;
    while (!all->is_stopping) {
        unsigned char bytes[700];
        intptr_t n = weft_within((int64_t)weft_sim_random(1500) * WEFT_US,
                                 weft_read(all->fds[0], bytes, 1 + weft_sim_random(sizeof bytes)));
        if (n == 0) {
            return 0;
        }
        all->cancelled += n == -ETIMEDOUT;
        if (n < 0 && n != -ETIMEDOUT) {
            return n;
        }
        for (intptr_t i = 0; i < n; i++) {
            all->sum_read += bytes[i];
        }
        all->read += n > 0 ? n : 0;
    }
    return 0;
}

static intptr_t write_some(void *arg)
{
    struct conservation *all = arg;
    for (int done = 0; done < PIPE_BYTES;) {
        unsigned char bytes[700];
        size_t length = 1 + weft_sim_random(sizeof bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)weft_sim_random(256);
        }
        intptr_t n = weft_within((int64_t)weft_sim_random(1500) * WEFT_US,
                                 weft_write(all->fds[1], bytes, length));
        all->cancelled += n == -ETIMEDOUT;
        if (n < 0 && n != -ETIMEDOUT) {
            return n;
        }
        for (intptr_t i = 0; i < n; i++) {
            all->sum_written += bytes[i];
        }
        all->written += n > 0 ? n : 0;
        done += n > 0 ? (int)n : 0;
    }
    return 0;
}

static intptr_t conserve(void *arg)
{
    int *cancelled = arg; /* and runs with bytes left */
    int *left = cancelled + 1;
    struct conservation all = {.written = 0};
    weft_group readers;
    weft_group writers;
    wt_check(weft_sim_pipe(all.fds) == 0);
    wt_check(weft_group_open(&readers, 0) == 0);
    wt_check(weft_group_open(&writers, 0) == 0);
    for (int i = 0; i < PIPE_TASKS; i++) {
        wt_check(weft_group_spawn(&readers, NULL, read_some, &all, NULL) == 0);
        wt_check(weft_group_spawn(&writers, NULL, write_some, &all, NULL) == 0);
    }
    wt_check(weft_group_close(&writers, 0) == 0);
    all.is_stopping = true;
    wt_check(weft_group_close(&readers, 0) == 0);
    const struct wf_fake *end = wf_fake_find(wf_sim_fakes(wf_here()->sim), all.fds[0]);
    wt_check(all.read + (int64_t)end->in.length == all.written);
    *left += end->in.length > 0;
    all.is_stopping = false;
    wt_check(weft_close(all.fds[1]) == 0);
    wt_check(read_some(&all) == 0);
    wt_check(all.read == all.written && all.sum_read == all.sum_written);
    *cancelled += all.cancelled;
    return weft_close(all.fds[0]);
}

Test(sim_faults, no_byte_is_lost_or_doubled, .timeout = 60)
{
    int counts[2] = {0, 0}; /* calls cancelled, runs with bytes left to the last reader */
    run_seeds(conserve, counts, 300);
    cr_assert(counts[0] > 1000, "only %d calls were cancelled", counts[0]);
    cr_assert(counts[1] > 10, "only %d runs left bytes", counts[1]);
}

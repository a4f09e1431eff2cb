/* SPDX-License-Identifier: MIT */
/* test_select_descriptor.c - selections over descriptors: simulated, real, closed meanwhile, in several cases. */
#include <fcntl.h>
#include <unistd.h>

#include <weft/testing.h>

#include "select_test.h"

/* ---- descriptors ---- */

static void check_pipe(int fds[2])
{
    char byte = 0;
    weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE), weft_case_after(60 * WEFT_S)};
    wt_check(weft_select(cases, 2, WEFT_SELECT_POLL) == -EAGAIN);
    cases[1] = weft_case_after(WEFT_MS);
    wt_check(weft_select(cases, 2, 0) == 1);
    weft_task *writer = spawn(write_later, fds);
    cases[1] = weft_case_fd(fds[1], WEFT_WRITABLE);
    wt_check(weft_select(cases, 2, 0) == 1);
    wt_check(cases[1].outcome == WEFT_WRITABLE);
    wt_check(weft_select(cases, 1, 0) == 0);
    wt_check(cases[0].outcome == WEFT_READABLE);
    wt_check(weft_read(fds[0], &byte, 1) == 1 && byte == 'x');
    wt_check(weft_select(cases, 1, WEFT_SELECT_POLL) == -EAGAIN);
    wt_check(finish(writer) == 1);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_select(cases, 1, 0) == 0);
    wt_check((cases[0].outcome & WEFT_HANGUP) != 0);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_select(cases, 1, 0) == 0);
    wt_check(cases[0].outcome == -EBADF);
}

static intptr_t simulated_pipe(void *arg)
{
    (void)arg;
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    check_pipe(fds);
    weft_case real = weft_case_fd(0, WEFT_READABLE);
    wt_check(weft_select(&real, 1, 0) == 0);
    wt_check(real.outcome == -ENOTSUP);
    return 0;
}

Test(select, simulated_descriptors)
{
    simulate(simulated_pipe);
}

static intptr_t real_pipe(void *arg)
{
    (void)arg;
    int fds[2];
    wt_check(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    check_pipe(fds);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    weft_case one = weft_case_fd(file, WEFT_READABLE);
    wt_check(weft_select(&one, 1, 0) == 0);
    wt_check(one.outcome == weft_wait_fd(file, WEFT_READABLE));
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(select, descriptors)
{
    run(real_pipe);
}

static intptr_t close_later(void *arg)
{
    int rc = weft_sleep(WEFT_MS);
    return rc < 0 ? rc : weft_close(*(int *)arg);
}

static intptr_t closed_meanwhile(void *arg)
{
    int fds[2];
    wt_check((arg != NULL ? pipe2(fds, O_NONBLOCK | O_CLOEXEC) : weft_sim_pipe(fds)) == 0);
    weft_task *task = spawn(close_later, &fds[0]);
    weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE), none()};
    wt_check(weft_select(cases, 2, 0) == 0);
    wt_check(cases[0].outcome == -EBADF);
    wt_check(finish(task) == 0);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

static intptr_t real_closed_meanwhile(void *arg)
{
    return closed_meanwhile(&arg);
}

Test(select, descriptors_closed_meanwhile)
{
    simulate(closed_meanwhile);
    run(real_closed_meanwhile);
}

/* Both directions of one socket, and the same descriptor in two cases. */
static intptr_t both_directions(void *arg)
{
    (void)arg;
    int fds[2];
    wt_check(weft_sim_socketpair(fds) == 0);
    weft_task *writer = spawn(write_later, fds);
    weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE), weft_case_fd(fds[0], WEFT_READABLE),
                         weft_case_fd(fds[0], WEFT_HANGUP)};
    int chosen = weft_select(cases, 3, 0);
    wt_check(chosen == 0 || chosen == 1);
    wt_check(finish(writer) == 1);
    weft_case both = weft_case_fd(fds[0], (unsigned)WEFT_READABLE | (unsigned)WEFT_WRITABLE);
    wt_check(weft_select(&both, 1, 0) == 0);
    wt_check(both.outcome == (WEFT_READABLE | WEFT_WRITABLE));
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(select, one_descriptor_in_several_cases)
{
    simulate(both_directions);
}

/* A hint that came to nothing: the byte is read by somebody else before select looks. */
static intptr_t read_first(void *arg)
{
    char byte;
    return weft_read(*(int *)arg, &byte, 1);
}

static intptr_t lost_hint(void *arg)
{
    (void)arg;
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    weft_task *reader = spawn(read_first, &fds[0]);
    wt_check(weft_yield() == 0);
    weft_task *writer = spawn(write_later, fds);
    weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE), weft_case_after(5 * WEFT_MS)};
    int chosen = weft_select(cases, 2, 0);
    wt_check(chosen == 0 || chosen == 1);
    char byte;
    if (chosen == 0) { /* it was faster than the reader, who may still be faster than the read */
        wt_check(weft_write(fds[1], "y", 1) == 1);
        wt_check(weft_read(fds[0], &byte, 1) == 1);
    }
    wt_check(finish(reader) == 1);
    wt_check(finish(writer) == 1);
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(select, a_lost_hint_begins_again)
{
    simulate(lost_hint);
}

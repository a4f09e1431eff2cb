// SPDX-License-Identifier: MIT
/* sweep.c - the cancel sweep runs a function once for each moment at which a cancellation may meet it, and
 * tells what it then leaves behind. ask_carelessly() works in every ordinary test and leaks in two ways;
 * ask() is the same with both put right.
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>
#include <weft/testing.h>

static void close_end(void *arg)
{
    (void)weft_close((int)(intptr_t)arg);
}

/* The other side: sends back what it gets. It owns its descriptor. */
static intptr_t answer(void *arg)
{
    char byte;
    ssize_t n = weft_read((int)(intptr_t)arg, &byte, 1);
    if (n == 1) {
        n = weft_write((int)(intptr_t)arg, &byte, 1);
    }
    close_end(arg);
    return n < 0 ? n : 0;
}

/* Two leaks: where the question can't be asked nobody closes fds[0]; and the group then cancels answer()
 * before it has started, so that it never runs and does not close fds[1]. */
static intptr_t ask_carelessly(void *arg)
{
    int fds[2];
    char byte = *(const char *)arg;
    weft_group group;
    int rc = weft_sim_socketpair(fds);
    rc = rc < 0 ? rc : weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, NULL, answer, (void *)(intptr_t)fds[1], NULL);
    ssize_t n = rc < 0 ? rc : weft_write(fds[0], &byte, 1);
    if (n == 1) {
        n = weft_read(fds[0], &byte, 1);
        (void)weft_close(fds[0]);
    }
    return weft_group_close(&group, n < 0 ? n : 0);
}

static intptr_t ask(void *arg)
{
    static const weft_spawn_options owning = {.drop_arg = close_end};
    int fds[2];
    char byte = *(const char *)arg;
    weft_group group;
    int rc = weft_sim_socketpair(fds);
    rc = rc < 0 ? rc : weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, NULL, answer, (void *)(intptr_t)fds[1], &owning);
    if (rc < 0) {
        (void)weft_close(fds[1]); /* a spawn that fails leaves it to us */
    }
    ssize_t n = rc < 0 ? rc : weft_write(fds[0], &byte, 1);
    if (n == 1) {
        n = weft_read(fds[0], &byte, 1);
    }
    (void)weft_close(fds[0]);
    return weft_group_close(&group, n < 0 ? n : 0);
}

static void print(const weft_sweep_leak *leak, void *arg)
{
    (void)arg;
    printf("  %s\n", leak->text);
}

static int64_t sweep(const char *name, weft_fn *fn)
{
    const weft_sweep_options options = {.found = print};
    weft_sweep_report report = {.size = sizeof report};
    char question = '?';
    printf("%s\n", name);
    int64_t findings = weft_cancel_sweep(fn, &question, &options, &report);
    printf("  %d await points, %d runs: %d findings\n", (int)report.points, (int)report.runs,
           (int)findings);
    return findings;
}

int main(void)
{
    bool is_found = sweep("ask_carelessly", ask_carelessly) > 0;
    bool is_clean = sweep("ask", ask) == 0;
    return is_found && is_clean ? 0 : 1;
}

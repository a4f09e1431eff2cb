/* SPDX-License-Identifier: MIT */
/* test_faults_process.c - system calls fail one by one under processes. What for is in faults.h. */
#include "faults.h"
#include "support.h"
#include "weft_test.h"

/* What it is told, it writes. */
static int feed(weft_process *child)
{
    char text[8];
    ssize_t n = weft_write(child->input, "abc", 3);

    (void)weft_close(child->input);
    child->input = -1;
    if (!WT_MAY(n, WAIT_ERRORS)) {
        return (int)n;
    }
    n = weft_read(child->output, text, sizeof text);
    WT_MAY(n, WAIT_ERRORS);
    wt_check(n < 0 || n == 3);
    return n < 0 ? (int)n : 0;
}

static intptr_t use_processes(void *arg)
{
    const weft_process_options options = {
        .input = WEFT_PROCESS_PIPE, .output = WEFT_PROCESS_PIPE, .error = WEFT_PROCESS_NULL};
    char *const cat[] = {wt_word("/bin/cat"), NULL};
    char *const end[] = {wt_word("/bin/true"), NULL};
    weft_process child;
    int status = -1;
    int rc = weft_process_spawn(&child, cat, &options);

    (void)arg;
    if (WT_MAY(rc, WAIT_ERRORS)) {
        rc = feed(&child);
        wt_check(weft_process_close(&child, rc) == rc);
    }
    rc = weft_process_run(end, NULL, &status);
    if (WT_MAY(rc, WAIT_ERRORS)) {
        wt_check(status == 0);
    }
    return 0;
}

FAULT_TEST(faults_process, processes, use_processes, 250)

/* SPDX-License-Identifier: MIT */
/* runtime_test.h - what the tests of runtimes share: simulations whose reports are kept. */
#ifndef WEFT_RUNTIME_TEST_H
#define WEFT_RUNTIME_TEST_H

#include <errno.h>
#include <pthread.h>

#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "support.h"
#include "weft_test.h"

enum { REPORTS = 64 };

static struct {
    weft_diagnostic_kind kind;
    int error;
    char name[64];
} reports[REPORTS];
static atomic_int report_count;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER; /* any worker reports */

WT_FN void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    wt_check(what->text[0] != '\0' && what->site[0] != '\0' && what->task_id != 0);
    pthread_mutex_lock(&report_lock);
    int at = atomic_fetch_add(&report_count, 1);
    if (at < REPORTS) {
        reports[at].kind = what->kind;
        reports[at].error = what->error;
        snprintf(reports[at].name, sizeof reports[at].name, "%s", what->name);
    }
    pthread_mutex_unlock(&report_lock);
}

WT_FN int reported(weft_diagnostic_kind kind)
{
    int count = 0;

    pthread_mutex_lock(&report_lock);
    for (int i = 0; i < atomic_load(&report_count) && i < REPORTS; i++) {
        count += reports[i].kind == kind;
    }
    pthread_mutex_unlock(&report_lock);
    return count;
}

__attribute__((unused)) static const weft_options simulated = {.simulate = true,
                                                               .diagnostic = on_report};

WT_FN intptr_t sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

WT_FN intptr_t sleep_ms(void *arg)
{
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);

    return rc < 0 ? rc : (intptr_t)arg;
}

WT_FN intptr_t fail_when_told(void *arg)
{
    return weft_sleep(100 * WEFT_S) == -ECANCELED ? (intptr_t)arg : 0;
}

WT_FN intptr_t small_program(void *arg)
{
    weft_task *tasks[8];

    (void)arg;
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_ms, word(0)) == 0);
    }
    for (int i = 0; i < 8; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(weft_spawn(NULL, sleep_for_ever, NULL) == 0);
    return weft_yield();
}

#endif

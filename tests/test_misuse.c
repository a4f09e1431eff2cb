// SPDX-License-Identifier: MIT
/* test_misuse.c - in debug builds a call that is refused as misuse is reported with both tasks' names. */
#include <errno.h>

#include <weft.h>

#include "base/log.h"
#include "weft_test.h"

static char reports[4096];
static int last_error;
static int report_count;

static void on_report(const weft_diagnostic *what, void *arg)
{
    size_t length = strlen(reports);
    (void)arg;
    if (what->kind == WEFT_DIAG_MISUSE) {
        (void)snprintf(reports + length, sizeof reports - length, "%s\n", what->text);
        last_error = what->error;
        report_count++;
    }
}

/* Runs fn in a task with the name "culprit" and forgets the reports of before. */
static intptr_t run_culprit(void *arg)
{
    const weft_spawn_options name = {.name = "culprit"};
    weft_fn **fn = arg;
    weft_task *task;
    wt_check(weft_spawn_with(&task, *fn, NULL, &name) == 0);
    return weft_await(task, NULL);
}

static void run_misuse(weft_fn *fn)
{
    const weft_options options = {.simulate = true, .diagnostic = on_report};
    reports[0] = '\0';
    last_error = 0;
    report_count = 0;
    cr_assert_eq(weft_run(run_culprit, &fn, &options), 0);
    wt_assert_clean();
}

/* The report of the only misuse names the culprit, the call, and `other` unless that is NULL. */
static void assert_report(int error, const char *call, const char *other)
{
    if (!WF_IS_DEBUG) {
        cr_assert_eq(report_count, 0, "%s", reports);
        wt_skip("misuse is refused everywhere, but reported in debug builds only");
    }
    cr_assert_eq(report_count, 1, "%s", reports);
    cr_assert_eq(last_error, error, "%s", reports);
    cr_assert_not_null(strstr(reports, "misuse: task \"culprit\" (#"), "%s", reports);
    cr_assert_not_null(strstr(reports, call), "%s", reports);
    cr_assert(other == NULL || strstr(reports, other) != NULL, "%s", reports);
}

static weft_task *spawn_peer(weft_fn *fn, void *arg)
{
    const weft_spawn_options name = {.name = "peer"};
    weft_task *task = NULL;
    wt_check(weft_spawn_with(&task, fn, arg, &name) == 0);
    wt_check(weft_sleep(WEFT_US) == 0); /* it has come to its wait */
    return task;
}

static void end_peer(weft_task *task)
{
    (void)weft_cancel(task);
    wt_check(weft_await(task, NULL) == 0);
}

/* ---- mutex ---- */

static intptr_t unlock_free(void *arg)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    (void)arg;
    wt_check(weft_mutex_unlock(&mutex) == -EPERM);
    return 0;
}

Test(misuse, unlocking_a_free_mutex)
{
    run_misuse(unlock_free);
    assert_report(-EPERM, "weft_mutex_unlock: ", NULL);
}

static intptr_t hold(void *arg)
{
    wt_check(weft_mutex_lock(arg) == 0);
    int rc = weft_sleep(WEFT_S);
    wt_check(weft_mutex_unlock(arg) == 0);
    return rc;
}

static intptr_t unlock_anothers(void *arg)
{
    weft_mutex mutex;
    (void)arg;
    wt_check(weft_mutex_init(&mutex, WEFT_MUTEX_OWNED) == 0);
    weft_task *peer = spawn_peer(hold, &mutex);
    wt_check(weft_mutex_unlock(&mutex) == -EPERM);
    end_peer(peer);
    return 0;
}

Test(misuse, unlocking_a_mutex_of_another)
{
    run_misuse(unlock_anothers);
    assert_report(-EPERM, "not locked by the caller, but by task \"peer\" (#", "test_misuse.c:");
}

static intptr_t lock_again(void *arg)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    (void)arg;
    wt_check(weft_mutex_lock(&mutex) == 0);
    wt_check(weft_mutex_lock(&mutex) == -EDEADLK);
    wt_check(weft_mutex_unlock(&mutex) == 0);
    return 0;
}

Test(misuse, locking_ones_own_mutex)
{
    run_misuse(lock_again);
    assert_report(-EDEADLK, "weft_mutex_lock: ", NULL);
}

static intptr_t destroy_held(void *arg)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    (void)arg;
    weft_task *peer = spawn_peer(hold, &mutex);
    wt_check(weft_mutex_destroy(&mutex) == -EBUSY);
    end_peer(peer);
    wt_check(weft_mutex_destroy(&mutex) == 0);
    return 0;
}

Test(misuse, destroying_a_mutex_in_use)
{
    run_misuse(destroy_held);
    assert_report(-EBUSY, "weft_mutex_destroy: ", "by task \"peer\" (#");
}

/* ---- semaphore ---- */

static intptr_t acquire(void *arg)
{
    return weft_sem_acquire(arg, 1);
}

static intptr_t destroy_semaphore(void *arg)
{
    weft_sem sem = WEFT_SEM_INIT(0);
    (void)arg;
    weft_task *peer = spawn_peer(acquire, &sem);
    wt_check(weft_sem_destroy(&sem) == -EBUSY);
    end_peer(peer);
    wt_check(weft_sem_destroy(&sem) == 0);
    return 0;
}

Test(misuse, destroying_a_semaphore_in_use)
{
    run_misuse(destroy_semaphore);
    assert_report(-EBUSY, "weft_sem_destroy: ", "by task \"peer\" (#");
}

/* ---- queue ---- */

static intptr_t get(void *arg)
{
    int item;
    return weft_queue_get(arg, &item);
}

static intptr_t destroy_queue(void *arg)
{
    weft_queue queue;
    (void)arg;
    wt_check(weft_queue_init(&queue, sizeof(int), 1, NULL) == 0);
    weft_task *peer = spawn_peer(get, &queue);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    end_peer(peer);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(misuse, destroying_a_queue_in_use)
{
    run_misuse(destroy_queue);
    assert_report(-EBUSY, "weft_queue_destroy: ", "by task \"peer\" (#");
}

static intptr_t get_and_stay(void *arg)
{
    int item;
    wt_check(weft_queue_get(arg, &item) == 0);
    wt_check(weft_queue_done(arg) == 0);
    return weft_sleep(WEFT_S);
}

static intptr_t done_too_often(void *arg)
{
    weft_queue queue;
    const int item = 1;
    (void)arg;
    wt_check(weft_queue_init(&queue, sizeof(int), 1, NULL) == 0);
    wt_check(weft_queue_put(&queue, &item) == 0);
    weft_task *peer = spawn_peer(get_and_stay, &queue);
    wt_check(weft_queue_done(&queue) == -EINVAL);
    end_peer(peer);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(misuse, reporting_work_as_done_too_often)
{
    run_misuse(done_too_often);
    assert_report(-EINVAL, "weft_queue_done: ", "last taken from by task \"peer\" (#");
}

/* ---- rwlock, once, condition ---- */

static intptr_t unlock_free_rwlock(void *arg)
{
    weft_rwlock rwlock = WEFT_RWLOCK_INIT;
    (void)arg;
    wt_check(weft_rwlock_unlock(&rwlock) == -EPERM);
    return 0;
}

Test(misuse, unlocking_a_free_rwlock)
{
    run_misuse(unlock_free_rwlock);
    assert_report(-EPERM, "weft_rwlock_unlock: ", NULL);
}

static intptr_t read_own(void *arg)
{
    weft_rwlock rwlock = WEFT_RWLOCK_INIT;
    (void)arg;
    wt_check(weft_rwlock_write_lock(&rwlock) == 0);
    wt_check(weft_rwlock_read_lock(&rwlock) == -EDEADLK);
    wt_check(weft_rwlock_unlock(&rwlock) == 0);
    return 0;
}

Test(misuse, reading_what_one_writes)
{
    run_misuse(read_own);
    assert_report(-EDEADLK, "weft_rwlock_read_lock: ", NULL);
}

static intptr_t write_and_stay(void *arg)
{
    wt_check(weft_rwlock_write_lock(arg) == 0);
    int rc = weft_sleep(WEFT_S);
    wt_check(weft_rwlock_unlock(arg) == 0);
    return rc;
}

static intptr_t destroy_written(void *arg)
{
    weft_rwlock rwlock = WEFT_RWLOCK_INIT;
    (void)arg;
    weft_task *peer = spawn_peer(write_and_stay, &rwlock);
    wt_check(weft_rwlock_destroy(&rwlock) == -EBUSY);
    end_peer(peer);
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

Test(misuse, destroying_a_rwlock_in_use)
{
    run_misuse(destroy_written);
    assert_report(-EBUSY, "weft_rwlock_destroy: ", "by task \"peer\" (#");
}

static weft_once once = WEFT_ONCE_INIT;

static int within(void *arg)
{
    (void)arg;
    wt_check(weft_once_run(&once, within, NULL) == -EDEADLK);
    return 0;
}

static intptr_t once_within(void *arg)
{
    (void)arg;
    return weft_once_run(&once, within, NULL);
}

Test(misuse, once_from_within)
{
    run_misuse(once_within);
    assert_report(-EDEADLK, "weft_once_run: ", NULL);
}

static intptr_t wait_unlocked(void *arg)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    weft_cond cond;
    (void)arg;
    wt_check(weft_cond_init(&cond, &mutex) == 0);
    weft_task *peer = spawn_peer(hold, &mutex);
    wt_check(weft_cond_wait(&cond) == -EPERM);
    end_peer(peer);
    return 0;
}

Test(misuse, waiting_with_a_mutex_of_another)
{
    run_misuse(wait_unlocked);
    assert_report(-EPERM, "weft_cond_wait: ", "but by task \"peer\" (#");
}

/* ---- plain threads ---- */

Test(misuse, a_plain_thread_has_no_hook)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    cr_assert_eq(weft_mutex_unlock(&mutex), -EPERM); /* in debug builds a line on standard error */
}

static weft_mutex forgotten;

static intptr_t lock_and_forget(void *arg)
{
    (void)arg;
    return weft_mutex_lock(&forgotten);
}

/* Its owner's runtime has gone with all its memory. */
Test(misuse, destroying_what_an_earlier_runtime_left_locked)
{
    cr_assert_eq(weft_run(lock_and_forget, NULL, NULL), 0);
    cr_assert_eq(weft_mutex_destroy(&forgotten), -EBUSY);
}

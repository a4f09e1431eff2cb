// SPDX-License-Identifier: MIT
/* blocking.c - queue, threads, and how many of them.
 *
 * A submitted job calls the thread that fell idle last, and only if nobody is idle a new one is made:
 * so each queued job has a thread on its way to the queue, until the limit is reached. Each thread
 * sleeps on an event count of its own: a shared one would wake all for every job.
 * Thread records stay until the pool ends: whoever has called a thread touches its event count
 * without the lock, when the thread may have timed out, run the job and be gone.
 */
#include "sched/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <ck_ec.h>

#include "base/clock.h"
#include "base/futex.h"
#include "sched/sched.h"
#include "task/context.h"

enum { THREADS_MAX = 512 };

#define IDLE_NS INT64_C(5000000000)
#define NS_PER_S INT64_C(1000000000)

struct pool_thread {
    struct wf_list link;      /* among the idle or the ended, under lock */
    struct pool_thread *next; /* all records, under lock */
    struct wf_pool *pool;
    bool is_idle; /* nobody has called it: under lock */

    /* Whoever has taken the record from the ended ones. */
    pthread_t thread;
    bool has_thread; /* to be joined */

    /* Raised by whoever calls the thread, after taking it from the idle ones; the thread waits for it
     * to change from what it was when it went there. */
    struct ck_ec32 called;
};

struct wf_pool {
    const weft_runtime *runtime;
    struct wf_lock lock;
    struct wf_list queue; /* wf_job.link */
    struct wf_list idle;  /* the last one is called first */
    struct wf_list ended; /* records to be used again, once their threads are joined */
    struct pool_thread *all;
    uint32_t thread_count;  /* made, or about to be */
    uint32_t started_count; /* look at the queue before they end */
    uint64_t call_count;    /* calls begun */
    bool is_stopping;
};

/* Of the calling thread; NULL: it is no pool's. */
static _Thread_local const weft_runtime *served;

/* ---- the event count's system calls ---- */

static int get_time(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

static void wait_word(const struct ck_ec_wait_state *state, const uint32_t *word, uint32_t expected,
                      const struct timespec *deadline)
{
    (void)state;
    int64_t deadline_ns =
        deadline != NULL ? (int64_t)deadline->tv_sec * NS_PER_S + deadline->tv_nsec : WF_FOREVER;
    wf_futex_wait((wf_au32 *)(uintptr_t)word, expected, deadline_ns);
}

static void wake_word(const struct ck_ec_ops *ops, const uint32_t *word)
{
    (void)ops;
    wf_futex_wake((wf_au32 *)(uintptr_t)word, 1); /* it has one waiter */
}

static const struct ck_ec_ops ec_ops = {
    .gettime = get_time,
    .wait32 = wait_word,
    .wake32 = wake_word,
    .initial_wait_ns = NS_PER_S, /* its growing waits are for another mode of waking */
};
static const struct ck_ec_mode ec_mode = {.ops = &ec_ops, .single_producer = false};

/* ---- a thread ---- */

static struct wf_job *take_job(struct wf_pool *pool)
{
    if (wf_list_is_empty(&pool->queue)) {
        return NULL;
    }
    struct wf_job *job = WF_CONTAINER(pool->queue.next, struct wf_job, link);
    wf_list_remove(&job->link);
    job->state = WF_JOB_RUNNING;
    pool->call_count++;
    return job;
}

static void run_job(struct wf_job *job)
{
    wf_here_lend(job->context);
    job->result = job->fn(job->arg);
    if (job->drop_arg != NULL) {
        job->drop_arg(job->arg);
    }
    wf_here_lend(NULL);
    if (job->drop_arg != NULL) {
        wf_context_drop(job->context);
        job->context = NULL;
    }
}

/* Returns the job if nobody waits for it any more: to be freed. Else it is gone after this. */
static struct wf_job *end_job(struct wf_job *job, struct wf_later *later)
{
    job->state = WF_JOB_DONE;
    if (job->wait == NULL) {
        return job;
    }
    (void)wf_wait_claim(job->wait, WF_GRANTED, later);
    return NULL;
}

/* What the event count says now: it will differ once somebody has called. */
static uint32_t lie_down(struct wf_pool *pool, struct pool_thread *self)
{
    self->is_idle = true;
    wf_list_push(&pool->idle, &self->link);
    return ck_ec32_value(&self->called);
}

/* False when nobody has called for long. */
static bool get_up(struct pool_thread *self, int64_t deadline_ns)
{
    if (!self->is_idle) {
        return true;
    }
    self->is_idle = false;
    wf_list_remove(&self->link);
    return wf_monotonic_ns() < deadline_ns;
}

static void sleep_until_called(struct pool_thread *self, uint32_t before, int64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    (void)ck_ec32_wait(&self->called, &ec_mode, before, &deadline);
}

/* Ending a job and looking for the next is one step under the lock: whoever is woken by the first and
 * submits another finds the thread idle already. */
static void *thread_main(void *arg)
{
    struct pool_thread *self = arg;
    struct wf_pool *pool = self->pool;
    struct wf_job *unattended = NULL;
    struct wf_later later;
    bool goes_on = true;
    served = pool->runtime;
    wf_later_init(&later);
    wf_lock(&pool->lock);
    pool->started_count++;
    for (;;) {
        struct wf_job *job = take_job(pool);
        if (job == NULL && (pool->is_stopping || !goes_on)) {
            break;
        }
        uint32_t before = job == NULL ? lie_down(pool, self) : 0;
        wf_unlock(&pool->lock);
        free(unattended);
        unattended = NULL;
        wf_sched_flush(&later);
        if (job != NULL) {
            run_job(job);
            wf_lock(&pool->lock);
            unattended = end_job(job, &later);
            goes_on = true;
        } else {
            int64_t deadline_ns = wf_monotonic_ns() + IDLE_NS;
            sleep_until_called(self, before, deadline_ns);
            wf_lock(&pool->lock);
            goes_on = get_up(self, deadline_ns);
        }
    }
    pool->thread_count--;
    pool->started_count--;
    wf_list_push(&pool->ended, &self->link);
    wf_unlock(&pool->lock);
    free(unattended);
    wf_sched_flush(&later);
    return NULL;
}

/* ---- making threads ---- */

/* A record to use: that of a thread that has ended, or a new one. */
static struct pool_thread *take_record(struct wf_pool *pool)
{
    struct pool_thread *record = NULL;
    wf_lock(&pool->lock);
    if (!wf_list_is_empty(&pool->ended)) {
        record = WF_CONTAINER(pool->ended.next, struct pool_thread, link);
        wf_list_remove(&record->link);
    }
    wf_unlock(&pool->lock);
    if (record == NULL) {
        record = calloc(1, sizeof *record);
        if (record != NULL) {
            record->pool = pool;
            wf_list_init(&record->link);
            ck_ec32_init(&record->called, 0);
            wf_lock(&pool->lock);
            record->next = pool->all;
            pool->all = record;
            wf_unlock(&pool->lock);
        }
    } else if (record->has_thread) {
        (void)pthread_join(record->thread, NULL); /* it has only to return */
        record->has_thread = false;
    }
    return record;
}

/* Signals are for the program's own threads. */
static int start_thread(struct pool_thread *record)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    record->has_thread = true; /* before: it may end, and the record change hands, at once */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&record->thread, NULL, thread_main, record);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        record->has_thread = false;
    }
    return -rc;
}

/* The caller has counted the thread. Whether it could be made. */
static int add_thread(struct wf_pool *pool)
{
    struct pool_thread *record = take_record(pool);
    int rc = record != NULL ? start_thread(record) : -ENOMEM;
    if (rc < 0) {
        wf_lock(&pool->lock);
        pool->thread_count--;
        if (record != NULL) {
            wf_list_push(&pool->ended, &record->link);
        }
        wf_unlock(&pool->lock);
    }
    return rc;
}

/* ---- jobs ---- */

/* No thread could be made for it. Those that there are look at the queue before they sleep or end: if
 * there is one, the job may stay. */
static int keep_or_refuse(struct wf_pool *pool, struct wf_job *job, int error)
{
    wf_lock(&pool->lock);
    bool stays = job->state != WF_JOB_QUEUED || pool->started_count > 0;
    if (!stays) {
        wf_list_remove(&job->link);
    }
    wf_unlock(&pool->lock);
    return stays ? 0 : error;
}

int wf_pool_submit(struct wf_pool *pool, struct wf_job *job)
{
    struct pool_thread *idle = NULL;
    bool needs_thread = false;
    job->state = WF_JOB_QUEUED;
    wf_lock(&pool->lock);
    wf_list_push(&pool->queue, &job->link);
    if (!wf_list_is_empty(&pool->idle)) {
        idle = WF_CONTAINER(pool->idle.prev, struct pool_thread, link);
        wf_list_remove(&idle->link);
        idle->is_idle = false;
    } else if (pool->thread_count < THREADS_MAX) {
        pool->thread_count++;
        needs_thread = true;
    }
    wf_unlock(&pool->lock);
    if (idle != NULL) {
        ck_ec32_inc(&idle->called, &ec_mode);
    }
    int rc = needs_thread ? add_thread(pool) : 0;
    return rc < 0 ? keep_or_refuse(pool, job, rc) : 0;
}

bool wf_pool_withdraw(struct wf_pool *pool, struct wf_job *job, struct wf_later *later)
{
    wf_lock(&pool->lock);
    bool is_ours = job->state == WF_JOB_QUEUED;
    if (is_ours) {
        wf_list_remove(&job->link);
        job->state = WF_JOB_WITHDRAWN;
        (void)wf_wait_claim(job->wait, WF_GRANTED, later);
    }
    wf_unlock(&pool->lock);
    return is_ours;
}

enum wf_job_state wf_pool_abandon(struct wf_pool *pool, struct wf_job *job)
{
    wf_lock(&pool->lock);
    if (job->state == WF_JOB_QUEUED) {
        wf_list_remove(&job->link);
        job->state = WF_JOB_WITHDRAWN;
    }
    job->wait = NULL;
    enum wf_job_state state = job->state;
    wf_unlock(&pool->lock);
    return state;
}

/* ---- life ---- */

struct wf_pool *wf_pool_of(weft_runtime *runtime)
{
    wf_lock(&runtime->attach_lock);
    struct wf_pool *pool = runtime->pool;
    if (pool == NULL) {
        pool = calloc(1, sizeof *pool);
        if (pool != NULL) {
            pool->runtime = runtime;
            wf_list_init(&pool->queue);
            wf_list_init(&pool->idle);
            wf_list_init(&pool->ended);
            runtime->pool = pool;
        }
    }
    wf_unlock(&runtime->attach_lock);
    return pool;
}

static void call_all(struct wf_pool *pool)
{
    wf_lock(&pool->lock);
    pool->is_stopping = true;
    while (!wf_list_is_empty(&pool->idle)) {
        struct pool_thread *idle = WF_CONTAINER(pool->idle.next, struct pool_thread, link);
        wf_list_remove(&idle->link);
        idle->is_idle = false;
        ck_ec32_inc(&idle->called, &ec_mode);
    }
    wf_unlock(&pool->lock);
}

__attribute__((noinline)) bool wf_pool_is_here(const weft_runtime *runtime)
{
    return served == runtime;
}

void wf_pool_count(struct wf_pool *pool, uint64_t *threads, uint64_t *calls)
{
    *threads = 0;
    *calls = 0;
    if (pool != NULL) {
        wf_lock(&pool->lock);
        *threads = pool->thread_count;
        *calls = pool->call_count;
        wf_unlock(&pool->lock);
    }
}

void wf_pool_destroy(struct wf_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    call_all(pool);
    /* Nobody adds to them any more; but a thread that ends still links its record beside others. */
    for (struct pool_thread *record = pool->all; record != NULL; record = record->next) {
        if (record->has_thread) {
            (void)pthread_join(record->thread, NULL);
        }
    }
    while (pool->all != NULL) {
        struct pool_thread *record = pool->all;
        pool->all = record->next;
        free(record);
    }
    free(pool);
}

// SPDX-License-Identifier: MIT
/* worker_pool.c - jobs go through a bounded queue to a few workers, which run in parallel. The end in good
 * order: join, close. The end by a time limit: whoever has a job frees it, the queue frees the rest.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { WORKERS = 4, ROOM = 8 };

struct job {
    int number;
};

struct pool {
    weft_queue jobs; /* of struct job pointers: whoever has taken one owns it */
    weft_mutex lock; /* guards the rest */
    int done;
    long sum;
};

static atomic_int jobs_alive;

static struct job *make_job(int number)
{
    struct job *job = malloc(sizeof *job);
    if (job != NULL) {
        job->number = number;
        jobs_alive++;
    }
    return job;
}

static void free_job(struct job *job)
{
    free(job);
    jobs_alive--;
}

/* The queue's: for jobs that nobody takes any more. */
static void drop_job(void *item)
{
    free_job(*(struct job **)item);
}

static int handle(struct pool *pool, const struct job *job)
{
    int rc = weft_sleep(WEFT_MS / 10); /* the work */
    if (rc == 0) {
        rc = weft_mutex_lock(&pool->lock);
    }
    if (rc < 0) {
        return rc; /* cancelled: not locked */
    }
    pool->done++;
    pool->sum += job->number;
    return weft_mutex_unlock(&pool->lock);
}

static intptr_t work(void *arg)
{
    struct pool *pool = arg;
    struct job *job;
    int rc;
    while ((rc = weft_queue_get(&pool->jobs, &job)) == 0) {
        rc = handle(pool, job);
        free_job(job); /* on every path, and never refused */
        (void)weft_queue_done(&pool->jobs);
        if (rc < 0) {
            break;
        }
    }
    return rc == -ESHUTDOWN ? 0 : rc; /* closed and empty: all is done */
}

static int produce(struct pool *pool, int count)
{
    for (int i = 1; i <= count; i++) {
        struct job *job = make_job(i);
        int rc = job != NULL ? weft_queue_put(&pool->jobs, &job) : -ENOMEM;
        if (rc < 0) {
            if (job != NULL) {
                free_job(job); /* a put that fails leaves the item with the caller */
            }
            return rc;
        }
    }
    return weft_queue_join(&pool->jobs); /* until the last of them is done */
}

/* The workers may borrow the pool: closing the group returns only when all of them have ended. */
static intptr_t run(struct pool *pool, int count)
{
    weft_group workers;
    intptr_t rc = weft_group_open(&workers, 0);
    if (rc < 0) {
        return rc;
    }
    for (int i = 0; i < WORKERS && rc == 0; i++) {
        rc = weft_group_spawn(&workers, NULL, work, pool, NULL);
    }
    rc = rc < 0 ? rc : produce(pool, count);
    (void)weft_queue_close(&pool->jobs);
    return weft_group_close(&workers, rc); /* with an error, -ECANCELED among them: cancels them */
}

static intptr_t use_pool(int count, struct pool *pool)
{
    *pool = (struct pool){.lock = WEFT_MUTEX_INIT};
    intptr_t rc = weft_queue_init(&pool->jobs, sizeof(struct job *), ROOM, drop_job);
    if (rc == 0) {
        rc = run(pool, count);
        (void)weft_queue_destroy(&pool->jobs); /* drops the jobs that are left */
    }
    return rc;
}

static intptr_t app(void *arg)
{
    struct pool pool;
    (void)arg;
    intptr_t rc = use_pool(1000, &pool);
    if (rc < 0) {
        return rc;
    }
    printf("%d jobs are done, their sum is %ld\n", pool.done, pool.sum);
    rc = weft_within(20 * WEFT_MS, use_pool(1000000, &pool));
    printf("a million: %s, jobs left over: %d\n", strerror((int)-rc), (int)jobs_alive);
    return rc == -ETIMEDOUT && jobs_alive == 0 ? 0 : -EPROTO;
}

int main(void)
{
    return weft_run(app, NULL, NULL) == 0 ? 0 : 1;
}

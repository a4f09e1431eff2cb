/* SPDX-License-Identifier: MIT */
/* test_blocking.c - blocking calls whose fibers are cancelled while the calls run, wait, or end.
 *
 * A call that takes long is one that waits at a gate, which the test opens when it has seen enough. Arguments
 * are on the heap and freed by whoever ends with them, so one freed twice, too early or never is found. */
#include <weft/blocking.h>
#include <weft/local.h>
#include <weft/stats.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

/* ---- a gate ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int inside;
    bool is_open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    while (!gate.is_open) {
        pthread_cond_wait(&gate.change, &gate.lock);
    }
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
}

static void set_gate(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.change);
    pthread_mutex_unlock(&gate.lock);
}

static void until_inside(int count)
{
    for (int inside = -1; inside != count;) {
        pthread_mutex_lock(&gate.lock);
        inside = gate.inside;
        pthread_mutex_unlock(&gate.lock);
        wt_check(weft_yield() == 0);
    }
}

/* ---- calls ---- */

static atomic_int made, freed, ran;

static int *make_arg(int value)
{
    int *arg = malloc(sizeof *arg);

    if (wt_check(arg != NULL)) {
        *arg = value;
        atomic_fetch_add(&made, 1);
    }
    return arg;
}

static void free_arg(void *arg)
{
    free(arg);
    atomic_fetch_add(&freed, 1);
}

static intptr_t call_long(void *arg)
{
    pass_gate();
    atomic_fetch_add(&ran, 1);
    return *(int *)arg;
}

static intptr_t call_short(void *arg)
{
    int value = *(int *)arg;

    for (int i = value % 8 == 0 ? 20 * value : 0; i > 0; i--) {
        wf_relax();
    }
    atomic_fetch_add(&ran, 1);
    return value % 5 == 0 ? -EIO : value;
}

static intptr_t await_long(void *arg)
{
    intptr_t result = -1;
    int rc = weft_blocking(call_long, make_arg((int)(intptr_t)arg), free_arg, &result);

    wt_check(rc == 0 ? result == (intptr_t)arg : rc == -ECANCELED && result == -1);
    return rc < 0 ? rc : result;
}

static void reset(void)
{
    set_gate(false);
    atomic_store(&made, 0);
    atomic_store(&freed, 0);
    atomic_store(&ran, 0);
}

static void until_freed(int count)
{
    while (atomic_load(&freed) < count) {
        wt_check(weft_yield() == 0);
    }
    wt_check(atomic_load(&freed) == count);
}

/* ---- cancelled while they run (X01) ---- */

enum { CALLS = 12 };

/* The gate is closed until all that are cancelled have ended: so they did not wait for their calls. */
static void cancel_running(uint64_t *random)
{
    weft_task *tasks[CALLS];
    bool is_cancelled[CALLS];

    reset();
    for (intptr_t i = 0; i < CALLS; i++) {
        wt_check(weft_spawn(&tasks[i], await_long, (void *)(i + 1)) == 0);
    }
    until_inside(CALLS);
    for (int i = 0; i < CALLS; i++) {
        is_cancelled[i] = draw(random) % 4 != 0;
        wt_check(!is_cancelled[i] || weft_cancel(tasks[i]) == 1);
    }
    for (int i = 0; i < CALLS; i++) {
        intptr_t result = 0;

        wt_check(!is_cancelled[i] || (weft_join(tasks[i], &result) == 0 && result == -ECANCELED));
    }
    wt_check(atomic_load(&freed) == 0 && atomic_load(&ran) == 0);
    set_gate(true);
    for (int i = 0; i < CALLS; i++) {
        intptr_t result = 0;

        wt_check(weft_await(tasks[i], &result) == 0);
        wt_check(result == (is_cancelled[i] ? -ECANCELED : i + 1));
    }
    until_freed(CALLS);
    wt_check(atomic_load(&ran) == CALLS); /* unattended, but to its end */
}

static intptr_t cancel_running_often(void *arg)
{
    uint64_t random = as_seed(arg);

    for (int i = 0; i < STRESS_COUNT(200); i++) {
        cancel_running(&random);
    }
    return 0;
}

STRESS_TEST(blocking, calls_run_on_when_their_tasks_are_cancelled, cancel_running_often);

/* ---- cancelled while they are queued (X02) ---- */

enum { THREADS = 512, QUEUED = 32 };

static void cancel_queued(void)
{
    static weft_task *busy[THREADS];
    weft_task *queued[QUEUED];

    reset();
    for (intptr_t i = 0; i < THREADS; i++) {
        wt_check(weft_spawn(&busy[i], await_long, (void *)(i + 1)) == 0);
    }
    until_inside(THREADS);
    for (intptr_t i = 0; i < QUEUED; i++) {
        wt_check(weft_spawn(&queued[i], await_long, (void *)(i + 1)) == 0);
    }
    while (atomic_load(&made) < THREADS + QUEUED) {
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < QUEUED; i++) {
        intptr_t result = 0;

        wt_check(weft_cancel(queued[i]) == 1);
        wt_check(weft_await(queued[i], &result) == 0 && result == -ECANCELED);
    }
    wt_check(atomic_load(&freed) == QUEUED && atomic_load(&ran) == 0);
    set_gate(true);
    for (int i = 0; i < THREADS; i++) {
        wt_check(weft_await(busy[i], NULL) == 0);
    }
    until_freed(THREADS + QUEUED);
    wt_check(atomic_load(&ran) == THREADS);
}

static intptr_t cancel_queued_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < (WT_TIME_SCALE > 1 ? 1 : 5); i++) {
        cancel_queued();
    }
    return 0;
}

STRESS_TEST(blocking, calls_never_run_when_cancelled_in_the_queue, cancel_queued_often);

/* ---- cancelled at any moment; errors pass through (X03) ---- */

enum { CALLERS = 16 };

static atomic_long ended, withdrawn, left_behind;
static atomic_int begun;
static atomic_bool is_over;

/* Owned: freed once, whatever happens. */
static void call_owned(uint64_t *random)
{
    int value = 1 + (int)(draw(random) % 1000), *arg = make_arg(value);
    intptr_t result = 0;
    int rc =
        (int)weft_within(draw_us(random, 200), weft_blocking(call_short, arg, free_arg, &result));

    wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    wt_check(rc == 0 ? result == (value % 5 == 0 ? -EIO : value) : result == 0);
    atomic_fetch_add(rc == 0 ? &ended : &left_behind, 1);
}

struct borrowed {
    int value;
    atomic_int ran;
};

static intptr_t call_borrowed(void *arg)
{
    struct borrowed *borrowed = arg;

    atomic_fetch_add(&borrowed->ran, 1);
    return borrowed->value;
}

/* Borrowed: withdrawn and never run, or run to its end with its value. */
static void call_lent(uint64_t *random)
{
    struct borrowed borrowed = {.value = (int)(draw(random) % 1000)};
    weft_timeout limit;
    intptr_t result = -1;
    int rc;

    wt_check(weft_timeout_enter(&limit, draw_us(random, 100)) == 0);
    rc = weft_blocking(call_borrowed, &borrowed, NULL, &result);
    wt_check(rc == 0 || rc == -ECANCELED);
    wt_check(atomic_load(&borrowed.ran) == (rc == 0 ? 1 : 0));
    wt_check(result == (rc == 0 ? borrowed.value : -1));
    atomic_fetch_add(rc == 0 ? &ended : &withdrawn, 1);
    rc = (int)weft_timeout_leave(&limit, rc);
    wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
}

static intptr_t call_often(void *arg)
{
    uint64_t random = as_seed(arg);

    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&is_over)) {
        if (draw(&random) % 2 == 0) {
            call_owned(&random);
        } else {
            call_lent(&random);
        }
        while (weft_cancelling(weft_self()) > 0) {
            (void)weft_uncancel(weft_self());
        }
    }
    return 0;
}

static intptr_t cancel_callers(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[CALLERS];
    int64_t end_ns = wf_monotonic_ns() + 700 * WEFT_MS;

    reset();
    set_gate(true);
    for (int i = 0; i < CALLERS; i++) {
        wt_check(weft_spawn(&tasks[i], call_often, as_arg(draw(&random))) == 0);
    }
    while (atomic_load(&begun) < CALLERS) { /* cancelled before, they would never begin */
        wt_check(weft_yield() == 0);
    }
    while (wf_monotonic_ns() < end_ns) {
        wt_check(weft_sleep(draw_us(&random, 50)) == 0);
        wt_check(weft_cancel(tasks[draw(&random) % CALLERS]) == 1);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < CALLERS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    until_freed(atomic_load(&made));
    fprintf(stderr, "%ld ended, %ld left behind, %ld withdrawn\n", atomic_load(&ended),
            atomic_load(&left_behind), atomic_load(&withdrawn));
    wt_check(atomic_load(&ended) > 0 && atomic_load(&left_behind) > 0);
    return 0;
}

STRESS_TEST(blocking, calls_are_cancelled_at_any_moment, cancel_callers);

/* ---- what a call sees of its task's values (X04) ---- */

static weft_local mark = WEFT_LOCAL_INIT("mark", NULL);

static intptr_t see_mark(void *arg)
{
    for (int i = 0; i < 3; i++) { /* other calls come and go on other threads */
        wt_check(weft_local_get(&mark) == *(void **)arg);
        sched_yield();
    }
    return (intptr_t)weft_local_get(&mark) >> 4;
}

/* Each call sees the value of the moment at which it was made, also one that runs on unattended. */
static intptr_t call_marked(void *arg)
{
    uint64_t random = as_seed(arg);

    for (int i = 0; i < STRESS_COUNT(2000); i++) {
        void *value = as_arg((draw(&random) % 4096 + 1) << 4);
        void **copy = malloc(sizeof *copy);
        intptr_t result = 0;
        int rc;

        *copy = value;
        atomic_fetch_add(&made, 1);
        wt_check(weft_local_set(&mark, value) == 0);
        rc = (int)weft_within(draw(&random) % 2 == 0 ? WEFT_FOREVER : draw_us(&random, 60),
                              weft_blocking(see_mark, copy, free_arg, &result));
        wt_check(rc == 0 ? result == (intptr_t)value >> 4 : rc == -ETIMEDOUT);
        wt_check(weft_local_get(&mark) == value);
    }
    return 0;
}

static intptr_t call_all_marked(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[8];

    reset();
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], call_marked, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < 8; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    until_freed(atomic_load(&made));
    return 0;
}

STRESS_TEST(blocking, calls_see_their_tasks_values, call_all_marked);

// SPDX-License-Identifier: MIT
/* test_fiber.c - the switch: registers, stacks, lives, threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "fiber/fiber.h"
#include "fiber/stack.h"
#include "weft_test.h"

static struct wf_stacks stacks;
static struct wf_stack_cache cache;
static struct wf_fiber host;

static void open_all(void)
{
    wf_stacks_init(&stacks);
    wf_stack_cache_open(&cache, &stacks);
    wf_fiber_adopt(&host);
}

static void close_all(void)
{
    wf_fiber_unadopt(&host);
    wf_stack_cache_close(&cache);
    wf_stacks_destroy(&stacks);
}

/* What a fiber of these tests is told, and what it leaves. */
struct job {
    struct wf_fiber *self;
    struct wf_fiber *back; /* whom to switch to */
    long rounds;
    long done;
    bool has_ended;
};

static void end_job(struct job *job)
{
    job->has_ended = true;
    wf_fiber_switch_final(job->self, job->back);
}

static void begin_job(struct job *job, void (*entry)(void *arg), size_t promise_bytes)
{
    job->self = wf_fiber_take(&cache, promise_bytes);
    cr_assert_not_null(job->self);
    job->back = &host;
    wf_fiber_prepare(job->self, entry, job);
}

static void finish_job(struct job *job)
{
    while (!job->has_ended) {
        wf_fiber_switch(&host, job->self);
    }
    wf_fiber_give(&cache, job->self);
}

static void count_rounds(void *arg)
{
    struct job *job = arg;
    for (long i = 0; i < job->rounds; i++) {
        job->done++;
        wf_fiber_switch(job->self, job->back);
    }
    end_job(job);
}

Test(fiber, switches_there_and_back)
{
    struct job job = {.rounds = 1000};
    open_all();
    begin_job(&job, count_rounds, 0);
    for (long i = 1; i <= job.rounds; i++) {
        wf_fiber_switch(&host, job.self);
        cr_assert_eq(job.done, i);
    }
    finish_job(&job);
    close_all();
}

/* More live values than there are callee-saved registers of either kind. */
static void mix_values(void *arg)
{
    struct job *job = arg;
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    double p = 1, q = 2, r = 3, s = 4, t = 5, u = 6, v = 7, w = 8, x = 9;
    for (long i = 0; i < job->rounds; i++) {
        wf_fiber_switch(job->self, job->back);
        a += b, b += c, c += d, d += e, e += f, f += g, g += h, h += a;
        p += q, q += r, r += s, s += t, t += u, u += v, v += w, w += x, x += 1;
    }
    job->done = (long)(a ^ b ^ c ^ d ^ e ^ f ^ g ^ h) + (long)(p + q + r + s + t + u + v + w + x);
    end_job(job);
}

Test(fiber, keeps_registers)
{
    struct job alone = {.rounds = 20};
    struct job jobs[8];
    open_all();
    begin_job(&alone, mix_values, 0);
    finish_job(&alone);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct job){.rounds = 20};
        begin_job(&jobs[i], mix_values, 0);
    }
    for (int round = 0; round <= 20; round++) {
        for (int i = 0; i < 8; i++) {
            wf_fiber_switch(&host, jobs[i].self);
        }
    }
    for (int i = 0; i < 8; i++) {
        cr_assert(jobs[i].has_ended);
        cr_assert_eq(jobs[i].done, alone.done);
        finish_job(&jobs[i]);
    }
    close_all();
}

Test(fiber, many_take_turns)
{
    enum { COUNT = 2000, ROUNDS = 20 };
    static struct job jobs[COUNT];
    open_all();
    for (int i = 0; i < COUNT; i++) {
        jobs[i].rounds = ROUNDS;
        begin_job(&jobs[i], count_rounds, 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            wf_fiber_switch(&host, jobs[i].self);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(jobs[i].done, ROUNDS);
        finish_job(&jobs[i]);
    }
    close_all();
}

/* Each passes on to the next without the host; the last goes home. */
static void pass_on(void *arg)
{
    struct job *job = arg;
    job->done++;
    end_job(job);
}

Test(fiber, fiber_to_fiber)
{
    enum { COUNT = 100 };
    static struct job jobs[COUNT];
    open_all();
    for (int i = 0; i < COUNT; i++) {
        begin_job(&jobs[i], pass_on, 0);
    }
    for (int i = 0; i + 1 < COUNT; i++) {
        jobs[i].back = jobs[i + 1].self;
    }
    wf_fiber_switch(&host, jobs[0].self);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(jobs[i].done, 1);
        finish_job(&jobs[i]);
    }
    close_all();
}

/* ---- stack room ---- */

__attribute__((noinline)) static long use_stack(const struct wf_fiber *self, size_t until)
{
    char buffer[256 * WF_STACK_SCALE]; /* a sanitizer limits the depth of calls */
    memset(buffer, (int)until, sizeof buffer);
    const char *here = __builtin_frame_address(0); /* the buffer may be a sanitizer's */
    wt_check(here >= self->lo && here < self->hi);
    long below = wf_fiber_room(self) < until ? 0 : use_stack(self, until);
    __asm__("" : : "r"(buffer) : "memory"); /* the frame is needed: no loop of this */
    return below + buffer[17];
}

static void recurse(void *arg)
{
    struct job *job = arg;
    size_t room = wf_fiber_room(job->self);
    wt_check(room + 1024 >= job->self->promise_bytes);
    job->done = use_stack(job->self, room - job->self->promise_bytes + 2048);
    job->done = use_stack(job->self, 4096); /* to the end of the mapping, nearly */
    end_job(job);
}

Test(fiber, deep_recursion_inside_the_promise)
{
    static const size_t promises[] = {1, 4096, 0, 128 << 10, 300 << 10, 3 << 20, 12 << 20};
    open_all();
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        struct job job = {.rounds = 0};
        begin_job(&job, recurse, promises[i]);
        finish_job(&job);
    }
    wt_assert_clean();
    close_all();
}

static void look_at_alignment(void *arg)
{
    struct job *job = arg;
    _Alignas(16) char bytes[16];
    memset(bytes, 1, sizeof bytes);
    /* The frame pointer is 16-byte aligned if and only if the stack pointer was at the call. */
    job->done = (long)((uintptr_t)__builtin_frame_address(0) % 16) + bytes[3] - 1;
    end_job(job);
}

Test(fiber, frames_are_aligned)
{
    open_all();
    for (int i = 0; i < 40; i++) {
        struct job job = {.done = -1};
        begin_job(&job, look_at_alignment, 0);
        finish_job(&job);
        cr_assert_eq(job.done, 0);
    }
    close_all();
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
    struct job *job = arg;
    job->done += _Unwind_GetIP(context) != 0;
    return job->done < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind(void *arg)
{
    struct job *job = arg;
    wt_check(_Unwind_Backtrace(count_frame, job) == _URC_END_OF_STACK);
    wt_check(job->done >= 3 && job->done < 10);
    end_job(job);
}

Test(fiber, unwinding_ends_at_the_entry_stub)
{
    struct job job = {.rounds = 0};
    open_all();
    begin_job(&job, unwind, 0);
    finish_job(&job);
    wt_assert_clean();
    close_all();
}

/* ---- lives ---- */

Test(fiber, one_stack_has_many_lives)
{
    struct wf_fiber *first = NULL;
    open_all();
    for (int life = 0; life < 20000; life++) {
        struct job job = {.rounds = 1};
        begin_job(&job, count_rounds, 0);
        first = first == NULL ? job.self : first;
        cr_assert_eq(job.self, first);
        cr_assert_null(job.self->task);
        job.self->task = &job;
        finish_job(&job);
        cr_assert_eq(job.done, 1);
    }
    close_all();
}

static void return_from_entry(void *arg)
{
    (void)arg;
}

Test(fiber, entry_that_returns_aborts, .signal = SIGABRT)
{
    struct job job = {.rounds = 0};
    open_all();
    begin_job(&job, return_from_entry, 0);
    wf_fiber_switch(&host, job.self);
}

/* ---- threads ---- */

enum { HANDOVERS = 1000 };

/* Two threads run one fiber in turn. */
struct relay {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job job;
    long turn;
};

static struct relay relay = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};

static void *run_relay(void *arg)
{
    long me = (long)(intptr_t)arg;
    struct wf_fiber own;
    wf_fiber_adopt(&own);
    for (;;) {
        pthread_mutex_lock(&relay.mutex);
        while (relay.turn % 2 != me && !relay.job.has_ended) {
            pthread_cond_wait(&relay.changed, &relay.mutex);
        }
        bool has_ended = relay.job.has_ended;
        if (!has_ended) {
            relay.job.back = &own;
            wf_fiber_switch(&own, relay.job.self);
            relay.turn++;
        }
        pthread_cond_signal(&relay.changed);
        pthread_mutex_unlock(&relay.mutex);
        if (has_ended) {
            break;
        }
    }
    wf_fiber_unadopt(&own);
    return NULL;
}

Test(fiber, moves_between_threads)
{
    pthread_t threads[2];
    open_all();
    relay.job.rounds = HANDOVERS;
    begin_job(&relay.job, count_rounds, 0);
    for (intptr_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, run_relay, (void *)i), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(relay.job.done, HANDOVERS);
    cr_assert_eq(relay.turn, HANDOVERS + 1);
    wf_fiber_give(&cache, relay.job.self);
    wt_assert_clean();
    close_all();
}

// SPDX-License-Identifier: MIT
/* look.c - what a worker does to find work that is not in its own places: timers, messages, events, other
 * workers. */
#include "base/random.h"
#include "poll/uring.h"
#include "queue/inbox.h"
#include "sched/gain.h"
#include "sched/go.h"
#include "sched/lean.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "sched/ready.h"

/* A busy worker spends a fourth of its time on giving memory back, at most. */
enum { POLL_NS = 10000, SEARCH_PASSES = 4, TRIM_PAUSE = 3 };

/* How long the worker's timers may go without a look, if its turns let it, and how many turns it has at least. */
enum { TIMERS_NS = 100000, LEAST_TURNS = 4 };

static void expire(struct wf_worker *worker, struct wf_wheel *wheel, int64_t now_ns)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t fired = wf_wheel_expire(wheel, now_ns, &later);
    if (fired > 0) {
        wf_bump_own(&worker->counters.fired, fired);
        wf_sched_flush(&later);
    }
}

/* A busy worker looks now and then after one other, which may be stuck: overdue timers, and a queue
 * much longer than its own. */
static void help_another(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    struct wf_worker *other =
        &runtime->workers[wf_random_below(&worker->random, runtime->worker_count)];
    if (other == worker) {
        return;
    }
    if (wf_wheel_next(&other->wheel) != WF_FOREVER) {
        expire(worker, &other->wheel, wf_runtime_now(runtime));
    }
    if (wf_ready_count(other) > 2 * wf_ready_count(worker) + 8) {
        wf_ready_pull(worker, other);
    }
}

static void collect_ring(struct wf_worker *worker)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_uring_collect(worker->ring, &later);
    wf_sched_flush(&later);
}

/* Memory that nobody needs any more goes back also while there is never nothing to do. */
static void trim_if_busy(struct wf_worker *worker, int64_t now_ns)
{
    bool is_idle = worker->fiber == worker->host && wf_ready_is_empty(worker);
    if (!is_idle) { /* else by worker.c, without pauses */
        (void)wf_stacks_trim(&worker->runtime->stacks, now_ns, TRIM_PAUSE);
    }
}

/* Turns may be over in nanoseconds, and a look into the kernel takes as long as twenty of them. */
static void poll_if_due(struct wf_worker *worker)
{
    int64_t now_ns = wf_monotonic_ns();
    if (now_ns - worker->looked_ns >= POLL_NS) {
        worker->looked_ns = now_ns;
        (void)wf_poll_now(worker);
        help_another(worker);
        trim_if_busy(worker, now_ns);
    }
}

/* Turns until the next look at timers: fewer where they take long, say because each touches a new stack. */
static void pace(struct wf_worker *worker, int64_t now_ns)
{
    int64_t took_ns = now_ns - worker->paced_ns;
    if (took_ns > 2 * TIMERS_NS && worker->paced_ns != 0) {
        worker->stretch = worker->stretch / 2 > LEAST_TURNS ? worker->stretch / 2 : LEAST_TURNS;
    } else if (took_ns < TIMERS_NS / 2) {
        worker->stretch = worker->stretch * 2 < WF_POLL_TURNS ? worker->stretch * 2 : WF_POLL_TURNS;
    }
    worker->paced_ns = now_ns;
}

/* The timers of sleepers that lean. */
static __attribute__((noinline)) void mind(struct wf_worker *worker, uint64_t leaning)
{
    int64_t now_ns = wf_runtime_now(worker->runtime);
    struct wf_worker *other;
    while ((other = wf_lean_next_due(worker->runtime, &leaning, now_ns)) != NULL) {
        expire(worker, &other->wheel, now_ns);
    }
}

WF_WAKING void wf_look_around(struct wf_worker *worker)
{
    bool is_over = worker->until_poll == 0; /* the stretch */
    worker->brief.kept = 0;
    worker->squeezed_looks = 0;
    worker->since_poll += is_over ? worker->stretch : 0;
    wf_ready_collect(worker);
    if (worker->ring != NULL) {
        collect_ring(worker);
    }
    if (wf_wheel_next(&worker->wheel) != WF_FOREVER) {
        int64_t now_ns = wf_runtime_now(worker->runtime);
        expire(worker, &worker->wheel, now_ns);
        if (is_over) {
            pace(worker, now_ns);
        }
    } else {
        worker->stretch = WF_POLL_TURNS;
    }
    uint64_t leaning = wf_lean_bits(worker->runtime);
    if (leaning != 0) {
        mind(worker, leaning);
    }
    if (is_over) {
        /* Now, if after the next stretch it would be late. */
        if (worker->since_poll + worker->stretch > WF_POLL_TURNS) {
            worker->since_poll = 0;
            poll_if_due(worker);
        }
        worker->until_poll = worker->stretch;
    }
}

/* Is there nothing to settle, to end or to tell anybody of, as the host does? */
static bool is_settled(const struct wf_worker *worker)
{
    return worker->sim == NULL && worker->gain.since_ns == 0 && !worker->is_searching &&
           worker->brief.kept == 0 && worker->squeezed_looks == 0 &&
           wf_load_acq(&worker->runtime->phase) == WF_RUNNING && !wf_sched_needs(worker->runtime);
}

bool wf_look_has_mail(struct wf_worker *worker)
{
    return !wf_inbox_is_empty(&worker->inbox) || !wf_inbox_is_empty(&worker->runtime->inject) ||
           (worker->ring != NULL && wf_uring_has_mail(worker->ring));
}

/* Would wf_look_around find nothing? No timers, no messages, and the poller is not due. */
static bool is_vain(struct wf_worker *worker)
{
    return is_settled(worker) && !wf_look_has_mail(worker) &&
           wf_wheel_next(&worker->wheel) == WF_FOREVER && wf_lean_bits(worker->runtime) == 0 &&
           wf_monotonic_ns() - worker->looked_ns < POLL_NS;
}

__attribute__((noinline)) weft_task *wf_go_begin_stretch(struct wf_worker *worker,
                                                         const weft_task *self)
{
    if (!is_vain(worker)) {
        return NULL;
    }
    worker->stretch = WF_POLL_TURNS; /* as after a look */
    worker->since_poll = 0;
    worker->until_poll = WF_POLL_TURNS;
    return wf_go_give_way(worker, self);
}

void wf_worker_look(struct wf_worker *worker)
{
    if (worker->gain.since_ns != 0) {
        wf_gain_settle(worker); /* a turn that looks around by itself is long */
    }
    worker->until_poll = 0;
    worker->since_poll = WF_POLL_TURNS;
    wf_look_around(worker);
}

static struct wf_pick steal_pass(struct wf_worker *worker, bool last_pass)
{
    weft_runtime *runtime = worker->runtime;
    uint32_t count = runtime->worker_count;
    uint32_t start = wf_random_below(&worker->random, count);
    struct wf_pick pick = {NULL, false};
    for (uint32_t i = 0; i < count && pick.task == NULL && worker->to_bury == NULL; i++) {
        struct wf_worker *victim = &runtime->workers[(start + i) % count];
        if (victim == worker) {
            continue;
        }
        pick = wf_ready_steal(worker, victim, last_pass);
        if (pick.task == NULL && last_pass && wf_wheel_next(&victim->wheel) != WF_FOREVER) {
            expire(worker, &victim->wheel, wf_runtime_now(runtime));
            pick = wf_ready_take(worker);
        }
    }
    return pick;
}

static struct wf_pick search(struct wf_worker *worker)
{
    struct wf_pick pick = {NULL, false};
    for (int pass = 0; pass < SEARCH_PASSES && pick.task == NULL && worker->to_bury == NULL;
         pass++) {
        pick = steal_pass(worker, pass == SEARCH_PASSES - 1);
        if (pick.task == NULL) {
            for (int i = 0; i < 8; i++) {
                wf_relax();
            }
            wf_ready_collect(worker);
            pick = wf_ready_take(worker);
        }
    }
    return pick;
}

struct wf_pick wf_search(struct wf_worker *worker)
{
    struct wf_pick pick = {NULL, false};
    weft_runtime *runtime = worker->runtime;
    if (!worker->is_searching &&
        (wf_idle_is_last_awake(&runtime->idle) || !wf_idle_start_searching(&runtime->idle))) {
        return pick; /* who sleeps has nothing */
    }
    worker->is_searching = true;
    bool has_waited = worker->gain.until_ns != 0; /* else what is here has just been looked at */
    if (!wf_gain_wait(worker)) {
        return pick;
    }
    do {
        if (has_waited) {
            wf_look_around(worker);
            pick = wf_ready_take(worker);
        }
        pick = pick.task == NULL ? search(worker) : pick;
        has_waited = true;
    } while (pick.task == NULL && worker->to_bury == NULL && wf_gain_wait_more(worker));
    return pick;
}

WF_WAKING void wf_stop_searching(struct wf_worker *worker)
{
    if (worker->is_searching) {
        worker->is_searching = false;
        worker->gain.is_futile = false;
        if (wf_idle_stop_searching(&worker->runtime->idle)) {
            wf_sched_notify(worker->runtime);
        }
    }
}

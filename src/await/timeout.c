// SPDX-License-Identifier: MIT
/* timeout.c - timeout scopes.
 *
 * The timer's callback and leaving both take the wheel's lock, so leaving finds either an armed timer
 * that it takes out, or a request that has been added and that it takes back.
 */
#include <errno.h>

#include <weft/timeout.h>

#include "await/limit.h"

_Static_assert(sizeof(struct wf_timeout) <= sizeof(weft_timeout), "weft_timeout is too small");

static struct wf_timeout *inside(const weft_timeout *scope)
{
    return (struct wf_timeout *)(uintptr_t)scope;
}

static void fire(struct wf_timer *timer, void *context)
{
    wf_scope_fire(WF_CONTAINER(timer, struct wf_limit, timer)->scope, context);
}

struct wf_limit *wf_limit_of(struct wf_scope *scope)
{
    switch (scope->kind) {
    case WF_SCOPE_TIMEOUT:
        return &((struct wf_timeout *)(void *)scope)->limit;
    case WF_SCOPE_SHIELD:
        return &((struct wf_section *)(void *)scope)->limit;
    default:
        return NULL;
    }
}

/* Returns true when it became the earliest of its wheel. */
static bool arm_locked(struct wf_limit *limit, weft_runtime *runtime, int64_t deadline_ns)
{
    bool has_turn = runtime->registry.has_turns && deadline_ns <= wf_runtime_now(runtime);
    if (!has_turn) {
        return wf_timer_arm_locked(&limit->timer, deadline_ns);
    }
    limit->timer.deadline_ns = deadline_ns;
    wf_sim_push(runtime->sim, WF_TURN_SOON, wf_timer_arm_soon_locked(&limit->timer));
    return false;
}

static __attribute__((noinline)) void arm_at_once(struct wf_limit *limit, struct wf_worker *worker)
{
    wf_bump_own(&worker->counters.armed, 1);
    wf_lock(&worker->wheel.lock);
    (void)arm_locked(limit, worker->runtime, limit->timer.deadline_ns);
    wf_unlock(&worker->wheel.lock);
}

/* wf_limit_set on a known worker. */
static inline void set(struct wf_limit *limit, struct wf_scope *scope, int64_t deadline_ns,
                       struct wf_worker *worker)
{
    limit->scope = scope;
    wf_timer_init(&limit->timer, &worker->wheel, fire);
    limit->timer.deadline_ns = deadline_ns;
    uint32_t state = deadline_ns == WF_FOREVER ? WF_LIMIT_ENDLESS
                     : worker->sim == NULL     ? WF_LIMIT_IDLE
                                               : WF_LIMIT_LIVE;
    wf_store_rlx(&limit->state, state);
    if (WF_UNLIKELY(state == WF_LIMIT_LIVE)) {
        arm_at_once(limit, worker);
    }
}

void wf_limit_set(struct wf_limit *limit, struct wf_scope *scope, int64_t deadline_ns)
{
    set(limit, scope, deadline_ns, wf_here());
}

/* False: it is closed. Under the wheel's lock. */
static bool wake_locked(struct wf_limit *limit)
{
    uint32_t seen = wf_load_acq(&limit->state);
    while (seen == WF_LIMIT_IDLE || seen == WF_LIMIT_ENDLESS) {
        if (wf_solo_cas32(&limit->state, &seen, (uint32_t)WF_LIMIT_LIVE)) {
            return true;
        }
    }
    return seen == WF_LIMIT_LIVE;
}

static void arm_one(struct wf_limit *limit, struct wf_worker *worker)
{
    struct wf_wheel *wheel = limit->timer.wheel;
    bool is_earliest = false;
    wf_lock(&wheel->lock);
    if (wf_load_rlx(&limit->state) == WF_LIMIT_IDLE && wake_locked(limit)) {
        wf_bump_own(&worker->counters.armed, 1);
        is_earliest = arm_locked(limit, worker->runtime, limit->timer.deadline_ns);
    }
    wf_unlock(&wheel->lock);
    if (is_earliest && wheel != &worker->wheel) {
        wf_sched_rouse(worker->runtime, WF_CONTAINER(wheel, struct wf_worker, wheel)->index);
    }
}

void wf_limit_arm_idle(weft_task *self)
{
    for (struct wf_scope *scope = self->scope; scope != NULL; scope = scope->outer) {
        struct wf_limit *limit = wf_limit_of(scope);
        if (limit != NULL && wf_load_acq(&limit->state) == WF_LIMIT_IDLE) {
            arm_one(limit, wf_here());
        }
    }
}

/* Then it has never fired. False: its timer has been armed. */
static inline bool close_unarmed(struct wf_limit *limit)
{
    uint32_t seen = wf_load_acq(&limit->state);
    while (seen != WF_LIMIT_LIVE) {
        if (wf_solo_cas32(&limit->state, &seen, (uint32_t)WF_LIMIT_CLOSED)) {
            return true;
        }
    }
    return false;
}

void wf_limit_close(struct wf_limit *limit)
{
    if (close_unarmed(limit)) {
        wf_store_rel(&limit->scope->phase, WF_SCOPE_FINISHED);
        return;
    }
    struct wf_wheel *wheel = limit->timer.wheel;
    wf_lock(&wheel->lock);
    wf_store_rel(&limit->state, (uint32_t)WF_LIMIT_CLOSED);
    (void)wf_timer_disarm_locked(&limit->timer);
    if (wf_load_rlx(&limit->scope->phase) == WF_SCOPE_ACTIVE) {
        wf_store_rel(&limit->scope->phase, WF_SCOPE_FINISHED);
    }
    wf_unlock(&wheel->lock);
}

/* Fires one scope's deadline if it has passed, without waiting for the wheel's tick. */
static void check_one(struct wf_limit *limit, int64_t now_ns, struct wf_later *later)
{
    struct wf_wheel *wheel = limit->timer.wheel;
    wf_lock(&wheel->lock);
    bool is_set = wf_timer_is_armed(&limit->timer) || wf_load_rlx(&limit->state) == WF_LIMIT_IDLE;
    if (is_set && limit->timer.deadline_ns <= now_ns && wake_locked(limit)) {
        (void)wf_timer_disarm_locked(&limit->timer);
        wf_scope_fire(limit->scope, later);
    }
    wf_unlock(&wheel->lock);
}

void wf_limit_check(weft_task *self)
{
    struct wf_later later;
    wf_later_init(&later);
    int64_t now_ns = -1;
    for (struct wf_scope *scope = self->scope; scope != NULL; scope = scope->outer) {
        struct wf_limit *limit = wf_limit_of(scope);
        if (limit != NULL && wf_load_acq(&scope->phase) == WF_SCOPE_ACTIVE) {
            now_ns = now_ns >= 0 ? now_ns : wf_runtime_now(wf_runtime_of(self));
            check_one(limit, now_ns, &later);
        }
    }
    wf_later_run(&later);
}

static __attribute__((noinline)) int enter_slowly(weft_timeout *scope, int64_t when_ns,
                                                  bool is_deadline)
{
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_door_running(worker);
    if (self == NULL || scope == NULL) {
        int rc = 0;
        return wf_fiber_worker(&rc) == NULL ? rc : -EINVAL;
    }
    if (wf_scope_is_open(self, scope)) {
        return -EBUSY;
    }
    if (!is_deadline && when_ns != WF_FOREVER) {
        when_ns = wf_deadline_after(wf_runtime_now(worker->runtime), when_ns);
    }
    struct wf_timeout *timeout = inside(scope);
    wf_scope_open(&timeout->scope, WF_SCOPE_TIMEOUT, self);
    wf_limit_set(&timeout->limit, &timeout->scope, when_ns);
    return 0;
}

/* Nearly always: no other scope is open. */
static inline int enter_at(struct wf_worker *worker, weft_task *self, weft_timeout *scope,
                           int64_t deadline_ns)
{
    struct wf_timeout *timeout = inside(scope);
    if (WF_UNLIKELY(!wf_scope_open_bare(&timeout->scope, WF_SCOPE_TIMEOUT, self))) {
        return enter_slowly(scope, deadline_ns, true);
    }
    set(&timeout->limit, &timeout->scope, deadline_ns, worker);
    return 0;
}

/* wf_no_task has no scope either. */
static inline bool is_outermost(const weft_task *self, const weft_timeout *scope)
{
    return WF_LIKELY(self != &wf_no_task) && WF_LIKELY(scope != NULL) &&
           WF_LIKELY(self->scope == NULL);
}

int weft_timeout_enter(weft_timeout *scope, int64_t delay_ns)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    if (!is_outermost(self, scope) || WF_UNLIKELY(delay_ns == WF_FOREVER)) {
        return enter_slowly(scope, delay_ns, false);
    }
    return enter_at(worker, self, scope,
                    wf_deadline_after(wf_runtime_now(worker->runtime), delay_ns));
}

int weft_timeout_enter_at(weft_timeout *scope, int64_t deadline_ns)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    return is_outermost(self, scope) ? enter_at(worker, self, scope, deadline_ns)
                                     : enter_slowly(scope, deadline_ns, true);
}

static __attribute__((noinline)) intptr_t leave_slowly(weft_timeout *scope, intptr_t rc)
{
    weft_task *self = wf_door_running(wf_here());
    struct wf_timeout *timeout = inside(scope);
    if (self == NULL || scope == NULL || self->scope != &timeout->scope) {
        int error = 0;
        return wf_fiber_worker(&error) == NULL ? error : -EINVAL;
    }
    wf_limit_close(&timeout->limit);
    return wf_scope_close(&timeout->scope, rc, -ETIMEDOUT);
}

/* Without a frame while it was never armed. */
intptr_t weft_timeout_leave(weft_timeout *scope, intptr_t rc)
{
    weft_task *self = wf_load_rlx(&wf_here_quick()->running);
    struct wf_timeout *timeout = inside(scope);
    if (WF_UNLIKELY(scope == NULL) || WF_UNLIKELY(self->scope != &timeout->scope) ||
        WF_UNLIKELY(!close_unarmed(&timeout->limit))) {
        return leave_slowly(scope, rc);
    }
    wf_store_rel(&timeout->scope.phase, WF_SCOPE_FINISHED);
    self->scope = timeout->scope.outer;
    return rc;
}

int weft_timeout_reschedule(weft_timeout *scope, int64_t delay_ns)
{
    if (scope == NULL) {
        return -EINVAL;
    }
    struct wf_timeout *timeout = inside(scope);
    if (wf_load_acq(&timeout->scope.phase) != WF_SCOPE_ACTIVE) {
        return -EINVAL;
    }
    weft_runtime *runtime = wf_runtime_of(timeout->scope.task);
    if (wf_runtime_is_forked(runtime)) {
        return -ECHILD;
    }
    int64_t deadline_ns = wf_deadline_after(wf_runtime_now(runtime), delay_ns);
    struct wf_wheel *wheel = timeout->limit.timer.wheel;
    bool is_earliest = false;
    wf_lock(&wheel->lock);
    bool is_active =
        wf_load_rlx(&timeout->scope.phase) == WF_SCOPE_ACTIVE && wake_locked(&timeout->limit);
    if (is_active) {
        is_earliest = arm_locked(&timeout->limit, runtime, deadline_ns);
    }
    wf_unlock(&wheel->lock);
    if (is_earliest) {
        wf_sched_rouse(runtime, WF_CONTAINER(wheel, struct wf_worker, wheel)->index);
    }
    return is_active ? 0 : -EINVAL;
}

weft_timeout_phase weft_timeout_state(const weft_timeout *scope)
{
    return scope == NULL ? WEFT_TIMEOUT_CREATED
                         : (weft_timeout_phase)wf_load_acq(&inside(scope)->scope.phase);
}

bool weft_timeout_expired(const weft_timeout *scope)
{
    weft_timeout_phase phase = weft_timeout_state(scope);
    return phase == WEFT_TIMEOUT_EXPIRING || phase == WEFT_TIMEOUT_EXPIRED;
}

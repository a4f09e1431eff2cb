// SPDX-License-Identifier: MIT
/* bias.c - stopping owners, and their coming back. */
#include "base/bias.h"

#include "base/clock.h"

/* How many operations an owner makes before it is biased again. */
enum { PATIENCE_LEAST = 64, PATIENCE_MOST = 1 << 20 };

/* What an owner must have been left alone for: being stopped costs it and the guest some microseconds. */
#define WORTH_NS 200000

_Static_assert(sizeof(struct wf_bias_owner) <= 40, "beside a worker's free slots");

void wf_bias_add(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    owner->patience = PATIENCE_LEAST;
    owner->next = bias->owners;
    bias->owners = owner;
}

void wf_bias_begin(struct wf_bias *bias)
{
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        wf_store_rlx(&owner->state, (uint8_t)WF_BIAS_HELD);
    }
    wf_store_rlx(&bias->is_any, 1U);
    wf_store_rlx(&bias->is_possible, (uint8_t)1);
}

void wf_bias_forked(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    wf_store_rlx(&owner->state, (uint8_t)WF_BIAS_NONE);
    wf_store_rlx(&bias->is_any, 0U);
    wf_store_rlx(&bias->is_possible, (uint8_t)0);
}

/* ---- stopping, under the lock ---- */

/* It is being stopped; how long it has been left alone for says when it may be biased again. */
static bool take_from(struct wf_bias_owner *owner, int64_t now_ns)
{
    if (wf_load_rlx(&owner->state) == WF_BIAS_NONE) {
        return false;
    }
    uint32_t more = owner->patience < PATIENCE_MOST ? 2 * owner->patience : (uint32_t)PATIENCE_MOST;
    owner->patience = now_ns - owner->stopped_ns >= WORTH_NS ? (uint32_t)PATIENCE_LEAST : more;
    owner->stopped_ns = now_ns;
    wf_store_rlx(&owner->left, owner->patience);
    wf_store_sc(&owner->state, (uint8_t)WF_BIAS_STOPPING);
    return true;
}

static bool take_from_all(struct wf_bias *bias, int64_t now_ns)
{
    bool is_taken = false;
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        is_taken = take_from(owner, now_ns) || is_taken;
    }
    return is_taken;
}

/* Those that are being stopped are, or will find that they are. Where the kernel refuses the fence it is all of them, and
 * for good. */
static void pass_fence(struct wf_bias *bias, int64_t now_ns)
{
    bool can_fence = wf_fence_all();
    if (!can_fence) {
        (void)take_from_all(bias, now_ns);
        (void)wf_fence_all();
    }
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        if (wf_load_rlx(&owner->state) == WF_BIAS_STOPPING) {
            wf_store_sc(&owner->state, (uint8_t)WF_BIAS_NONE);
        }
    }
    if (!can_fence) {
        wf_bias_await_all(bias);
        wf_store_rel(&bias->is_possible, (uint8_t)0);
    }
}

__attribute__((noinline)) void wf_bias_stop(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    wf_lock(&bias->lock);
    int64_t now_ns = wf_monotonic_ns();
    if (owner != NULL ? take_from(owner, now_ns) : take_from_all(bias, now_ns)) {
        pass_fence(bias, now_ns);
    }
    if (owner == NULL) {
        wf_store_sc(&bias->is_any, 0U);
    }
    wf_unlock(&bias->lock);
}

/* ---- guests ---- */

void wf_bias_await_all(struct wf_bias *bias)
{
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        wf_fence_await(&owner->is_within);
    }
}

enum wf_bias_try wf_bias_try_one(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    enum { PAUSES = 32 };
    if (wf_load_acq(&bias->is_possible) == 0) {
        return WF_BIAS_FREE;
    }
    (void)wf_add_sc(&bias->guests, 1U);
    if (wf_load_sc(&owner->state) != WF_BIAS_NONE) {
        wf_bias_stop(bias, owner);
    }
    for (int i = 0; wf_load_acq(&owner->is_within) != 0; i++) {
        if (i == PAUSES) {
            wf_bias_leave(bias, true);
            return WF_BIAS_NOT_NOW;
        }
        wf_relax();
    }
    return WF_BIAS_GUEST;
}

/* ---- coming back ---- */

__attribute__((noinline)) void wf_bias_renew(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    if (wf_load_rlx(&bias->is_possible) == 0) {
        wf_store_rlx(&owner->left, UINT32_MAX);
    } else if (wf_load_rlx(&bias->guests) != 0 || !wf_trylock(&bias->lock)) {
        wf_store_rlx(&owner->left, (uint32_t)PATIENCE_LEAST);
    } else {
        wf_store_sc(&bias->is_any, 1U);
        wf_store_sc(&owner->state, (uint8_t)WF_BIAS_HELD);
        if (wf_load_sc(&bias->guests) != 0 || wf_load_rlx(&bias->is_possible) == 0) {
            wf_store_sc(&owner->state, (uint8_t)WF_BIAS_NONE); /* it has changed nothing by it */
            wf_store_rlx(&owner->left, (uint32_t)PATIENCE_LEAST);
        }
        wf_unlock(&bias->lock);
    }
}

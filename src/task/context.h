// SPDX-License-Identifier: MIT
/* context.h - the values of a task (weft/local.h): an immutable array of bindings.
 *
 * What: a context never changes once somebody else can see it, so a spawn copies it by counting one
 *       reference, and setting a value makes another context. Two contexts share the bindings that
 *       they have in common; the last one that goes drops the value.
 * Why this way: spawns are many and values few. Rejected: a map in each task (every spawn would copy
 *       it), and chains of single values (finding one would follow as many pointers as were ever set).
 * Threads: any; the counts are atomic. Giving up the last reference calls user code: no locks held.
 */
#ifndef WF_TASK_CONTEXT_H
#define WF_TASK_CONTEXT_H

#include <weft/local.h>

#include "base/atomic.h"

/* One value under its key. */
struct wf_binding {
    wf_au32 refs; /* contexts that hold it: any thread, adds relaxed, subtracts acq_rel */
    const weft_local *key;
    void *value;
};

struct weft_context {
    wf_au32 refs; /* as in a binding */
    uint32_t count;
    struct wf_binding *bindings[]; /* at least one, each key once, in the order of setting */
};

/* One more reference; NULL for NULL. */
static inline weft_context *wf_context_retain(weft_context *context)
{
    if (context != NULL) {
        (void)wf_add_rlx(&context->refs, 1U);
    }
    return context;
}

/* One reference less; the last one drops the values that no other context holds. NULL is allowed. */
void wf_context_drop(weft_context *context);

/* The value of `key`, NULL if there is none or no context. */
void *wf_context_find(const weft_context *context, const weft_local *key);

/* What `context` becomes with another value of `key`, or without one: a reference for the caller, NULL
 * where nothing is left. The caller's reference to `context` is untouched. 0 or -ENOMEM. */
int wf_context_with(weft_context *context, const weft_local *key, void *value, weft_context **out);

#endif

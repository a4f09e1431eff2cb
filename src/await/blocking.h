// SPDX-License-Identifier: MIT
/* blocking.h - detours over the pool, for calls of this room that can't be made without blocking. */
#ifndef WF_AWAIT_BLOCKING_H
#define WF_AWAIT_BLOCKING_H

#include "await/door.h"
#include "sched/blocking.h"

/* weft_blocking without its entry, arg borrowed: 0; -ECANCELED (fn never ran); -ENOMEM, -EAGAIN. */
int wf_blocking_borrow(weft_task *self, weft_fn *fn, void *arg, intptr_t *result);

/* The same with arg owned by the pool if this returns 0 or -ECANCELED. */
int wf_blocking_give(weft_task *self, weft_fn *fn, void *arg, void (*drop_arg)(void *),
                     intptr_t *result);

#endif

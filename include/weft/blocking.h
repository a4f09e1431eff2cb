// SPDX-License-Identifier: MIT
/* blocking.h - calls that block a thread, run on a pool of threads beside the workers. */
#ifndef WEFT_BLOCKING_H
#define WEFT_BLOCKING_H

#include <weft/base.h>

WEFT_BEGIN

/* Runs fn(arg) on a pool thread while the fiber waits. A simulation has no threads: there it waits for a
 * time drawn from the seed, and fn then runs on the task's own stack.
 *
 * drop_arg  NULL: arg is borrowed. A cancellation withdraws a queued call; a running one is waited
 *           for, and the request stays for the next await point.
 *           Not NULL: the pool owns arg from here on and calls drop_arg(arg) once it is done with
 *           it, also when fn never ran. A cancellation returns at once; a running call goes on
 *           unattended and its result is lost
 * result    what fn returned; may be NULL
 * returns   0; -ECANCELED (an owned arg is the pool's all the same). arg stays the caller's: -ENOMEM,
 *           -EAGAIN (no thread could be had), -EINVAL, -EPERM
 * context   fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_blocking(weft_fn *fn, void *arg, void (*drop_arg)(void *),
                                          intptr_t *result);

WEFT_END

#endif

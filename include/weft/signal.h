// SPDX-License-Identifier: MIT
/* signal.h - waiting for signals as an await point. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <signal.h>
#include <sys/select.h> /* sigset_t, also in strict C modes */
#include <weft/base.h>

WEFT_BEGIN

/* Waits for one of the signals in `set`. The first wait for a signal takes over its disposition for
 * the whole process until the runtime ends; from then on one that comes while nobody waits is kept
 * for the next call (several of the same number count once). One delivery goes to one waiter. A program that
 * is to miss none calls weft_within(0, weft_signal_wait(&set)) before it says that it is ready.
 *
 * returns  the signal's number; -ECANCELED (none was taken); -EINVAL (NULL, empty, or a signal that
 *          can't be caught); -EBUSY (another runtime, or options.sigint, has one of them); -EPERM;
 *          -ENOTSUP (simulation); -ENOMEM, -EMFILE
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_signal_wait(const sigset_t *set);

WEFT_END

#endif

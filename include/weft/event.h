// SPDX-License-Identifier: MIT
/* event.h - a flag that tasks wait for.
 *
 * Setting it lets all through who wait by then, also if it is cleared before they run, and everybody who
 * comes until it is cleared. */
#ifndef WEFT_EVENT_H
#define WEFT_EVENT_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type: WEFT_EVENT_INIT, zeroed memory or weft_event_init makes an unset event. It needs no
 * destruction, but must not move or go away while it is waited for. Whoever has come through may let it go
 * at once, also while the one who set it is still in weft_event_set. */
typedef struct weft_event {
    uint64_t reserved[4];
} weft_event;

// clang-format off
#define WEFT_EVENT_INIT {{0}}
// clang-format on

/* Returns 0 or -EINVAL. */
WEFT_API int weft_event_init(weft_event *event);

/* Sets it. Returns 0 or -EINVAL. Any thread, not a signal handler; never switches. */
WEFT_API int weft_event_set(weft_event *event);

/* Clears it. As above. */
WEFT_API int weft_event_clear(weft_event *event);

/* Advisory; false for NULL. Any thread. */
WEFT_API bool weft_event_is_set(const weft_event *event);

/* Waits until it is set.
 *
 * returns  0; -ECANCELED; -EPERM; -EINVAL
 * context  fiber only; await point; does not suspend when it is set */
WEFT_API WEFT_NODISCARD int weft_event_wait(weft_event *event);

/* 0 when nobody waits for it, else -EBUSY. Any thread. */
WEFT_API int weft_event_destroy(weft_event *event);

WEFT_END

#endif

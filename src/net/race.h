// SPDX-License-Identifier: MIT
/* race.h - several attempts of which one is wanted. */
#ifndef WF_NET_RACE_H
#define WF_NET_RACE_H

#include <weft/resolve.h>

enum { WF_RACE_MOST = 64 };

/* Tries one address: a descriptor or a negative errno. An await point, in a task of its own. */
typedef int wf_race_attempt(const weft_address *address, const void *context);

/* Tries the addresses by turns of their families, each `stagger_ns` after the one before or when one has
 * failed. The first descriptor, or a negative errno; all other attempts have ended. An await point. */
int wf_race(const weft_address *addresses, size_t count, int64_t stagger_ns,
            wf_race_attempt *attempt, const void *context);

#endif

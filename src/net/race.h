// SPDX-License-Identifier: MIT
/* race.h - several attempts of which one is wanted. */
#ifndef WF_NET_RACE_H
#define WF_NET_RACE_H

#include "net/answers.h"

enum { WF_RACE_MOST = 64 };

/* Tries one address: a descriptor or a negative errno. An await point, in a task of its own. */
typedef int wf_race_attempt(const weft_address *address, const void *context);

/* Tries the addresses by turns of their families, each `stagger_ns` after the one before or when one has
 * failed. The first descriptor, or a negative errno; all other attempts have ended. An await point. */
int wf_race(const weft_address *addresses, size_t count, int64_t stagger_ns,
            wf_race_attempt *attempt, const void *context);

/* The same with addresses that `look_up` finds meanwhile, in a task of its own. Those of IPv6 are used as soon as
 * they come; those of IPv4 that come first wait for them for 50 ms, as RFC 8305 has it. If there are none,
 * what `look_up` says. */
int wf_race_answers(wf_look_up *look_up, const void *question, int64_t stagger_ns,
                    wf_race_attempt *attempt, const void *context);

#endif

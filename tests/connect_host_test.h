// SPDX-License-Identifier: MIT
/* connect_host_test.h - what the tests of happy eyeballs share. */
#ifndef WEFT_CONNECT_HOST_TEST_H
#define WEFT_CONNECT_HOST_TEST_H

#include <weft.h>

#include "net/socket.h"
#include "support.h"
#include "weft_test.h"

__attribute__((unused)) static const weft_options plain_sim = {.simulate = true};
__attribute__((unused)) static const weft_options one_worker = {.workers = 1};

WT_FN weft_address v4(uint16_t port)
{
    weft_address address;
    wt_check(wf_address_parse("192.0.2.1", port, &address) == 0);
    return address;
}

WT_FN weft_address v6(uint16_t port)
{
    weft_address address;
    wt_check(wf_address_parse("2001:db8::1", port, &address) == 0);
    return address;
}

#endif

// SPDX-License-Identifier: MIT
/* connect_test.h - a listener on loopback, and who dials it. */
#ifndef WEFT_CONNECT_TEST_H
#define WEFT_CONNECT_TEST_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

__attribute__((unused)) static const weft_options one_worker = {.workers = 1};
__attribute__((unused)) static const weft_options four_workers = {.workers = 4};

struct listener {
    int fd;
    struct sockaddr_in address;
};

/* Blocking unless `flags` say otherwise. */
WT_FN void open_listener(struct listener *listener, int flags, int backlog)
{
    socklen_t length = sizeof listener->address;
    memset(&listener->address, 0, sizeof listener->address);
    listener->address.sin_family = AF_INET;
    listener->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener->fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    wt_check(listener->fd >= 0);
    wt_check(bind(listener->fd, (struct sockaddr *)&listener->address, length) == 0);
    wt_check(listen(listener->fd, backlog) == 0);
    wt_check(getsockname(listener->fd, (struct sockaddr *)&listener->address, &length) == 0);
}

/* A socket connected to the listener, or a negative errno. */
WT_FN int dial(const struct listener *listener, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    int rc =
        weft_connect(fd, (const struct sockaddr *)&listener->address, sizeof listener->address);
    if (rc < 0) {
        wt_check(weft_close(fd) == 0);
        return rc;
    }
    return fd;
}

#endif

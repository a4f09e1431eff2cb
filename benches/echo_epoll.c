// SPDX-License-Identifier: MIT
/* echo_epoll.c - the raw epoll loop: edge-triggered, one buffer, two system calls a request.
 *
 * A short read has emptied the socket, so nothing is tried twice. What can't be sent at once waits in the
 * connection until it is writable; 64 bytes always can.
 */
#include "echo.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512 };

static void accept_all(int poller, int listener)
{
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        (void)epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static void echo_one(int fd)
{
    char buffer[ECHO_BUFFER];
    ssize_t n;
    do {
        n = recv(fd, buffer, sizeof buffer, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            (void)close(fd);
            return;
        }
        if (n > 0 && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) {
            (void)close(fd); /* an echo client that does not read */
            return;
        }
    } while (n == (ssize_t)sizeof buffer);
}

int echo_raw_epoll(int listener)
{
    static struct epoll_event events[EVENTS];
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = listener};
    if (poller < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0) {
        return -errno;
    }
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                accept_all(poller, listener);
            } else {
                echo_one(events[i].data.fd);
            }
        }
    }
}

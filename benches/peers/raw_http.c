// SPDX-License-Identifier: MIT
/* raw_http.c - the least that an HTTP server can do: one thread, one epoll loop, and no look at what the
 * client has sent. Each read is answered by the same bytes, as many as the example server sends for "/".
 * A bound for servers that do parse, and no server.
 *
 *     peer_raw_http PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

static int listen_on(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0) {
        perror("peer_raw_http");
        exit(EXIT_FAILURE);
    }
    return fd;
}

static void watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int poller, int listener)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        watch(poller, fd);
    }
}

static void serve(int fd)
{
    char bytes[8192];
    ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count > 0) {
        count = send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int listener = listen_on(argc > 1 ? strtol(argv[1], NULL, 10) : 8080);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    watch(poller, listener);
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                accept_all(poller, listener);
            } else {
                serve(events[i].data.fd);
            }
        }
    }
}

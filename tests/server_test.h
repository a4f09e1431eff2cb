/* SPDX-License-Identifier: MIT */
/* server_test.h - a server, and its clients, which are tasks of the same runtime. */
#ifndef WEFT_SERVER_TEST_H
#define WEFT_SERVER_TEST_H

#include <errno.h>
#include <netinet/in.h>

#include "support.h"

struct scene {
    weft_server server;
    weft_server_options options;
    int port;
    weft_task *task;
    atomic_int served;
    atomic_int idle_ends; /* connections that were told to end while they waited */
    atomic_int cancelled;
};

WT_FN intptr_t run_server(void *arg)
{
    return weft_server_run(arg);
}

WT_FN void begin(struct scene *scene)
{
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    wt_check(listener >= 0);
    scene->port = weft_local_port(listener);
    scene->options.arg = scene;
    wt_check(weft_server_init(&scene->server, &listener, 1, &scene->options) == 0);
    wt_check(weft_spawn(&scene->task, run_server, &scene->server) == 0);
}

WT_FN intptr_t end(struct scene *scene)
{
    intptr_t result = -1;
    wt_check(weft_server_stop(&scene->server) == 0);
    wt_check(weft_await(scene->task, &result) == 0);
    return result;
}

WT_FN int dial(const struct scene *scene)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)scene->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    wt_check(fd >= 0);
    int rc = weft_connect(fd, (const struct sockaddr *)&address, sizeof address);
    if (!wt_check(rc == 0)) {
        fprintf(stderr, "connect: %d\n", rc);
    }
    return fd;
}

WT_FN void expect_answer(int fd, char question)
{
    char byte = 0;
    wt_check(weft_recv(fd, &byte, 1, 0) == 1);
    wt_check(byte == (char)(question + 1));
}

WT_FN void ask(int fd, char question)
{
    wt_check(weft_send(fd, &question, 1, 0) == 1);
    expect_answer(fd, question);
}

WT_FN void expect_end(int fd)
{
    char byte;
    ssize_t n = weft_recv(fd, &byte, 1, 0);
    wt_check(n == 0 || n == -ECONNRESET);
    weft_close(fd);
}

/* Each byte is answered by the next one: 's' after 100 ms, 'z' never. */
WT_FN intptr_t answer(weft_connection *connection, int fd, void *arg)
{
    struct scene *scene = arg;
    intptr_t rc;
    char byte;
    while ((rc = weft_connection_wait(connection, fd, WEFT_FOREVER)) > 0) {
        rc = weft_recv(fd, &byte, 1, 0);
        if (rc == 1) {
            rc = weft_sleep(byte == 's' ? 100 * WEFT_MS : byte == 'z' ? WEFT_FOREVER : 0);
        }
        if (rc != 0) {
            break;
        }
        byte++;
        rc = weft_send(fd, &byte, 1, 0);
        if (rc != 1) {
            break;
        }
        atomic_fetch_add(&scene->served, 1);
    }
    atomic_fetch_add(&scene->idle_ends, rc == 0 && weft_server_is_stopping(&scene->server));
    atomic_fetch_add(&scene->cancelled, rc == -ECANCELED);
    weft_close(fd);
    return rc == -ECANCELED ? rc : 0;
}

WT_FN weft_server_counts counts_of(const struct scene *scene)
{
    weft_server_counts counts = {.size = sizeof counts};
    wt_check(weft_server_count(&scene->server, &counts) == 0);
    return counts;
}

WT_FN intptr_t cancelled(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .grace_ns = WEFT_FOREVER}};
    intptr_t result = 0;
    (void)arg;
    begin(&scene);
    int fd = dial(&scene);
    ask(fd, 'a');
    wt_check(weft_cancel(scene.task) == 1);
    wt_check(weft_await(scene.task, &result) == 0 && result == -ECANCELED);
    wt_check(atomic_load(&scene.cancelled) == 1);
    expect_end(fd);
    return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/* test_sweep_server.c - the server helper under the cancel sweep: simulated listeners and connections.
 * Whatever is cancelled, no task, descriptor or record may be left. */
#include <errno.h>
#include <netinet/in.h>

#include <weft.h>

#include "sweep_test.h"

enum { PORT = 80, CLIENTS = 2 };

static weft_server server;

static intptr_t answer(weft_connection *connection, int fd, void *arg)
{
    intptr_t rc;
    char byte;
    (void)arg;
    held++;
    while ((rc = weft_connection_wait(connection, fd, 10 * WEFT_S)) > 0 &&
           (rc = weft_recv(fd, &byte, 1, 0)) == 1 && (rc = weft_send(fd, &byte, 1, 0)) == 1) {
    }
    weft_close(fd);
    held--;
    return rc == -ECANCELED ? rc : 0;
}

static intptr_t run_server(void *arg)
{
    (void)arg;
    return weft_server_run(&server);
}

static intptr_t ask(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    char byte = 'a';
    (void)arg;
    int fd = weft_sim_socket();
    if (fd < 0) {
        return fd;
    }
    held++;
    intptr_t rc = weft_connect(fd, (const struct sockaddr *)&address, sizeof address);
    rc = rc == 0 ? weft_send(fd, &byte, 1, 0) : rc;
    rc = rc == 1 ? weft_recv(fd, &byte, 1, 0) : rc;
    weft_close(fd);
    held--;
    return rc == -ECANCELED ? rc : 0; /* resets, and a server that is gone, are no news here */
}

static intptr_t ask_all(void)
{
    weft_group group;
    int rc = weft_group_open(&group, 0);
    for (int i = 0; i < CLIENTS && rc == 0; i++) {
        rc = weft_group_spawn(&group, NULL, ask, NULL, NULL);
    }
    return weft_group_close(&group, rc);
}

static intptr_t serve_some(void *arg)
{
    const weft_server_options options = {.serve = answer, .connections_max = 1};
    weft_task *task;
    (void)arg;
    int listener = weft_sim_listen(PORT);
    int rc = listener < 0 ? listener : weft_server_init(&server, &listener, 1, &options);
    rc = rc == 0 ? weft_spawn(&task, run_server, NULL) : rc;
    if (rc < 0) {
        weft_close(listener);
        return rc;
    }
    intptr_t asked = ask_all();
    weft_server_stop(&server);
    intptr_t result = 0;
    rc = weft_await(task, &result);
    if (result == -ECANCELED) {
        weft_close(listener); /* it may never have run */
    }
    return rc < 0 ? rc : asked;
}

Test(sweep_server, leaves_nothing, .timeout = 100)
{
    sweep(serve_some, 10);
}

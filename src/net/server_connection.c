// SPDX-License-Identifier: MIT
/* server_connection.c - the task of a connection, from its spawn to its end.
 *
 * What a connection costs beside its fiber is one small record. That it waits for its client is known only
 * while it does, by a node in its own frame. */
#include <errno.h>
#include <stdlib.h>

#include <weft/io.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "net/server.h"

/* A client that has just been accepted has its first request on the way, which would be lost if the server hung
 * up on it because it stops. So much time has it for that, but never more than half the grace. */
#define PATIENCE_NS (200 * WEFT_MS)

/* ---- beginning and end ---- */

bool wf_server_enter(struct wf_server *server)
{
    wf_lock(&server->lock);
    bool has_room = server->active < server->options.connections_max;
    server->active += has_room ? 1 : 0;
    wf_unlock(&server->lock);
    return has_room;
}

void wf_server_leave(struct wf_server *server)
{
    wf_lock(&server->lock);
    server->active--;
    if (server->ended != NULL) {
        weft_future_set(server->ended, 0);
        server->ended = NULL;
    }
    wf_unlock(&server->lock);
}

static void end(struct weft_connection *connection)
{
    struct wf_server *server = connection->server;
    free(connection);
    wf_server_leave(server);
}

static intptr_t run(void *arg)
{
    struct weft_connection *connection = arg;
    const weft_server_options *options = &connection->server->options;
    intptr_t rc = options->serve(connection, connection->fd, options->arg);
    end(connection);
    return rc;
}

/* Of a task that never ran. */
static void drop(void *arg)
{
    struct weft_connection *connection = arg;
    weft_close(connection->fd);
    end(connection);
}

static int64_t patience_of(const struct wf_server *server)
{
    int64_t most_ns = server->options.grace_ns / 2;
    return most_ns < PATIENCE_NS ? most_ns : PATIENCE_NS;
}

int wf_server_begin(struct wf_server *server, int fd)
{
    weft_spawn_options options = {
        .name = server->options.name, .stack_bytes = server->options.stack_bytes, .drop_arg = drop};
    struct weft_connection *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        weft_close(fd);
        wf_server_leave(server);
        return -ENOMEM;
    }
    *connection = (struct weft_connection){
        .server = server, .fd = fd, .patient_until_ns = weft_now() + patience_of(server)};
    int rc =
        weft_group_spawn_at(server->site, &server->connections, NULL, run, connection, &options);
    if (rc < 0) {
        drop(connection); /* a refused spawn leaves it to us */
        return rc;
    }
    wf_add_rlx(&server->accepted, 1);
    return 0;
}

/* ---- waiting for the client ---- */

static int wait_readable(int fd)
{
    int events = weft_wait_fd(fd, WEFT_READABLE);
    return events < 0 ? events : 1;
}

/* What has come already is still read. */
static int look_once_more(int fd)
{
    intptr_t rc = -ETIMEDOUT;
    for (int i = 0; i < 2 && rc == -ETIMEDOUT; i++) { /* a yield for fairness may end the first */
        rc = weft_within(0, wait_readable(fd));
    }
    return rc == -ETIMEDOUT ? 0 : (int)rc;
}

/* What is left of its time once the server stops. */
static int64_t time_left(const struct wf_idle_wait *wait)
{
    int64_t until_ns = wait->patient_until_ns;
    until_ns = until_ns < wait->limit_ns ? until_ns : wait->limit_ns;
    int64_t left_ns = until_ns != 0 ? until_ns - weft_now() : 0;
    return left_ns > 0 ? left_ns : 0;
}

static void hurry(struct wf_idle_wait *wait)
{
    int rc = weft_timeout_reschedule(&wait->limit, time_left(wait));
    (void)rc; /* -EINVAL: its own limit is over */
}

static int wait_listed(struct wf_server_idle *shard, struct wf_server *server,
                       struct wf_idle_wait *wait, int fd)
{
    wf_lock(&shard->lock);
    wf_list_push(&shard->waits, &wait->link);
    wf_unlock(&shard->lock);
    /* Whoever stops the server stores is_stopping and then takes this lock; here it is the other way round:
     * one of the two sees the other. */
    if (wf_load_sc(&server->is_stopping) != 0) {
        hurry(wait);
    }
    int rc = wait_readable(fd);
    wf_lock(&shard->lock);
    wf_list_remove(&wait->link);
    wf_unlock(&shard->lock);
    return rc;
}

int weft_connection_wait(weft_connection *connection, int fd, int64_t delay_ns)
{
    struct wf_idle_wait wait;
    if (connection == NULL) {
        return -EINVAL;
    }
    struct wf_server *server = connection->server;
    struct wf_server_idle *shard = &server->idle[(unsigned)fd % WF_SERVER_SHARDS];
    wait.patient_until_ns = connection->patient_until_ns;
    wait.limit_ns = wait.patient_until_ns != 0 ? wf_deadline_after(weft_now(), delay_ns) : 0;
    intptr_t rc = weft_timeout_enter(&wait.limit, delay_ns);
    if (rc < 0) {
        return (int)rc;
    }
    rc = weft_timeout_leave(&wait.limit, wait_listed(shard, server, &wait, fd));
    if (rc == -ETIMEDOUT && wf_load_sc(&server->is_stopping) != 0) {
        rc = look_once_more(fd);
    }
    if (rc > 0) {
        connection->patient_until_ns = 0;
    }
    return (int)rc;
}

/* Under the lock the frames are there: a wait leaves the list before it ends. */
void wf_server_rouse_idle(struct wf_server *server)
{
    for (size_t i = 0; i < WF_SERVER_SHARDS; i++) {
        struct wf_server_idle *shard = &server->idle[i];
        wf_lock(&shard->lock);
        struct wf_list *head = &shard->waits;
        for (struct wf_list *each = head->next; each != head; each = each->next) {
            hurry(WF_CONTAINER(each, struct wf_idle_wait, link));
        }
        wf_unlock(&shard->lock);
    }
}

weft_server *weft_connection_server(const weft_connection *connection)
{
    return connection != NULL ? (weft_server *)(void *)connection->server : NULL;
}

// SPDX-License-Identifier: MIT
/* httpd_registry.c - which connections there are, and what they counted.
 *
 * Why a mutex of the thread library: it is held for a few instructions, and never across an await
 * point. A fiber that holds it can't be suspended or moved to another worker. */
#include "httpd.h"

#include <sys/socket.h>

void registry_init(struct registry *registry)
{
    *registry = (struct registry){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void registry_add(struct registry *registry, struct connection *connection)
{
    pthread_mutex_lock(&registry->lock);
    connection->next = registry->first;
    connection->link = &registry->first;
    if (connection->next != NULL) {
        connection->next->link = &connection->next;
    }
    registry->first = connection;
    registry->count++;
    pthread_mutex_unlock(&registry->lock);
}

static void add_counts(struct counts *sum, const struct counts *counts)
{
    sum->connections++;
    sum->requests += counts->requests;
    sum->disconnects += counts->disconnects;
    sum->cancelled += counts->cancelled;
    for (int i = 0; i < STATUS_COUNT; i++) {
        sum->by_status[i] += counts->by_status[i];
    }
}

void registry_remove(struct registry *registry, struct connection *connection)
{
    pthread_mutex_lock(&registry->lock);
    *connection->link = connection->next;
    if (connection->next != NULL) {
        connection->next->link = connection->link;
    }
    registry->count--;
    add_counts(&registry->counts, &connection->counts);
    if (registry->room != NULL) {
        weft_future_set(registry->room, 0);
        registry->room = NULL;
    }
    pthread_mutex_unlock(&registry->lock);
}

int registry_wait_for_room(struct registry *registry, size_t max)
{
    weft_future room = WEFT_FUTURE_INIT;
    pthread_mutex_lock(&registry->lock);
    bool is_full = registry->count >= max;
    registry->room = is_full ? &room : NULL;
    pthread_mutex_unlock(&registry->lock);
    if (!is_full) {
        return 0;
    }
    int rc = weft_future_await(&room, NULL);
    /* The future lies in this frame: once the lock has been had, nobody touches it any more. */
    pthread_mutex_lock(&registry->lock);
    registry->room = NULL;
    pthread_mutex_unlock(&registry->lock);
    return rc;
}

/* No connection closes its descriptor before it has been removed, so each `fd` is the right one. */
void registry_hang_up_idle(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    for (struct connection *each = registry->first; each != NULL; each = each->next) {
        if (atomic_load(&each->is_idle)) {
            shutdown(each->fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&registry->lock);
}

// SPDX-License-Identifier: MIT
/* httpd_counts.c - what the connections counted.
 *
 * Why a mutex of the thread library: it is held for a few instructions, and never across an await
 * point. A fiber that holds it can't be suspended or moved to another worker. */
#include "httpd.h"

void totals_add(struct totals *totals, const struct counts *counts)
{
    pthread_mutex_lock(&totals->lock);
    struct counts *sum = &totals->counts;
    sum->connections += counts->connections;
    sum->requests += counts->requests;
    sum->disconnects += counts->disconnects;
    sum->cancelled += counts->cancelled;
    for (int i = 0; i < STATUS_COUNT; i++) {
        sum->by_status[i] += counts->by_status[i];
    }
    pthread_mutex_unlock(&totals->lock);
}

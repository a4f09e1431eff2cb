// SPDX-License-Identifier: MIT
/* request_id.c - a value that tasks pass on to those they spawn; what contextvars are for in Python.
 *
 * Three requests are served at once. Each handler sets its request's id, and every line that is logged on
 * its behalf carries it, however deep and in whichever task. A simulation: the order is always the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_local request_id = WEFT_LOCAL_INIT("request id", free);

static void say(const char *text)
{
    const char *id = weft_local_get(&request_id);
    printf("[%s] %s\n", id != NULL ? id : "-", text);
}

static intptr_t query(void *arg)
{
    say(arg); /* a child: it was given the values of its spawner */
    return weft_sleep(10 * WEFT_MS);
}

static intptr_t both_queries(void)
{
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc == 0) {
        rc = weft_group_spawn(&group, NULL, query, "asks for the user", NULL);
        rc = rc < 0 ? rc : weft_group_spawn(&group, NULL, query, "asks for the prices", NULL);
        rc = weft_group_close(&group, rc);
    }
    return rc;
}

static intptr_t serve(void *arg)
{
    char *id = malloc(16);
    if (id == NULL) {
        return -ENOMEM;
    }
    (void)snprintf(id, 16, "request %d", (int)(intptr_t)arg);
    int rc = weft_local_set(&request_id, id); /* freed when the last task that has it has ended */
    if (rc < 0) {
        free(id);
        return rc;
    }
    rc = (int)both_queries();
    say(rc == 0 ? "answers" : "fails");
    return rc;
}

static intptr_t app(void *arg)
{
    (void)arg;
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    for (intptr_t i = 1; rc == 0 && i <= 3; i++) {
        rc = weft_group_spawn(&group, NULL, serve, (void *)i, NULL);
    }
    rc = weft_group_close(&group, rc);
    say("all served"); /* what the handlers set is not seen here */
    return rc;
}

int main(void)
{
    const weft_options options = {.simulate = true};
    return weft_run(app, NULL, &options) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* test_tls_sweep.c - TLS connections under the cancel sweep: simulated sockets, which cut transfers short,
 * delay and reset them. Whatever is cancelled, nothing may be left, and nobody may wait for ever. */
#include <weft/testing.h>

#include "sweep_test.h"
#include "tls/pair.h"

/* ---- the server: answers each byte with the next one, until the client says farewell ---- */

static intptr_t answer_all(weft_tls *tls)
{
    for (;;) {
        char byte;
        ssize_t n = weft_tls_read(tls, &byte, 1);
        if (n <= 0) {
            return n < 0 ? n : weft_tls_shutdown(tls);
        }
        byte++;
        n = weft_tls_write(tls, &byte, 1);
        int rc = n == 1 ? weft_tls_flush(tls) : (int)n;
        if (rc < 0) {
            return rc;
        }
    }
}

/* Whoever ends closes its side, which the other one sees. */
static intptr_t serve(void *arg)
{
    weft_tls *tls = arg;
    intptr_t rc = answer_all(tls);
    weft_tls_close(tls);
    held--;
    return rc;
}

static void drop_server(void *arg)
{
    weft_tls_close(arg);
    held--;
}

/* ---- the client ---- */

static intptr_t ask(weft_tls *tls)
{
    char byte = 'a';
    int rc = weft_tls_handshake(tls);
    ssize_t n = rc == 0 ? weft_tls_write(tls, &byte, 1) : rc;
    rc = n == 1 ? weft_tls_wait(tls) : (int)n;
    n = rc == 0 ? weft_tls_read(tls, &byte, 1) : rc;
    if (n == 1) {
        wt_check(byte == 'b');
        rc = weft_tls_flush(tls);
        rc = rc == 0 ? weft_tls_shutdown(tls) : rc;
        n = rc == 0 ? weft_tls_read(tls, &byte, 1) : rc;
    }
    return n;
}

static intptr_t conversation(void *arg)
{
    static const weft_spawn_options options = {.drop_arg = drop_server};
    struct pair pair;
    weft_task *task;
    int fds[2];
    (void)arg;
    int rc = weft_sim_socketpair(fds);
    rc = rc == 0 ? open_over(&pair, fds, world.server, world.client, "localhost") : rc;
    if (rc < 0) {
        return rc;
    }
    held += 2;
    rc = weft_spawn_with(&task, serve, pair.server, &options);
    if (rc < 0) {
        drop_server(pair.server);
    }
    intptr_t result = rc == 0 ? ask(pair.client) : rc;
    weft_tls_close(pair.client); /* which ends the server */
    held--;
    int awaited = rc == 0 ? weft_await(task, NULL) : rc;
    return awaited < 0 ? awaited : result;
}

static void sweep_with(uint64_t seeds)
{
    weft_tls_options once = {.no_session_reuse = true}; /* so that all runs are alike */
    uint64_t points = 0;
    world_open(&world, once, once);
    for (uint64_t seed = 0; seed < seeds; seed++) {
        weft_sweep_options options = {.seed = seed, .heap = heap};
        weft_sweep_report report = {.size = sizeof report};
        cr_assert_eq(weft_cancel_sweep(conversation, NULL, &options, &report), 0, "seed %d",
                     (int)seed);
        cr_assert_eq(held, 0);
        cr_assert_gt(report.delivered, 0);
        points += report.points;
    }
    cr_assert_geq(points, seeds * 10);
    world_close(&world);
    wt_assert_clean();
}

Test(tls_sweep, in_order, .timeout = 60)
{
    sweep_with(1);
}

Test(tls_sweep, seeds, .timeout = 100)
{
    sweep_with(8);
}

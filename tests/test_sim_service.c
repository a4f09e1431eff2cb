// SPDX-License-Identifier: MIT
/* test_sim_service.c - a small service and its clients under many seeds: connections, an echo, cancels
 * at any moment, resets. */
#include <errno.h>
#include <netinet/in.h>

#include <weft.h>
#include <weft/testing.h>

#include "sched/simulate.h"
#include "weft_test.h"

enum { PORT = 7, CLIENTS = 4, BYTES = 1500 };

/* Of one run; all in the frame of its main task. */
struct world {
    int listener;
    weft_group connections;
    bool has_resets;
    int served;
    int broken;
    int cancelled;
    uint64_t trace; /* of what happened in which order */
};

static void note(struct world *world, uint64_t what)
{
    world->trace = (world->trace ^ what ^ (uint64_t)weft_now()) * UINT64_C(0x9e3779b97f4a7c15);
    world->trace ^= world->trace >> 29;
}

static unsigned char byte_at(int client, int place)
{
    return (unsigned char)(client * 53 + place * 7 + place / 251);
}

static bool is_broken(intptr_t rc)
{
    return rc == -ECONNRESET || rc == -EPIPE;
}

/* ---- the service ---- */

static intptr_t echo(int fd)
{
    unsigned char bytes[256];
    for (;;) {
        ssize_t n = weft_read(fd, bytes, sizeof bytes);
        if (n <= 0) {
            return n;
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t m = weft_write(fd, bytes + done, (size_t)(n - done));
            if (m < 0) {
                return m;
            }
            done += m;
        }
    }
}

static intptr_t serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    intptr_t rc = echo(fd);
    wt_check(weft_close(fd) == 0);
    return is_broken(rc) ? 0 : rc;
}

static void close_arg(void *arg)
{
    wt_check(weft_close((int)(intptr_t)arg) == 0);
}

/* Accepts under a time limit that is often too short: no connection may be lost by that. */
static intptr_t serve(void *arg)
{
    struct world *world = arg;
    static const weft_spawn_options owning = {.drop_arg = close_arg};
    for (;;) {
        intptr_t fd = weft_within((int64_t)weft_sim_random(400) * WEFT_US,
                                  weft_accept(world->listener, NULL, NULL));
        note(world, (uint64_t)fd);
        world->cancelled += fd == -ETIMEDOUT;
        if (fd == -ETIMEDOUT) {
            continue;
        }
        if (fd < 0) {
            return fd == -EBADF ? 0 : fd;
        }
        world->served++;
        int rc = weft_group_spawn(&world->connections, NULL, serve_one, (void *)fd, &owning);
        if (rc < 0) {
            close_arg((void *)fd);
            return rc;
        }
    }
}

/* ---- the clients ---- */

struct client {
    struct world *world;
    int number;
    int fd;
    int sent;
    int received;
};

static intptr_t send_all(void *arg)
{
    struct client *client = arg;
    while (client->sent < BYTES) {
        unsigned char bytes[300];
        int length = 1 + (int)weft_sim_random(sizeof bytes);
        length = length < BYTES - client->sent ? length : BYTES - client->sent;
        for (int i = 0; i < length; i++) {
            bytes[i] = byte_at(client->number, client->sent + i);
        }
        intptr_t n = weft_within((int64_t)weft_sim_random(900) * WEFT_US,
                                 weft_write(client->fd, bytes, (size_t)length));
        note(client->world, (uint64_t)n);
        client->world->cancelled += n == -ETIMEDOUT;
        if (n < 0 && n != -ETIMEDOUT) {
            return n;
        }
        client->sent += n > 0 ? (int)n : 0;
    }
    return 0;
}

static intptr_t receive_all(struct client *client)
{
    while (client->received < BYTES) {
        unsigned char bytes[300];
        intptr_t n = weft_within((int64_t)weft_sim_random(900) * WEFT_US,
                                 weft_read(client->fd, bytes, sizeof bytes));
        note(client->world, (uint64_t)n);
        client->world->cancelled += n == -ETIMEDOUT;
        if (n == -ETIMEDOUT) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? n : -EPIPE;
        }
        for (intptr_t i = 0; i < n; i++) {
            if (!wt_check(bytes[i] == byte_at(client->number, client->received++))) {
                return -EIO;
            }
        }
    }
    return 0;
}

static intptr_t talk(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    weft_group group;
    int rc = weft_connect(client->fd, (const struct sockaddr *)&address, sizeof address);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = weft_group_spawn(&group, NULL, send_all, client, NULL);
    return weft_group_close(&group, rc < 0 ? rc : receive_all(client));
}

static intptr_t run_client(void *arg)
{
    struct client *client = arg;
    client->fd = weft_sim_socket();
    wt_check(client->fd >= 0);
    intptr_t rc = talk(client);
    wt_check(client->received <= client->sent || is_broken(rc));
    wt_check(rc == 0 || (client->world->has_resets && is_broken(rc)));
    wt_check(rc != 0 || client->received == BYTES);
    client->world->broken += rc != 0;
    return weft_close(client->fd);
}

/* ---- a run ---- */

static intptr_t run_world(void *arg)
{
    struct world *world = arg;
    struct client clients[CLIENTS];
    weft_sim_faults faults = {.short_transfers = 300,
                              .late = 300,
                              .late_ns = WEFT_MS / 2,
                              .resets = world->has_resets ? 10 : 0,
                              .late_cancels = 400};
    weft_task *server;
    weft_group group;
    intptr_t result = 0;
    wt_check(weft_sim_set_faults(&faults) == 0);
    world->listener = weft_sim_listen(PORT);
    wt_check(weft_group_open(&world->connections, WEFT_GROUP_INDEPENDENT) == 0);
    wt_check(weft_spawn(&server, serve, world) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.world = world, .number = i};
        wt_check(weft_group_spawn(&group, NULL, run_client, &clients[i], NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(weft_close(world->listener) == 0);
    wt_check(weft_await(server, &result) == 0 && result == 0);
    wt_check(weft_group_close(&world->connections, 0) == 0);
    wt_check(wf_sim_open_descriptors(wf_here()->sim) == 0);
    return 0;
}

static struct world run_seed(uint64_t seed, bool has_resets)
{
    struct world world = {.has_resets = has_resets};
    const weft_options options = {.simulate = true, .seed = seed, .workers = 1 + (int)(seed % 4)};
    intptr_t rc = weft_run(run_world, &world, &options);
    cr_assert_eq(rc, 0, "seed %" PRIu64 " ended with %" PRIdPTR, seed, rc);
    int failures = atomic_exchange(&wt_failures, 0);
    cr_assert_eq(failures, 0, "seed %" PRIu64 ": %d checks failed, see above", seed, failures);
    return world;
}

Test(sim_service, every_byte_comes_back, .timeout = 60)
{
    int cancelled = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world world = run_seed(seed, false);
        cr_assert_eq(world.served, CLIENTS, "seed %" PRIu64 ": %d connections", seed, world.served);
        cr_assert_eq(world.broken, 0);
        cancelled += world.cancelled;
    }
    cr_assert(cancelled > 3000, "only %d calls were cancelled", cancelled);
}

Test(sim_service, what_comes_back_was_sent, .timeout = 60)
{
    int broken = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        broken += run_seed(seed, true).broken;
    }
    cr_assert(broken > 20 && broken < 290 * CLIENTS, "%d of %d were broken", broken, 300 * CLIENTS);
}

Test(sim_service, the_same_seed_gives_the_same_run, .timeout = 60)
{
    static uint64_t traces[200];
    int equal = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world first = run_seed(seed, true);
        struct world second = run_seed(seed, true);
        cr_assert_eq(first.trace, second.trace, "seed %" PRIu64, seed);
        traces[seed - 1] = first.trace;
        for (uint64_t other = 0; other + 1 < seed; other++) {
            equal += traces[other] == first.trace;
        }
    }
    cr_assert_eq(equal, 0, "%d pairs of seeds gave the same run", equal);
}

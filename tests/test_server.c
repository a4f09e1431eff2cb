/* SPDX-License-Identifier: MIT */
/* test_server.c - the server helper: accepting, stopping, failures, misuse, workers. */
#include <pthread.h>
#include <sys/resource.h>

#include "server_test.h"

/* ---- serving and stopping ---- */

static intptr_t serve_and_stop(void *arg)
{
    enum { CLIENTS = 20 };
    struct scene scene = {.options = {.serve = answer, .grace_ns = WEFT_FOREVER}};
    int fds[CLIENTS];
    (void)arg;
    begin(&scene);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = dial(&scene);
        ask(fds[i], 'a');
    }
    wt_check(counts_of(&scene).active == CLIENTS);
    int silent = dial(&scene); /* has never sent a byte */
    int late = dial(&scene);   /* in the queue, perhaps, when the server stops */
    wt_check(weft_send(late, "s", 1, 0) == 1);
    wt_check(end(&scene) == 0);
    expect_answer(late, 's');
    expect_end(late);
    expect_end(silent);
    for (int i = 0; i < CLIENTS; i++) {
        expect_end(fds[i]);
    }
    wt_check(atomic_load(&scene.served) == CLIENTS + 1);
    wt_check(atomic_load(&scene.cancelled) == 0);
    wt_check(counts_of(&scene).accepted == CLIENTS + 2 && counts_of(&scene).active == 0);
    return 0;
}

Test(server, serves_and_stops, .timeout = 20)
{
    RUN(serve_and_stop, NULL, NULL);
}

/* Accepted before the stop, asked after it. A round that took too long says nothing. */
static bool asks_late(void)
{
    struct scene scene = {.options = {.serve = answer, .grace_ns = WEFT_FOREVER}};
    char byte = 0;
    begin(&scene);
    int64_t start_ns = weft_now();
    int fd = dial(&scene);
    wt_check(weft_server_stop(&scene.server) == 0);
    while (!weft_server_is_stopping(&scene.server)) {
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < 10; i++) { /* the connection is told */
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_send(fd, "a", 1, 0) == 1);
    bool is_answered = weft_recv(fd, &byte, 1, 0) == 1 && byte == 'b';
    bool is_quick = weft_now() - start_ns < 150 * WEFT_MS;
    wt_check(is_answered || !is_quick);
    if (is_answered) {
        expect_end(fd);
    } else {
        weft_close(fd);
    }
    wt_check(end(&scene) == 0);
    return is_answered;
}

static intptr_t first_requests(void *arg)
{
    bool is_answered = false;
    (void)arg;
    for (int i = 0; i < 100 && !is_answered; i++) {
        is_answered = asks_late();
    }
    wt_check(is_answered);
    return 0;
}

Test(server, a_first_request_on_its_way_is_served, .timeout = 60)
{
    static const weft_options one_worker = {.workers = 1};
    RUN(first_requests, NULL, &one_worker);
    RUN(first_requests, NULL, NULL);
}

/* More than an await point may find ready without a yield, and more than come while the last ones are taken. */
enum { QUEUED = 1400 };

static bool may_open(rlim_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < count) {
        return false;
    }
    limit.rlim_cur = limit.rlim_cur < count ? count : limit.rlim_cur;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static intptr_t long_queue(void *arg)
{
    static int fds[QUEUED];
    const weft_listen_options deep = {.backlog = 4096};
    struct scene scene = {.options = {.serve = answer, .grace_ns = WEFT_FOREVER}};
    int listener = weft_listen_tcp("127.0.0.1", 0, &deep);
    scene.port = weft_local_port(listener);
    scene.options.arg = &scene;
    for (int i = 0; i < QUEUED; i++) {
        fds[i] = dial(&scene);
        wt_check(weft_send(fds[i], "a", 1, 0) == 1);
    }
    wt_check(weft_server_init(&scene.server, &listener, 1, &scene.options) == 0);
    wt_check(weft_server_stop(&scene.server) == 0);
    wt_check(weft_spawn(&scene.task, run_server, &scene.server) == 0);
    for (int i = 0; i < QUEUED; i++) {
        expect_answer(fds[i], 'a');
        weft_close(fds[i]);
    }
    wt_check(weft_await(scene.task, NULL) == 0);
    *(uint64_t *)arg = counts_of(&scene).accepted;
    return 0;
}

Test(server, a_long_queue_is_served_before_the_end, .timeout = 60)
{
    uint64_t accepted = 0;
    int somaxconn = 0;
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");
    if (file != NULL) {
        (void)!fscanf(file, "%d", &somaxconn);
        (void)fclose(file);
    }
    if (somaxconn < QUEUED || !may_open(2 * QUEUED + 100)) {
        wt_skip("queues or descriptors are too few here");
    }
    RUN(long_queue, &accepted, NULL);
    cr_assert_eq(accepted, QUEUED);
}

static intptr_t over_grace(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .grace_ns = 50 * WEFT_MS}};
    (void)arg;
    begin(&scene);
    int fd = dial(&scene);
    ask(fd, 'a');
    int endless = dial(&scene);
    ask(endless, 'a');
    wt_check(weft_send(endless, "z", 1, 0) == 1);
    while (atomic_load(&scene.served) < 2) {
        wt_check(weft_yield() == 0);
    }
    wt_check(end(&scene) == -ETIMEDOUT);
    wt_check(atomic_load(&scene.cancelled) == 1);
    expect_end(fd);
    expect_end(endless);
    return 0;
}

Test(server, what_is_over_the_grace_is_cancelled, .timeout = 20)
{
    RUN(over_grace, NULL, NULL);
}

Test(server, cancelling_it_cancels_the_connections, .timeout = 20)
{
    RUN(cancelled, NULL, NULL);
}

static intptr_t stopped_before(void *arg)
{
    struct scene scene = {.options = {.serve = answer}};
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    (void)arg;
    wt_check(weft_server_init(&scene.server, &listener, 1, &scene.options) == 0);
    wt_check(weft_server_stop(&scene.server) == 0);
    wt_check(weft_server_run(&scene.server) == 0);
    wt_check(weft_server_run(&scene.server) == -EBUSY);
    wt_check(weft_local_port(listener) == -EBADF);
    wt_check(weft_server_is_stopping(&scene.server));
    return 0;
}

Test(server, stopped_before_it_runs, .timeout = 20)
{
    RUN(stopped_before, NULL, NULL);
}

static intptr_t lost_listener(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .grace_ns = WEFT_FOREVER, .arg = &scene}};
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    (void)arg;
    scene.port = weft_local_port(listener);
    wt_check(weft_server_init(&scene.server, &listener, 1, &scene.options) == 0);
    wt_check(weft_spawn(&scene.task, run_server, &scene.server) == 0);
    int fd = dial(&scene);
    ask(fd, 'a');
    weft_close(listener);
    intptr_t result = 0;
    wt_check(weft_await(scene.task, &result) == 0 && result == -EBADF);
    wt_check(atomic_load(&scene.cancelled) == 0);
    expect_end(fd);
    return 0;
}

Test(server, a_listener_that_fails_ends_it_in_order, .timeout = 20)
{
    RUN(lost_listener, NULL, NULL);
}

/* ---- what is told of a connection that fails ---- */

static intptr_t fail(weft_connection *connection, int fd, void *arg)
{
    (void)connection;
    (void)arg;
    weft_close(fd);
    return -EPROTO;
}

static void expect_here(const weft_diagnostic *what, void *arg)
{
    if (what->kind == WEFT_DIAG_GROUP_ERROR) {
        wt_check(what->error == -EPROTO);
        wt_check(strcmp(what->name, "connection") == 0);
        wt_check(strstr(what->site, "server_test.h:") != NULL);
        atomic_fetch_add((atomic_int *)arg, 1);
    }
}

static intptr_t one_that_fails(void *arg)
{
    struct scene scene = {.options = {.serve = fail}};
    (void)arg;
    begin(&scene);
    expect_end(dial(&scene));
    wt_check(end(&scene) == 0);
    return 0;
}

Test(server, a_report_names_the_place_of_the_server)
{
    atomic_int told = 0;
    const weft_options options = {.workers = 2, .diagnostic = expect_here, .diagnostic_arg = &told};
    cr_assert_eq(weft_run(one_that_fails, NULL, &options), 0);
    cr_assert_eq(told, 1);
    wt_assert_clean();
}

/* ---- misuse ---- */

static intptr_t misuse(void *arg)
{
    weft_server server;
    weft_server_counts counts = {.size = sizeof counts + 1};
    int one = 0;
    int none = -1;
    const weft_server_options good = {.serve = answer};
    const weft_server_options bad[] = {{0},
                                       {.serve = answer, .size = 3},
                                       {.serve = answer, .grace_ns = -1},
                                       {.serve = answer, .shed_after_ns = -1},
                                       {.serve = answer, .stack_bytes = SIZE_MAX}};
    static weft_server zeroed;
    (void)arg;
    wt_check(weft_server_init(NULL, &one, 1, &good) == -EINVAL);
    wt_check(weft_server_init(&server, NULL, 1, &good) == -EINVAL);
    wt_check(weft_server_init(&server, &one, 0, &good) == -EINVAL);
    wt_check(weft_server_init(&server, &one, WEFT_SERVER_LISTENERS_MAX + 1, &good) == -EINVAL);
    wt_check(weft_server_init(&server, &none, 1, &good) == -EINVAL);
    wt_check(weft_server_init(&server, &one, 1, NULL) == -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wt_check(weft_server_init(&server, &one, 1, &bad[i]) == -EINVAL);
    }
    wt_check(weft_server_run(NULL) == -EINVAL);
    wt_check(weft_server_stop(NULL) == -EINVAL);
    wt_check(!weft_server_is_stopping(NULL));
    wt_check(weft_server_run(&zeroed) == -EINVAL);
    wt_check(weft_server_stop(&zeroed) == -EINVAL);
    wt_check(weft_server_init(&server, &one, 1, &good) == 0);
    wt_check(weft_server_count(&server, &counts) == -EINVAL);
    counts = (weft_server_counts){.size = 0, .accepted = 7};
    wt_check(weft_server_count(&server, &counts) == 0 && counts.accepted == 0);
    wt_check(counts.size == sizeof counts);
    wt_check(weft_connection_wait(NULL, 0, 0) == -EINVAL);
    wt_check(weft_connection_server(NULL) == NULL);
    return 0;
}

Test(server, misuse_is_told, .timeout = 20)
{
    RUN(misuse, NULL, NULL);
}

static intptr_t run_and_stop(void *arg)
{
    wt_check(weft_server_stop(arg) == 0);
    return weft_server_run(arg);
}

Test(server, a_plain_thread_leaves_it_to_a_fiber)
{
    static weft_server server;
    const weft_server_options options = {.serve = answer};
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    cr_assert(listener >= 0);
    cr_assert_eq(weft_server_init(&server, &listener, 1, &options), 0);
    cr_assert_eq(weft_server_run(&server), -EPERM);
    cr_assert(weft_local_port(listener) > 0);
    RUN(run_and_stop, &server, NULL);
    cr_assert_eq(weft_local_port(listener), -EBADF);
}

/* ---- workers ---- */

enum { THREADS_MAX = 64 };

struct spread {
    struct scene scene;
    atomic_int gone;
    atomic_int begun[THREADS_MAX]; /* by the number of the thread in order of appearance */
    _Atomic(pthread_t) threads[THREADS_MAX];
};

static int thread_number(struct spread *spread)
{
    pthread_t self = pthread_self();
    for (int i = 0;; i++) {
        pthread_t none = 0;
        if (atomic_compare_exchange_strong(&spread->threads[i], &none, self) || none == self) {
            return i;
        }
    }
}

/* Computes for a while for each byte, as a request would be. */
static intptr_t compute(weft_connection *connection, int fd, void *arg)
{
    struct spread *spread = (struct spread *)(void *)arg;
    char byte;
    while (weft_connection_wait(connection, fd, WEFT_FOREVER) > 0 &&
           weft_recv(fd, &byte, 1, 0) == 1) {
        int64_t begun_ns = weft_now();
        while (weft_now() - begun_ns < WEFT_MS) {
        }
        atomic_fetch_add(&spread->begun[thread_number(spread)], 1);
        byte++;
        if (weft_send(fd, &byte, 1, 0) != 1) {
            break;
        }
    }
    weft_close(fd);
    return 0;
}

static intptr_t client(void *arg)
{
    struct spread *spread = arg;
    int fd = dial(&spread->scene);
    for (int i = 0; i < 20; i++) {
        ask(fd, 'a');
    }
    weft_close(fd);
    return 0;
}

static intptr_t spread_over_workers(void *arg)
{
    enum { CLIENTS = 16, REQUESTS = CLIENTS * 20 };
    struct spread *spread = arg;
    weft_group group;
    spread->scene.options = (weft_server_options){.serve = compute};
    begin(&spread->scene);
    int rc = weft_group_open(&group, 0);
    for (int i = 0; i < CLIENTS && rc == 0; i++) {
        rc = weft_group_spawn(&group, NULL, client, spread, NULL);
    }
    wt_check(weft_group_close(&group, rc) == 0);
    wt_check(end(&spread->scene) == 0);
    /* Two workers, half a second of work: each has done some of it. */
    wt_check(atomic_load(&spread->begun[0]) + atomic_load(&spread->begun[1]) == REQUESTS);
    wt_check(atomic_load(&spread->begun[0]) >= REQUESTS / 10);
    wt_check(atomic_load(&spread->begun[1]) >= REQUESTS / 10);
    return 0;
}

Test(server, connections_spread_over_workers, .timeout = 30)
{
    static struct spread spread;
    RUN(spread_over_workers, &spread, &(weft_options){.workers = 2});
}

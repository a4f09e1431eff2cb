/* SPDX-License-Identifier: MIT */
/* test_server_limits.c - servers at their limits, or without descriptors, and what a service manager is told. */
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "server_test.h"

/* ---- limits ---- */

static intptr_t at_the_limit(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .connections_max = 2}};
    (void)arg;
    begin(&scene);
    int first = dial(&scene);
    int second = dial(&scene);
    ask(first, 'a');
    ask(second, 'a');
    int third = dial(&scene);
    wt_check(weft_send(third, "b", 1, 0) == 1);
    wt_check(weft_within(50 * WEFT_MS, weft_wait_fd(third, WEFT_READABLE)) == -ETIMEDOUT);
    weft_close(first);
    expect_answer(third, 'b');
    weft_close(second);
    weft_close(third);
    wt_check(end(&scene) == 0);
    wt_check(counts_of(&scene).accepted == 3 && counts_of(&scene).shed == 0);
    return 0;
}

Test(server, clients_beyond_the_limit_wait, .timeout = 20)
{
    RUN(at_the_limit, NULL, NULL);
}

enum { LISTENERS = 4 };

static void listen_at(int *listeners, int *ports)
{
    for (int i = 0; i < LISTENERS; i++) {
        listeners[i] = weft_listen_tcp("127.0.0.1", 0, NULL);
        wt_check(listeners[i] >= 0);
        ports[i] = weft_local_port(listeners[i]);
    }
}

/* Each listener's task waits for a client of its own, and all of them come. */
static intptr_t at_the_limit_of_several(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .connections_max = 1}};
    int listeners[LISTENERS];
    int ports[LISTENERS];
    int fds[LISTENERS];
    (void)arg;
    listen_at(listeners, ports);
    scene.options.arg = &scene;
    wt_check(weft_server_init(&scene.server, listeners, LISTENERS, &scene.options) == 0);
    wt_check(weft_spawn(&scene.task, run_server, &scene.server) == 0);
    for (int i = 0; i < 20; i++) { /* on one worker: until all accept */
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < LISTENERS; i++) {
        scene.port = ports[i];
        fds[i] = dial(&scene);
        wt_check(weft_send(fds[i], "a", 1, 0) == 1);
    }
    for (int left = LISTENERS; left > 0; left--) {
        weft_case cases[LISTENERS];
        for (int i = 0; i < left; i++) {
            cases[i] = weft_case_fd(fds[i], WEFT_READABLE);
        }
        int chosen = weft_select(cases, (size_t)left, 0);
        wt_check(chosen >= 0 && counts_of(&scene).active == 1);
        expect_answer(fds[chosen], 'a');
        weft_close(fds[chosen]);
        fds[chosen] = fds[left - 1];
    }
    wt_check(end(&scene) == 0);
    wt_check(counts_of(&scene).accepted == LISTENERS);
    return 0;
}

Test(server, the_limit_holds_for_all_listeners, .timeout = 20)
{
    static const weft_options one_worker = {.workers = 1};
    RUN(at_the_limit_of_several, NULL, &one_worker);
}

/* All that are left but for `spare`. */
static int use_up(int *fds, int most, int spare)
{
    int count = 0;
    while (count < most && (fds[count] = dup(STDERR_FILENO)) >= 0) {
        count++;
    }
    for (int i = 0; i < spare && count > 0; i++) {
        close(fds[--count]);
    }
    return count;
}

static int64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * WEFT_S + used.tv_nsec;
}

enum { DESCRIPTORS = 100 };

static void limit_descriptors(void)
{
    struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Clients whose connections the kernel has accepted, but for whom there is no descriptor. */
static intptr_t out_of_descriptors(void *arg)
{
    enum { CLIENTS = 5 };
    struct scene scene = {.options = {.serve = answer, .shed_after_ns = (intptr_t)arg}};
    int fds[CLIENTS];
    int used[DESCRIPTORS];
    begin(&scene);
    int first = dial(&scene);
    ask(first, 'a');
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    int count = use_up(used, DESCRIPTORS, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)scene.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < CLIENTS; i++) {
        wt_check(weft_connect(fds[i], (const struct sockaddr *)&address, sizeof address) == 0);
    }
    ask(first, 'b'); /* those who are in go on */
    int64_t begun_ns = cpu_ns();
    if ((intptr_t)arg == WEFT_FOREVER) {
        wt_check(weft_within(300 * WEFT_MS, weft_wait_fd(fds[0], WEFT_READABLE)) == -ETIMEDOUT);
        wt_check(cpu_ns() - begun_ns < 100 * WEFT_MS * WT_TIME_SCALE); /* nobody spins */
        close(used[--count]);
        for (int i = 0; i < CLIENTS; i++) { /* each that ends makes room for another */
            ask(fds[i], 'c');
            weft_close(fds[i]);
        }
        wt_check(counts_of(&scene).shed == 0);
    } else {
        for (int i = 0; i < CLIENTS; i++) {
            expect_end(fds[i]);
        }
        wt_check(cpu_ns() - begun_ns < 100 * WEFT_MS * WT_TIME_SCALE);
        wt_check(counts_of(&scene).shed == CLIENTS);
        ask(first, 'd');
    }
    while (count > 0) {
        close(used[--count]);
    }
    int last = dial(&scene);
    ask(last, 'e');
    weft_close(last);
    weft_close(first);
    wt_check(end(&scene) == 0);
    return 0;
}

Test(server, without_descriptors_clients_wait, .timeout = 20)
{
    limit_descriptors();
    RUN(out_of_descriptors, word(WEFT_FOREVER), &(weft_options){.workers = 1});
}

Test(server, without_descriptors_for_long_clients_are_shed, .timeout = 20)
{
    limit_descriptors();
    RUN(out_of_descriptors, word(100 * WEFT_MS), &(weft_options){.workers = 1});
}

/* ---- service managers ---- */

static int bind_notify(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    wt_check(bind(fd, (const struct sockaddr *)&address, length) == 0);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

static void expect_state(int fd, const char *state)
{
    char text[64] = "";
    wt_check(weft_recv(fd, text, sizeof text - 1, 0) == (ssize_t)strlen(state));
    wt_check(strcmp(text, state) == 0);
}

static intptr_t notifies(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .notify = true}};
    int fd = bind_notify(arg);
    begin(&scene);
    expect_state(fd, "READY=1");
    int client_fd = dial(&scene);
    ask(client_fd, 'a');
    wt_check(weft_server_stop(&scene.server) == 0);
    expect_state(fd, "STOPPING=1");
    wt_check(weft_await(scene.task, NULL) == 0);
    weft_close(client_fd);
    wt_check(weft_notify("STATUS=bye") == 1);
    expect_state(fd, "STATUS=bye");
    wt_check(weft_notify(NULL) == -EINVAL);
    setenv("NOTIFY_SOCKET", "nowhere", 1);
    wt_check(weft_notify("READY=1") == -EAFNOSUPPORT);
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    wt_check(weft_notify("READY=1") == -ENOENT);
    unsetenv("NOTIFY_SOCKET");
    wt_check(weft_notify("READY=1") == 0);
    weft_close(fd);
    return 0;
}

/* A descriptor is kept for that. */
static intptr_t notifies_without_descriptors(void *arg)
{
    struct scene scene = {.options = {.serve = answer, .notify = true}};
    int used[DESCRIPTORS];
    int fd = bind_notify(arg);
    begin(&scene);
    expect_state(fd, "READY=1");
    int client_fd = dial(&scene);
    ask(client_fd, 'a');
    int count = use_up(used, DESCRIPTORS, 0);
    wt_check(weft_server_stop(&scene.server) == 0);
    wt_check(weft_await(scene.task, NULL) == 0);
    while (count > 0) {
        close(used[--count]);
    }
    intptr_t rc = weft_within(WEFT_S, weft_wait_fd(fd, WEFT_READABLE));
    wt_check(rc > 0);
    if (rc > 0) {
        expect_state(fd, "STOPPING=1");
    }
    weft_close(client_fd);
    weft_close(fd);
    return 0;
}

Test(server, tells_a_service_manager_without_descriptors, .timeout = 20)
{
    char path[64];
    sprintf(path, "@weft-notify-%d-full", (int)getpid());
    limit_descriptors();
    RUN(notifies_without_descriptors, path, &(weft_options){.workers = 1});
}

Test(server, tells_a_service_manager, .timeout = 20)
{
    char path[64];
    sprintf(path, "/tmp/weft-notify-%d", (int)getpid());
    RUN(notifies, path, NULL);
    unlink(path);
    sprintf(path, "@weft-notify-%d", (int)getpid());
    RUN(notifies, path, NULL);
}

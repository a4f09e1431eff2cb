// SPDX-License-Identifier: MIT
/* test_resolve.c - looking up names, against a name server in the test itself.
 *
 * Everything is on loopback. Where a time-out is waited for it is a few tens of milliseconds. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft.h>
#include <weft/testing.h>

#include "dns_server.h"
#include "net_test.h"
#include "net/resolve.h"
#include "support.h"
#include "weft_test.h"

/* ---- tools ---- */

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

/* Options that ask `server` alone, impatiently. */
static weft_resolve_options ask_only(const struct dns_server *server)
{
    weft_resolve_options options = {.servers = server->address,
                                    .timeout_ns = 40 * WEFT_MS * WT_TIME_SCALE,
                                    .tries = 2,
                                    .search = ""};
    return options;
}

/* The addresses found, as one line. */
static void describe(const weft_addresses *found, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < found->count; i++) {
        char one[80];
        wt_check(weft_address_text(&found->items[i], one, sizeof one) > 0);
        (void)snprintf(text + strlen(text), size - strlen(text), "%s%s", i > 0 ? " " : "", one);
    }
}

static bool contains(const weft_addresses *found, const char *expected)
{
    char text[4096];
    describe(found, text, sizeof text);
    if (strstr(text, expected) == NULL) {
        fprintf(stderr, "found: %s\n", text);
        return false;
    }
    return true;
}

static int resolve_error(const char *host, const weft_resolve_options *options)
{
    weft_addresses *found = NULL;
    int rc = weft_resolve(host, 80, options, &found);
    wt_check((rc == 0) == (found != NULL));
    weft_addresses_free(found);
    return rc;
}

/* Where all is answered, however busy the machine is. */
enum { PATIENCE = 5 };

/* Runs under a server of its own. */
#define WITH_SERVER(Server)         \
    struct dns_server Server = {0}; \
    dns_start(&Server);             \
    weft_resolve_options options = ask_only(&Server)

/* ---- what needs no server ---- */

static intptr_t numeric(void *arg)
{
    static const weft_resolve_options only_v6 = {.family = AF_INET6};
    weft_addresses *found = NULL;
    char text[64];
    (void)arg;
    wt_check(weft_resolve("192.0.2.7", 8080, NULL, &found) == 0 && found->count == 1);
    wt_check(weft_address_text(&found->items[0], text, sizeof text) == 14);
    wt_check(strcmp(text, "192.0.2.7:8080") == 0);
    weft_addresses_free(found);
    found = NULL;
    wt_check(weft_resolve("2001:db8::7", 443, &only_v6, &found) == 0 && found->count == 1);
    wt_check(weft_address_text(&found->items[0], text, sizeof text) == 17);
    wt_check(strcmp(text, "[2001:db8::7]:443") == 0);
    weft_addresses_free(found);
    wt_check(resolve_error("192.0.2.7", &only_v6) == -ENODATA);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(resolve_error("192.0.2.7", NULL) ==
             -ECANCELED); /* though nothing had to be waited for */
    wt_check(weft_uncancel(weft_self()) == 0);
    return 0;
}

Test(resolve, numeric_addresses)
{
    RUN(numeric, NULL, &one_worker);
}

static intptr_t misuse(void *arg)
{
    static const weft_resolve_options wrong[] = {{.size = 1},
                                                 {.family = AF_UNIX},
                                                 {.timeout_ns = -1},
                                                 {.tries = -1},
                                                 {.dots = -1},
                                                 {.resolver = 7},
                                                 {.size = sizeof(weft_resolve_options) + 8}};
    static const weft_resolve_options not_of_the_pool = {.resolver = WEFT_RESOLVE_POOL,
                                                         .servers = "127.0.0.1"};
    static const weft_resolve_options no_servers = {.servers = "no address"};
    weft_addresses *found = NULL;
    (void)arg;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        wt_check(resolve_error("192.0.2.7", &wrong[i]) == -EINVAL);
    }
    wt_check(weft_resolve(NULL, 0, NULL, &found) == -EINVAL);
    wt_check(weft_resolve("", 0, NULL, &found) == -EINVAL);
    wt_check(weft_resolve("x", 0, NULL, NULL) == -EINVAL);
    wt_check(resolve_error("name.test", &not_of_the_pool) == -EINVAL);
    wt_check(resolve_error("192.0.2.7", &not_of_the_pool) == -EINVAL); /* though nobody is asked */
    wt_check(resolve_error("192.0.2.7", &no_servers) == -EINVAL);
    wt_check(weft_address_text(NULL, NULL, 0) == -EINVAL);
    return 0;
}

Test(resolve, misuse)
{
    weft_addresses *found = NULL;
    cr_assert_eq(weft_resolve("192.0.2.1", 0, NULL, &found), -EPERM);
    weft_addresses_free(NULL);
    RUN(misuse, NULL, &one_worker);
}

static intptr_t simulated(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    wt_check(resolve_error("name.test", NULL) == -ENOTSUP);
    wt_check(weft_resolve("localhost", 80, NULL, &found) == 0 && contains(found, "127.0.0.1:80"));
    weft_addresses_free(found);
    return 0;
}

Test(resolve, simulated)
{
    static const weft_options plain_sim = {.simulate = true};
    RUN(simulated, NULL, &plain_sim);
}

/* ---- answers ---- */

static intptr_t answers(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    WITH_SERVER(server);
    options.timeout_ns = PATIENCE * WEFT_S;
    wt_check(weft_resolve("both.test", 80, &options, &found) == 0 && found->count == 3);
    wt_check(contains(found, "192.0.2.1:80") && contains(found, "192.0.2.2:80"));
    wt_check(contains(found, "[2001:db8::1]:80"));
    weft_addresses_free(found);
    wt_check(weft_resolve("alias.test", 80, &options, &found) == 0 && found->count == 3);
    wt_check(contains(found, "192.0.2.2:80") && contains(found, "[2001:db8::1]:80"));
    weft_addresses_free(found);
    wt_check(weft_resolve("four.test", 80, &options, &found) == 0 && found->count == 1);
    wt_check(contains(found, "192.0.2.4:80"));
    weft_addresses_free(found);
    options.family = AF_INET6;
    wt_check(weft_resolve("both.test", 80, &options, &found) == 0 && found->count == 1);
    weft_addresses_free(found);
    wt_check(resolve_error("four.test", &options) == -ENODATA);
    options.family = AF_INET;
    wt_check(server.connections == 0);
    wt_check(weft_resolve("many.test", 80, &options, &found) == 0 && found->count == 40);
    wt_check(server.connections > 0); /* what was cut off came over TCP */
    weft_addresses_free(found);
    dns_stop(&server);
    return 0;
}

Test(resolve, answers, .timeout = 30)
{
    NEED_CARES();
    RUN(answers, NULL, &one_worker);
    RUN(answers, NULL, &four_workers);
}

static intptr_t refusals(void *arg)
{
    (void)arg;
    WITH_SERVER(server);
    wt_check(resolve_error("none.test", &options) == -ENOENT);
    wt_check(resolve_error("empty.test", &options) == -ENODATA);
    wt_check(resolve_error("fail.test", &options) == -ECONNREFUSED);
    wt_check(resolve_error("unread.test", &options) == -ECONNREFUSED);
    wt_check(resolve_error("silent.test", &options) == -ETIMEDOUT);
    int rc = resolve_error("garbage.test", &options);
    wt_check(rc == -EBADMSG || rc == -ETIMEDOUT || rc == -EREMOTEIO);
    rc = resolve_error("a..b", &options);
    wt_check(rc == -EINVAL || rc == -ENOENT);
    options.servers = "no address";
    wt_check(resolve_error("both.test", &options) == -EINVAL);
    dns_stop(&server);
    return 0;
}

Test(resolve, refusals, .timeout = 30)
{
    NEED_CARES();
    RUN(refusals, NULL, &one_worker);
}

/* The first question gets no answer; a server that is not there is passed over. */
static intptr_t tries_again(void *arg)
{
    weft_addresses *found = NULL;
    char servers[80];
    (void)arg;
    WITH_SERVER(server);
    wt_check(weft_resolve("second.test", 80, &options, &found) == 0);
    wt_check(contains(found, "192.0.2.4:80") && server.queries >= 3);
    weft_addresses_free(found);
    int closed = weft_bind_udp("127.0.0.1", 0, NULL);
    int port = weft_local_port(closed);
    wt_check(weft_close(closed) == 0);
    (void)snprintf(servers, sizeof servers, "127.0.0.1:%d,%s", port, server.address);
    options.servers = servers;
    wt_check(weft_resolve("four.test", 80, &options, &found) == 0 && found->count == 1);
    weft_addresses_free(found);
    (void)snprintf(servers, sizeof servers, "127.0.0.1:%d", port);
    wt_check(resolve_error("four.test", &options) == -ECONNREFUSED);
    dns_stop(&server);
    return 0;
}

Test(resolve, tries_again, .timeout = 30)
{
    NEED_CARES();
    RUN(tries_again, NULL, &one_worker);
}

static intptr_t searches(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    WITH_SERVER(server);
    options.timeout_ns = PATIENCE * WEFT_S;
    options.search = "empty.example, test";
    wt_check(weft_resolve("four", 80, &options, &found) == 0 && found->count == 1);
    wt_check(strcmp(server.last, "four.empty.example") != 0 || server.queries <= 2);
    weft_addresses_free(found);
    options.search = "nowhere.example,none.example";
    wt_check(resolve_error("unknown", &options) == -ENOENT);
    wt_check(strcmp(server.last, "unknown") == 0); /* at last as it is */
    options.dots = 2;
    wt_check(resolve_error("un.known", &options) == -ENOENT);
    wt_check(strcmp(server.last, "un.known") == 0);
    options.search = "";
    int before = server.queries;
    wt_check(resolve_error("unknown", &options) == -ENOENT);
    wt_check(server.queries == before + 2); /* A and AAAA, once */
    dns_stop(&server);
    return 0;
}

Test(resolve, search_list, .timeout = 30)
{
    NEED_CARES();
    RUN(searches, NULL, &one_worker);
}

/* The domains of the system, here as the environment gives them. */
static intptr_t searches_the_systems(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    WITH_SERVER(server);
    options.search = NULL;
    wt_check(weft_resolve("four", 80, &options, &found) == 0 && found->count == 1);
    wt_check(strcmp(server.last, "four.test") == 0);
    weft_addresses_free(found);
    dns_stop(&server);
    return 0;
}

Test(resolve, search_list_of_the_system, .timeout = 30)
{
    NEED_CARES();
    cr_assert_eq(setenv("LOCALDOMAIN", "test", 1), 0);
    RUN(searches_the_systems, NULL, &one_worker);
}

static intptr_t reads_hosts(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    WITH_SERVER(server);
    wt_check(weft_resolve("hosted.test", 80, &options, &found) == 0);
    wt_check(contains(found, "192.0.2.77:80"));
    weft_addresses_free(found);
    wt_check(weft_resolve("localhost", 80, &options, &found) == 0);
    wt_check(contains(found, "127.0.0.1:80"));
    weft_addresses_free(found);
    wt_check(server.queries == 0);
    dns_stop(&server);
    return 0;
}

Test(resolve, hosts_file, .timeout = 30)
{
    NEED_CARES();
    char path[] = "/tmp/weft-hosts-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "192.0.2.77 hosted.test other.test\n127.0.0.1 localhost\n";
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(setenv("CARES_HOSTS", path, 1), 0);
    RUN(reads_hosts, NULL, &one_worker);
    cr_assert_eq(unlink(path), 0);
}

static intptr_t without_descriptors(void *arg)
{
    struct rlimit limit;
    (void)arg;
    WITH_SERVER(server);
    int before = count_sockets();
    int first = dup(0); /* the lowest that is free */
    wt_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)first + 1;
    wt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int rc = resolve_error("both.test", &options);
    limit.rlim_cur = soft;
    wt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    wt_check(rc == -EMFILE);
    wt_check(resolve_error("both.test", &options) == 0);
    wt_check(close(first) == 0);
    wt_check(count_sockets() == before);
    dns_stop(&server);
    return 0;
}

Test(resolve, out_of_descriptors, .timeout = 30)
{
    NEED_CARES();
    RUN(without_descriptors, NULL, &one_worker);
}

/* ---- cancellation ---- */

struct asking {
    const char *host;
    const weft_resolve_options *options;
};

static intptr_t ask_for(void *arg)
{
    const struct asking *asking = arg;
    return resolve_error(asking->host, asking->options);
}

struct cancelling {
    weft_task *task;
    int at; /* which query of the server brings it about */
};

static void cancel_at_query(struct dns_server *server, void *arg)
{
    struct cancelling *cancelling = arg;
    if (server->queries == cancelling->at) {
        (void)weft_cancel(cancelling->task);
    }
}

/* At each query that a lookup makes, over UDP and TCP: the answer comes when the request has been made. */
static int sweep_queries(struct dns_server *server, const char *host,
                         const weft_resolve_options *options)
{
    int cancelled = 0;
    for (int at = 1; at <= 6; at++) {
        struct asking asking = {host, options};
        struct cancelling cancelling = {.at = at};
        int before = count_sockets();
        intptr_t result = 0;
        server->queries = 0;
        server->second_met = 0;
        server->on_query = cancel_at_query;
        server->arg = &cancelling;
        wt_check(weft_spawn(&cancelling.task, ask_for, &asking) == 0);
        wt_check(weft_join(cancelling.task, &result) == 0);
        server->on_query = NULL;
        weft_drop(cancelling.task);
        wt_check(result == 0 || result == -ECANCELED || result == -ETIMEDOUT);
        cancelled += result == -ECANCELED ? 1 : 0;
        wt_check(count_sockets() - before <= 2); /* the server may still have a connection */
    }
    return cancelled;
}

static intptr_t cancelled_at_queries(void *arg)
{
    (void)arg;
    int before = count_sockets();
    WITH_SERVER(server);
    wt_check(sweep_queries(&server, "both.test", &options) >= 1);
    wt_check(sweep_queries(&server, "second.test", &options) >= 2);
    wt_check(sweep_queries(&server, "silent.test", &options) >= 3);
    wt_check(sweep_queries(&server, "many.test", &options) >= 2);
    dns_stop(&server); /* which may not have seen yet that its peers are gone */
    wt_check(count_sockets() == before);
    return 0;
}

Test(resolve, cancelled_at_every_query, .timeout = 60)
{
    NEED_CARES();
    RUN(cancelled_at_queries, NULL, &one_worker);
}

/* Many at once on several workers, each given up at another moment. */
static intptr_t lookups_given_up(void *arg)
{
    static const char *const hosts[] = {"both.test", "silent.test", "many.test", "none.test"};
    enum { COUNT = 60 };
    weft_task *tasks[COUNT];
    struct asking asking[COUNT];
    int given_up = 0;
    (void)arg;
    int before = count_sockets();
    WITH_SERVER(server);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < COUNT; i++) {
            asking[i] = (struct asking){hosts[i % 4], &options};
            wt_check(weft_spawn(&tasks[i], ask_for, &asking[i]) == 0);
        }
        for (int i = 0; i < COUNT; i++) {
            if (i % 3 == round % 3) {
                wt_check(weft_yield() == 0);
            }
            (void)weft_cancel(tasks[(i * 7 + round) % COUNT]);
        }
        for (int i = 0; i < COUNT; i++) {
            intptr_t result = 0;
            wt_check(weft_await(tasks[i], &result) == 0);
            given_up += result == -ECANCELED ? 1 : 0;
        }
    }
    wt_check(given_up > 0);
    dns_stop(&server);
    wt_check(count_sockets() == before);
    return 0;
}

Test(resolve, many_given_up, .timeout = 60)
{
    NEED_CARES();
    RUN(lookups_given_up, NULL, &four_workers);
}

static intptr_t within_a_limit(void *arg)
{
    (void)arg;
    WITH_SERVER(server);
    options.timeout_ns = 30 * WEFT_S;
    int64_t start = weft_now();
    wt_check(weft_within(20 * WEFT_MS, resolve_error("silent.test", &options)) == -ETIMEDOUT);
    wt_check(weft_now() - start < 10 * WEFT_S);
    dns_stop(&server);
    return 0;
}

Test(resolve, within_a_time_limit, .timeout = 30)
{
    NEED_CARES();
    RUN(within_a_limit, NULL, &one_worker);
}

/* ---- on the pool ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_is_open;
static int gate_waiting;
static int gate_passed;

/* Stands for a getaddrinfo that takes until the gate is open. */
static int slow_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **found)
{
    struct addrinfo numeric = *hints;
    (void)pthread_mutex_lock(&gate_lock);
    gate_waiting++;
    (void)pthread_cond_broadcast(&gate_changed);
    while (!gate_is_open) {
        (void)pthread_cond_wait(&gate_changed, &gate_lock);
    }
    gate_passed++;
    (void)pthread_cond_broadcast(&gate_changed);
    (void)pthread_mutex_unlock(&gate_lock);
    if (strcmp(host, "none.test") == 0) {
        return EAI_NONAME;
    }
    numeric.ai_flags = AI_NUMERICHOST;
    return getaddrinfo("192.0.2.9", service, &numeric, found);
}

static void set_gate(bool is_open)
{
    (void)pthread_mutex_lock(&gate_lock);
    gate_is_open = is_open;
    gate_waiting = is_open ? gate_waiting : 0;
    (void)pthread_cond_broadcast(&gate_changed);
    (void)pthread_mutex_unlock(&gate_lock);
}

/* Blocks the thread, which is fine for once. */
static void wait_for(const int *counter, int least)
{
    (void)pthread_mutex_lock(&gate_lock);
    while (*counter < least) {
        (void)pthread_cond_wait(&gate_changed, &gate_lock);
    }
    (void)pthread_mutex_unlock(&gate_lock);
}

static intptr_t ask_pool(void *arg)
{
    struct wf_question question = {.host = arg, .port = 53};
    weft_addresses *found = NULL;
    int rc = wf_resolve_on_pool(&question, slow_getaddrinfo, &found);
    wt_check(rc != 0 || (found->count == 1 && contains(found, "192.0.2.9:53")));
    weft_addresses_free(found);
    return rc;
}

static intptr_t on_the_pool(void *arg)
{
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    set_gate(true);
    wt_check(ask_pool((void *)(uintptr_t) "some.test") == 0);
    wt_check(ask_pool((void *)(uintptr_t) "none.test") == -ENOENT);
    set_gate(false);
    int passed = gate_passed;
    wt_check(weft_spawn(&task, ask_pool, (void *)(uintptr_t) "some.test") == 0);
    wt_check(weft_yield() == 0);
    wait_for(&gate_waiting, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED); /* though it still runs */
    set_gate(true);
    wait_for(&gate_passed, passed + 1); /* it ends unattended, and what it found is freed */
    return 0;
}

Test(resolve, on_the_pool, .timeout = 30)
{
    RUN(on_the_pool, NULL, &one_worker);
}

static intptr_t real_getaddrinfo(void *arg)
{
    static const weft_resolve_options on_pool = {.resolver = WEFT_RESOLVE_POOL, .family = AF_INET};
    weft_addresses *found = NULL;
    (void)arg;
    wt_check(weft_resolve("localhost", 80, &on_pool, &found) == 0);
    wt_check(found != NULL && contains(found, "127.0.0.1:80"));
    weft_addresses_free(found);
    return 0;
}

Test(resolve, by_getaddrinfo, .timeout = 30)
{
    RUN(real_getaddrinfo, NULL, &one_worker);
}

/* SPDX-License-Identifier: MIT */
/* test_httpd_idle.c - many clients that have connected and say nothing: what each costs the example server,
 * and that it serves and stops as if they were not there. */
#include "httpd/outside.h"

enum {
    CLIENTS_WANTED = 20000,
    CLIENTS_SLOW = 2000, /* where all is slow */
    CLIENTS_LEAST = 500,
    DESCRIPTORS_SPARE = 64, /* for what a process has beside its connections */
    PAGE_BYTES = 4096,
    BESIDE_BYTES = 1024, /* what a connection may cost beside one page of its stack */
};

/* As far as it goes, in this process; children inherit it. Returns how many connections it is good for. */
static int raise_limit(void)
{
    struct rlimit limit = {CLIENTS_WANTED + DESCRIPTORS_SPARE, CLIENTS_WANTED + DESCRIPTORS_SPARE};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    return limit.rlim_cur >= CLIENTS_WANTED + DESCRIPTORS_SPARE
               ? CLIENTS_WANTED
               : (int)limit.rlim_cur - DESCRIPTORS_SPARE;
}

/* Memory that is the program's own and in use. */
static long anonymous_bytes(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    sprintf(path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "Anonymous: %ld kB", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib < 0 ? -1 : kib * 1024;
}

/* From another address for each few thousand: the kernel takes long to find a free port where more than half
 * of those of an address are in use. */
static int dial_from(const struct program *server, int index)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    cr_assert_geq(fd, 0);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)index / 5000);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    cr_assert_eq(bind(fd, (const struct sockaddr *)(const void *)&from, sizeof from), 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)(const void *)&to, sizeof to), 0);
    return fd;
}

/* Answered, so the server has accepted all who came before: it takes them in their order. */
static void expect_served(const struct program *server)
{
    int fd = dial_and_say(server, GET("/"));
    expect_reply(fd, 200, "hello\n");
    close(fd);
}

Test(httpd_idle, twenty_thousand_silent_clients, .timeout = 100)
{
    static int fds[CLIENTS_WANTED];
    struct program server;
    int count = raise_limit();
    count = WT_TIME_SCALE > 1 && count > CLIENTS_SLOW ? CLIENTS_SLOW : count;
    if (count < CLIENTS_LEAST) {
        wt_skip("only %d descriptors here", count);
    }
    START(&server, "--max-connections", "30000", "--idle-timeout", "600s", "--grace", "600s");
    expect_served(&server);
    long before = anonymous_bytes(server.pid);
    for (int i = 0; i < count; i++) {
        fds[i] = dial_from(&server, i);
    }
    expect_served(&server);
    long after = anonymous_bytes(server.pid);
    printf("%d clients, %ld bytes each\n", count, (after - before) / count);
    if (before > 0 && WT_TIME_SCALE == 1) { /* sanitizers have memory of their own */
        cr_assert_leq((after - before) / count, PAGE_BYTES + BESIDE_BYTES, "%ld bytes each",
                      (after - before) / count);
    }
    say(fds[count / 2], GET("/fan?n=4")); /* any of them may wake up */
    expect_reply(fds[count / 2], 200, "10\n");
    kill(server.pid, SIGTERM);
    for (int i = 0; i < count; i++) { /* at once, though the grace is long */
        expect_end(fds[i]);
    }
    cr_assert_eq(finish(&server), 0, "%s", server.text);
    cr_assert_eq(counter(&server, "connections"), count + 2);
    cr_assert_eq(counter(&server, "disconnects"), 0);
}

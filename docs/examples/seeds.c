// SPDX-License-Identifier: MIT
/* seeds.c - a small service tested under a hundred seeds: each draws another order of events, cuts
 * transfers short, delays them and breaks connections. serve() is what would be tested; the rest is the
 * test. A seed that fails is run again, alone, and does the same.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>
#include <weft/testing.h>

/* ---- the service: answers each line in capitals ---- */

/* -EPIPE where a line is begun and never ended. */
static int read_line(int fd, char *line, size_t size)
{
    for (size_t length = 0; length < size; length++) {
        ssize_t n = weft_read(fd, line + length, 1);
        if (n <= 0) {
            return n < 0 ? (int)n : length == 0 ? 0 : -EPIPE;
        }
        if (line[length] == '\n') {
            return (int)length + 1;
        }
    }
    return -EMSGSIZE;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) { /* without this loop most seeds fail */
        ssize_t n = weft_write(fd, bytes, length);
        if (n < 0) {
            return (int)n;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

static intptr_t serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char line[80];
    int n = read_line(fd, line, sizeof line);
    while (n > 0) {
        for (int i = 0; i < n; i++) {
            line[i] = (char)toupper((unsigned char)line[i]);
        }
        int rc = write_all(fd, line, (size_t)n);
        n = rc < 0 ? rc : read_line(fd, line, sizeof line);
    }
    (void)weft_close(fd);
    return n == -EPIPE || n == -ECONNRESET ? 0 : n;
}

/* ---- the test ---- */

static int ask(int fd, const char *question, const char *answer)
{
    char line[80];
    int rc = write_all(fd, question, strlen(question));
    int n = rc < 0 ? rc : read_line(fd, line, sizeof line);
    if (n <= 0) {
        return n < 0 ? n : -EPIPE;
    }
    return (size_t)n == strlen(answer) && memcmp(line, answer, (size_t)n) == 0 ? 0 : -EBADMSG;
}

static intptr_t visit(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*(const uint16_t *)arg)};
    int fd = weft_sim_socket();
    int rc = fd < 0 ? fd : weft_connect(fd, (const struct sockaddr *)&address, sizeof address);
    for (int i = 0; i < 5 && rc == 0; i++) {
        rc = ask(fd, "what is it?\n", "WHAT IS IT?\n");
    }
    (void)weft_close(fd);
    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc; /* resets are part of the world */
}

static intptr_t three_visits(void *arg)
{
    uint16_t port = 7;
    weft_group group;
    (void)arg;
    int listener = weft_sim_listen(port);
    int rc = listener < 0 ? listener : weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = weft_group_spawn(&group, NULL, visit, &port, NULL);
    }
    for (int i = 0; i < 3 && rc >= 0; i++) {
        rc = weft_accept(listener, NULL, NULL);
        rc = rc < 0 ? rc : weft_group_spawn(&group, NULL, serve, (void *)(intptr_t)rc, NULL);
    }
    return weft_group_close(&group, rc);
}

int main(void)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        const weft_options options = {.simulate = true, .seed = seed, .workers = 2};
        intptr_t rc = weft_run(three_visits, NULL, &options);
        if (rc < 0) {
            printf("seed %d: %s\n", (int)seed, strerror((int)-rc));
            return 1;
        }
    }
    puts("100 seeds: every answer was right.");
    return 0;
}

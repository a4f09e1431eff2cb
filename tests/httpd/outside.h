/* SPDX-License-Identifier: MIT */
/* outside.h - programs as child processes and HTTP over plain sockets, for test_httpd.c and test_httpd_*.c.
 *
 * Where the programs are: WEFT_EXAMPLES_DIR of the environment, else `examples` beside the test.
 * Everything that waits gives up after PATIENCE_MS. */
#ifndef OUTSIDE_H
#define OUTSIDE_H

#include "weft_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 24, TEXT_MAX = 16384, PATIENCE_MS = 8000 * WT_TIME_SCALE };

#define GET(target) "GET " target " HTTP/1.1\r\nHost: test\r\n\r\n"

/* ---- programs ---- */

struct program {
    pid_t pid;
    int output; /* its standard output; standard error goes there too */
    int port;
    long descriptors_max; /* 0: as inherited */
    char text[TEXT_MAX];  /* what it has printed so far */
    size_t length;
};

WT_FN void find_program(char *path, size_t size, const char *name)
{
    const char *dir = getenv("WEFT_EXAMPLES_DIR");
    char self[1024];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (dir != NULL && *dir != '\0') {
        snprintf(path, size, "%s/%s", dir, name);
    } else {
        self[length < 0 ? 0 : length] = '\0';
        snprintf(path, size, "%.*s/examples/%s", (int)(strrchr(self, '/') - self), self, name);
    }
    if (wt_is_emulated()) {
        wt_skip("an emulator does not follow an exec");
    }
    if (access(path, X_OK) != 0) {
        wt_skip("%s is not there", path);
    }
}

__attribute__((noreturn)) WT_FN void run_program(const struct program *program, const char *path,
                                                 const char *const *arguments, int output)
{
    const char *vector[ARGUMENTS_MAX + 2] = {path};
    for (int i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        vector[i + 1] = arguments[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
    if (program->descriptors_max > 0) {
        struct rlimit limit = {(rlim_t)program->descriptors_max, (rlim_t)program->descriptors_max};
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(path, (char *const *)(uintptr_t)vector);
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

WT_FN void start_program(struct program *program, const char *name, const char *const *arguments)
{
    char path[2048];
    int ends[2];
    find_program(path, sizeof path, name);
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    program->pid = fork();
    cr_assert_geq(program->pid, 0);
    if (program->pid == 0) {
        run_program(program, path, arguments, ends[1]);
    }
    close(ends[1]);
    program->output = ends[0];
}

/* Reads some output; false at its end. */
WT_FN bool read_output(struct program *program)
{
    struct pollfd ready = {.fd = program->output, .events = POLLIN};
    cr_assert_eq(poll(&ready, 1, PATIENCE_MS), 1, "the program says nothing; so far: %s",
                 program->text);
    ssize_t count = read(program->output, program->text + program->length,
                         sizeof program->text - 1 - program->length);
    cr_assert_geq(count, 0);
    program->length += (size_t)count;
    program->text[program->length] = '\0';
    return count > 0;
}

WT_FN int finish(struct program *program)
{
    int status;
    while (read_output(program)) {
    }
    close(program->output);
    cr_assert_eq(waitpid(program->pid, &status, 0), program->pid);
    cr_assert(WIFEXITED(status), "killed by signal %d: %s", WTERMSIG(status), program->text);
    return WEXITSTATUS(status);
}

WT_FN void start_limited(struct program *server, long descriptors_max, const char *const *options)
{
    const char *arguments[ARGUMENTS_MAX] = {"--port", "0"};
    for (int i = 0; i + 3 < ARGUMENTS_MAX && options != NULL && options[i] != NULL; i++) {
        arguments[i + 2] = options[i];
    }
    memset(server, 0, sizeof *server);
    server->descriptors_max = descriptors_max;
    start_program(server, "httpd", arguments);
    while (strchr(server->text, '\n') == NULL) {
        cr_assert(read_output(server), "the server does not start: %s", server->text);
    }
    cr_assert_eq(sscanf(server->text, "listening on 127.0.0.1:%d\n", &server->port), 1, "%s",
                 server->text);
}

#define START(server, ...) start_limited((server), 0, (const char *const[]){__VA_ARGS__, NULL})

/* Ends it in order. */
WT_FN void stop(struct program *server)
{
    kill(server->pid, SIGTERM);
    int status = finish(server);
    cr_assert_eq(status, 0, "exit status %d: %s", status, server->text);
}

/* A number of the summary; those that are 0 may be missing. */
WT_FN long counter(const struct program *server, const char *name)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s=", name);
    const char *line = strstr(server->text, "requests=");
    cr_assert_not_null(line, "no summary: %s", server->text);
    const char *at = strstr(line, wanted);
    return at == NULL ? 0 : strtol(at + strlen(wanted), NULL, 10);
}

/* ---- clients ---- */

WT_FN int dial(const struct program *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    cr_assert_eq(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    return fd;
}

WT_FN void say(int fd, const char *text)
{
    size_t length = strlen(text);
    cr_assert_eq(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

WT_FN int dial_and_say(const struct program *server, const char *text)
{
    int fd = dial(server);
    say(fd, text);
    return fd;
}

struct reply {
    int status;
    bool closes;
    size_t length; /* as announced */
    char head[2048];
    char body[256];
};

/* A ring that this thread had may end while it waits here, which interrupts calls that have a time limit. */
WT_FN ssize_t receive(int fd, void *bytes, size_t size, int flags)
{
    ssize_t count;
    do {
        count = recv(fd, bytes, size, flags);
    } while (count < 0 && errno == EINTR);
    return count;
}

/* One byte at a time, so that nothing of the next answer is taken. */
WT_FN void read_head(int fd, struct reply *reply)
{
    size_t length = 0;
    memset(reply, 0, sizeof *reply);
    while (strstr(reply->head, "\r\n\r\n") == NULL) {
        cr_assert_lt(length, sizeof reply->head - 1);
        ssize_t count = receive(fd, reply->head + length, 1, 0);
        cr_assert_eq(count, 1, "no answer (%s) after: %s",
                     count == 0 ? "end of stream" : strerror(errno), reply->head);
        length++;
    }
    cr_assert_eq(sscanf(reply->head, "HTTP/1.1 %d ", &reply->status), 1, "%s", reply->head);
    reply->closes = strstr(reply->head, "\r\nConnection: close\r\n") != NULL;
    const char *announced = strstr(reply->head, "\r\nContent-Length: ");
    reply->length = announced == NULL ? 0 : strtoul(announced + 18, NULL, 10);
}

WT_FN void read_reply(int fd, struct reply *reply)
{
    read_head(fd, reply);
    cr_assert_lt(reply->length, sizeof reply->body);
    if (reply->length > 0) {
        cr_assert_eq(receive(fd, reply->body, reply->length, MSG_WAITALL), (ssize_t)reply->length);
    }
}

WT_FN void expect_reply(int fd, int status, const char *body)
{
    struct reply reply;
    read_reply(fd, &reply);
    cr_assert_eq(reply.status, status, "status %d, not %d", reply.status, status);
    if (body != NULL) {
        cr_assert_str_eq(reply.body, body);
    }
}

WT_FN void expect_end(int fd)
{
    char byte;
    ssize_t count = receive(fd, &byte, 1, 0);
    cr_assert_eq(count, 0, "%s instead of the end", count > 0 ? "a byte" : strerror(errno));
    close(fd);
}

/* Sends a text and expects a last answer and the end. */
WT_FN void expect_refusal(const struct program *server, const char *text, int status)
{
    struct reply reply;
    int fd = dial_and_say(server, text);
    read_reply(fd, &reply);
    cr_assert_eq(reply.status, status, "status %d, not %d", reply.status, status);
    cr_assert(reply.closes);
    expect_end(fd);
}

/* A connection on which `target` is being handled. */
WT_FN int begin_slow(const struct program *server, const char *target)
{
    char text[256];
    snprintf(text, sizeof text, GET("/") "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target);
    int fd = dial_and_say(server, text);
    expect_reply(fd, 200, "hello\n");
    return fd;
}

WT_FN void hang_up(int fd, bool with_reset)
{
    struct linger at_once = {.l_onoff = with_reset, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

/* Stops the server a second into the load, which is written as JSON: every request has its answer all the same. */
WT_FN void stop_under_load(struct program *server, struct program *load)
{
    while (strstr(load->text, " 1 s ") == NULL) { /* its line of the first second */
        cr_assert(read_output(load), "%s", load->text);
    }
    stop(server);
    cr_assert_eq(finish(load), 0, "%s", load->text);
    cr_assert_not_null(strstr(load->text, "\"reset\":0,\"closed\":0,\"timeout\":0,\"protocol\":0}"),
                       "%s", load->text);
    long answered = 0;
    const char *at = strstr(load->text, "\"answered\":");
    cr_assert(at != NULL && sscanf(at, "\"answered\":%ld", &answered) == 1, "%s", load->text);
    cr_assert_gt(answered, 0);
    cr_assert_eq(counter(server, "200"), answered);
}

#endif

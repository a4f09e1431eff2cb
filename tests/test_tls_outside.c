/* SPDX-License-Identifier: MIT */
/* test_tls_outside.c - weft-tls against others: openssl s_client, openssl s_server and curl, on loopback.
 *
 * Programs run in a shell, bounded by timeout(1); where one is not installed its tests are skipped. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tls/pair.h"

extern char **environ;

/* ---- programs ---- */

struct program {
    pid_t pid;
    int input;  /* its standard input, or -1 */
    int output; /* its standard output and error */
    char text[65536];
    size_t length;
};

static void require(const char *command)
{
    char line[128];
    snprintf(line, sizeof line, "command -v %s >/dev/null", command);
    if (wt_is_emulated() || system(line) != 0) {
        wt_skip("%s is not there", command);
    }
}

__attribute__((format(printf, 2, 3))) static void start(struct program *program, const char *format,
                                                        ...)
{
    char line[2048];
    int in[2], out[2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    memset(program, 0, sizeof *program);
    wt_check(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
    char *const vector[] = {"timeout", "20", "sh", "-c", line, NULL};
    wt_check(posix_spawnp(&program->pid, "timeout", &actions, NULL, vector, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    program->input = in[1];
    program->output = out[0];
}

static void say(const struct program *program, const char *text)
{
    wt_check(weft_write(program->input, text, strlen(text)) == (ssize_t)strlen(text));
}

static void close_input(struct program *program)
{
    if (program->input >= 0) {
        weft_close(program->input);
        program->input = -1;
    }
}

/* Reads until it has said `wanted`, or, with NULL, to the end. */
static void listen_for(struct program *program, const char *wanted)
{
    while (wanted == NULL || strstr(program->text, wanted) == NULL) {
        size_t room = sizeof program->text - 1 - program->length;
        ssize_t n = weft_read(program->output, program->text + program->length, room);
        if (n <= 0) {
            if (!wt_check(wanted == NULL)) {
                fprintf(stderr, "no '%s' in: %s\n", wanted, program->text);
            }
            return;
        }
        program->length += (size_t)n;
    }
}

/* Returns its exit status. */
static int end(struct program *program)
{
    int status = 0;
    close_input(program);
    listen_for(program, NULL);
    weft_close(program->output);
    wt_check(waitpid(program->pid, &status, 0) == program->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- a server: one connection after the other ---- */

static int listener;
static int port;

static void open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct sockaddr *any = (struct sockaddr *)(void *)&address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    wt_check(bind(listener, any, length) == 0 && listen(listener, 8) == 0);
    wt_check(getsockname(listener, any, &length) == 0);
    port = ntohs(address.sin_port);
}

static int accept_one(weft_tls **tls)
{
    int fd = weft_accept(listener, NULL, NULL);
    return fd < 0 ? fd : weft_tls_open(tls, world.server, fd, NULL);
}

static char seen[3][16]; /* the version, the protocol and the name of the last connection */
static bool was_resumed;

static void note(const weft_tls *tls)
{
    snprintf(seen[0], sizeof seen[0], "%s", weft_tls_version(tls));
    snprintf(seen[1], sizeof seen[1], "%s", weft_tls_alpn(tls));
    snprintf(seen[2], sizeof seen[2], "%s", weft_tls_server_name(tls));
    was_resumed = weft_tls_is_resumed(tls);
}

/* Everything back, until the client says farewell. */
static intptr_t echo(void *arg)
{
    weft_tls *tls = NULL;
    char bytes[4096];
    (void)arg;
    ssize_t n = accept_one(&tls);
    while (n >= 0 && (n = weft_tls_read(tls, bytes, sizeof bytes)) > 0) {
        ssize_t written = weft_tls_write(tls, bytes, (size_t)n);
        n = written == n ? weft_tls_flush(tls) : -EIO;
    }
    note(tls);
    n = n == 0 ? weft_tls_shutdown(tls) : n;
    weft_tls_close(tls);
    return n;
}

/* ---- openssl s_client ---- */

static void converse(const char *options, const char *version)
{
    struct program client;
    weft_task *task;
    intptr_t result = -1;
    wt_check(weft_spawn(&task, echo, NULL) == 0);
    start(
        &client,
        "openssl s_client -connect 127.0.0.1:%d -CAfile %s/authority.pem -verify_return_error "
        "-verify_hostname localhost -servername localhost -alpn h3,http/1.1 -quiet -no_ign_eof %s",
        port, world.authority.directory, options);
    say(&client, "the first line\n");
    listen_for(&client, "the first line\n");
    say(&client, "and another\n");
    listen_for(&client, "and another\n");
    close_input(&client);
    int status = end(&client);
    if (!wt_check(status == 0)) {
        fprintf(stderr, "s_client: %d: %s\n", status, client.text);
    }
    wt_check(weft_await(task, &result) == 0 && result == 0);
    wt_check(strcmp(seen[0], version) == 0);
    wt_check(strcmp(seen[1], "http/1.1") == 0);
    wt_check(strcmp(seen[2], "localhost") == 0);
}

static intptr_t with_s_client(void *arg)
{
    char store[128], use[128];
    (void)arg;
    open_listener();
    snprintf(store, sizeof store, "-sess_out %s/session", world.authority.directory);
    snprintf(use, sizeof use, "-sess_in %s/session", world.authority.directory);
    converse(store, "TLSv1.3");
    wt_check(!was_resumed);
    converse(use, "TLSv1.3");
    wt_check(was_resumed);
    snprintf(store, sizeof store, "-tls1_2 -sess_out %s/session", world.authority.directory);
    snprintf(use, sizeof use, "-tls1_2 -sess_in %s/session", world.authority.directory);
    converse(store, "TLSv1.2");
    wt_check(!was_resumed);
    converse(use, "TLSv1.2");
    wt_check(was_resumed);
    weft_close(listener);
    return 0;
}

#define RUN_OUTSIDE(Fn, Server)                                                   \
    do {                                                                          \
        authority_open(&world.authority, "P-256");                                \
        certify(&world.authority, "localhost", "DNS:localhost,IP:127.0.0.1", 30); \
        world.server = make_server(&world.authority, "localhost", (Server));      \
        world.client = make_client(&world.authority, (weft_tls_options){0});      \
        intptr_t rc_ = weft_run((Fn), NULL, NULL);                                \
        world_close(&world);                                                      \
        cr_assert_eq(rc_, 0, "the main task ended with %d", (int)rc_);            \
        wt_assert_clean();                                                        \
    } while (0)

static const char *const http[] = {"http/1.1", NULL};

Test(tls_outside, s_client, .timeout = 60)
{
    require("openssl");
    RUN_OUTSIDE(with_s_client, (weft_tls_options){.alpn = http});
}

/* ---- curl ---- */

enum { PAGE_BYTES = 3000000 };

/* One request, one long answer. */
static intptr_t serve_page(void *arg)
{
    weft_tls *tls = NULL;
    char head[4096];
    size_t length = 0;
    char *page = malloc(PAGE_BYTES);
    (void)arg;
    memset(page, 'w', PAGE_BYTES);
    ssize_t n = accept_one(&tls);
    do {
        n = n < 0 ? n : weft_tls_read(tls, head + length, sizeof head - 1 - length);
        length += n > 0 ? (size_t)n : 0;
        head[length] = '\0';
    } while (n > 0 && strstr(head, "\r\n\r\n") == NULL);
    if (n > 0) {
        int begin = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", PAGE_BYTES);
        n = write_all(tls, head, (size_t)begin);
        n = n == 0 ? write_all(tls, page, PAGE_BYTES) : n;
        n = n == 0 ? weft_tls_shutdown(tls) : n;
    }
    note(tls);
    weft_tls_close(tls);
    free(page);
    return n;
}

static int fetch(struct program *curl, const char *host, intptr_t *served)
{
    weft_task *task;
    wt_check(weft_spawn(&task, serve_page, NULL) == 0);
    start(curl,
          "curl -sS --http1.1 --cacert %s/authority.pem --resolve %s:%d:127.0.0.1 "
          "https://%s:%d/ | tee %s/page | wc -c; exit 0",
          world.authority.directory, host, port, host, port, world.authority.directory);
    int status = end(curl);
    wt_check(weft_await(task, served) == 0);
    return status;
}

static intptr_t with_curl(void *arg)
{
    struct program curl;
    char wanted[32];
    intptr_t served = -1;
    (void)arg;
    open_listener();
    wt_check(fetch(&curl, "localhost", &served) == 0);
    snprintf(wanted, sizeof wanted, "%d", PAGE_BYTES);
    if (!wt_check(served == 0 && strstr(curl.text, wanted) != NULL)) {
        fprintf(stderr, "curl: %s (%d)\n", curl.text, (int)served);
    }
    wt_check(strcmp(seen[1], "http/1.1") == 0);
    fetch(&curl, "elsewhere", &served); /* does not like the name, and says so */
    wt_check(strstr(curl.text, "'elsewhere'") != NULL && strstr(curl.text, wanted) == NULL);
    weft_close(listener);
    return 0;
}

Test(tls_outside, curl, .timeout = 60)
{
    require("curl");
    RUN_OUTSIDE(with_curl, (weft_tls_options){.alpn = http});
}

/* ---- openssl s_server ---- */

/* It ends each answer with a farewell. */
static ssize_t get(const char *name, char *text, size_t size, bool *is_resumed)
{
    static const char question[] = "GET / HTTP/1.0\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    weft_tls *tls;
    size_t length = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    wt_check(weft_connect(fd, (struct sockaddr *)(void *)&address, sizeof address) == 0);
    wt_check(weft_tls_open(&tls, world.client, fd, name) == 0);
    ssize_t n = weft_tls_write(tls, question, sizeof question - 1);
    do {
        n = n < 0 ? n : weft_tls_read(tls, text + length, size - 1 - length);
        length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    text[length] = '\0';
    *is_resumed = weft_tls_is_resumed(tls);
    weft_tls_close(tls);
    return n < 0 ? n : (ssize_t)length;
}

static void with_version(const char *option, const char *version)
{
    struct program server;
    static char text[16384];
    bool is_resumed = true;
    start(&server,
          "exec openssl s_server -accept 127.0.0.1:0 -cert %s/localhost.pem -key %s/localhost.key "
          "-www %s",
          world.authority.directory, world.authority.directory, option);
    listen_for(&server, "ACCEPT 127.0.0.1:");
    listen_for(&server, "\n");
    wt_check(sscanf(strstr(server.text, "ACCEPT "), "ACCEPT 127.0.0.1:%d", &port) == 1);
    wt_check(get("localhost", text, sizeof text, &is_resumed) > 0);
    wt_check(strstr(text, version) != NULL && !is_resumed);
    wt_check(get("localhost", text, sizeof text, &is_resumed) > 0);
    wt_check(is_resumed);
    wt_check(get("elsewhere", text, sizeof text, &is_resumed) == -EKEYREJECTED);
    kill(server.pid, SIGTERM);
    end(&server);
}

static intptr_t with_s_server(void *arg)
{
    (void)arg;
    with_version("-tls1_3", "TLSv1.3");
    weft_tls_context_drop(world.client); /* and its sessions */
    world.client = make_client(&world.authority, (weft_tls_options){0});
    with_version("-tls1_2", "TLSv1.2");
    return 0;
}

Test(tls_outside, s_server, .timeout = 60)
{
    require("openssl");
    RUN_OUTSIDE(with_s_server, (weft_tls_options){0});
}

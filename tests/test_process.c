// SPDX-License-Identifier: MIT
/* test_process.c - other programs: started, waited for, ended; nothing of them stays. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "io_test.h"

/* ---- tools ---- */

#define SHELL(Script) ((char *const[]){wt_word("sh"), wt_word("-c"), wt_word(Script), NULL})

static int before;

static void begin(void)
{
    before = count_descriptors();
}

/* No zombie, no running child, no descriptor. */
static void end(void)
{
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
    cr_assert_eq(count_descriptors(), before);
}

static int exit_status(const char *script, const weft_process_options *options)
{
    int status = -1;
    int rc = weft_process_run(SHELL(script), options, &status);
    return rc < 0 ? rc : WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* All that it writes, as a string. */
static const char *output_of(int fd)
{
    static char text[4096];
    size_t length = 0;
    ssize_t n;
    do {
        n = weft_read(fd, text + length, sizeof text - 1 - length);
        length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    wt_check(n == 0);
    text[length] = '\0';
    return text;
}

static bool writes(char *const argv[], weft_process_options options, const char *expected)
{
    weft_process process;
    options.output = WEFT_PROCESS_PIPE;
    if (!wt_check(weft_process_spawn(&process, argv, &options) == 0)) {
        return false;
    }
    wt_check(process.input == -1 && process.error == -1 && process.output >= 0);
    const char *text = output_of(process.output);
    bool is_same = strcmp(text, expected) == 0;
    if (!is_same) {
        fprintf(stderr, "it wrote: %s\n", text);
    }
    int status = -1;
    wt_check(weft_process_wait(&process, &status) == 0 && status == 0);
    wt_check(weft_process_close(&process, 0) == 0);
    return is_same;
}

/* ---- how it ends ---- */

static intptr_t outcomes(void *arg)
{
    (void)arg;
    wt_check(exit_status("exit 0", NULL) == 0);
    wt_check(exit_status("exit 7", NULL) == 7);
    wt_check(exit_status("kill -9 $$", NULL) == 1000 + SIGKILL);
    wt_check(exit_status("kill -TERM $$", NULL) == 1000 + SIGTERM);
    return 0;
}

Test(process, outcomes, .init = begin, .fini = end, .timeout = 20)
{
    RUN(outcomes, NULL, &one_worker);
    RUN(outcomes, NULL, &four_workers);
}

static intptr_t status_stays(void *arg)
{
    weft_process process;
    int status = -1;
    (void)arg;
    wt_check(weft_process_spawn(&process, SHELL("exit 3"), NULL) == 0);
    for (int i = 0; i < 3; i++) {
        wt_check(weft_process_wait(&process, &status) == 0 && WEXITSTATUS(status) == 3);
    }
    wt_check(weft_process_signal(&process, SIGTERM) == -ESRCH);
    wt_check(weft_process_close(&process, -EIO) == -EIO); /* what it is given */
    wt_check(weft_process_wait(&process, &status) == 0 && WEXITSTATUS(status) == 3);
    wt_check(weft_process_close(&process, 0) == -EINVAL);
    return 0;
}

static intptr_t wait_status(void *arg)
{
    int status = -1;
    int rc = weft_process_wait(arg, &status);
    return rc < 0 ? rc : status;
}

static intptr_t several_wait(void *arg)
{
    weft_process process;
    weft_task *tasks[8];
    (void)arg;
    weft_process_options options = {.input = WEFT_PROCESS_PIPE};
    wt_check(weft_process_spawn(&process, SHELL("read x; exit 5"), &options) == 0);
    uint64_t mark = parks_now();
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], wait_status, &process) == 0);
    }
    until_parked(mark, 8);
    wt_check(weft_cancel(tasks[0]) == 1);
    wt_check(finish(tasks[0]) == -ECANCELED);
    wt_check(weft_within(WEFT_MS, wait_status(&process)) == -ETIMEDOUT);
    wt_check(weft_write(process.input, "x\n", 2) == 2);
    for (int i = 1; i < 8; i++) {
        wt_check(WEXITSTATUS((int)finish(tasks[i])) == 5);
    }
    wt_check(weft_process_close(&process, 0) == 0);
    return 0;
}

Test(process, waiting, .init = begin, .fini = end, .timeout = 20)
{
    RUN(status_stays, NULL, &one_worker);
    RUN(several_wait, NULL, &one_worker);
    RUN(several_wait, NULL, &four_workers);
}

/* ---- what it is given ---- */

static intptr_t pipes(void *arg)
{
    weft_process process;
    weft_process_options options = {
        .input = WEFT_PROCESS_PIPE, .output = WEFT_PROCESS_PIPE, .error = WEFT_PROCESS_PIPE};
    char byte[8];
    (void)arg;
    wt_check(weft_process_spawn(&process, SHELL("cat"), &options) == 0);
    for (int i = 0; i < 50; i++) {
        wt_check(weft_write(process.input, "ping", 4) == 4);
        wt_check(weft_read(process.output, byte, sizeof byte) == 4);
        wt_check(memcmp(byte, "ping", 4) == 0);
    }
    wt_check((fcntl(process.input, F_GETFD) & FD_CLOEXEC) != 0);
    wt_check((fcntl(process.input, F_GETFL) & O_NONBLOCK) != 0);
    wt_check(weft_close(process.input) == 0);
    process.input = -1;
    wt_check(weft_read(process.output, byte, sizeof byte) == 0);
    int status = -1;
    wt_check(weft_process_wait(&process, &status) == 0 && status == 0);
    wt_check(weft_process_close(&process, 0) == 0);
    return 0;
}

static intptr_t surroundings(void *arg)
{
    static char *environment[] = {NULL, NULL};
    weft_process_options none = {.size = sizeof none};
    weft_process_options odd = {.directory = "/usr", .environment = environment};
    weft_process_options merged = {.error = WEFT_PROCESS_OUTPUT};
    weft_process_options silent = {.error = WEFT_PROCESS_NULL, .input = WEFT_PROCESS_NULL};
    (void)arg;
    environment[0] = wt_word("WORD=given");
    wt_check(writes(SHELL("echo a; echo b"), none, "a\nb\n"));
    wt_check(writes(SHELL("pwd; echo $WORD"), odd, "/usr\ngiven\n"));
    wt_check(writes(SHELL("echo a; echo b >&2"), merged, "a\nb\n"));
    wt_check(writes(SHELL("echo a; echo b >&2; cat"), silent, "a\n"));
    return 0;
}

/* Descriptors of ours in any order, one of them under a standard number. */
static intptr_t given_descriptors(void *arg)
{
    int fds[2];
    (void)arg;
    wt_check(pipe2(fds, O_CLOEXEC) == 0);
    weft_process_options options = {.output = fds[1], .error = fds[1]};
    wt_check(exit_status("echo o; echo e >&2", &options) == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(strcmp(output_of(fds[0]), "o\ne\n") == 0);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(pipe2(fds, O_CLOEXEC) == 0);
    int saved = fcntl(2, F_DUPFD_CLOEXEC, 10);
    wt_check(dup2(fds[1], 2) ==
             2); /* swapped: its output goes to our error, and the other way round */
    options = (weft_process_options){.output = 2, .error = 1};
    wt_check(exit_status("echo swapped", &options) == 0);
    wt_check(dup2(saved, 2) == 2 && close(saved) == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(strcmp(output_of(fds[0]), "swapped\n") == 0);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

/* Only the three, whether ours are closed on exec or not. */
static intptr_t no_more_descriptors(void *arg)
{
    weft_process_options options = {.size = sizeof options};
    int fd = dup(0);
    int high = fcntl(0, F_DUPFD, 200);
    (void)arg;
    wt_check(writes(SHELL("i=0; while [ $i -lt 300 ]; do"
                          " [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; true"),
                    options, "0\n1\n2\n"));
    options.flags = WEFT_PROCESS_KEEP_DESCRIPTORS;
    wt_check(writes(SHELL("test -e /proc/$$/fd/200 && echo yes"), options, "yes\n"));
    wt_check(weft_close(fd) == 0 && weft_close(high) == 0);
    return 0;
}

Test(process, surroundings, .init = begin, .fini = end, .timeout = 20)
{
    RUN(pipes, NULL, &one_worker);
    RUN(pipes, NULL, &four_workers);
    RUN(surroundings, NULL, &one_worker);
    RUN(given_descriptors, NULL, &one_worker);
    RUN(no_more_descriptors, NULL, &one_worker);
}

/* ---- what can't be started ---- */

static intptr_t failures(void *arg)
{
    weft_process process = {.pid = 77};
    weft_process_options pipes_too = {
        .input = WEFT_PROCESS_PIPE, .output = WEFT_PROCESS_PIPE, .error = WEFT_PROCESS_PIPE};
    weft_process_options nowhere = {.directory = "/no/such/place"};
    weft_process_options closed = {.output = 999};
    weft_process_options wrong = {.size = 3};
    weft_process_options odd = {.flags = 1U << 20};
    weft_process_options bad = {.input = WEFT_PROCESS_OUTPUT};
    (void)arg;
    char *const missing[] = {wt_word("no-such-program-anywhere"), NULL};
    char *const folder[] = {wt_word("/tmp"), NULL};
    char *const nothing[] = {NULL};
    wt_check(weft_process_spawn(&process, missing, &pipes_too) == -ENOENT);
    wt_check(weft_process_spawn(&process, folder, &pipes_too) == -EACCES);
    wt_check(weft_process_spawn(&process, SHELL("true"), &nowhere) == -ENOENT);
    wt_check(weft_process_spawn(&process, SHELL("true"), &closed) == -EBADF);
    wt_check(weft_process_spawn(&process, SHELL("true"), &wrong) == -EINVAL);
    wt_check(weft_process_spawn(&process, SHELL("true"), &odd) == -EINVAL);
    wt_check(weft_process_spawn(&process, SHELL("true"), &bad) == -EINVAL);
    wt_check(weft_process_spawn(&process, nothing, NULL) == -EINVAL);
    wt_check(weft_process_spawn(&process, NULL, NULL) == -EINVAL);
    wt_check(weft_process_spawn(NULL, SHELL("true"), NULL) == -EINVAL);
    wt_check(weft_process_run(SHELL("true"), &pipes_too, NULL) == -EINVAL);
    wt_check(process.pid == 77);
    weft_process zero = {.pid = 0};
    wt_check(weft_process_wait(&zero, NULL) == -EINVAL);
    wt_check(weft_process_wait(NULL, NULL) == -EINVAL);
    wt_check(weft_process_signal(&zero, SIGTERM) == -EINVAL);
    wt_check(weft_process_signal(NULL, SIGTERM) == -EINVAL);
    wt_check(weft_process_close(&zero, 0) == -EINVAL);
    wt_check(weft_process_close(NULL, 0) == -EINVAL);
    return 0;
}

/* Each number of descriptors that may be left, down to none: the call fails or works, and leaks nothing. */
static intptr_t few_descriptors(void *arg)
{
    weft_process_options options = {
        .input = WEFT_PROCESS_PIPE, .output = WEFT_PROCESS_PIPE, .error = WEFT_PROCESS_PIPE};
    struct rlimit limit;
    int failed = 0;
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)arg;
    wt_check(close(first) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (rlim_t left = 0; left < 12; left++) {
        weft_process process;
        struct rlimit few = {.rlim_cur = (rlim_t)first + left, .rlim_max = limit.rlim_max};
        wt_check(setrlimit(RLIMIT_NOFILE, &few) == 0);
        int rc = weft_process_spawn(&process, SHELL("exit 0"), &options);
        if (rc == 0) {
            wt_check(weft_process_close(&process, 0) == 0);
        }
        wt_check(rc == 0 || rc == -EMFILE || rc == -EBADF);
        failed += rc != 0;
        wt_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        wt_check(waitpid(-1, NULL, WNOHANG) == -1);
        int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        wt_check(next == first && close(next) == 0);
    }
    wt_check(failed > 0 && failed < 12);
    return 0;
}

static intptr_t simulated(void *arg)
{
    weft_process process;
    (void)arg;
    wt_check(weft_process_spawn(&process, SHELL("true"), NULL) == -ENOTSUP);
    return 0;
}

Test(process, failures, .init = begin, .fini = end, .timeout = 20)
{
    weft_process process;
    if (wt_is_emulated()) {
        wt_skip("under an emulator a child has memory of its own before exec");
    }
    RUN(failures, NULL, &one_worker);
    RUN(few_descriptors, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
    cr_assert_eq(weft_process_spawn(&process, SHELL("true"), NULL), -EPERM);
}

/* ---- ending it ---- */

/* Closed while it runs; returns its wait status. */
static int close_running(const char *script, const weft_process_options *given)
{
    weft_process process;
    weft_process_options options = given != NULL ? *given : (weft_process_options){.size = 0};
    char byte;
    int status = -1;
    options.output = WEFT_PROCESS_PIPE;
    wt_check(weft_process_spawn(&process, SHELL(script), &options) == 0);
    wt_check(weft_read(process.output, &byte, 1) == 1); /* it has come so far */
    wt_check(weft_process_close(&process, 0) == 0);
    wt_check(weft_process_wait(&process, &status) == 0);
    return status;
}

static intptr_t close_it(void *arg)
{
    weft_process_options soon = {.grace_ns = 20 * WEFT_MS};
    weft_process_options none = {.grace_ns = -1};
    (void)arg;
    int status = close_running("echo r; while :; do sleep 1; done", NULL);
    wt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    status = close_running("trap 'exit 9' TERM; echo r; while :; do sleep 0.01; done", NULL);
    wt_check(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    status = close_running("trap '' TERM; echo r; while :; do sleep 0.01; done", &soon);
    wt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = close_running("trap 'exit 9' TERM; echo r; while :; do sleep 0.01; done", &none);
    wt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = close_running("echo r; kill -STOP $$", NULL);
    wt_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    return 0;
}

/* Its children too; without that they go on, and keep the pipe open. */
static intptr_t close_group(void *arg)
{
    weft_process process;
    weft_process_options options = {
        .flags = WEFT_PROCESS_GROUP, .output = WEFT_PROCESS_PIPE, .grace_ns = 20 * WEFT_MS};
    char byte;
    (void)arg;
    wt_check(weft_process_spawn(&process,
                                SHELL("(trap '' TERM; echo r; while :; do sleep 1; done) & wait"),
                                &options) == 0);
    wt_check(getpgid(process.pid) == process.pid);
    wt_check(weft_read(process.output, &byte, 1) == 1);
    int output = process.output;
    process.output = -1;
    wt_check(weft_process_close(&process, 0) == 0);
    (void)output_of(output); /* nobody has it any more */
    wt_check(weft_close(output) == 0);
    return 0;
}

static intptr_t run_for_ever(void *arg)
{
    return exit_status(arg, NULL);
}

static intptr_t cancel_run(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        weft_task *task;
        wt_check(weft_spawn(&task, run_for_ever, wt_word("exec sleep 1000")) == 0);
        int64_t moment_ns = weft_now() + i * 40 * WEFT_US;
        while (weft_now() < moment_ns) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -ECANCELED);
    }
    wt_check(weft_within(20 * WEFT_MS, run_for_ever(wt_word("exec sleep 1000"))) == -ETIMEDOUT);
    return 0;
}

/* A second request does not hurry it: the clean-up is one. */
static intptr_t cancel_twice(void *arg)
{
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn(&task, run_for_ever,
                        wt_word("trap 'sleep 0.05; exit 3' TERM; while :; do sleep 0.01; done")) ==
             0);
    wt_check(weft_sleep(30 * WEFT_MS) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0);
    (void)weft_cancel(task);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(process, ending, .init = begin, .fini = end, .timeout = 60)
{
    if (wt_is_emulated()) {
        wt_skip("under an emulator a child has memory of its own before exec");
    }
    RUN(close_it, NULL, &one_worker);
    RUN(close_it, NULL, &four_workers);
    RUN(close_group, NULL, &one_worker);
    RUN(cancel_run, NULL, &one_worker);
    RUN(cancel_run, NULL, &four_workers);
    RUN(cancel_twice, NULL, &one_worker);
}

static intptr_t signals(void *arg)
{
    weft_process process;
    weft_process_options options = {.output = WEFT_PROCESS_PIPE};
    char byte;
    int status = -1;
    (void)arg;
    wt_check(weft_process_spawn(&process,
                                SHELL("trap 'exit 4' USR1; echo r; while :; do sleep 0.01; done"),
                                &options) == 0);
    wt_check(weft_read(process.output, &byte, 1) == 1);
    wt_check(weft_process_signal(&process, 0) == 0);
    wt_check(weft_process_signal(&process, 4711) == -EINVAL);
    wt_check(weft_process_signal(&process, SIGUSR1) == 0);
    wt_check(weft_process_wait(&process, &status) == 0 && WEXITSTATUS(status) == 4);
    wt_check(weft_process_close(&process, 0) == 0);
    return 0;
}

static intptr_t taken_away(void *arg)
{
    weft_process process;
    (void)arg;
    wt_check(weft_process_spawn(&process, SHELL("exit 0"), NULL) == 0);
    wt_check(waitpid(process.pid, NULL, 0) == process.pid);
    wt_check(weft_process_wait(&process, NULL) == -ECHILD);
    wt_check(weft_process_wait(&process, NULL) == -ECHILD);
    wt_check(weft_process_signal(&process, SIGTERM) == -ESRCH);
    wt_check(weft_process_close(&process, 0) == 0);
    return 0;
}

static intptr_t entry_rule(void *arg)
{
    weft_process process = {.pid = 0};
    (void)arg;
    cancel_next();
    was_told(weft_process_spawn(&process, SHELL("exit 0"), NULL));
    wt_check(weft_process_spawn(&process, SHELL("exec sleep 1000"), NULL) == 0);
    cancel_next();
    was_told(weft_process_wait(&process, NULL));
    cancel_next();
    wt_check(weft_process_close(&process, 0) == 0); /* never refused */
    was_told(weft_checkpoint());
    return 0;
}

Test(process, signals, .init = begin, .fini = end, .timeout = 20)
{
    RUN(signals, NULL, &one_worker);
    RUN(taken_away, NULL, &one_worker);
    RUN(entry_rule, NULL, &one_worker);
}

/* ---- many at once, and a storm of signals ---- */

static intptr_t run_one(void *arg)
{
    char script[32];
    snprintf(script, sizeof script, "exit %d", (int)(intptr_t)arg);
    return exit_status(script, NULL);
}

static intptr_t crowd(void *arg)
{
    enum { CROWD = 60 };
    weft_task *tasks[CROWD];
    (void)arg;
    begin_storm();
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_spawn(&tasks[i], run_one, word(i)) == 0);
    }
    for (int i = 0; i < CROWD; i++) {
        wt_check(finish(tasks[i]) == i);
    }
    end_storm();
    return 0;
}

Test(process, crowd, .init = begin, .fini = end, .timeout = 60)
{
    RUN(crowd, NULL, &one_worker);
    RUN(crowd, NULL, &four_workers);
}

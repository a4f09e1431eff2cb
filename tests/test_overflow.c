// SPDX-License-Identifier: MIT
/* test_overflow.c - what is said and how the process ends when a fiber runs off its stack. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fiber/fiber.h"
#include "fiber/overflow.h"
#include "fiber/stack.h"
#include "weft_test.h"

static struct wf_stacks stacks;
static struct wf_stack_cache cache;
static struct wf_overflow_thread thread;
static struct wf_fiber host;
static struct wf_fiber *running;

/* Not mapped, and not the null pointer, which another sanitizer looks for. */
#define NOWHERE ((int *)64)

static struct wf_fiber *get_running(void)
{
    return running;
}

static void describe_conn(const struct wf_fiber *f, char *text, size_t size)
{
    static const char who[] = "task \"conn-17\" (#42), spawned at server.c:88";
    if (f == running && size >= sizeof who) {
        memcpy(text, who, sizeof who);
    }
}

static const struct wf_overflow_hooks hooks = {.current = get_running, .describe = describe_conn};

static bool open_all(void)
{
    wf_stacks_init(&stacks);
    wf_stack_cache_open(&cache, &stacks);
    wf_fiber_adopt(&host);
    return wf_overflow_start(&hooks) == 0 && wf_overflow_enter_thread(&thread) == 0;
}

static void run_fiber(void (*entry)(void *arg), size_t promise_bytes)
{
    running = wf_fiber_take(&cache, promise_bytes);
    if (running == NULL) {
        _exit(3);
    }
    wf_fiber_prepare(running, entry, running);
    wf_fiber_switch(&host, running);
    running = NULL;
}

/* ---- what fibers do ---- */

__attribute__((noinline)) static long recurse(long depth)
{
    char buffer[200 * WF_STACK_SCALE]; /* a sanitizer limits the depth of calls */
    memset(buffer, (int)depth, sizeof buffer);
    long below = depth < 0 ? 0 : recurse(depth + 1);
    __asm__("" : : "r"(buffer) : "memory"); /* the frame is needed: no loop of this */
    return below + buffer[depth % 200];
}

static void overflow(void *arg)
{
    (void)arg;
    exit((int)recurse(0) & 1);
}

static void write_to_nowhere(void *arg)
{
    static int *nowhere = NOWHERE;
    int **hidden = &nowhere;
    __asm__("" : "+r"(hidden)); /* the compiler must not know */
    **hidden = arg != NULL;
}

static void send_signal(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
}

static void end_well(void *arg)
{
    wf_fiber_switch_final(arg, &host);
}

/* ---- what children do ---- */

static void fiber_overflows(void)
{
    run_fiber(overflow, 0);
}

static void large_fiber_overflows(void)
{
    run_fiber(overflow, 9 << 20);
}

static void fiber_writes_to_nowhere(void)
{
    run_fiber(write_to_nowhere, 0);
}

static void fiber_sends_signal(void)
{
    run_fiber(send_signal, 0);
}

static void write_after_stop(void)
{
    run_fiber(end_well, 0);
    wf_overflow_leave_thread(&thread);
    wf_overflow_stop();
    write_to_nowhere(NULL);
}

static void *overflow_there(void *arg)
{
    struct wf_overflow_thread here;
    wf_fiber_adopt(&host);
    if (wf_overflow_enter_thread(&here) != 0) {
        _exit(3);
    }
    run_fiber(overflow, 0);
    return arg;
}

static void fiber_overflows_on_another_thread(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, overflow_there, NULL) != 0) {
        _exit(3);
    }
    pthread_join(other, NULL);
}

/* ---- what was there before ---- */

static void say_former(int signal, siginfo_t *info, void *context)
{
    static const char text[] = "former handler\n";
    (void)signal, (void)info, (void)context;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
}

static void say_former_and_end(int signal, siginfo_t *info, void *context)
{
    say_former(signal, info, context);
    _exit(info->si_addr == NOWHERE ? 7 : 8);
}

/* Stands for whatever the build installs: nothing, or a sanitizer's handler. */
static void leave_as_is(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
}

static void install(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    if (handler == leave_as_is) {
        return;
    }
    if (handler == NULL) {
        action.sa_flags = 0;
        action.sa_handler = SIG_DFL;
    } else {
        action.sa_sigaction = handler;
    }
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* ---- children ---- */

struct end {
    int status;
    char text[4096];
};

static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t n;
    while (length + 1 < size && (n = read(fd, text + length, size - 1 - length)) > 0) {
        length += (size_t)n;
    }
    text[length] = '\0';
    char *other = strstr(text, "qemu: "); /* an emulator's last words */
    if (other != NULL) {
        *other = '\0';
    }
}

/* Runs `body` in a child with `former` installed before us. */
static struct end run_child(void (*former)(int, siginfo_t *, void *), void (*body)(void))
{
    struct end end = {.status = 0};
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(30);
        dup2(fds[1], STDERR_FILENO);
        install(former);
        if (open_all()) {
            body();
        }
        _exit(3);
    }
    close(fds[1]);
    read_all(fds[0], end.text, sizeof end.text);
    close(fds[0]);
    waitpid(child, &end.status, 0);
    return end;
}

static void expect_signal(const struct end *end, int signal)
{
    cr_expect(WIFSIGNALED(end->status), "ended with status %#x: %s", end->status, end->text);
    cr_expect_eq(WTERMSIG(end->status), signal);
}

static void expect_report(const struct end *end, const char *promise)
{
    static const char start[] =
        "weft: stack overflow: task \"conn-17\" (#42), spawned at server.c:88, stack ";
    cr_expect(strncmp(end->text, start, sizeof start - 1) == 0, "said: %s", end->text);
    cr_expect(strncmp(end->text + sizeof start - 1, promise, strlen(promise)) == 0, "said: %s",
              end->text);
    cr_expect(strstr(end->text, "raise stack_bytes") != NULL, "said: %s", end->text);
}

Test(overflow, is_reported_and_ends_the_process)
{
    struct end end = run_child(NULL, fiber_overflows);
    expect_signal(&end, SIGSEGV);
    expect_report(&end, "64 KiB promised");
    cr_expect(strchr(end.text, '\n') == end.text + strlen(end.text) - 1, "one line: %s", end.text);
}

Test(overflow, is_reported_for_a_mapping_of_its_own)
{
    struct end end = run_child(NULL, large_fiber_overflows);
    expect_signal(&end, SIGSEGV);
    expect_report(&end, "9216 KiB promised");
}

Test(overflow, is_reported_on_another_thread)
{
    struct end end = run_child(NULL, fiber_overflows_on_another_thread);
    expect_signal(&end, SIGSEGV);
    expect_report(&end, "64 KiB promised");
}

Test(overflow, other_faults_are_left_alone)
{
    struct end end = run_child(NULL, fiber_writes_to_nowhere);
    expect_signal(&end, SIGSEGV);
    cr_expect_str_eq(end.text, "");
}

Test(overflow, a_sent_signal_ends_the_process)
{
    struct end end = run_child(NULL, fiber_sends_signal);
    expect_signal(&end, SIGSEGV);
    cr_expect_str_eq(end.text, "");
}

Test(overflow, former_handler_gets_the_fault)
{
    struct end end = run_child(say_former_and_end, fiber_writes_to_nowhere);
    cr_expect(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 7);
    cr_expect_str_eq(end.text, "former handler\n");
}

Test(overflow, former_handler_hears_of_an_overflow)
{
    struct end end = run_child(say_former_and_end, fiber_overflows);
    cr_expect(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 8);
    expect_report(&end, "64 KiB promised");
    cr_expect(strstr(end.text, "former handler\n") != NULL);
}

Test(overflow, former_handler_that_returns_ends_the_process)
{
    struct end end = run_child(say_former, fiber_overflows);
    expect_signal(&end, SIGSEGV);
    expect_report(&end, "64 KiB promised");
}

Test(overflow, a_sanitizers_handler_hears_of_it_too)
{
    struct end end = run_child(leave_as_is, fiber_overflows);
    cr_expect(!WIFEXITED(end.status) || WEXITSTATUS(end.status) != 0);
    expect_report(&end, "64 KiB promised");
    if (WF_ASAN) {
        cr_expect(strstr(end.text, "AddressSanitizer: stack-overflow") != NULL);
    }
}

Test(overflow, nothing_stays_after_the_last_stop)
{
    struct end end = run_child(say_former_and_end, write_after_stop);
    cr_expect(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 7);
    cr_expect_str_eq(end.text, "former handler\n");
}

/* ---- starting and stopping ---- */

static bool is_installed(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    return (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handler;
}

Test(overflow, starts_are_counted)
{
    install(say_former);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(wf_overflow_start(&hooks), 0);
        cr_assert_eq(wf_overflow_start(&hooks), 0);
        cr_expect_not(is_installed(say_former));
        wf_overflow_stop();
        cr_expect_not(is_installed(say_former));
        wf_overflow_stop();
        cr_expect(is_installed(say_former));
    }
    install(NULL);
}

Test(overflow, a_later_handler_stays)
{
    install(NULL);
    cr_assert_eq(wf_overflow_start(&hooks), 0);
    install(say_former);
    wf_overflow_stop();
    cr_expect(is_installed(say_former));
    cr_assert_eq(wf_overflow_start(&hooks), 0);
    cr_expect(is_installed(say_former), "it may call ours: putting ours before it would be a ring");
    wf_overflow_stop();
    cr_expect(is_installed(say_former));
    install(NULL);
}

Test(overflow, the_threads_own_signal_stack_comes_back)
{
    static char bytes[64 << 10];
    stack_t own = {.ss_sp = bytes, .ss_size = sizeof bytes};
    stack_t before, during, after;
    cr_assert_eq(sigaltstack(&own, &before), 0);
    cr_assert_eq(wf_overflow_enter_thread(&thread), 0);
    cr_assert_eq(sigaltstack(NULL, &during), 0);
    cr_expect_neq(during.ss_sp, (void *)bytes);
    wf_overflow_leave_thread(&thread);
    wf_overflow_leave_thread(&thread);
    cr_assert_eq(sigaltstack(&before, &after), 0);
    cr_expect_eq(after.ss_sp, (void *)bytes);
}

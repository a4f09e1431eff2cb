/* SPDX-License-Identifier: MIT */
/* weft_test.h - what every test file includes, and nothing else of a test framework.
 *
 * What: Criterion where it works. With WEFT_TEST_PLAIN the same files build without it, for
 *       the sanitizers (Criterion aborts under ThreadSanitizer, and passes a test whose leaks are
 *       found as it exits) and for machines that lack it: Test, cr_assert*, cr_expect*, each test
 *       in a forked child with a time limit.
 *       For both: wt_check for code in fibers and other threads, wt_seed, wt_skip, WT_TIME_SCALE.
 * Why not cr_assert in a fiber: it leaves by longjmp, onto another stack. wt_check only records;
 *       the test calls wt_assert_clean() after the fibers have ended.
 * Exit: 0 if a test ran and none failed, 77 if all skipped; a filter that matches nothing fails.
 * Arguments (plain): [--filter=]PATTERN picks tests by `suite/name` (shell wildcards), --list lists
 *       them; other options are Criterion's and do nothing here. */

#ifndef WEFT_TEST_H
#define WEFT_TEST_H

#include <sys/mman.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every test file has these functions; hardly one uses them all. */
#define WT_FN __attribute__((unused)) static

/* How much slower this build runs than a plain one; time limits and patience multiply by it. */
#ifndef WT_TIME_SCALE
#define WT_TIME_SCALE 1
#endif

/* Whether a sanitizer is built in, whose memory and calls come on top of the program's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WT_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WT_IS_SANITIZED 1
#endif
#endif
#ifndef WT_IS_SANITIZED
#define WT_IS_SANITIZED 0
#endif

#define WT_SEED_DEFAULT UINT64_C(0x5745465431)

static atomic_int wt_failures;

/* The seed of this run, printed so that a failure can be run again: WEFT_TEST_SEED=... */
WT_FN uint64_t wt_seed(void)
{
    const char *text = getenv("WEFT_TEST_SEED");
    uint64_t seed = text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : WT_SEED_DEFAULT;

    fprintf(stderr, "WEFT_TEST_SEED=0x%" PRIx64 "\n", seed);
    return seed;
}

WT_FN bool wt_check_at(bool holds, const char *file, int line, const char *text)
{
    if (!holds) {
        atomic_fetch_add(&wt_failures, 1);
        fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
    }
    return holds;
}

/* Records a failure and goes on; from any fiber or thread. True if the condition holds. */
#define wt_check(Condition) wt_check_at((Condition) != 0, __FILE__, __LINE__, #Condition)

/* On the test's own thread: fails if any wt_check failed since the last call. */
#define wt_assert_clean()                                                  \
    do {                                                                   \
        int wt_count = atomic_exchange(&wt_failures, 0);                   \
        cr_assert(wt_count == 0, "%d checks failed, see above", wt_count); \
    } while (0)

/* Ends the test as skipped; the reason is printed. On the test's own thread. */
#define wt_skip(...)                                             \
    do {                                                         \
        fprintf(stderr, "%s:%d: skipped: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                            \
        fputc('\n', stderr);                                     \
        cr_skip_test();                                          \
    } while (0)

/* True under an emulator in user mode, known by taking any advice: its own memory is counted with the
 * program's, limits are its own, and it does not follow an exec. */
__attribute__((unused)) static bool wt_is_emulated(void)
{
    static char page[1 << 16] __attribute__((aligned(1 << 16)));
    enum { NO_SUCH_ADVICE = 9999 };
    return madvise(page, sizeof page, NO_SUCH_ADVICE) == 0;
}

#define WT_SKIPPED 77 /* exit status for "skipped", as ctest is told */

/* Of a run without failures; `chosen` tests met the filter, `ended` of them did not skip. */
WT_FN int wt_exit_status(int chosen, int ended)
{
    if (chosen == 0)
        fprintf(stderr, "no test matched\n");
    return chosen == 0 ? 1 : ended == 0 ? WT_SKIPPED : 0;
}

#ifndef WEFT_TEST_PLAIN

#include <criterion/criterion.h>
#include <criterion/hooks.h>

static int wt_chosen, wt_ended;

/* A test that the filter left out is `disabled`; the totals count it as skipped, so they don't tell. */
ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    for (struct criterion_suite_stats *suite = stats->suites; suite != NULL; suite = suite->next)
        for (struct criterion_test_stats *test = suite->tests; test != NULL; test = test->next)
            wt_chosen += !test->test->data->disabled;
    wt_ended = (int)(stats->tests_passed + stats->tests_failed + stats->tests_crashed);
}

/* Criterion's own main, but for a filter that matches nothing, which it takes for success. */
int main(int argc, char **argv)
{
    struct criterion_test_set *tests = criterion_initialize();
    int status = 0;

    if (criterion_handle_args(argc, argv, true)) {
        status = criterion_run_all_tests(tests) ? 0 : 1;
        if (status == 0)
            status = wt_exit_status(wt_chosen, wt_ended);
    }
    criterion_finalize(tests);
    return status;
}

#else

#include <errno.h>
#include <fnmatch.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WT_TIMEOUT_S 60.0 /* for a test that sets none */

struct wt_test {
    const char *suite;
    const char *name;
    void (*body)(void);

    /* what Test(...) may set, as Criterion calls it */
    double timeout; /* seconds */
    void (*init)(void);
    void (*fini)(void);
    int signal;    /* the test must end by this signal */
    int exit_code; /* the test must end by this exit status */
    bool disabled;
    const char *description;
    int wt_end; /* keeps a list of options from being empty */

    struct wt_test *next;
};

enum wt_outcome { WT_PASS, WT_FAIL, WT_SKIP };

static struct wt_test *wt_first;
static struct wt_test **wt_last = &wt_first;

WT_FN void wt_register(struct wt_test *test)
{
    *wt_last = test;
    wt_last = &test->next;
}

/* Prints a failed assertion; the format may be empty. */
__attribute__((format(printf, 4, 5))) WT_FN void wt_report(const char *file, int line,
                                                           const char *text, const char *format,
                                                           ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: assertion failed: %s", file, line, text);
    if (*format != '\0') {
        fputs(": ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
}

/* _exit, not exit: the stack of the failed test is still live, and fibers may hold locks. */
__attribute__((noreturn)) WT_FN void wt_end_child(int status)
{
    fflush(NULL);
    _exit(status);
}

/* Ends by exit, so that the sanitizers' checks at exit are part of the test. */
__attribute__((noreturn)) WT_FN void wt_run_child(const struct wt_test *test)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    if (test->init != NULL)
        test->init();
    test->body();
    if (test->fini != NULL)
        test->fini();
    if (atomic_load(&wt_failures) != 0) {
        fprintf(stderr, "%d checks failed\n", atomic_load(&wt_failures));
        wt_end_child(1);
    }
    exit(0);
}

/* Waits for the child, at most until the limit; false if it had to be killed. */
WT_FN bool wt_wait_child(pid_t child, double limit_s, int *status)
{
    struct timespec now, end;
    sigset_t child_ended;

    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)limit_s;
    end.tv_nsec += (long)((limit_s - (double)(time_t)limit_s) * 1e9);
    for (;;) {
        struct timespec patience = {.tv_sec = 0, .tv_nsec = 100 * 1000 * 1000};

        if (waitpid(child, status, WNOHANG) == child)
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
            break;
        (void)sigtimedwait(&child_ended, NULL, &patience);
    }
    kill(child, SIGKILL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR)
        continue;
    return false;
}

WT_FN enum wt_outcome wt_run_test(const struct wt_test *test)
{
    double limit_s = (test->timeout > 0 ? test->timeout : WT_TIMEOUT_S) * WT_TIME_SCALE;
    int status = 0;
    pid_t child;
    bool ended;

    fflush(NULL);
    child = fork();
    if (child == 0)
        wt_run_child(test);
    if (child < 0) {
        perror("fork");
        return WT_FAIL;
    }
    ended = wt_wait_child(child, limit_s, &status);
    kill(-child, SIGKILL); /* what the test left running */
    if (!ended)
        fprintf(stderr, "timed out after %.1f s\n", limit_s);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == test->signal)
        return WT_PASS;
    else if (WIFSIGNALED(status))
        fprintf(stderr, "killed by signal %d (%s)\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == WT_SKIPPED)
        return WT_SKIP;
    else if (test->signal == 0 && WEXITSTATUS(status) == test->exit_code)
        return WT_PASS;
    else
        fprintf(stderr, "ended with exit status %d\n", WEXITSTATUS(status));
    return WT_FAIL;
}

WT_FN bool wt_selected(const struct wt_test *test, const char *pattern)
{
    char full[512];

    if (pattern == NULL)
        return true;
    snprintf(full, sizeof full, "%s/%s", test->suite, test->name);
    return fnmatch(pattern, full, 0) == 0 || fnmatch(pattern, test->name, 0) == 0 ||
           fnmatch(pattern, test->suite, 0) == 0;
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"pass", "FAIL", "skip"};
    int counts[3] = {0, 0, 0};
    const char *pattern = NULL;
    bool list = false;
    sigset_t child_ended;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--filter=", 9) == 0)
            pattern = argv[i] + 9;
        else if (strcmp(argv[i], "--list") == 0)
            list = true;
        else if (argv[i][0] != '-')
            pattern = argv[i];
    }
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, NULL);
    for (struct wt_test *test = wt_first; test != NULL; test = test->next) {
        enum wt_outcome outcome;

        if (!wt_selected(test, pattern))
            continue;
        if (list) {
            printf("%s/%s\n", test->suite, test->name);
            continue;
        }
        outcome = test->disabled ? WT_SKIP : wt_run_test(test);
        counts[outcome]++;
        printf("%s %s/%s\n", words[outcome], test->suite, test->name);
    }
    if (list)
        return 0;
    printf("%d passed, %d failed, %d skipped\n", counts[WT_PASS], counts[WT_FAIL], counts[WT_SKIP]);
    if (counts[WT_FAIL] != 0)
        return 1;
    return wt_exit_status(counts[WT_PASS] + counts[WT_SKIP], counts[WT_PASS]);
}

/* The macros below may end in nothing, as Criterion's do, which ISO C would warn about. */
#pragma GCC system_header

#define Test(...) WT_TEST(__VA_ARGS__, .wt_end = 0)
#define WT_TEST(Suite, Name, ...)                                                           \
    static void wt_body_##Suite##_##Name(void);                                             \
    __attribute__((constructor)) static void wt_add_##Suite##_##Name(void)                  \
    {                                                                                       \
        static struct wt_test test = {                                                      \
            .suite = #Suite, .name = #Name, .body = wt_body_##Suite##_##Name, __VA_ARGS__}; \
        wt_register(&test);                                                                 \
    }                                                                                       \
    static void wt_body_##Suite##_##Name(void)

#define WT_REQUIRE(Holds, Text, OnFailure, ...)                  \
    do {                                                         \
        if (!(Holds)) {                                          \
            wt_report(__FILE__, __LINE__, Text, "" __VA_ARGS__); \
            OnFailure;                                           \
        }                                                        \
    } while (0)
#define WT_DIE wt_end_child(1)
#define WT_NOTE (void)atomic_fetch_add(&wt_failures, 1)

#define WT_TRUE(F, A, ...) WT_REQUIRE((A), #A, F, ##__VA_ARGS__)
#define WT_FALSE(F, A, ...) WT_REQUIRE(!(A), "!(" #A ")", F, ##__VA_ARGS__)
#define WT_CMP(F, A, Op, B, ...) WT_REQUIRE((A)Op(B), #A " " #Op " " #B, F, ##__VA_ARGS__)
#define WT_STR(F, A, Op, B, ...) \
    WT_REQUIRE(strcmp((A), (B)) Op 0, #A " " #Op " " #B " (strings)", F, ##__VA_ARGS__)
#define WT_MEM(F, A, Op, B, N, ...) \
    WT_REQUIRE(memcmp((A), (B), (N)) Op 0, #A " " #Op " " #B " (bytes)", F, ##__VA_ARGS__)
#define WT_FLOAT(F, A, B, E, ...) \
    WT_REQUIRE((A) - (B) <= (E) && (B) - (A) <= (E), #A " == " #B " within " #E, F, ##__VA_ARGS__)

#define cr_assert(A, ...) WT_TRUE(WT_DIE, A, ##__VA_ARGS__)
#define cr_assert_not(A, ...) WT_FALSE(WT_DIE, A, ##__VA_ARGS__)
#define cr_assert_eq(A, B, ...) WT_CMP(WT_DIE, A, ==, B, ##__VA_ARGS__)
#define cr_assert_neq(A, B, ...) WT_CMP(WT_DIE, A, !=, B, ##__VA_ARGS__)
#define cr_assert_lt(A, B, ...) WT_CMP(WT_DIE, A, <, B, ##__VA_ARGS__)
#define cr_assert_leq(A, B, ...) WT_CMP(WT_DIE, A, <=, B, ##__VA_ARGS__)
#define cr_assert_gt(A, B, ...) WT_CMP(WT_DIE, A, >, B, ##__VA_ARGS__)
#define cr_assert_geq(A, B, ...) WT_CMP(WT_DIE, A, >=, B, ##__VA_ARGS__)
#define cr_assert_null(A, ...) WT_CMP(WT_DIE, A, ==, NULL, ##__VA_ARGS__)
#define cr_assert_not_null(A, ...) WT_CMP(WT_DIE, A, !=, NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(A, B, ...) WT_STR(WT_DIE, A, ==, B, ##__VA_ARGS__)
#define cr_assert_str_neq(A, B, ...) WT_STR(WT_DIE, A, !=, B, ##__VA_ARGS__)
#define cr_assert_arr_eq(A, B, N, ...) WT_MEM(WT_DIE, A, ==, B, N, ##__VA_ARGS__)
#define cr_assert_float_eq(A, B, E, ...) WT_FLOAT(WT_DIE, A, B, E, ##__VA_ARGS__)
#define cr_assert_fail(...) WT_REQUIRE(false, "reached", WT_DIE, ##__VA_ARGS__)

#define cr_expect(A, ...) WT_TRUE(WT_NOTE, A, ##__VA_ARGS__)
#define cr_expect_not(A, ...) WT_FALSE(WT_NOTE, A, ##__VA_ARGS__)
#define cr_expect_eq(A, B, ...) WT_CMP(WT_NOTE, A, ==, B, ##__VA_ARGS__)
#define cr_expect_neq(A, B, ...) WT_CMP(WT_NOTE, A, !=, B, ##__VA_ARGS__)
#define cr_expect_lt(A, B, ...) WT_CMP(WT_NOTE, A, <, B, ##__VA_ARGS__)
#define cr_expect_leq(A, B, ...) WT_CMP(WT_NOTE, A, <=, B, ##__VA_ARGS__)
#define cr_expect_gt(A, B, ...) WT_CMP(WT_NOTE, A, >, B, ##__VA_ARGS__)
#define cr_expect_geq(A, B, ...) WT_CMP(WT_NOTE, A, >=, B, ##__VA_ARGS__)
#define cr_expect_null(A, ...) WT_CMP(WT_NOTE, A, ==, NULL, ##__VA_ARGS__)
#define cr_expect_not_null(A, ...) WT_CMP(WT_NOTE, A, !=, NULL, ##__VA_ARGS__)
#define cr_expect_str_eq(A, B, ...) WT_STR(WT_NOTE, A, ==, B, ##__VA_ARGS__)
#define cr_expect_str_neq(A, B, ...) WT_STR(WT_NOTE, A, !=, B, ##__VA_ARGS__)
#define cr_expect_arr_eq(A, B, N, ...) WT_MEM(WT_NOTE, A, ==, B, N, ##__VA_ARGS__)
#define cr_expect_float_eq(A, B, E, ...) WT_FLOAT(WT_NOTE, A, B, E, ##__VA_ARGS__)
#define cr_expect_fail(...) WT_REQUIRE(false, "reached", WT_NOTE, ##__VA_ARGS__)

#define cr_skip_test(...) wt_end_child(WT_SKIPPED)
#define cr_log_info(...) (fprintf(stderr, __VA_ARGS__), (void)fputc('\n', stderr))

#endif
#endif

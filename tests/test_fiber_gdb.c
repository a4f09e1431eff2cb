// SPDX-License-Identifier: MIT
/* test_fiber_gdb.c - what a debugger sees of a fiber, running and parked.
 *
 * What: the test runs itself under gdb. The debugged program is this one with an environment
 *       variable set, which a constructor looks at: it parks a fiber, calls a function to stop in,
 *       and ends.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fiber/fiber.h"
#include "fiber/stack.h"
#include "weft_test.h"

#define DEBUGGED "WEFT_TEST_DEBUGGED"

void stop_in_fiber(void);
void stop_outside(void);
extern struct wf_fiber *parked_fiber;

struct wf_fiber *parked_fiber;
static struct wf_fiber host;

__attribute__((noinline)) void stop_in_fiber(void)
{
    __asm__("");
}

__attribute__((noinline)) void stop_outside(void)
{
    __asm__("");
}

__attribute__((noinline)) static void park_inside(struct wf_fiber *self)
{
    stop_in_fiber();
    wf_fiber_switch(self, &host);
    __asm__("" : : "r"(self) : "memory"); /* no tail call */
}

static void park_outside(void *arg)
{
    park_inside(arg);
    wf_fiber_switch_final(arg, &host);
}

__attribute__((constructor)) static void be_debugged(void)
{
    static struct wf_stacks stacks;
    static struct wf_stack_cache cache;
    if (getenv(DEBUGGED) == NULL) {
        return;
    }
    wf_stacks_init(&stacks);
    wf_stack_cache_open(&cache, &stacks);
    parked_fiber = wf_fiber_take(&cache, 0);
    if (parked_fiber == NULL) {
        _exit(1);
    }
    wf_fiber_adopt(&host);
    wf_fiber_prepare(parked_fiber, park_outside, parked_fiber);
    wf_fiber_switch(&host, parked_fiber);
    stop_outside();
    _exit(0);
}

#if defined(__x86_64__)
#define SET_STACK_POINTER "set $rsp = parked_fiber->sp"
#else
#define SET_STACK_POINTER "set $sp = parked_fiber->sp"
#endif

/* One gdb session; everything it says. False if there is no gdb here, or it may not trace. */
static bool run_gdb(char *text, size_t size)
{
    char self[512];
    char command[2048];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    cr_assert_gt(n, 0);
    self[n] = '\0';
    snprintf(command, sizeof command,
             "timeout 60 gdb -nx -batch -ex 'set startup-with-shell off' "
             "-ex 'set disable-randomization off' -ex 'set env " DEBUGGED " 1' "
             "-ex 'break stop_in_fiber' -ex 'break stop_outside' -ex run "
             "-ex 'echo RUNNING\\n' -ex bt -ex continue "
             "-ex '" SET_STACK_POINTER "' -ex 'set $pc = (long)&wf_context_resume' "
             "-ex 'echo PARKED\\n' -ex bt -ex 'echo END\\n' -ex kill '%s' </dev/null 2>&1",
             self);
    FILE *gdb = popen(command, "r");
    cr_assert_not_null(gdb);
    size_t length = fread(text, 1, size - 1, gdb);
    text[length] = '\0';
    pclose(gdb);
    return strstr(text, "END\n") != NULL && strstr(text, "Breakpoint 1, ") != NULL;
}

/* The lines between two marks must name these functions in this order, and nothing may follow. */
static void expect_trace(const char *text, const char *mark, const char *const *names)
{
    const char *at = strstr(text, mark);
    cr_assert_not_null(at);
    for (; *names != NULL; names++) {
        const char *found = strstr(at, *names);
        cr_assert_not_null(found, "no %s in\n%s", *names, at);
        at = found;
    }
    const char *line_end = strchr(at, '\n');
    cr_assert_not_null(line_end);
    cr_expect_neq(line_end[1], '#', "the trace goes on:\n%s", text);
    cr_expect_neq(strncmp(line_end + 1, "Backtrace stopped", 17), 0, "%s", text);
}

Test(fiber_gdb, traces_end_at_the_entry_stub)
{
    static const char *const running[] = {"stop_in_fiber",  "park_inside",   "park_outside",
                                          "wf_fiber_begin", "wf_fiber_stub", NULL};
    static const char *const parked[] = {"wf_context_",    "park_inside",   "park_outside",
                                         "wf_fiber_begin", "wf_fiber_stub", NULL};
    static char text[16384];
    if (WF_ASAN || WF_TSAN) {
        wt_skip("gdb and sanitizers");
    }
    if (!run_gdb(text, sizeof text)) {
        fprintf(stderr, "%s", text);
        wt_skip("no gdb, or it can't run programs here");
    }
    cr_expect_null(strstr(text, "??"), "%s", text);
    cr_expect_null(strstr(text, "corrupt stack"), "%s", text);
    expect_trace(text, "RUNNING\n", running);
    expect_trace(text, "PARKED\n", parked);
}

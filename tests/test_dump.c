// SPDX-License-Identifier: MIT
/* test_dump.c - what is said of tasks that wait, and of those that wait for each other. */
#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "weft_test.h"

enum { SEEDS = 8 };

/* ---- what was said ---- */

static char said[1 << 15];

static void keep(const char *text, void *arg)
{
    size_t length = strlen(said);
    (void)arg;
    wt_check(strchr(text, '\n') == NULL);
    (void)snprintf(said + length, sizeof said - length, "%s\n", text);
}

static void keep_diagnostic(const weft_diagnostic *what, void *arg)
{
    if (what->kind == WEFT_DIAG_CYCLE || what->kind == WEFT_DIAG_DEADLOCK) {
        keep(what->text, arg);
    }
}

/* One line that has all of these, in this order. */
static bool has_line(const char *const *parts, size_t count)
{
    for (const char *line = said; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        const char *at = line;
        size_t i = 0;
        while (i < count && (at = strstr(at, parts[i])) != NULL && at < end) {
            at += strlen(parts[i++]);
        }
        if (i == count) {
            return true;
        }
    }
    return false;
}

#define SAID(...)                                \
    has_line((const char *const[]){__VA_ARGS__}, \
             sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))

static size_t lines_with(const char *part)
{
    size_t count = 0;
    for (const char *at = said; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

static void assert_said(bool holds, const char *what)
{
    wt_assert_clean();
    cr_assert(holds, "not said: %s, but:\n%s", what, said);
}

#define ASSERT_SAID(...) assert_said(SAID(__VA_ARGS__), #__VA_ARGS__)

/* Runs fn in a simulation, which must end in a deadlock. */
static void hang(weft_fn *fn, void *arg, uint64_t seed)
{
    const weft_options options = {
        .workers = 2, .simulate = true, .seed = seed, .diagnostic = keep_diagnostic};
    said[0] = '\0';
    cr_assert_eq(weft_run(fn, arg, &options), -EDEADLK, "%s", said);
}

static weft_task *spawn_named(weft_fn *fn, void *arg, const char *name)
{
    const weft_spawn_options options = {.name = name};
    weft_task *task = NULL;
    wt_check(weft_spawn_with(&task, fn, arg, &options) == 0);
    return task;
}

/* ---- the table and the tree ---- */

static weft_future never = WEFT_FUTURE_INIT;

static intptr_t await_never(void *arg)
{
    (void)arg;
    return weft_future_await(&never, NULL);
}

static intptr_t join_one(void *arg)
{
    return weft_join(arg, NULL);
}

static intptr_t sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S);
}

static intptr_t read_byte(void *arg)
{
    int fds[2];
    char byte;
    (void)arg;
    wt_check(weft_sim_pipe(fds) == 0);
    return (intptr_t)weft_read(fds[0], &byte, 1);
}

static intptr_t gather_all(void *arg)
{
    return weft_gather(arg, 3, NULL, WEFT_GATHER_COLLECT, NULL);
}

static intptr_t table(void *arg)
{
    weft_task *tasks[6] = {0};
    (void)arg;
    tasks[0] = spawn_named(await_never, NULL, "future");
    tasks[1] = spawn_named(join_one, tasks[0], "joiner");
    tasks[2] = spawn_named(sleep_long, NULL, "sleeper");
    tasks[3] = spawn_named(read_byte, NULL, "reader");
    tasks[4] = spawn_named(gather_all, tasks, "gatherer");
    wt_check(weft_sleep(WEFT_MS) == 0);
    tasks[5] = spawn_named(sleep_long, NULL, "fresh");
    wt_check(weft_dump(NULL, keep, NULL) == 0);
    for (size_t i = 6; i > 0; i--) {
        (void)weft_cancel(tasks[i - 1]);
        (void)!weft_await(tasks[i - 1], NULL);
    }
    return 0;
}

Test(dump, tells_what_each_task_waits_for_and_whom)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        const weft_options options = {.workers = 2, .simulate = true, .seed = seed};
        said[0] = '\0';
        weft_future_init(&never);
        cr_assert_eq(weft_run(table, NULL, &options), 0);
        ASSERT_SAID("unfinished tasks: 7, parked: 5");
        ASSERT_SAID("task #1 (", "): running or ready");
        ASSERT_SAID("task #", " \"future\" (", "test_dump.c:", "): parked, waits for future 1");
        ASSERT_SAID("task #", " \"joiner\" (", " joins task #", " \"future\"");
        ASSERT_SAID("task #", " \"sleeper\" (", "): parked, sleeps");
        ASSERT_SAID("task #", " \"reader\" (", "): parked, waits for descriptor ");
        ASSERT_SAID("task #", " \"gatherer\"", "gathers task #", " \"future\", task #",
                    " \"joiner\", task #");
        ASSERT_SAID("task #", " \"fresh\" (", "): new");
        ASSERT_SAID("  task #", " \"gatherer\" gathers");
        ASSERT_SAID("    task #", " \"joiner\" joins");
        ASSERT_SAID("    task #", " \"future\" waits for future");
        ASSERT_SAID("      task #", " \"future\" (see above)");
        cr_assert(!SAID("cycle"), "%s", said);
    }
}

static intptr_t tell_on_standard_error(void *arg)
{
    (void)arg;
    return weft_dump(NULL, NULL, NULL);
}

Test(dump, prints_on_standard_error_and_refuses_no_runtime)
{
    cr_assert_eq(weft_run(tell_on_standard_error, NULL, NULL), 0);
    cr_assert_eq(weft_dump(NULL, keep, NULL), -EPERM);
}

/* ---- cycles ---- */

struct ring {
    weft_task *parent;
    weft_mutex mutex;
    weft_mutex other;
};

static intptr_t join_parent(void *arg)
{
    struct ring *ring = arg;
    return weft_join(ring->parent, NULL);
}

static intptr_t own_a_group(void *arg)
{
    struct ring *ring = arg;
    weft_group group;
    const weft_spawn_options name = {.name = "child"};
    ring->parent = weft_self();
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, join_parent, ring, &name) == 0);
    return weft_group_close(&group, 0);
}

Test(dump, group_and_join)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct ring ring = {0};
        hang(own_a_group, &ring, seed);
        ASSERT_SAID("deadlock: task #1, spawned at ", "waits for its group: task #", " \"child\"");
        ASSERT_SAID("deadlock: task \"child\" (#", "joins task #1");
        ASSERT_SAID("cycle: task #1 (", ") waits for its group: task #", " \"child\" (",
                    "test_dump.c:", "), which joins task #1");
        cr_assert_eq(lines_with("cycle: "), 1, "%s", said);
    }
}

/* ---- cycles with locks ---- */

/* Two tasks wait for each other, and nobody else does; the one with the lower id comes first. */
static void assert_ring(const char *one, const char *one_does, const char *other,
                        const char *other_does)
{
    bool is_said = SAID("cycle: task #", one, " (", "test_dump.c:", one_does, "task #", other,
                        "test_dump.c:", "), which ", other_does, "task #", one) ||
                   SAID("cycle: task #", other, " (", "test_dump.c:", other_does, "task #", one,
                        "test_dump.c:", "), which ", one_does, "task #", other);
    assert_said(is_said, "a cycle of two");
    cr_assert_eq(lines_with("cycle: "), 1, "%s", said);
}

static intptr_t lock_then_join(void *arg)
{
    struct ring *ring = arg;
    wt_check(weft_mutex_lock(&ring->mutex) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0); /* now the other one waits for the mutex */
    return weft_join(ring->parent, NULL);
}

static intptr_t lock_it(void *arg)
{
    struct ring *ring = arg;
    return weft_mutex_lock(&ring->mutex);
}

static intptr_t mutex_and_join(void *arg)
{
    struct ring *ring = arg;
    weft_task *holder = spawn_named(lock_then_join, ring, "holder");
    wt_check(weft_sleep(WEFT_US) == 0); /* it has the mutex */
    ring->parent = spawn_named(lock_it, ring, "waiter");
    return weft_join(holder, NULL);
}

Test(dump, mutex_and_join)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct ring ring = {0};
        hang(mutex_and_join, &ring, seed);
        ASSERT_SAID("deadlock: task \"waiter\" (#", "waits for mutex ", ", held by task #",
                    "\"holder\"");
        assert_ring("holder", "joins", "waiter", "waits for mutex ");
    }
}

/* Each has locked one before either asks for the other. */
static intptr_t lock_ab(void *arg)
{
    struct ring *ring = arg;
    wt_check(weft_mutex_lock(&ring->mutex) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    return weft_mutex_lock(&ring->other);
}

static intptr_t lock_ba(void *arg)
{
    struct ring *ring = arg;
    wt_check(weft_mutex_lock(&ring->other) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    return weft_mutex_lock(&ring->mutex);
}

static intptr_t two_mutexes(void *arg)
{
    weft_task *tasks[2];
    tasks[0] = spawn_named(lock_ab, arg, "ab");
    tasks[1] = spawn_named(lock_ba, arg, "ba");
    return weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL);
}

Test(dump, two_mutexes)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct ring ring = {0};
        hang(two_mutexes, &ring, seed);
        assert_ring("ab", "waits for mutex ", "ba", "waits for mutex ");
    }
}

struct bench {
    weft_mutex mutex;
    weft_queue queue;
};

static intptr_t get_under_lock(void *arg)
{
    struct bench *bench = arg;
    int item;
    wt_check(weft_queue_get(&bench->queue, &item) == 0);
    wt_check(weft_mutex_lock(&bench->mutex) == 0);
    return weft_queue_get(&bench->queue, &item);
}

static intptr_t put_under_lock(void *arg)
{
    struct bench *bench = arg;
    const int item = 1;
    wt_check(weft_queue_put(&bench->queue, &item) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0); /* the other one has the mutex */
    wt_check(weft_mutex_lock(&bench->mutex) == 0);
    return weft_queue_put(&bench->queue, &item);
}

static intptr_t mutex_and_queue(void *arg)
{
    weft_task *tasks[2];
    tasks[0] = spawn_named(get_under_lock, arg, "getter");
    tasks[1] = spawn_named(put_under_lock, arg, "putter");
    return weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL);
}

Test(dump, mutex_and_queue)
{
    static struct bench benches[SEEDS + 1]; /* not to be destroyed: those who hang wait in it */
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        cr_assert_eq(weft_queue_init(&benches[seed].queue, sizeof(int), 1, NULL), 0);
        hang(mutex_and_queue, &benches[seed], seed);
        ASSERT_SAID("\"getter\" (#", "waits for an item in queue 1", ", last put into by task #",
                    "\"putter\"");
        assert_ring("getter", "waits for an item in queue 1", "putter", "waits for mutex ");
    }
}

static intptr_t child_locks(void *arg)
{
    return lock_it(arg);
}

static intptr_t close_under_lock(void *arg)
{
    struct ring *ring = arg;
    weft_group group;
    const weft_spawn_options name = {.name = "child"};
    wt_check(weft_mutex_lock(&ring->mutex) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, child_locks, ring, &name) == 0);
    return weft_group_close(&group, 0);
}

Test(dump, group_and_mutex)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct ring ring = {0};
        hang(close_under_lock, &ring, seed);
        ASSERT_SAID("cycle: task #1 (", ") waits for its group: task #", "\"child\" (",
                    "), which waits for mutex ", ", held by task #1");
        cr_assert_eq(lines_with("cycle: "), 1, "%s", said);
    }
}

struct shelf {
    weft_rwlock rwlock;
    weft_mutex mutex;
    weft_once once;
};

static intptr_t write_then_lock(void *arg)
{
    struct shelf *shelf = arg;
    wt_check(weft_rwlock_write_lock(&shelf->rwlock) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    return weft_mutex_lock(&shelf->mutex);
}

static intptr_t lock_then_read(void *arg)
{
    struct shelf *shelf = arg;
    wt_check(weft_mutex_lock(&shelf->mutex) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    return weft_rwlock_read_lock(&shelf->rwlock);
}

static intptr_t mutex_and_rwlock(void *arg)
{
    weft_task *tasks[2];
    tasks[0] = spawn_named(write_then_lock, arg, "writer");
    tasks[1] = spawn_named(lock_then_read, arg, "reader");
    return weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL);
}

Test(dump, mutex_and_rwlock)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct shelf shelf = {0};
        hang(mutex_and_rwlock, &shelf, seed);
        assert_ring("writer", "waits for mutex ", "reader", "waits for rwlock ");
    }
}

static int join_other(void *arg)
{
    wt_check(weft_sleep(WEFT_MS) == 0);
    struct ring *ring = arg;
    return weft_join(ring->parent, NULL);
}

static weft_once once = WEFT_ONCE_INIT;

static intptr_t run_once(void *arg)
{
    return weft_once_run(&once, join_other, arg);
}

static intptr_t once_and_join(void *arg)
{
    struct ring *ring = arg;
    weft_task *runner = spawn_named(run_once, ring, "runner");
    wt_check(weft_sleep(WEFT_US) == 0);
    ring->parent = spawn_named(run_once, ring, "follower");
    return weft_join(runner, NULL);
}

Test(dump, once_and_join)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct ring ring = {0};
        once = (weft_once)WEFT_ONCE_INIT;
        hang(once_and_join, &ring, seed);
        assert_ring("runner", "joins", "follower", "waits for once ");
    }
}

/* ---- no cycle ---- */

static intptr_t lock_for_ever(void *arg)
{
    struct shelf *shelf = arg;
    wt_check(weft_mutex_lock(&shelf->mutex) == 0);
    return weft_future_await(&never, NULL);
}

static intptr_t only_waits(void *arg)
{
    struct shelf *shelf = arg;
    weft_task *holder = spawn_named(lock_for_ever, shelf, "holder");
    wt_check(weft_sleep(WEFT_US) == 0);
    (void)holder;
    return weft_mutex_lock(&shelf->mutex);
}

Test(dump, a_deadlock_without_a_cycle_tells_none)
{
    for (uint64_t seed = 0; seed <= SEEDS; seed++) {
        struct shelf shelf = {0};
        weft_future_init(&never);
        hang(only_waits, &shelf, seed);
        ASSERT_SAID("deadlock: task #1", "waits for mutex ", ", held by task #", "\"holder\"");
        cr_assert_eq(lines_with("cycle"), 0, "%s", said);
    }
}

/* More children than there is room for at first. */
static intptr_t await_future_of(void *arg)
{
    return weft_future_await(arg, NULL);
}

static intptr_t many_children(void *arg)
{
    weft_group group;
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    for (int i = 0; i < 1000; i++) {
        wt_check(weft_group_spawn(&group, NULL, await_future_of, arg, NULL) == 0);
    }
    return weft_group_close(&group, 0);
}

Test(dump, names_a_few_of_many)
{
    weft_future future = WEFT_FUTURE_INIT;
    hang(many_children, &future, 0);
    ASSERT_SAID("deadlock: task #1", "waits for its group: task #", ", task #", " and 992 more");
}

/* ---- what is shared by runtimes that come one after the other ---- */

static weft_queue lasting;

static intptr_t put_two(void *arg)
{
    const int items[] = {1, 2};
    (void)arg;
    return weft_queue_put_many(&lasting, items, 2) == 2 ? 0 : -EIO;
}

static intptr_t join_lasting(void *arg)
{
    (void)arg;
    return weft_queue_join(&lasting);
}

static intptr_t get_three(void *arg)
{
    int item;
    (void)arg;
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = weft_queue_get(&lasting, &item);
    }
    return rc;
}

/* The one who put last is of a runtime whose memory has gone. */
static intptr_t dump_after_another(void *arg)
{
    weft_task *getter = NULL;
    weft_task *joiner = NULL;
    const weft_spawn_options options = {.name = "getter"};
    (void)arg;
    wt_check(weft_spawn_with(&getter, get_three, NULL, &options) == 0);
    wt_check(weft_spawn(&joiner, join_lasting, NULL) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    said[0] = '\0';
    wt_check(weft_dump(NULL, keep, NULL) == 0);
    wt_check(SAID("\"getter\"", "waits for an item in queue"));
    wt_check(SAID("the end of the work in queue", ", last taken from by task #", "\"getter\""));
    weft_task *tasks[] = {getter, joiner};
    for (int i = 0; i < 2; i++) {
        wt_check(weft_cancel(tasks[i]) == 1);
        wt_check(weft_join(tasks[i], NULL) == 0);
        weft_drop(tasks[i]);
    }
    return 0;
}

Test(dump, of_one_runtime_after_another)
{
    const weft_options options = {.simulate = true, .seed = 1};
    cr_assert_eq(weft_queue_init(&lasting, sizeof(int), 4, NULL), 0);
    cr_assert_eq(weft_run(put_two, NULL, NULL), 0); /* not at the same addresses */
    cr_assert_eq(weft_run(dump_after_another, NULL, &options), 0);
    cr_assert_eq(weft_queue_destroy(&lasting), 0);
    wt_assert_clean();
}

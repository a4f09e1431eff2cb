// SPDX-License-Identifier: MIT
/* dump.c - a scene in words: every task, the tree of waits, the cycles. */
#include <errno.h>
#include <stdio.h>

#include <weft/dump.h>

#include "sched/report.h"
#include "sched/sched.h"
#include "task/end.h"
#include "sched/walk.h"

enum { DEEPEST_INDENT = 40 };

struct dump {
    struct wf_scene scene;
    struct wf_text text;
    void (*line)(const char *text, void *arg);
    void *arg;
    bool has_tree; /* its heading was printed */
};

static void print_line(const char *text, void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "%s\n", text);
}

static void give(struct dump *dump)
{
    dump->line(wf_text_line(&dump->text), dump->arg);
    wf_text_clear(&dump->text);
}

/* ---- the table ---- */

static void tell_count(struct dump *dump)
{
    size_t parked = 0;
    for (size_t i = 0; i < dump->scene.listed; i++) {
        parked += wf_sight_waits(&dump->scene.sights[i]) ? 1U : 0U;
    }
    wf_text_add(&dump->text, "unfinished tasks: %zu, parked: %zu", dump->scene.listed, parked);
    give(dump);
}

/* Whose calls wait in the ring of a worker: as long as it runs a task nobody else takes them out. */
static void tell_ring(struct dump *dump, struct wf_worker *worker)
{
    struct wf_text ring = {0};
    wf_report_ring(worker, &ring);
    if (ring.length > 0) {
        weft_task *running = wf_report_running(worker);
        char who[192] = "nothing";
        if (running != NULL) {
            (void)wf_task_describe(running, who, sizeof who);
            wf_task_let_go(running, NULL);
        }
        wf_text_add(&dump->text, "worker %u runs %s: %s", worker->index, who, wf_text_line(&ring));
        give(dump);
    }
    wf_text_free(&ring);
}

/* A simulation has none. */
static void tell_io(struct dump *dump, const weft_runtime *runtime)
{
    if (runtime->poller != NULL) {
        bool has_rings = runtime->workers[0].ring != NULL;
        wf_text_add(&dump->text, "descriptors: %s", has_rings ? "io_uring" : "epoll");
        give(dump);
    }
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        tell_ring(dump, &runtime->workers[i]);
    }
}

static void tell_task(struct dump *dump, size_t at)
{
    struct wf_text *text = &dump->text;
    wf_scene_name(&dump->scene, at, true, text);
    switch (wf_word_life(dump->scene.sights[at].word)) {
    case WF_NEW:
        wf_text_add(text, ": new");
        break;
    case WF_RUN:
        wf_text_add(text, dump->scene.sights[at].inside != 0 ? ": " : ": running or ready");
        if (dump->scene.sights[at].inside != 0) {
            wf_scene_tell(&dump->scene, at, true, text);
            bool is_one_of_many = (dump->scene.sights[at].inside & WF_JOINS_ALL) != 0;
            wf_text_add(text,
                        is_one_of_many ? ", one of them on its own stack" : " on its own stack");
        }
        break;
    case WF_PARKED:
        wf_text_add(text, ": parked, ");
        wf_scene_tell(&dump->scene, at, true, text);
        break;
    case WF_FREE:
    case WF_OK:
    case WF_ERROR:
    case WF_CANCELLED:
        wf_text_add(text, ": has ended meanwhile");
        break;
    }
    give(dump);
}

/* ---- the tree ---- */

static void tell_branch(size_t at, size_t depth, bool is_again, void *arg)
{
    struct dump *dump = arg;
    struct wf_text *text = &dump->text;
    if (!dump->has_tree) {
        dump->has_tree = true;
        wf_text_add(text, "who waits for whom:");
        give(dump);
    }
    size_t indent = depth < DEEPEST_INDENT ? depth : DEEPEST_INDENT;
    wf_text_add(text, "%*s", (int)(2 * indent + 2), "");
    wf_scene_name(&dump->scene, at, false, text);
    if (is_again) {
        wf_text_add(text, " (see above)");
    } else if (wf_sight_waits(&dump->scene.sights[at])) {
        wf_text_add(text, " ");
        wf_scene_tell(&dump->scene, at, false, text);
    }
    give(dump);
}

static void tell_cycle(const char *text, size_t first, void *arg)
{
    const struct dump *dump = arg;
    (void)first;
    dump->line(text, dump->arg);
}

int weft_dump(weft_runtime *runtime, void (*line)(const char *text, void *arg), void *arg)
{
    int rc = wf_runtime_resolve(&runtime);
    if (rc < 0) {
        return rc;
    }
    struct dump dump = {.line = line != NULL ? line : print_line, .arg = arg};
    const struct wf_visitor visitor = {.enter = tell_branch, .arg = &dump};
    wf_visit_begin(runtime);
    wf_scene_take(runtime, &dump.scene);
    tell_count(&dump);
    tell_io(&dump, runtime);
    for (size_t i = 0; i < dump.scene.listed; i++) {
        tell_task(&dump, i);
    }
    rc = wf_walk(&dump.scene, &visitor);
    wf_walk_cycles(&dump.scene, tell_cycle, &dump);
    rc = dump.scene.is_partial ? -ENOMEM : rc;
    wf_scene_drop(&dump.scene);
    wf_visit_end(runtime);
    wf_text_free(&dump.text);
    return rc;
}

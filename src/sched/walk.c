// SPDX-License-Identifier: MIT
/* walk.c - depth first without recursion: a chain of waits may be as long as there are tasks. */
#include "sched/walk.h"

#include <errno.h>
#include <stdlib.h>

enum colour { WHITE = 0, GREY, BLACK };

struct step {
    size_t at;
    size_t edge; /* the next one to follow */
};

struct walk {
    const struct wf_scene *scene;
    const struct wf_visitor *visitor;
    uint8_t *colours;
    bool *is_awaited;
    struct step *path;
    size_t *members; /* of a cycle that is being told */
    size_t depth;    /* steps on the path */
};

static void enter(struct walk *walk, size_t at, bool is_again)
{
    if (walk->visitor->enter != NULL) {
        walk->visitor->enter(at, walk->depth, is_again, walk->visitor->arg);
    }
}

static void push(struct walk *walk, size_t at)
{
    enter(walk, at, false);
    walk->colours[at] = GREY;
    walk->path[walk->depth++] = (struct step){at, 0};
}

/* The path from `at` to its end is a cycle: told from its lowest position on. */
static void tell_cycle(struct walk *walk, size_t at)
{
    if (walk->visitor->cycle == NULL) {
        return;
    }
    size_t from = walk->depth - 1;
    while (walk->path[from].at != at) {
        from--;
    }
    size_t count = walk->depth - from;
    size_t lowest = 0;
    for (size_t i = 1; i < count; i++) {
        lowest = walk->path[from + i].at < walk->path[from + lowest].at ? i : lowest;
    }
    for (size_t i = 0; i < count; i++) {
        walk->members[i] = walk->path[from + (lowest + i) % count].at;
    }
    walk->visitor->cycle(walk->members, count, walk->visitor->arg);
}

static void follow(struct walk *walk, size_t next)
{
    if (next == WF_NOBODY) {
        return;
    }
    if (walk->colours[next] == WHITE) {
        push(walk, next);
        return;
    }
    enter(walk, next, true);
    if (walk->colours[next] == GREY) {
        tell_cycle(walk, next);
    }
}

static void walk_from(struct walk *walk, size_t root)
{
    push(walk, root);
    while (walk->depth > 0) {
        struct step *step = &walk->path[walk->depth - 1];
        const struct wf_sight *sight = &walk->scene->sights[step->at];
        if (step->edge == sight->count) {
            walk->colours[step->at] = BLACK;
            walk->depth--;
        } else {
            follow(walk, walk->scene->whom[sight->first + step->edge++]);
        }
    }
}

static void walk_all(struct walk *walk)
{
    const struct wf_scene *scene = walk->scene;
    for (size_t i = 0; i < scene->whom_count; i++) {
        if (scene->whom[i] != WF_NOBODY) {
            walk->is_awaited[scene->whom[i]] = true;
        }
    }
    for (int cycles_too = 0; cycles_too <= 1; cycles_too++) {
        for (size_t i = 0; i < scene->count; i++) {
            if (scene->sights[i].count > 0 && walk->colours[i] == WHITE &&
                (cycles_too != 0 || !walk->is_awaited[i])) {
                walk_from(walk, i);
            }
        }
    }
}

int wf_walk(const struct wf_scene *scene, const struct wf_visitor *visitor)
{
    size_t count = scene->count != 0 ? scene->count : 1;
    struct walk walk = {.scene = scene,
                        .visitor = visitor,
                        .colours = calloc(count, sizeof *walk.colours),
                        .is_awaited = calloc(count, sizeof *walk.is_awaited),
                        .path = malloc(count * sizeof *walk.path),
                        .members = malloc(count * sizeof *walk.members)};
    int rc = -ENOMEM;
    if (walk.colours != NULL && walk.is_awaited != NULL && walk.path != NULL &&
        walk.members != NULL) {
        walk_all(&walk);
        rc = 0;
    }
    free(walk.colours);
    free(walk.is_awaited);
    free(walk.path);
    free(walk.members);
    return rc;
}

/* ---- cycles in words ---- */

struct teller {
    struct wf_scene *scene;
    void (*tell)(const char *text, size_t first, void *arg);
    void *arg;
    struct wf_text text;
};

/* All of these waits go on since they were first looked at: at some moment in between they were a cycle. */
static bool is_still(struct wf_scene *scene, const size_t *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!wf_scene_still(scene, members[i], members[(i + 1) % count])) {
            return false;
        }
    }
    return true;
}

static void on_cycle(const size_t *members, size_t count, void *arg)
{
    struct teller *teller = arg;
    const struct wf_scene *scene = teller->scene;
    struct wf_text *text = &teller->text;
    if (!is_still(teller->scene, members, count)) {
        return;
    }
    wf_text_clear(text);
    wf_text_add(text, "cycle: ");
    wf_scene_name(scene, members[0], true, text);
    for (size_t i = 0; i < count; i++) {
        wf_text_add(text, i > 0 ? ", which " : " ");
        wf_scene_tell(scene, members[i], false, text);
        wf_scene_tie(scene, members[i], text);
        wf_scene_name(scene, members[(i + 1) % count], i + 1 < count, text);
    }
    teller->tell(wf_text_line(text), members[0], teller->arg);
}

void wf_walk_cycles(struct wf_scene *scene, void (*tell)(const char *text, size_t first, void *arg),
                    void *arg)
{
    struct teller teller = {.scene = scene, .tell = tell, .arg = arg};
    const struct wf_visitor visitor = {.cycle = on_cycle, .arg = &teller};
    (void)wf_walk(scene, &visitor);
    wf_text_free(&teller.text);
}

// SPDX-License-Identifier: MIT
/* waits.c - looking at tasks that wait, and the words for it. */
#include "sched/waits.h"

#include <stdlib.h>

#include "task/cancel.h"

enum { NAMED_AT_MOST = 8 }; /* of those that one task waits for */

/* ---- memory ---- */

/* Room for one more of `size` bytes each. */
static bool reserve(void **at, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return true;
    }
    size_t next = *cap != 0 ? 2 * *cap : 64;
    void *more = realloc(*at, next * size);
    if (more == NULL) {
        return false;
    }
    *at = more;
    *cap = next;
    return true;
}

static bool reserve_tokens(struct wf_scene *scene)
{
    while (scene->token_cap < scene->token_count || scene->token_cap == 0) {
        void *at = scene->tokens;
        if (!reserve(&at, scene->token_cap, &scene->token_cap, sizeof *scene->tokens)) {
            return false;
        }
        scene->tokens = at;
    }
    return true;
}

/* The position of one more task, whose hold goes to the scene. */
static size_t append(struct wf_scene *scene, weft_task *task)
{
    void *at = scene->sights;
    if (!reserve(&at, scene->count, &scene->cap, sizeof *scene->sights)) {
        scene->is_partial = true;
        wf_task_let_go(task, NULL);
        return WF_NOBODY;
    }
    scene->sights = at;
    scene->sights[scene->count] = (struct wf_sight){.task = task};
    return scene->count++;
}

static void append_whom(struct wf_scene *scene, size_t position)
{
    void *at = scene->whom;
    if (!reserve(&at, scene->whom_count, &scene->whom_cap, sizeof *scene->whom)) {
        scene->is_partial = true;
        return;
    }
    scene->whom = at;
    scene->whom[scene->whom_count++] = position;
}

/* ---- looking ---- */

/* Under locks: what does not fit is only counted, and the look made again with more room. */
static void keep_token(uint64_t token, void *arg)
{
    struct wf_scene *scene = arg;
    if (token == 0) {
        return;
    }
    if (scene->token_count < scene->token_cap) {
        scene->tokens[scene->token_count] = token;
    }
    scene->token_count++;
}

/* All that it waits for while one of them runs inside it: WF_BUSY keeps it from leaving. */
static void list_all_inside(struct wf_scene *scene, weft_task *task, weft_task **held)
{
    if (!wf_state_look_inside(&task->word)) {
        return;
    }
    wf_fence_after_rmw(); /* as in wf_cancel_inside */
    bool is_for_all = false;
    weft_task *child = wf_inside_hold(task, &is_for_all, held);
    if (child != NULL && is_for_all) {
        struct wf_owner *owner = wf_task_side(child)->owner;
        owner->calls->list(owner, keep_token, scene);
    }
    wf_state_looked(&task->word);
}

/* It runs, or is ready: perhaps a child inside does, and it waits for that. */
static void look_inside(struct wf_scene *scene, weft_task *task, struct wf_sight *sight,
                        weft_task **held)
{
    uint64_t joins = wf_load_sc(&task->joins);
    if ((joins & WF_JOINS_INSIDE) == 0) {
        return;
    }
    sight->inside = joins;
    if ((joins & WF_JOINS_ALL) != 0) {
        sight->reason = WF_WAIT_GROUP;
        list_all_inside(scene, task, held);
    } else {
        sight->reason = WF_WAIT_JOIN;
        keep_token(joins & ~WF_JOINS_KINDS, scene);
    }
}

static void look_once(struct wf_scene *scene, weft_task *task, struct wf_sight *sight)
{
    weft_task *held = NULL;
    scene->token_count = 0;
    wf_lock(&task->lock);
    if (wf_state_look(&task->word, &sight->word)) {
        const struct wf_wait *wait = wf_load_rlx(&task->wait);
        sight->reason = wait->reason;
        sight->number = wait->number;
        sight->serial = wait->serial;
        sight->target = wait->target;
        if (wait->list != NULL) {
            wait->list(wait, keep_token, scene);
        }
        wf_state_looked(&task->word);
    } else if (wf_word_life(sight->word) == WF_RUN) {
        look_inside(scene, task, sight, &held);
    }
    wf_inside_unlock(task, held);
}

/* What it waits for to `sight`, for whom to scene->tokens. */
static void look(struct wf_scene *scene, weft_task *task, struct wf_sight *sight)
{
    do {
        *sight = (struct wf_sight){.task = task, .reason = WF_WAIT_NONE, .number = -1};
        look_once(scene, task, sight);
    } while (scene->token_count > scene->token_cap && reserve_tokens(scene));
    if (scene->token_count > scene->token_cap) {
        scene->token_count = scene->token_cap;
        scene->is_partial = true;
    }
}

static size_t find(const struct wf_scene *scene, const weft_task *task)
{
    uint64_t id = wf_task_id(task);
    size_t low = 0;
    size_t high = scene->listed;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wf_task_id(scene->sights[middle].task) < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < scene->listed && scene->sights[low].task == task) {
        return low;
    }
    for (size_t i = scene->listed; i < scene->count; i++) {
        if (scene->sights[i].task == task) {
            return i;
        }
    }
    return WF_NOBODY;
}

/* Where the task that a token names is; one that is not there is added. */
static size_t place(struct wf_scene *scene, uint64_t token)
{
    weft_task *task = wf_token_hold(scene->registry, token);
    if (task == NULL) {
        return WF_NOBODY;
    }
    size_t at = find(scene, task);
    if (at == WF_NOBODY) {
        return append(scene, task);
    }
    wf_task_let_go(task, NULL);
    return at;
}

static bool is_unfinished(weft_task *task)
{
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    return life == WF_NEW || life == WF_RUN || life == WF_PARKED;
}

/* ---- numbers in place of addresses ---- */

static bool has_object(const struct wf_sight *sight);

static int by_target(const void *a, const void *b, void *arg)
{
    const struct wf_scene *scene = arg;
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;
    uintptr_t target = (uintptr_t)scene->sights[left].target;
    uintptr_t other = (uintptr_t)scene->sights[right].target;
    if (target != other) {
        return target < other ? -1 : 1;
    }
    return left < right ? -1 : left > right;
}

/* Gives each the place of the first sight of its object, and from that its number. */
static void number_objects(struct wf_scene *scene)
{
    size_t *order = malloc((scene->count + 1) * sizeof *order);
    size_t count = 0;
    size_t numbers = 0;
    if (order == NULL) {
        scene->is_partial = true;
        return;
    }
    for (size_t i = 0; i < scene->count; i++) {
        if (has_object(&scene->sights[i])) {
            order[count++] = i;
        }
    }
    qsort_r(order, count, sizeof *order, by_target, scene);
    for (size_t i = 0, first = 0; i < count; i++) {
        struct wf_sight *sight = &scene->sights[order[i]];
        first = i > 0 && sight->target == scene->sights[order[i - 1]].target ? first : order[i];
        sight->object = first + 1;
    }
    free(order);
    for (size_t i = 0; i < scene->count; i++) {
        size_t first = scene->sights[i].object;
        scene->sights[i].object = first == 0       ? 0
                                  : first == i + 1 ? ++numbers
                                                   : scene->sights[first - 1].object;
    }
}

void wf_scene_take(weft_runtime *runtime, struct wf_scene *scene)
{
    struct wf_roll roll;
    *scene = (struct wf_scene){.registry = &runtime->registry};
    wf_registry_roll(&runtime->registry, is_unfinished, &roll);
    scene->is_partial = roll.is_partial || !reserve_tokens(scene);
    for (size_t i = 0; i < roll.count; i++) {
        (void)append(scene, roll.tasks[i]);
    }
    free(roll.tasks);
    scene->listed = scene->count;
    for (size_t i = 0; i < scene->count; i++) { /* what is added is looked at too */
        struct wf_sight sight;
        look(scene, scene->sights[i].task, &sight);
        sight.first = scene->whom_count;
        for (size_t t = 0; t < scene->token_count; t++) {
            append_whom(scene, place(scene, scene->tokens[t]));
        }
        sight.count = scene->whom_count - sight.first;
        scene->sights[i] = sight;
    }
    scene->is_simulated = runtime->sim != NULL;
    if (scene->is_simulated) {
        number_objects(scene);
    }
}

void wf_scene_drop(struct wf_scene *scene)
{
    for (size_t i = 0; i < scene->count; i++) {
        wf_task_let_go(scene->sights[i].task, NULL);
    }
    free(scene->sights);
    free(scene->whom);
    free(scene->tokens);
    *scene = (struct wf_scene){0};
}

bool wf_scene_still(struct wf_scene *scene, size_t at, size_t next)
{
    const struct wf_sight *before = &scene->sights[at];
    uint64_t token = wf_task_token(scene->sights[next].task);
    struct wf_sight now;
    look(scene, before->task, &now);
    bool is_same = before->inside != 0 ? before->inside == now.inside
                                       : wf_word_is_same_wait(before->word, now.word) &&
                                             before->serial == now.serial;
    if (!is_same) {
        return false;
    }
    for (size_t i = 0; i < scene->token_count; i++) {
        if (scene->tokens[i] == token) {
            return true;
        }
    }
    return false;
}

/* ---- words ---- */

static const struct {
    const char *what;
    bool has_target;  /* its address comes after it */
    const char *whom; /* comes before those whom it waits for */
} words[] = {
    [WF_WAIT_NONE] = {"waits for nothing", false, ""},
    [WF_WAIT_JOIN] = {"joins", false, " "},
    [WF_WAIT_SLEEP] = {"sleeps", false, ""},
    [WF_WAIT_FUTURE] = {"waits for future", true, ""},
    [WF_WAIT_GROUP] = {"waits for its group", false, ": "},
    [WF_WAIT_GATHER] = {"gathers", false, " "},
    [WF_WAIT_TASKS] = {"waits for several tasks", false, ": "},
    [WF_WAIT_FD] = {"waits for descriptor", false, ""},
    [WF_WAIT_SIGNAL] = {"waits for a signal", false, ""},
    [WF_WAIT_BLOCKING] = {"waits for a blocking call", false, ""},
    [WF_WAIT_MUTEX] = {"waits for mutex", true, ", held by "},
    [WF_WAIT_RWLOCK] = {"waits for rwlock", true, ", held for writing by "},
    [WF_WAIT_SEM] = {"waits for semaphore", true, ""},
    [WF_WAIT_EVENT] = {"waits for event", true, ""},
    [WF_WAIT_COND] = {"waits for condition", true, ""},
    [WF_WAIT_BARRIER] = {"waits for barrier", true, ""},
    [WF_WAIT_ONCE] = {"waits for once", true, ", which is run by "},
    [WF_WAIT_PUT] = {"waits for room in queue", true, ", last taken from by "},
    [WF_WAIT_GET] = {"waits for an item in queue", true, ", last put into by "},
    [WF_WAIT_DONE] = {"waits for the end of the work in queue", true, ", last taken from by "},
    [WF_WAIT_SELECT] = {"selects among several sources", false, ""},
};

static bool has_object(const struct wf_sight *sight)
{
    return words[sight->reason].has_target && sight->target != NULL;
}

void wf_scene_name(const struct wf_scene *scene, size_t at, bool site, struct wf_text *text)
{
    if (at == WF_NOBODY) {
        wf_text_add(text, "a task that has ended or is of another runtime");
        return;
    }
    const weft_task *task = scene->sights[at].task;
    const char *name = wf_task_name(task);
    wf_text_add(text, name[0] != '\0' ? "task #%llu \"%s\"" : "task #%llu%s",
                (unsigned long long)wf_task_id(task), name);
    if (site) {
        wf_text_add(text, " (%s)", task->site != NULL ? task->site : "?");
    }
}

void wf_scene_tie(const struct wf_scene *scene, size_t at, struct wf_text *text)
{
    wf_text_add(text, "%s", words[scene->sights[at].reason].whom);
}

static void add_whom(const struct wf_scene *scene, const struct wf_sight *sight,
                     struct wf_text *text)
{
    for (size_t i = 0; i < sight->count && i < NAMED_AT_MOST; i++) {
        wf_text_add(text, "%s", i > 0 ? ", " : "");
        wf_scene_name(scene, scene->whom[sight->first + i], false, text);
    }
    if (sight->count > NAMED_AT_MOST) {
        wf_text_add(text, " and %zu more", sight->count - NAMED_AT_MOST);
    }
}

void wf_scene_tell(const struct wf_scene *scene, size_t at, bool whom, struct wf_text *text)
{
    const struct wf_sight *sight = &scene->sights[at];
    wf_text_add(text, "%s", words[sight->reason].what);
    if (has_object(sight) && scene->is_simulated) {
        wf_text_add(text, " %zu", sight->object);
    } else if (has_object(sight)) {
        wf_text_add(text, " %p", sight->target);
    }
    if (sight->number >= 0) {
        wf_text_add(text, " %d", sight->number);
    }
    if (whom && sight->count > 0) {
        wf_scene_tie(scene, at, text);
        add_whom(scene, sight, text);
    }
}

// SPDX-License-Identifier: MIT
/* leaks.c - walking the registry, the wheels and the descriptor table for what is left. */
#include "inspect/leaks.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sched/simulate.h"

/* ---- the tally ---- */

static bool is_of(const struct wf_leak *leak, weft_sweep_finding finding, const char *site)
{
    return leak->finding == finding && leak->site == site;
}

void wf_leaks_add(struct wf_leaks *leaks, weft_sweep_finding finding, const char *site,
                  int64_t amount, const char *text, ...)
{
    size_t i = 0;
    while (i < leaks->count && !is_of(&leaks->at[i], finding, site)) {
        i++;
    }
    if (i == WF_LEAKS_MAX) {
        leaks->at[WF_LEAKS_MAX - 1].amount += amount;
        return;
    }
    struct wf_leak *leak = &leaks->at[i];
    if (i == leaks->count) {
        leaks->count++;
        *leak = (struct wf_leak){.finding = finding, .site = site};
        va_list arguments;
        va_start(arguments, text);
        (void)vsnprintf(leak->text, sizeof leak->text, text, arguments);
        va_end(arguments);
    }
    leak->amount += amount;
}

int64_t wf_leaks_amount(const struct wf_leaks *leaks, weft_sweep_finding finding, const char *site)
{
    for (size_t i = 0; i < leaks->count; i++) {
        if (is_of(&leaks->at[i], finding, site)) {
            return leaks->at[i].amount;
        }
    }
    return 0;
}

/* ---- the registry ---- */

static void add_unfinished(weft_task *task, void *arg)
{
    uint64_t word = wf_load_acq(&task->word);
    enum wf_life life = wf_word_life(word);
    bool is_alive = life == WF_NEW || life == WF_RUN || life == WF_PARKED;
    if (!is_alive || (word & WF_DETACHED) != 0 || (wf_task_flags(task) & WF_TASK_MAIN) != 0) {
        return;
    }
    char who[160];
    (void)wf_task_describe(task, who, sizeof who);
    wf_leaks_add(arg, WEFT_SWEEP_TASK, task->site, 1, "%s, was left unfinished", who);
}

void wf_leaks_add_tasks(struct wf_leaks *leaks, weft_runtime *runtime)
{
    wf_registry_walk(&runtime->registry, add_unfinished, leaks);
}

/* The task that runs has ended, so that of its handles only forgotten ones are left. */
static void add_owned(weft_task *task, void *arg)
{
    int64_t owners = (int64_t)(wf_load_acq(&task->refs) & WF_OWNERS_MASK);
    if (owners == 0 || wf_word_life(wf_load_acq(&task->word)) == WF_FREE) {
        return;
    }
    char who[160];
    (void)wf_task_describe(task, who, sizeof who);
    wf_leaks_add(arg, WEFT_SWEEP_HANDLE, task->site, owners, "a handle of %s, was never dropped",
                 who);
}

void wf_leaks_add_rest(struct wf_leaks *leaks, weft_runtime *runtime)
{
    wf_registry_walk(&runtime->registry, add_owned, leaks);
    uint64_t armed = wf_sim_armed(runtime->sim);
    if (armed > 0) {
        wf_leaks_add(leaks, WEFT_SWEEP_TIMER, NULL, (int64_t)armed, "a timer was left armed");
    }
    uint32_t open = wf_sim_open_descriptors(runtime->sim);
    if (open > 0) {
        wf_leaks_add(leaks, WEFT_SWEEP_DESCRIPTOR, NULL, open,
                     "a simulated descriptor was left open");
    }
}

/* ---- descriptors ---- */

static bool keep(struct wf_open_fds *fds, int number)
{
    if (fds->count == fds->room) {
        size_t room = fds->room != 0 ? 2 * fds->room : 64;
        int *numbers = realloc(fds->numbers, room * sizeof *numbers);
        if (numbers == NULL) {
            return false;
        }
        fds->numbers = numbers;
        fds->room = room;
    }
    fds->numbers[fds->count++] = number;
    return true;
}

bool wf_open_fds_list(struct wf_open_fds *fds)
{
    fds->count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return false;
    }
    bool is_complete = true;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && number != dirfd(folder)) {
            is_complete = keep(fds, (int)number) && is_complete;
        }
    }
    (void)closedir(folder);
    return is_complete;
}

static bool has(const struct wf_open_fds *fds, int number)
{
    for (size_t i = 0; i < fds->count; i++) {
        if (fds->numbers[i] == number) {
            return true;
        }
    }
    return false;
}

static void add_fd(struct wf_leaks *leaks, int number)
{
    char path[64];
    char what[96];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    ssize_t length = readlink(path, what, sizeof what - 1);
    what[length > 0 ? length : 0] = '\0';
    wf_leaks_add(leaks, WEFT_SWEEP_DESCRIPTOR, NULL, 1, "descriptor %d (%s) was left open", number,
                 what);
}

void wf_leaks_add_fds(struct wf_leaks *leaks, const struct wf_open_fds *before,
                      const struct wf_open_fds *now)
{
    for (size_t i = 0; i < now->count; i++) {
        if (!has(before, now->numbers[i])) {
            add_fd(leaks, now->numbers[i]);
        }
    }
}

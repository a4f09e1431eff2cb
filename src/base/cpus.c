// SPDX-License-Identifier: MIT
/* cpus.c - affinity, and the processor quotas of cgroups.
 *
 * What: a container may have 64 processors in its mask and a quota of two. /proc/self/cgroup names
 *       the groups of the process, /proc/self/mountinfo where their hierarchies are mounted; each
 *       ancestor may have a quota: cpu.max ("quota period", version 2), cpu.cfs_quota_us and
 *       cpu.cfs_period_us (version 1).
 * Anything that can't be read or understood sets no limit.
 */
#include "base/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = 1 << 16 };

/* A hierarchy that the process is in: version 2, or version 1 with the cpu controller. */
struct hierarchy {
    bool is_v2;
    char group[PATH_MAX]; /* of the process, as the hierarchy calls it */
};

/* ---- one group ---- */

static FILE *open_at(const char *root, const char *dir, const char *name)
{
    char path[2 * PATH_MAX + 64];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, dir, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
}

/* Reads up to two numbers; "max" and what is missing count as -1. */
static void read_numbers(const char *root, const char *dir, const char *name, long long out[2])
{
    out[0] = -1;
    out[1] = -1;
    FILE *file = open_at(root, dir, name);
    if (file == NULL) {
        return;
    }
    char line[128];
    if (fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        for (int i = 0; i < 2; i++) {
            char *end;
            long long number = strtoll(rest, &end, 10);
            if (end == rest) {
                break;
            }
            out[i] = number;
            rest = end;
        }
    }
    (void)fclose(file);
}

static int quota_of_group(const char *root, const char *dir, bool is_v2)
{
    long long quota;
    long long period;
    long long numbers[2];
    if (is_v2) {
        read_numbers(root, dir, "cpu.max", numbers);
        quota = numbers[0];
        period = numbers[1];
    } else {
        read_numbers(root, dir, "cpu.cfs_quota_us", numbers);
        quota = numbers[0];
        read_numbers(root, dir, "cpu.cfs_period_us", numbers);
        period = numbers[0];
    }
    if (quota <= 0 || period <= 0) {
        return INT_MAX;
    }
    long long cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* The smallest quota from `group` up to the mount point. */
static int quota_of_path(const char *root, const char *mount_point, const char *group, bool is_v2)
{
    char dir[2 * PATH_MAX];
    size_t top = strlen(mount_point);
    int length = snprintf(dir, sizeof dir, "%s%s", mount_point, group);
    int smallest = INT_MAX;
    if (length < 0 || (size_t)length >= sizeof dir) {
        return smallest;
    }
    for (;;) {
        int quota = quota_of_group(root, dir, is_v2);
        smallest = quota < smallest ? quota : smallest;
        char *slash = strrchr(dir, '/');
        if (slash == NULL || (size_t)(slash - dir) < top) {
            return smallest;
        }
        *slash = '\0';
    }
}

/* ---- where the groups are ---- */

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* A line of /proc/self/cgroup is "number:controllers:path"; version 2 has no controllers. */
static int read_hierarchies(const char *root, struct hierarchy out[2])
{
    FILE *file = open_at(root, "/proc", "self/cgroup");
    char line[PATH_MAX + 256];
    int count = 0;
    while (file != NULL && count < 2 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) {
            continue;
        }
        *controllers++ = '\0';
        *group++ = '\0';
        bool is_v2 = strcmp(line, "0") == 0 && *controllers == '\0';
        if (is_v2 || has_word(controllers, "cpu")) {
            out[count].is_v2 = is_v2;
            (void)snprintf(out[count].group, sizeof out[count].group, "%s", group);
            count++;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

/* Mount points come with blanks and backslashes as octal numbers. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *out++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 3;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
}

/* The part of `group` below what is mounted; "" when it lies elsewhere (another namespace's root). */
static const char *below(const char *group, const char *mounted)
{
    size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    bool is_below =
        strncmp(group, mounted, length) == 0 && (group[length] == '/' || group[length] == '\0');
    if (!is_below || strstr(group, "/..") != NULL || strcmp(group + length, "/") == 0) {
        return "";
    }
    return group + length;
}

/* A line of mountinfo: id parent device mounted mount_point options tags... - type source options.
 * Splits it in place; false if this is not a line for us. */
static bool parse_mount(char *line, char **mounted, char **mount_point, char **type, char **options)
{
    char *tail = strstr(line, " - ");
    char *save;
    if (tail == NULL) {
        return false;
    }
    *tail = '\0';
    *type = strtok_r(tail + 3, " \n", &save);
    char *source = strtok_r(NULL, " \n", &save);
    *options = strtok_r(NULL, " \n", &save);
    char *word = strtok_r(line, " ", &save);
    for (int i = 0; i < 3 && word != NULL; i++) {
        word = strtok_r(NULL, " ", &save);
    }
    *mounted = word;
    *mount_point = word != NULL ? strtok_r(NULL, " ", &save) : NULL;
    if (*mount_point == NULL || source == NULL || *options == NULL) {
        return false;
    }
    unescape(*mounted);
    unescape(*mount_point);
    return true;
}

static int quota_of_mount(const char *root, char *line, const struct hierarchy *in, int count)
{
    char *mounted;
    char *mount_point;
    char *type;
    char *options;
    if (!parse_mount(line, &mounted, &mount_point, &type, &options)) {
        return INT_MAX;
    }
    bool is_v2 = strcmp(type, "cgroup2") == 0;
    if (!is_v2 && (strcmp(type, "cgroup") != 0 || !has_word(options, "cpu"))) {
        return INT_MAX;
    }
    int smallest = INT_MAX;
    for (int i = 0; i < count; i++) {
        if (in[i].is_v2 == is_v2) {
            int quota = quota_of_path(root, mount_point, below(in[i].group, mounted), is_v2);
            smallest = quota < smallest ? quota : smallest;
        }
    }
    return smallest;
}

/* ---- the answer ---- */

int wf_cpus_quota(const char *root)
{
    int smallest = INT_MAX;
    size_t size = 0;
    char *line = NULL;
    FILE *mounts = open_at(root, "/proc", "self/mountinfo");
    struct hierarchy *in = calloc(2, sizeof *in);
    if (mounts != NULL && in != NULL) {
        int count = read_hierarchies(root, in);
        while (getline(&line, &size, mounts) > 0) {
            int quota = quota_of_mount(root, line, in, count);
            smallest = quota < smallest ? quota : smallest;
        }
    }
    free(line);
    free(in);
    if (mounts != NULL) {
        (void)fclose(mounts);
    }
    return smallest;
}

static int count_affinity(void)
{
    for (int cpus = 1024; cpus <= CPUS_MAX; cpus *= 4) { /* the mask must not be too short */
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        cpu_set_t *mask = CPU_ALLOC((size_t)cpus);
        if (mask == NULL) {
            break;
        }
        int count = sched_getaffinity(0, bytes, mask) == 0 ? CPU_COUNT_S(bytes, mask) : 0;
        CPU_FREE(mask);
        if (count > 0) {
            return count;
        }
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (int)online : 1;
}

int wf_cpus_allowed(void)
{
    int affinity = count_affinity();
    int quota = wf_cpus_quota("");
    return quota < affinity ? quota : affinity;
}

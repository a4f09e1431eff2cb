// SPDX-License-Identifier: MIT
/* test_cpus.c - quotas in made-up /proc and cgroup trees, and this machine's own answer. */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpus.h"
#include "weft_test.h"

static char root[64];

/* Makes the directories on the way, too. */
static void put(const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    cr_assert_not_null(file, "%s", full);
    fputs(text, file);
    fclose(file);
}

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/weft_cpus_XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT \
    "32 31 0:29 / /cg/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

Test(cpus, no_cgroups, .init = make_root, .fini = remove_root)
{
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/proc/self/cgroup", "0::/\n");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/proc/self/mountinfo", V2_MOUNT);
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
}

Test(cpus, v2_rounds_up, .init = make_root, .fini = remove_root)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "23 1 0:5 / /proc rw - proc proc rw\n" V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "250000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 3);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 2);
    put("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 1);
}

Test(cpus, v2_smallest_of_the_ancestors, .init = make_root, .fini = remove_root)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 8);
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/cpu.max", "500000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 3);
    put("/sys/fs/cgroup/other/cpu.max", "100000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 3);
}

Test(cpus, v1_beside_v2, .init = make_root, .fini = remove_root)
{
    put("/proc/self/cgroup", "9:name=systemd:/x\n4:cpu,cpuacct:/docker/d1\n3:cpuset:/y\n0::/z\n");
    put("/proc/self/mountinfo", V1_MOUNT V2_MOUNT);
    put("/cg/cpu,cpuacct/docker/d1/cpu.cfs_quota_us", "-1\n");
    put("/cg/cpu,cpuacct/docker/d1/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/cg/cpu,cpuacct/docker/cpu.cfs_quota_us", "450000\n");
    put("/cg/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(wf_cpus_quota(root), 5);
    put("/sys/fs/cgroup/z/cpu.max", "150000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 2);
}

/* A container without a cgroup namespace sees its own group mounted as the root. */
Test(cpus, mounted_below_the_group, .init = make_root, .fini = remove_root)
{
    put("/proc/self/cgroup", "0::/docker/d1/inner\n");
    put("/proc/self/mountinfo", "30 23 0:26 /docker/d1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/inner/cpu.max", "400000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 4);
    put("/proc/self/cgroup", "0::/docker/d11\n");
    put("/sys/fs/cgroup/cpu.max", "600000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 6, "not below the mount: only the mount point counts");
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    cr_assert_eq(wf_cpus_quota(root), 6);
}

Test(cpus, odd_mount_points, .init = make_root, .fini = remove_root)
{
    put("/proc/self/cgroup", "0::/g\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /with\\040blank rw - cgroup2 none rw\n"
                                "garbage\n31 - x\n\n - - -\n40 1 0:1 / - cgroup2\n");
    put("/with blank/g/cpu.max", "700000 100000\n");
    cr_assert_eq(wf_cpus_quota(root), 7);
    put("/with blank/g/cpu.max", "nonsense\n");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/with blank/g/cpu.max", "100000 0\n");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
    put("/with blank/g/cpu.max", "");
    cr_assert_eq(wf_cpus_quota(root), INT_MAX);
}

Test(cpus, affinity)
{
    cpu_set_t one;
    cpu_set_t before;
    int all = wf_cpus_allowed();
    cr_assert_geq(all, 1);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_leq(all, CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(wf_cpus_allowed(), 1);
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
}

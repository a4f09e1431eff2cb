// SPDX-License-Identifier: MIT
/* cpus.h - how many processors this process may use. */
#ifndef WF_BASE_CPUS_H
#define WF_BASE_CPUS_H

/* The smaller of the affinity mask's count and every processor quota of the cgroups that the process
 * is in, rounded up; at least 1. */
int wf_cpus_allowed(void);

/* The quotas alone, of the machine whose /proc and mounts lie under `root` ("" is this one): the
 * smallest, rounded up, at least 1; INT_MAX if there are none. */
int wf_cpus_quota(const char *root);

#endif

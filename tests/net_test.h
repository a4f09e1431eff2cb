/* SPDX-License-Identifier: MIT */
/* net_test.h - what the tests of sockets share. */
#ifndef NET_TEST_H
#define NET_TEST_H

#include <dirent.h>
#include <unistd.h>

#include "weft_test.h"

/* How many sockets the process has. Not all its descriptors: threads open files in passing. */
WT_FN int count_sockets(void)
{
    int count = 0;
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char target[16] = {0};
        ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        count += n > 0 && strncmp(target, "socket:", 7) == 0 ? 1 : 0;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count;
}

/* True where names are looked up by c-ares. */
WT_FN bool has_cares(void)
{
#ifdef WEFT_HAVE_CARES
    return true;
#else
    return false;
#endif
}

/* In the test itself: skips it elsewhere. */
#define NEED_CARES()                         \
    do {                                     \
        if (!has_cares()) {                  \
            wt_skip("built without c-ares"); \
        }                                    \
    } while (0)

#endif

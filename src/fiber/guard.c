// SPDX-License-Identifier: MIT
/* guard.c - three kinds of guard.
 *
 * What: markers in the page tables (MADV_GUARD_INSTALL, Linux 6.13): no mapping of their own and
 *       kept by MADV_DONTNEED, so a million guarded stacks fit in a few dozen mappings. Before
 *       that, PROT_NONE holes, which cost two mappings each, until half of vm.max_map_count is
 *       spent: the rest of the process needs mappings too. Beyond that, canaries.
 * Why this way: the canary is the zeros that mmap put there. Reading them maps the kernel's shared
 *       zero page and costs no memory, where any other pattern would cost a page for every stack.
 *       What it can't see is an overrun that writes nothing but zeros; frames hold return
 *       addresses.
 * Threads: any. One counter is per process, because vm.max_map_count is.
 */
#include "fiber/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/advise.h"
#include "base/atomic.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
    GUARD_BYTES = 16 << 10,
    DEFAULT_MAX_MAP_COUNT = 65530,
    ROW_MAX = 64,
    MAPPINGS_PER_GUARD = 2, /* the hole, and the rest of the slab above it */
};

/* PROT_NONE guards in this process. Any thread adds and subtracts, relaxed: it orders nothing. */
static wf_aint mprotect_count;

/* What /proc said, 0 before anybody asked. Relaxed: every reader would store the same. */
static wf_aint mprotect_limit;

size_t wf_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t wf_guard_bytes(void)
{
    size_t page = wf_page_bytes();
    return page > GUARD_BYTES ? page : (size_t)GUARD_BYTES;
}

/* Emulators and sandboxes accept any advice and do nothing. A page that can be populated is
 * not guarded. */
static bool guard_holds(char *at, size_t size)
{
    return madvise(at, size, MADV_GUARD_INSTALL) == 0 &&
           madvise(at, size, MADV_POPULATE_READ) != 0 && errno == EFAULT;
}

enum wf_guard wf_guard_probe(void)
{
    size_t size = wf_guard_bytes();
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return WF_GUARD_MPROTECT;
    }
    bool holds = guard_holds(at, size);
    munmap(at, size);
    return holds ? WF_GUARD_MADVISE : WF_GUARD_MPROTECT;
}

static int read_max_map_count(void)
{
    char text[32];
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return DEFAULT_MAX_MAP_COUNT;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return DEFAULT_MAX_MAP_COUNT;
    }
    text[n] = '\0';
    long count = strtol(text, NULL, 10);
    return count > 0 && count < INT32_MAX ? (int)count : DEFAULT_MAX_MAP_COUNT;
}

static bool reserve_mprotect(void)
{
    int limit = wf_load_rlx(&mprotect_limit);
    if (limit == 0) {
        limit = read_max_map_count() / 2 / MAPPINGS_PER_GUARD;
        wf_store_rlx(&mprotect_limit, limit);
    }
    if (wf_add_rlx(&mprotect_count, 1) < limit) {
        return true;
    }
    wf_add_rlx(&mprotect_count, -1);
    return false;
}

enum wf_guard wf_guard_install(char *at, enum wf_guard kind)
{
    size_t size = wf_guard_bytes();
    if (kind <= WF_GUARD_MADVISE && madvise(at, size, MADV_GUARD_INSTALL) == 0) {
        return WF_GUARD_MADVISE;
    }
    if (kind <= WF_GUARD_MPROTECT && reserve_mprotect()) {
        if (mprotect(at, size, PROT_NONE) == 0) {
            return WF_GUARD_MPROTECT;
        }
        wf_guard_unmapped(WF_GUARD_MPROTECT, 1);
    }
    return WF_GUARD_CANARY;
}

bool wf_guard_install_row(char *first, size_t stride, unsigned count)
{
    struct iovec guards[ROW_MAX];
    for (unsigned i = 0; i < count; i++) {
        guards[i] = (struct iovec){.iov_base = first + i * stride, .iov_len = wf_guard_bytes()};
    }
    return wf_advise(guards, count, MADV_GUARD_INSTALL);
}

void wf_guard_unmapped(enum wf_guard kind, unsigned count)
{
    if (kind == WF_GUARD_MPROTECT) {
        wf_add_rlx(&mprotect_count, -(int)count);
    }
}

bool wf_guard_is_clean(const char *at)
{
    const uint64_t *words = (const void *)at;
    size_t n = wf_guard_bytes() / sizeof *words;
    uint64_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        seen |= words[i];
    }
    return seen == 0;
}

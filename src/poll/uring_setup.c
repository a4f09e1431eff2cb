// SPDX-License-Identifier: MIT
/* uring_setup.c - making and unmaking a ring: which flags the kernel knows, its memory, what it can do.
 *
 * Flags are wishes: what the kernel refuses is dropped, the newest first. Needed are only a kernel that
 * keeps completions when the queue is full, takes a time limit with the wait and polls by itself, and
 * the operations in `needed`.
 */
#include "poll/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 256, COMPLETIONS = 4096 };

/* Newer than the oldest headers that this builds with. */
#define SETUP_NO_SQARRAY (1U << 16)
#define FEAT_NO_IOWAIT (1U << 17)

static const uint32_t wishes = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED |
                               IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                               IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                               SETUP_NO_SQARRAY;

/* Tried one after the other; each step takes flags away and adds some. */
static const struct {
    uint32_t without;
    uint32_t with;
} steps[] = {
    {SETUP_NO_SQARRAY, 0},           {IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN},
    {IORING_SETUP_SINGLE_ISSUER, 0}, {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0},
    {IORING_SETUP_SUBMIT_ALL, 0},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

static const uint8_t needed[] = {IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_READ,
                                 IORING_OP_WRITE,    IORING_OP_RECV,         IORING_OP_SEND,
                                 IORING_OP_ACCEPT,   IORING_OP_CONNECT};

static const uint32_t needed_features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
                                        IORING_FEAT_RW_CUR_POS | IORING_FEAT_FAST_POLL |
                                        IORING_FEAT_EXT_ARG;

/* ---- system calls ---- */

static int setup(struct io_uring_params *params)
{
    long fd = syscall(SYS_io_uring_setup, ENTRIES, params);
    return fd >= 0 ? (int)fd : -errno;
}

static int enroll(int fd, unsigned what, void *arg, unsigned count)
{
    long rc = syscall(SYS_io_uring_register, fd, what, arg, count);
    return rc >= 0 ? (int)rc : -errno;
}

/* Refusals are many: no such call, a kernel that was told so, a filter. To the caller they are one. */
static int meaning(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : -ENOSYS;
}

static int open_ring(struct io_uring_params *params)
{
    uint32_t flags = wishes;
    int fd = -EINVAL;
    for (int step = -1; step < (int)STEPS && fd == -EINVAL; step++) {
        if (step >= 0) {
            flags = (flags & ~steps[step].without) | steps[step].with;
        }
        memset(params, 0, sizeof *params);
        params->flags = flags;
        params->cq_entries = COMPLETIONS;
        fd = setup(params);
    }
    return fd >= 0 ? fd : meaning(fd);
}

/* ---- memory ---- */

static wf_au32 *word_at(const struct wf_uring *ring, uint32_t offset)
{
    return (wf_au32 *)(void *)((char *)ring->rings + offset);
}

static uint32_t value_at(const struct wf_uring *ring, uint32_t offset)
{
    return *(const uint32_t *)(const void *)((const char *)ring->rings + offset);
}

static void *map(int fd, size_t bytes, off_t what)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(memory, bytes, MADV_DONTFORK); /* a forked child has no part in it */
    return memory;
}

static int map_ring(struct wf_uring *ring, const struct io_uring_params *params)
{
    size_t sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
    ring->entries_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = map(ring->fd, ring->rings_bytes, IORING_OFF_SQ_RING);
    ring->entries = map(ring->fd, ring->entries_bytes, IORING_OFF_SQES);
    if (ring->rings == NULL || ring->entries == NULL) {
        return -ENOMEM;
    }
    ring->sq_head = word_at(ring, params->sq_off.head);
    ring->sq_tail = word_at(ring, params->sq_off.tail);
    ring->sq_flags = word_at(ring, params->sq_off.flags);
    ring->sq_mask = value_at(ring, params->sq_off.ring_mask);
    ring->cq_head = word_at(ring, params->cq_off.head);
    ring->cq_tail = word_at(ring, params->cq_off.tail);
    ring->cq_mask = value_at(ring, params->cq_off.ring_mask);
    ring->completions = (void *)((char *)ring->rings + params->cq_off.cqes);
    if ((params->flags & SETUP_NO_SQARRAY) == 0) {
        uint32_t *order = (uint32_t *)(void *)((char *)ring->rings + params->sq_off.array);
        for (uint32_t i = 0; i < params->sq_entries; i++) {
            order[i] = i;
        }
    }
    return 0;
}

/* ---- what it can do ---- */

enum { PROBED = 256 };

static int ask_operations(struct wf_uring *ring)
{
    size_t bytes = sizeof(struct io_uring_probe) + PROBED * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, bytes);
    if (probe == NULL) {
        return -ENOMEM;
    }
    int rc = enroll(ring->fd, IORING_REGISTER_PROBE, probe, PROBED);
    for (unsigned i = 0; rc == 0 && i < probe->ops_len && i < PROBED; i++) {
        if ((probe->ops[i].flags & IO_URING_OP_SUPPORTED) != 0) {
            ring->supported[probe->ops[i].op / 64] |= UINT64_C(1) << (probe->ops[i].op % 64);
        }
    }
    free(probe);
    for (size_t i = 0; rc == 0 && i < sizeof needed; i++) {
        rc = wf_uring_has(ring, needed[i]) ? 0 : -ENOSYS;
    }
    return rc;
}

/* ---- life ---- */

static int open_all(struct wf_uring *ring)
{
    struct io_uring_params params;
    ring->fd = open_ring(&params);
    if (ring->fd < 0) {
        return ring->fd;
    }
    if ((params.features & needed_features) != needed_features) {
        return -ENOSYS;
    }
    ring->setup_flags = params.flags;
    ring->enter_flags = (params.features & FEAT_NO_IOWAIT) != 0 ? WF_URING_NO_IOWAIT : 0;
    int rc = map_ring(ring, &params);
    if (rc == 0) {
        rc = ask_operations(ring);
    }
    if (rc < 0) {
        return meaning(rc);
    }
    ring->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return ring->wake_fd >= 0 ? 0 : -errno;
}

int wf_uring_create(struct wf_uring **out)
{
    struct wf_uring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) {
        return -ENOMEM;
    }
    ring->fd = -1;
    ring->wake_fd = -1;
    ring->watch_fd = -1;
    for (int i = 0; i < WF_URING_ALARMS; i++) {
        wf_store_rlx(&ring->alarms_ns[i], WF_FOREVER);
    }
    wf_list_init(&ring->backlog);
    wf_list_init(&ring->cancels);
    ck_stack_init(&ring->inbox);
    int rc = open_all(ring);
    if (rc < 0) {
        wf_uring_destroy(ring);
        return rc;
    }
    *out = ring;
    return 0;
}

/* A registered ring's descriptor need not be looked up at each call. */
static void enroll_descriptor(struct wf_uring *ring)
{
    struct io_uring_rsrc_update update = {.offset = UINT32_MAX,
                                          .data = (uint64_t)(uint32_t)ring->fd};
    if (enroll(ring->fd, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
        ring->enter_fd = (int)update.offset;
        ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    }
}

int wf_uring_enable(struct wf_uring *ring)
{
    int rc = enroll(ring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ring->enter_fd = ring->fd;
    if (rc < 0) {
        return meaning(rc);
    }
    enroll_descriptor(ring);
    return 0;
}

void wf_uring_leave(struct wf_uring *ring)
{
    if ((ring->enter_flags & IORING_ENTER_REGISTERED_RING) != 0) {
        struct io_uring_rsrc_update update = {.offset = (uint32_t)ring->enter_fd};
        (void)enroll(ring->fd, IORING_UNREGISTER_RING_FDS, &update, 1);
        ring->enter_fd = ring->fd;
        ring->enter_flags &= ~IORING_ENTER_REGISTERED_RING;
    }
}

void wf_uring_destroy(struct wf_uring *ring)
{
    if (ring == NULL) {
        return;
    }
    if (ring->rings != NULL) {
        (void)munmap(ring->rings, ring->rings_bytes);
    }
    if (ring->entries != NULL) {
        (void)munmap(ring->entries, ring->entries_bytes);
    }
    if (ring->wake_fd >= 0) {
        (void)close(ring->wake_fd);
    }
    if (ring->fd >= 0) {
        (void)close(ring->fd);
    }
    free(ring);
}

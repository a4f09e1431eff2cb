// SPDX-License-Identifier: MIT
/* watch.c - watch scopes: the peer's hang-up as a trigger.
 *
 * The record of the descriptor is to a watch what the wheel is to a timeout: its lock guards firing
 * and leaving. The record remembers a hang-up, so one that came before fires at once when the scope is
 * opened: the request is then found by the next await point.
 */
#include <errno.h>
#include <netinet/in.h>

#include <weft/watch.h>

#include "await/fake.h"
#include "poll/descriptor.h"

struct watch {
    struct wf_scope scope;
    struct wf_fd *record;          /* NULL: of a simulation */
    const struct wf_fake *fake_fd; /* then it is this one */
    union {
        struct wf_fd_watch link;
        struct wf_fake_watch fake;
    };
    unsigned flags;
};

_Static_assert(sizeof(struct watch) <= sizeof(weft_watch), "weft_watch is too small");

#define FLAGS_ALL ((unsigned)WEFT_WATCH_HALF_CLOSE | (unsigned)WEFT_WATCH_PROBE)

static struct watch *inside(const weft_watch *scope)
{
    return (struct watch *)(uintptr_t)scope;
}

/* One byte of urgent data: a peer that is gone answers with a reset, which comes as a hang-up. */
static __attribute__((noinline)) void probe(int fd)
{
    int domain = 0;
    int protocol = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 ||
        (domain != AF_INET && domain != AF_INET6)) {
        return;
    }
    size = sizeof protocol;
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0 || protocol != IPPROTO_TCP) {
        return;
    }
    (void)send(fd, "", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Under the record's lock, so the number is still this descriptor's. */
static void look(struct wf_fd_watch *link, struct wf_fd *record, struct wf_later *later)
{
    struct watch *watch = WF_CONTAINER(link, struct watch, link);
    bool half = (wf_load_rlx(&record->seen) & WF_FD_HALF_CLOSE) != 0;
    bool full = (wf_load_rlx(&record->seen) & WF_FD_HANGUP) != 0;
    if (full || (half && (watch->flags & WEFT_WATCH_HALF_CLOSE) != 0)) {
        wf_scope_fire(&watch->scope, later);
    } else if (half && (watch->flags & WEFT_WATCH_PROBE) != 0 && !record->is_probed) {
        record->is_probed = true;
        probe(record->fd);
    }
}

/* ---- simulated descriptors ---- */

/* Some half-close there is: a peer that has gone since then would answer the probe. */
static void look_fake(struct wf_fake_watch *link, unsigned seen, struct wf_later *later)
{
    struct watch *watch = WF_CONTAINER(link, struct watch, fake);
    bool full = (seen & WF_FAKE_HANGUP) != 0;
    bool is_gone = (watch->flags & WEFT_WATCH_PROBE) != 0 && watch->fake_fd->peer == NULL;
    if (full || is_gone || (watch->flags & WEFT_WATCH_HALF_CLOSE) != 0) {
        wf_scope_fire(&watch->scope, later);
    }
}

static int enter_fake(struct wf_sim *sim, weft_task *self, struct watch *watch, int fd)
{
    struct wf_fake *fake = wf_fake_find(wf_sim_fakes(sim), fd);
    if (fake == NULL) {
        return wf_fake_is_number(fd) ? -EBADF : -ENOTSUP;
    }
    struct wf_later later;
    wf_later_init(&later);
    watch->record = NULL;
    watch->fake_fd = fake;
    watch->fake.tell = look_fake;
    wf_scope_open(&watch->scope, WF_SCOPE_WATCH, self);
    wf_fake_watch(fake, &watch->fake, &later);
    wf_later_run(&later);
    return 0;
}

/* ---- real ones ---- */

static int enter_real(struct wf_poller *poller, weft_task *self, struct watch *watch, int fd)
{
    int rc = wf_fd_find(poller->table, fd, &watch->record);
    if (rc < 0) {
        return rc;
    }
    struct wf_later later;
    wf_later_init(&later);
    watch->link.tell = look;
    wf_scope_open(&watch->scope, WF_SCOPE_WATCH, self);
    rc = wf_fd_watch(poller, watch->record, wf_task_id(self), &watch->link, &later);
    wf_later_run(&later);
    if (rc < 0) {
        (void)wf_scope_close(&watch->scope, 0, 0);
    }
    return rc;
}

static void leave_trigger(struct watch *watch)
{
    if (watch->record != NULL) {
        wf_fd_unwatch(watch->record, &watch->link);
    } else {
        wf_list_remove(&watch->fake.link);
    }
}

/* ---- the calls ---- */

int weft_watch_enter(weft_watch *scope, int fd, unsigned flags)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    if (scope == NULL || (flags & ~FLAGS_ALL) != 0) {
        return -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    struct wf_poller *poller = worker->runtime->poller;
    struct watch *watch = inside(scope);
    if (wf_scope_is_open(self, scope)) {
        return -EBUSY;
    }
    watch->flags = flags;
    return poller != NULL ? enter_real(poller, self, watch, fd)
                          : enter_fake(worker->sim, self, watch, fd);
}

intptr_t weft_watch_leave(weft_watch *scope, intptr_t rc)
{
    int error = 0;
    struct wf_worker *worker = wf_fiber_worker(&error);
    if (worker == NULL) {
        return error;
    }
    struct watch *watch = inside(scope);
    if (scope == NULL || wf_self_on(worker)->scope != &watch->scope) {
        return -EINVAL;
    }
    leave_trigger(watch);
    return wf_scope_close(&watch->scope, rc, -ECONNRESET);
}

bool weft_watch_fired(const weft_watch *scope)
{
    if (scope == NULL) {
        return false;
    }
    uint32_t phase = wf_load_acq(&inside(scope)->scope.phase);
    return phase == WF_SCOPE_EXPIRING || phase == WF_SCOPE_EXPIRED;
}

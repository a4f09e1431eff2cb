// SPDX-License-Identifier: MIT
/* source_fd.c - cases that wait for descriptors, real or simulated.
 *
 * A grant says only that there was something new: what is there now is looked at afterwards. That a
 * descriptor cannot be waited for at all is found by the attempt, which comes first.
 */
#include <errno.h>

#include "await/fake.h"
#include "await/io.h"
#include "sync/select.h"

struct fd_case {
    union {
        struct wf_fd *record;
        struct wf_fake *fake;
    };
    uint64_t opened;
    uint64_t stamp;           /* of the last look, which saw nothing: an event since would say so */
    struct wf_fd_entry entry; /* of a simulated descriptor only the waiters */
};

WF_CASE_FITS(struct fd_case);

static struct fd_case *inside(weft_case *one)
{
    return wf_case_room(one);
}

static bool is_simulated(const struct wf_selection *selection)
{
    return wf_runtime_of(selection->self)->poller == NULL;
}

static int check_fd(const weft_case *one)
{
    return wf_io_are_events(one->events) ? 0 : -EINVAL;
}

static struct wf_io io_of(const struct wf_selection *selection, weft_case *one)
{
    return (struct wf_io){
        .self = selection->self,
        .poller = wf_runtime_of(selection->self)->poller,
        .record = inside(one)->record,
        .opened = inside(one)->opened,
        .fd = one->fd,
    };
}

/* ---- looking ---- */

static int find(struct wf_selection *selection, weft_case *one)
{
    if (is_simulated(selection)) {
        struct wf_fake_io fake;
        int rc = wf_fake_meet(&fake, selection->self, one->fd);
        inside(one)->fake = rc == 0 ? fake.fake : NULL;
        return rc;
    }
    struct wf_io io;
    int rc = wf_io_find(&io, selection->self, one->fd);
    if (rc == 0) {
        inside(one)->record = io.record;
        inside(one)->opened = io.opened;
        rc = wf_io_check_pollable(&io);
    }
    return rc;
}

/* Events, 0 or an error. */
static int look(struct wf_selection *selection, weft_case *one)
{
    if (is_simulated(selection)) {
        return wf_fake_look(inside(one)->fake, one->events);
    }
    struct wf_io io = io_of(selection, one);
    return wf_io_look(&io, one->events, &inside(one)->stamp);
}

static bool finish_fd(struct wf_selection *selection, weft_case *one)
{
    int rc = look(selection, one);
    one->outcome = rc != 0 ? rc : one->outcome;
    return rc != 0;
}

static bool attempt_fd(struct wf_selection *selection, weft_case *one)
{
    int rc = find(selection, one);
    if (rc < 0) {
        one->outcome = rc;
        return true;
    }
    return finish_fd(selection, one);
}

/* ---- waiting ---- */

/* Linked with 0. Else what there is now, or an error. */
static int link_fake(struct wf_selection *selection, weft_case *one)
{
    struct wf_waiter *waiters = inside(one)->entry.waiters;
    int rc = look(selection, one);
    for (int i = 0; i < 2 && rc == 0; i++) {
        struct wf_list *list = wf_fake_list(inside(one)->fake, one->events, i == 1);
        wf_case_waiter(selection, &waiters[i]);
        if (list != NULL) {
            wf_list_push(list, &waiters[i].link);
        }
    }
    return rc;
}

static int link_real(struct wf_selection *selection, weft_case *one)
{
    struct wf_io io = io_of(selection, one);
    struct wf_fd_entry *entry = &inside(one)->entry;
    struct wf_later later;
    int rc;
    wf_later_init(&later);
    entry->directions = wf_io_directions(one->events);
    wf_case_waiter(selection, &entry->waiters[0]);
    wf_case_waiter(selection, &entry->waiters[1]);
    do {
        rc = wf_fd_link(io.poller, io.record, entry, inside(one)->stamp, &later);
        if (rc != WF_FD_RETRY) {
            break;
        }
        rc = look(selection, one);
    } while (rc == 0);
    wf_later_run(&later);
    return rc;
}

static enum wf_linking link_fd(struct wf_selection *selection, weft_case *one)
{
    int rc = is_simulated(selection) ? link_fake(selection, one) : link_real(selection, one);
    if (rc == 0) {
        return WF_CASE_LINKED;
    }
    if (!wf_selection_claim(selection)) {
        return WF_CASE_LOST;
    }
    one->outcome = rc;
    return WF_CASE_DONE;
}

_Static_assert(WF_FD_LINKED == 0, "linked, or why not");

static void unlink_fd(struct wf_selection *selection, weft_case *one)
{
    struct wf_fd_entry *entry = &inside(one)->entry;
    if (is_simulated(selection)) {
        wf_list_remove(&entry->waiters[0].link);
        wf_list_remove(&entry->waiters[1].link);
    } else {
        wf_fd_unlink(inside(one)->record, entry);
    }
}

weft_case weft_case_fd(int fd, unsigned events)
{
    weft_case one = wf_case_make(WEFT_CASE_FD, NULL, NULL);
    one.fd = fd;
    one.events = events;
    return one;
}

const struct wf_case_kind wf_case_fd = {
    .check = check_fd,
    .attempt = attempt_fd,
    .link = link_fd,
    .unlink = unlink_fd,
    .finish = finish_fd,
    .stays_linked = true, /* in the other direction's list */
};

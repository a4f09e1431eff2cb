// SPDX-License-Identifier: MIT
/* fake.c - entering, waiting and being late on simulated descriptors; weft_wait_fd, weft_close. */
#include "await/fake.h"

#include <errno.h>

#include <weft/io.h>
#include <weft/time.h>

#include "await/io.h"

int wf_fake_meet(struct wf_fake_io *io, weft_task *self, int fd)
{
    io->self = self;
    io->sim = wf_runtime_of(self)->sim;
    if (io->sim == NULL || !wf_fake_is_number(fd)) {
        return -ENOTSUP;
    }
    io->world = wf_sim_fakes(io->sim);
    io->fake = wf_fake_find(io->world, fd);
    return io->fake != NULL ? 0 : -EBADF;
}

int wf_fake_enter(struct wf_fake_io *io, int fd, const char *call)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    rc = wf_fake_meet(io, wf_self_on(worker), fd);
    if (rc < 0) {
        return rc;
    }
    rc = wf_door_enter(io->self, call);
    return rc < 0 ? rc : io->fake->is_open ? 0 : -EBADF;
}

static int outcome(enum wf_verdict verdict)
{
    return verdict == WF_GRANTED ? 0 : verdict == WF_CLOSED ? -EBADF : -ECANCELED;
}

static void link_waiter(struct wf_waiter *waiter, struct wf_wait *wait, struct wf_list *list)
{
    *waiter = (struct wf_waiter){.wait = wait};
    wf_list_init(&waiter->link);
    if (list != NULL) {
        wf_list_push(list, &waiter->link);
    }
}

int wf_fake_wait(const struct wf_fake_io *io, struct wf_list *first, struct wf_list *second)
{
    struct wf_wait wait;
    struct wf_waiter waiters[2];
    wf_wait_begin(&wait, io->self, WF_WAIT_FD);
    wait.target = io->fake;
    wait.number = io->fake->number;
    link_waiter(&waiters[0], &wait, first);
    link_waiter(&waiters[1], &wait, second);
    enum wf_verdict verdict = wf_door_park(&wait);
    wf_list_remove(&waiters[0].link);
    wf_list_remove(&waiters[1].link);
    return outcome(verdict);
}

/* ---- chance ---- */

enum wf_fake_luck wf_fake_draw(const struct wf_fake_io *io)
{
    const weft_sim_faults *faults = wf_sim_faults(io->sim);
    if (!wf_sim_chance(io->sim, faults->late)) {
        return WF_LUCK_WHOLE;
    }
    return wf_sim_chance(io->sim, faults->late_cancels) ? WF_LUCK_TOLD_LATE : WF_LUCK_LATE;
}

static void set_alarm(const struct wf_fake_io *io, struct wf_alarm *alarm, struct wf_wait *wait)
{
    uint64_t bound = (uint64_t)wf_sim_faults(io->sim)->late_ns + 1;
    int64_t delay_ns = (int64_t)wf_sim_draw(io->sim, bound);
    wf_alarm_set(alarm, wait, wf_deadline_after(weft_now(), delay_ns), WF_GRANTED);
}

int wf_fake_delay(const struct wf_fake_io *io)
{
    struct wf_wait wait;
    struct wf_waiter waiter;
    struct wf_alarm alarm;
    wf_wait_begin(&wait, io->self, WF_WAIT_FD);
    wait.target = io->fake;
    wait.number = io->fake->number;
    link_waiter(&waiter, &wait, &io->fake->busy);
    set_alarm(io, &alarm, &wait);
    enum wf_verdict verdict = wf_door_park(&wait);
    wf_list_remove(&waiter.link);
    wf_alarm_clear(&alarm);
    return outcome(verdict);
}

static bool refuse(struct wf_wait *wait, struct wf_later *later)
{
    (void)wait;
    (void)later;
    return false;
}

void wf_fake_hold(const struct wf_fake_io *io)
{
    struct wf_wait wait;
    struct wf_alarm alarm;
    wf_wait_begin(&wait, io->self, WF_WAIT_FD);
    wait.target = io->fake;
    wait.number = io->fake->number;
    wait.hand_on = refuse;
    set_alarm(io, &alarm, &wait);
    (void)wf_door_park(&wait);
    wf_alarm_clear(&alarm);
}

/* ---- weft_wait_fd ---- */

int wf_fake_look(const struct wf_fake *fake, unsigned events)
{
    return fake->is_open ? (int)(wf_fake_ready(fake) & (events | (unsigned)WF_FAKE_HANGUP))
                         : -EBADF;
}

struct wf_list *wf_fake_list(struct wf_fake *fake, unsigned events, bool writes)
{
    unsigned directions = wf_io_directions(events);
    return writes ? ((directions & (unsigned)WF_FD_WRITE) != 0 ? &fake->writers : NULL)
                  : ((directions & (unsigned)WF_FD_READ) != 0 ? &fake->readers : NULL);
}

int wf_fake_wait_fd(int fd, unsigned events)
{
    struct wf_fake_io io;
    int rc = wf_fake_enter(&io, fd, "weft_wait_fd");
    while (rc == 0) {
        rc = wf_fake_look(io.fake, events);
        if (rc != 0) {
            break;
        }
        rc = wf_fake_wait(&io, wf_fake_list(io.fake, events, false),
                          wf_fake_list(io.fake, events, true));
    }
    return rc;
}

_Static_assert((int)WF_FAKE_READABLE == (int)WEFT_READABLE &&
                   (int)WF_FAKE_WRITABLE == (int)WEFT_WRITABLE &&
                   (int)WF_FAKE_HANGUP == (int)WEFT_HANGUP,
               "what is seen is what is reported");

/* ---- weft_close ---- */

int wf_fake_close_number(int fd)
{
    int error = 0;
    struct wf_sim *sim = wf_sim_here(&error);
    struct wf_fake *fake = sim != NULL ? wf_fake_find(wf_sim_fakes(sim), fd) : NULL;
    if (fake == NULL) {
        return -EBADF;
    }
    struct wf_later later;
    wf_later_init(&later);
    wf_fake_close(wf_sim_fakes(sim), fake, &later);
    wf_later_run(&later);
    return 0;
}

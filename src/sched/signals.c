// SPDX-License-Identifier: MIT
/* signals.c - taking signals over, the handler, giving them back.
 *
 * The handler finds its runtime by the signal's number in a table of the process. It counts itself in
 * before it looks there, and whoever ends a runtime takes it out of the table before it looks at the
 * count: one of them sees the other, so no handler writes to an eventfd that is closed (or to what got
 * its number).
 */
#include "sched/signals.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sched/sched.h"

#define BIT(number) (UINT64_C(1) << ((unsigned)(number)-1U))
/* Signals that a faulting instruction raises: the handler would return to it. */
#define FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE))

static struct {
    struct wf_lock lock; /* guards changes of the table and of dispositions */

    /* [number - 1]. Stored under lock, loaded by the handler (both seq_cst, with `inside`). */
    _Atomic(struct wf_signals *) owners[WF_SIGNAL_COUNT];

    /* Handlers that run: each adds and takes away its one, a runtime's end loads (seq_cst). */
    wf_au32 inside;
} all;

/* ---- the handler ---- */

static void note(struct wf_signals *signals, int number)
{
    if (number == SIGINT && signals->counts_interrupts &&
        wf_add_acqrel(&signals->interrupts, 1U) == 1) {
        /* That was the second; the program may hang. */
        struct sigaction fatal = {.sa_handler = SIG_DFL};
        (void)sigaction(SIGINT, &fatal, NULL);
    }
    /* If it was pending already, whoever made it so has written, or will when it goes on. */
    if ((wf_or_acqrel(&signals->pending, BIT(number)) & BIT(number)) == 0) {
        uint64_t one = 1;
        ssize_t written = write(signals->event_fd, &one, sizeof one);
        (void)written;
    }
}

static void on_signal(int number)
{
    int saved = errno;
    (void)wf_add_sc(&all.inside, 1U);
    struct wf_signals *signals = wf_load_sc(&all.owners[number - 1]);
    if (signals != NULL) {
        note(signals, number);
    }
    (void)wf_sub_sc(&all.inside, 1U);
    errno = saved;
}

/* ---- taking over ---- */

uint64_t wf_signals_mask(const sigset_t *set)
{
    uint64_t mask = 0;
    for (int number = 1; number <= WF_SIGNAL_COUNT; number++) {
        if (sigismember(set, number) == 1) {
            mask |= BIT(number);
        }
    }
    return (mask & (FAULTS | BIT(SIGKILL) | BIT(SIGSTOP))) == 0 ? mask : 0;
}

static __attribute__((noinline)) int claim_locked(struct wf_signals *signals, int number)
{
    struct wf_signals *owner = wf_load_sc(&all.owners[number - 1]);
    if (owner != NULL) {
        bool is_shared = number == SIGINT && signals->counts_interrupts;
        return owner == signals && !is_shared ? 0 : -EBUSY;
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    (void)sigfillset(&action.sa_mask);
    wf_store_sc(&all.owners[number - 1], signals);
    if (sigaction(number, &action, &signals->former[number - 1]) != 0) {
        wf_store_sc(&all.owners[number - 1], NULL);
        return -EINVAL;
    }
    signals->taken |= BIT(number);
    return 0;
}

int wf_signals_claim(struct wf_signals *signals, uint64_t mask)
{
    int rc = 0;
    wf_lock(&all.lock);
    for (int number = 1; number <= WF_SIGNAL_COUNT && rc == 0; number++) {
        if ((mask & BIT(number)) != 0) {
            rc = claim_locked(signals, number);
        }
    }
    wf_unlock(&all.lock);
    return rc;
}

int wf_signals_claim_interrupt(struct wf_signals *signals)
{
    wf_lock(&all.lock);
    bool is_free = wf_load_sc(&all.owners[SIGINT - 1]) == NULL;
    if (is_free) {
        signals->counts_interrupts = true;
    }
    int rc = is_free ? claim_locked(signals, SIGINT) : -EBUSY;
    wf_unlock(&all.lock);
    return rc;
}

int wf_signals_take(struct wf_signals *signals, uint64_t mask)
{
    for (;;) {
        uint64_t pending = wf_load_acq(&signals->pending) & mask;
        if (pending == 0) {
            return 0;
        }
        int number = __builtin_ctzll(pending) + 1;
        if ((wf_and_acqrel(&signals->pending, ~BIT(number)) & BIT(number)) != 0) {
            return number; /* else another waiter was faster */
        }
    }
}

void wf_signals_release(struct wf_signals *signals, uint64_t mask)
{
    wf_lock(&all.lock);
    mask &= signals->taken;
    for (int number = 1; number <= WF_SIGNAL_COUNT; number++) {
        if ((mask & BIT(number)) != 0) {
            (void)sigaction(number, &signals->former[number - 1], NULL);
            wf_store_sc(&all.owners[number - 1], NULL);
        }
    }
    signals->taken &= ~mask;
    wf_unlock(&all.lock);
    while (wf_load_sc(&all.inside) != 0) {
        sched_yield(); /* a few instructions and a write that does not block */
    }
}

/* ---- life ---- */

static void destroy(void *data)
{
    struct wf_signals *signals = data;
    wf_signals_release(signals, UINT64_MAX);
    (void)close(signals->event_fd);
    free(signals);
}

static __attribute__((noinline)) int create(weft_runtime *runtime, struct wf_signals **out)
{
    struct wf_signals *signals = calloc(1, sizeof *signals);
    if (signals == NULL) {
        return -ENOMEM;
    }
    signals->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (signals->event_fd < 0) {
        int rc = -errno;
        free(signals);
        return rc;
    }
    int rc = wf_fd_find(runtime->poller->table, signals->event_fd, &signals->record);
    if (rc < 0) {
        (void)close(signals->event_fd);
        free(signals);
        return rc;
    }
    *out = signals;
    return 0;
}

int wf_signals_of(weft_runtime *runtime, struct wf_signals **out)
{
    if (runtime->poller == NULL) {
        return -ENOTSUP;
    }
    struct wf_attachment *place = &runtime->attachments[WF_ATTACH_SIGNALS];
    struct wf_later later;
    int rc = 0;
    wf_later_init(&later);
    wf_lock(&runtime->attach_lock);
    if (place->data == NULL) {
        struct wf_signals *made;
        rc = create(runtime, &made);
        if (rc == 0) {
            /* The number may have been another descriptor's. Whoever waits for that hears of it. */
            wf_fd_wipe(made->record, 0, &later);
            place->data = made;
            place->destroy = destroy;
        }
    }
    *out = place->data;
    wf_unlock(&runtime->attach_lock);
    wf_sched_flush(&later);
    return rc;
}

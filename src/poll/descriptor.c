// SPDX-License-Identifier: MIT
/* descriptor.c - what happens to a record: waits, events, registration, reuse of the number. */
#include "poll/descriptor.h"

#include <errno.h>
#include <stdlib.h>

#define READ_MASK UINT64_C(0xfffff)
#define WRITE_SHIFT 20
#define WRITE_MASK (UINT64_C(0x7ffff) << WRITE_SHIFT)

/* ---- what happens under a record's lock ---- */

/* The only one of a list: most often of a task that has parked. */
static inline void grant_only(struct wf_waiter *waiter, enum wf_verdict verdict,
                              struct wf_later *later)
{
    weft_task *task = waiter->notify == NULL && verdict == WF_GRANTED ? waiter->wait->task : NULL;
    if (task != NULL && wf_state_grant_parked(&task->word, wf_load_rlx(&waiter->wait->epoch))) {
        wf_list_remove(&waiter->link);
        wf_later_wake(later, task);
    } else {
        (void)wf_waiter_grant(waiter, verdict, later);
    }
}

static void grant_all(struct wf_list *waiters, enum wf_verdict verdict, struct wf_later *later)
{
    struct wf_list batch; /* a notify function may link its waiter again */
    struct wf_list *first = waiters->next;
    if (WF_LIKELY(first->next == waiters)) { /* one at most */
        if (first != waiters) {
            grant_only(WF_CONTAINER(first, struct wf_waiter, link), verdict, later);
        }
        return;
    }
    wf_list_init(&batch);
    wf_list_splice(&batch, waiters);
    while (!wf_list_is_empty(&batch)) {
        struct wf_waiter *waiter = WF_CONTAINER(batch.next, struct wf_waiter, link);
        (void)wf_waiter_grant(waiter, verdict, later);
    }
}

static void count_events(struct wf_fd *record, bool reads, bool writes)
{
    uint64_t stamp = wf_load_rlx(&record->stamp); /* only changed under the lock */
    uint64_t read_count = (stamp + (reads ? 1 : 0)) & READ_MASK;
    uint64_t write_count = (stamp + ((uint64_t)(writes ? 1 : 0) << WRITE_SHIFT)) & WRITE_MASK;
    uint64_t rest = stamp & ~(READ_MASK | WRITE_MASK);
    wf_store_rel(&record->stamp, rest | write_count | read_count);
}

static bool has_closed_since(struct wf_fd *record, uint64_t stamp)
{
    return !wf_fd_is_same(wf_load_rlx(&record->stamp), stamp);
}

static bool has_event_since(struct wf_fd *record, uint64_t stamp, unsigned directions)
{
    uint64_t mask = ((directions & WF_FD_READ) != 0 ? READ_MASK : 0) |
                    ((directions & WF_FD_WRITE) != 0 ? WRITE_MASK : 0);
    return ((wf_load_rlx(&record->stamp) ^ stamp) & mask) != 0;
}

static void forget_hints(struct wf_fd *record)
{
    wf_store_rlx(&record->nature, 0);
    wf_store_rlx(&record->drained_at, UINT64_C(0));
    wf_store_rlx(&record->burst, 0);
    wf_store_rlx(&record->last_burst, 0);
}

/* Whatever was known belongs to a descriptor that is gone. Its waiters hear of it. */
static void forget(struct wf_fd *record, struct wf_later *later)
{
    record->tag++;
    record->is_registered = false;
    wf_store_rlx(&record->seen, 0);
    record->is_probed = false;
    record->users[0] = 0;
    record->users[1] = 0;
    forget_hints(record);
    grant_all(&record->readers, WF_CLOSED, later);
    grant_all(&record->writers, WF_CLOSED, later);
    while (!wf_list_is_empty(&record->watches)) {
        wf_list_remove(record->watches.next);
    }
}

/* `closer` NULL: the close is over already. */
static void count_close(struct wf_fd *record, const void *closer)
{
    uint64_t stamp = wf_load_rlx(&record->stamp) + (UINT64_C(1) << WF_FD_CLOSE_SHIFT);
    record->closer = closer;
    wf_store_rel(&record->stamp,
                 closer != NULL ? stamp | WF_FD_CLOSING : stamp & ~(uint64_t)WF_FD_CLOSING);
}

/* ---- registration ---- */

static bool is_trusted(const struct wf_fd *record, unsigned directions, uint64_t user)
{
    return record->is_registered && ((directions & WF_FD_READ) == 0 || record->users[0] == user) &&
           ((directions & WF_FD_WRITE) == 0 || record->users[1] == user);
}

/* The new tag makes events on their way worthless; registering reports anew what they said. While the
 * number is being closed nobody may trust what was registered meanwhile. */
static int register_locked(struct wf_poller *poller, struct wf_fd *record, unsigned directions,
                           uint64_t user, struct wf_later *later)
{
    if (is_trusted(record, directions, user)) {
        return 0;
    }
    bool renew = record->is_registered;
    user = record->closer == NULL ? user : 0;
    int rc = poller->ops->add(poller, record->fd, record->tag + 1, renew);
    if (rc != WF_POLL_KNOWN) { /* it never was, or its registration went with an old descriptor */
        forget(record, later);
    } else {
        record->tag++;
    }
    if (rc < 0) {
        return rc;
    }
    record->is_registered = true;
    if (rc == WF_POLL_NEW || (directions & WF_FD_READ) != 0) {
        record->users[0] = user;
    }
    if (rc == WF_POLL_NEW || (directions & WF_FD_WRITE) != 0) {
        record->users[1] = user;
    }
    return 0;
}

int wf_fd_register(struct wf_poller *poller, struct wf_fd *record, uint64_t user,
                   struct wf_later *later)
{
    wf_lock(&record->lock);
    int rc = register_locked(poller, record, WF_FD_READ, user, later);
    wf_unlock(&record->lock);
    return rc;
}

/* ---- waiting ---- */

/* LINKED: now, by link_waiter. */
static int may_link(struct wf_poller *poller, struct wf_fd *record, unsigned directions,
                    uint64_t user, uint64_t stamp, struct wf_later *later)
{
    if (has_closed_since(record, stamp)) {
        return -EBADF;
    }
    if (!wf_fd_is_closing(wf_load_rlx(&record->stamp))) {
        int rc = register_locked(poller, record, directions, user, later);
        if (rc < 0) {
            return rc;
        }
    }
    return has_event_since(record, stamp, directions) ? WF_FD_RETRY : WF_FD_LINKED;
}

static void link_waiter(struct wf_fd *record, struct wf_waiter *waiter, unsigned direction)
{
    if (direction == WF_FD_READ) {
        wf_list_push(&record->readers, &waiter->link);
        wf_store_rlx(&record->frame, waiter);
    } else {
        wf_list_push(&record->writers, &waiter->link);
        record->may_have_writers = true;
    }
}

int wf_fd_link(struct wf_poller *poller, struct wf_fd *record, struct wf_fd_entry *entry,
               uint64_t stamp, struct wf_later *later)
{
    const unsigned each[2] = {WF_FD_READ, WF_FD_WRITE};
    uint64_t user = wf_task_id(entry->waiters[0].wait->task);
    wf_lock(&record->lock);
    int rc = may_link(poller, record, entry->directions, user, stamp, later);
    for (int i = 0; i < 2 && rc == WF_FD_LINKED; i++) {
        if ((entry->directions & each[i]) != 0) {
            link_waiter(record, &entry->waiters[i], each[i]);
        }
    }
    wf_unlock(&record->lock);
    return rc;
}

int wf_fd_link_one(struct wf_poller *poller, struct wf_fd *record, struct wf_waiter *waiter,
                   unsigned direction, uint64_t stamp, struct wf_later *later, bool *is_first)
{
    wf_lock(&record->lock);
    bool was_registered = record->is_registered;
    int rc = may_link(poller, record, direction, wf_task_id(waiter->wait->task), stamp, later);
    *is_first = !was_registered && record->is_registered;
    if (rc == WF_FD_LINKED) {
        link_waiter(record, waiter, direction);
    }
    wf_unlock(&record->lock);
    return rc;
}

/* A number that is being closed, or has been closed and is in use again, is not trusted. */
int wf_fd_link_again(struct wf_fd *record, struct wf_waiter *waiter, unsigned direction,
                     uint64_t stamp, uint64_t user)
{
    wf_lock(&record->lock);
    bool is_sure = is_trusted(record, direction, user) && !has_closed_since(record, stamp) &&
                   !wf_fd_is_closing(wf_load_rlx(&record->stamp)) &&
                   !has_event_since(record, stamp, direction);
    if (is_sure) {
        link_waiter(record, waiter, direction);
    }
    wf_unlock(&record->lock);
    return is_sure ? WF_FD_LINKED : WF_FD_UNSURE;
}

int wf_fd_link_op(struct wf_fd *record, struct wf_op *op, uint64_t stamp)
{
    int rc = WF_FD_LINKED;
    op->hold = NULL;
    wf_lock(&record->lock);
    if (has_closed_since(record, stamp)) {
        rc = -EBADF;
    } else if (record->closer != NULL) {
        rc = WF_FD_RETRY;
    } else {
        wf_list_push(&record->ops, &op->link);
    }
    wf_unlock(&record->lock);
    return rc;
}

int wf_fd_link_closing(struct wf_fd *record, struct wf_waiter *waiter)
{
    wf_lock(&record->lock);
    bool is_closing = record->closer != NULL;
    if (is_closing) {
        wf_list_push(&record->readers, &waiter->link);
    }
    wf_unlock(&record->lock);
    return is_closing ? WF_FD_LINKED : WF_FD_RETRY;
}

bool wf_fd_has_ops(struct wf_fd *record)
{
    wf_lock(&record->lock);
    bool has_ops = !wf_list_is_empty(&record->ops);
    wf_unlock(&record->lock);
    return has_ops;
}

WF_WAKING void wf_fd_unlink_op(struct wf_fd *record, struct wf_op *op)
{
    wf_lock(&record->lock);
    wf_list_remove(&op->link);
    wf_unlock(&record->lock);
    if (__builtin_expect(op->hold != NULL, 0)) {
        wf_fd_hold_drop(op->hold);
    }
}

void wf_fd_unlink(struct wf_fd *record, struct wf_fd_entry *entry)
{
    wf_lock(&record->lock);
    wf_list_remove(&entry->waiters[0].link);
    wf_list_remove(&entry->waiters[1].link);
    wf_unlock(&record->lock);
}

int wf_fd_subscribe(struct wf_poller *poller, struct wf_fd *record, struct wf_waiter *waiter)
{
    struct wf_later later; /* stays empty: a descriptor of the runtime's own has no old waiters */
    wf_later_init(&later);
    wf_lock(&record->lock);
    int rc = register_locked(poller, record, WF_FD_READ, 0, &later);
    if (rc == 0) {
        wf_list_push(&record->readers, &waiter->link);
    }
    wf_unlock(&record->lock);
    return rc;
}

/* ---- watching ---- */

int wf_fd_watch(struct wf_poller *poller, struct wf_fd *record, uint64_t user,
                struct wf_fd_watch *watch, struct wf_later *later)
{
    wf_lock(&record->lock);
    int rc = register_locked(poller, record, WF_FD_READ, user, later);
    if (rc == 0) {
        wf_list_push(&record->watches, &watch->link);
        watch->tell(watch, record, later);
    }
    wf_unlock(&record->lock);
    return rc;
}

void wf_fd_unwatch(struct wf_fd *record, struct wf_fd_watch *watch)
{
    wf_lock(&record->lock);
    wf_list_remove(&watch->link);
    wf_unlock(&record->lock);
}

static void tell_watches(struct wf_fd *record, struct wf_later *later)
{
    for (struct wf_list *link = record->watches.next; link != &record->watches;) {
        struct wf_fd_watch *watch = WF_CONTAINER(link, struct wf_fd_watch, link);
        link = link->next;
        watch->tell(watch, record, later);
    }
}

/* ---- events ---- */

void wf_fd_event(struct wf_fd_table *table, int fd, uint32_t tag, unsigned seen,
                 struct wf_later *later)
{
    struct wf_fd *record;
    if (wf_fd_find(table, fd, &record) < 0) {
        return;
    }
    wf_lock(&record->lock);
    if (record->is_registered && record->tag == tag) {
        bool reads = (seen & (WF_FD_READ | WF_FD_HANGUP | WF_FD_HALF_CLOSE)) != 0;
        bool writes = (seen & (WF_FD_WRITE | WF_FD_HANGUP)) != 0;
        unsigned lasting = seen & (WF_FD_HANGUP | WF_FD_HALF_CLOSE | WF_FD_URGENT);
        wf_store_rlx(&record->seen, (uint8_t)(wf_load_rlx(&record->seen) | lasting));
        count_events(record, reads, writes);
        if (reads) {
            grant_all(&record->readers, WF_GRANTED, later);
        }
        if (writes && record->may_have_writers) {
            record->may_have_writers = false;
            grant_all(&record->writers, WF_GRANTED, later);
        }
        if (lasting != 0) {
            tell_watches(record, later);
        }
    }
    wf_unlock(&record->lock);
}

/* ---- numbers that change hands ---- */

/* The number is held already. */
static void note_hold(struct wf_fd_closing *closing, struct wf_fd_hold *hold)
{
    closing->is_closed = true;
    closing->is_replaced = wf_load_rlx(&hold->is_replaced) != 0;
}

/* One user more of the hold on the number. Without memory for one the number is held for ever: an extra user, who
 * never leaves, in a hold that stands for all of them. */
static struct wf_fd_hold *hold_number(struct wf_fd_closing *closing, const struct wf_fd *record)
{
    static struct wf_fd_hold for_ever = {.users = 1U << 31, .fd = -1};
    if (closing->hold == NULL) {
        struct wf_fd_hold *made = malloc(sizeof *made);
        if (made != NULL) {
            made->fd = record->fd;
            wf_store_rlx(&made->is_replaced, (uint8_t)0);
            wf_store_rlx(&made->users, 1U);
        }
        closing->hold = made != NULL ? made : &for_ever;
    }
    (void)wf_add_acqrel(&closing->hold->users, 1U);
    return closing->hold;
}

/* After the stamp has been stored. Who is counted later sees that and makes no system call. */
static void hold_for_calls(struct wf_fd_closing *closing, struct wf_fd *record)
{
    if (wf_solo_add32(&record->calls, 0U) == 0) {
        return;
    }
    if (record->hold != NULL) {
        note_hold(closing, record->hold);
        return;
    }
    if ((wf_solo_or32(&record->calls, WF_FD_HELD) & ~WF_FD_HELD) != 0) {
        record->hold = hold_number(closing, record);
    } else { /* they are through by now */
        (void)wf_solo_and32(&record->calls, ~WF_FD_HELD);
    }
}

void wf_fd_end_held(struct wf_fd *record)
{
    struct wf_fd_hold *hold = NULL;
    wf_lock(&record->lock);
    if (wf_load_acq(&record->calls) ==
        WF_FD_HELD) { /* else there is somebody again, who comes here too */
        hold = record->hold;
        record->hold = NULL;
        (void)wf_solo_and32(&record->calls, ~WF_FD_HELD);
    }
    wf_unlock(&record->lock);
    if (hold != NULL) {
        wf_fd_hold_drop(hold);
    }
}

/* Ends what is in rings. An operation stays linked, and so does not go, until its fiber takes it out.
 * `closing` NULL: the number was closed already, behind our back. */
static void end_ops(struct wf_fd *record, struct wf_fd_closing *closing)
{
    for (struct wf_list *link = record->ops.next; link != &record->ops; link = link->next) {
        struct wf_op *op = WF_CONTAINER(link, struct wf_op, link);
        if (closing != NULL && op->hold != NULL && op->hold->fd >= 0) {
            note_hold(closing, op->hold);
        }
        if (closing != NULL && op->hold == NULL && !wf_uring_is_submitted_any(op)) {
            op->hold = hold_number(closing, record);
        }
        wf_uring_ask_any(op, WF_OP_CLOSED);
    }
}

void wf_fd_wipe(struct wf_fd *record, uint8_t nature, struct wf_later *later)
{
    wf_lock(&record->lock);
    forget(record, later);
    wf_store_rlx(&record->nature, nature);
    end_ops(record, NULL);
    count_close(record, NULL); /* that close(2) is what gave us the number */
    wf_unlock(&record->lock);
}

void wf_fd_keep_nature(struct wf_fd *record, uint64_t stamp, uint8_t nature)
{
    wf_lock(&record->lock);
    if (!has_closed_since(record, stamp)) {
        wf_store_rlx(&record->nature, (uint8_t)(wf_load_rlx(&record->nature) | nature));
    }
    wf_unlock(&record->lock);
}

void wf_fd_note_urgent(struct wf_fd *record)
{
    wf_lock(&record->lock);
    wf_store_rlx(&record->seen, (uint8_t)(wf_load_rlx(&record->seen) | (unsigned)WF_FD_URGENT));
    wf_unlock(&record->lock);
}

void wf_fd_renew(struct wf_fd *record)
{
    wf_lock(&record->lock);
    bool is_in_use = !wf_list_is_empty(&record->readers) || !wf_list_is_empty(&record->writers) ||
                     !wf_list_is_empty(&record->watches);
    wf_store_rlx(&record->seen, 0);
    record->is_probed = false;
    forget_hints(record);
    if (!is_in_use) {
        record->is_registered = false;
        record->tag++;
    }
    wf_unlock(&record->lock);
}

void wf_fd_close_begin(struct wf_fd_table *table, int fd, struct wf_fd_closing *closer,
                       struct wf_later *later)
{
    struct wf_fd *record;
    if (wf_fd_find(table, fd, &record) < 0) {
        return; /* no memory, so nobody could have waited; or close(2) will say -EBADF */
    }
    wf_lock(&record->lock);
    bool was_registered = record->is_registered;
    forget(record, later);
    end_ops(record, closer);
    count_close(record, closer);
    hold_for_calls(closer, record);
    if (was_registered) {
        /* The description may live on under another number. */
        table->poller->ops->remove(table->poller, fd);
    }
    wf_unlock(&record->lock);
}

void wf_fd_close_end(struct wf_fd_table *table, int fd, struct wf_fd_closing *closer,
                     struct wf_later *later)
{
    struct wf_fd *record;
    if (wf_fd_find(table, fd, &record) < 0) {
        return; /* the table is younger than the closing */
    }
    wf_lock(&record->lock);
    if (record->closer == closer) { /* else the number has been wiped or is being closed again */
        record->closer = NULL;
        wf_store_rel(&record->stamp, wf_load_rlx(&record->stamp) & ~(uint64_t)WF_FD_CLOSING);
        grant_all(&record->readers, WF_GRANTED, later);
        grant_all(&record->writers, WF_GRANTED, later);
    }
    wf_unlock(&record->lock);
}

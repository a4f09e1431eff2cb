// SPDX-License-Identifier: MIT
/* source_queue.c - cases that put into queues and take from them. */
#include <errno.h>

#include "sync/queue.h"
#include "sync/select.h"

WF_CASE_FITS(struct wf_queue_op);

static struct wf_queue_op *op_of(weft_case *one)
{
    return wf_case_room(one);
}

static int check_queue(const weft_case *one)
{
    return one->item != NULL ? wf_queue_check(one->source) : -EINVAL;
}

static bool conclude(weft_case *one, int64_t outcome)
{
    if (outcome == -EAGAIN) {
        return false;
    }
    one->outcome = outcome < 0 ? (int)outcome : 0;
    return true;
}

static bool attempt_queue(struct wf_selection *selection, weft_case *one)
{
    bool is_put = one->kind == WEFT_CASE_PUT;
    if (!wf_queue_looks_ready(one->source, is_put)) {
        return false;
    }
    uint64_t by = wf_task_token(selection->self);
    return conclude(one, wf_queue_try(one->source, one->item, is_put, by));
}

static enum wf_linking link_queue(struct wf_selection *selection, weft_case *one)
{
    struct wf_queue_op *op = op_of(one);
    op->waiter.wait = &selection->wait;
    op->waiter.notify = NULL;
    op->items = one->item;
    op->count = 1;
    op->is_put = one->kind == WEFT_CASE_PUT;
    switch (wf_queue_link(one->source, op)) {
    case WF_QUEUE_LINKED:
        return WF_CASE_LINKED;
    case WF_QUEUE_DONE:
        return conclude(one, op->outcome) ? WF_CASE_DONE : WF_CASE_AGAIN;
    case WF_QUEUE_LOST:
        return WF_CASE_LOST;
    case WF_QUEUE_AGAIN:
        break;
    }
    return WF_CASE_AGAIN;
}

static void unlink_queue(struct wf_selection *selection, weft_case *one)
{
    (void)selection;
    wf_queue_unlink(one->source, op_of(one));
}

/* A hint is a permission to try, and whoever has it must say that it has tried. */
static bool finish_queue(struct wf_selection *selection, weft_case *one)
{
    struct wf_queue_op *op = op_of(one);
    if (op->outcome != 0) {
        return conclude(one, op->outcome);
    }
    wf_queue_unlink(one->source, op);
    uint64_t by = wf_task_token(selection->self);
    return conclude(one, wf_queue_try(one->source, one->item, op->is_put, by));
}

weft_case weft_case_put(weft_queue *queue, const void *item)
{
    return wf_case_make(WEFT_CASE_PUT, queue, (void *)(uintptr_t)item);
}

weft_case weft_case_get(weft_queue *queue, void *item)
{
    return wf_case_make(WEFT_CASE_GET, queue, item);
}

const struct wf_case_kind wf_case_queue = {
    .check = check_queue,
    .attempt = attempt_queue,
    .link = link_queue,
    .unlink = unlink_queue,
    .finish = finish_queue,
};

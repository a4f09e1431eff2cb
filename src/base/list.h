// SPDX-License-Identifier: MIT
/* list.h - an intrusive doubly linked ring: O(1) removal without knowing the head.
 *
 * Threads: whoever holds the lock that guards the list. A node outside any list points at itself.
 */
#ifndef WF_BASE_LIST_H
#define WF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct wf_list {
    struct wf_list *prev;
    struct wf_list *next;
};

#define WF_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void wf_list_init(struct wf_list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool wf_list_is_empty(const struct wf_list *head)
{
    return head->next == head;
}

/* Puts `node` at the tail of `head`'s ring. */
static inline void wf_list_push(struct wf_list *head, struct wf_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Takes `node` out of its ring; it is anything then. */
static inline void wf_list_take(struct wf_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

/* Takes `node` out of whatever ring it is in; harmless when it is in none. */
static inline void wf_list_remove(struct wf_list *node)
{
    wf_list_take(node);
    wf_list_init(node);
}

/* Moves all of `from` to the tail of `to`. */
static inline void wf_list_splice(struct wf_list *to, struct wf_list *from)
{
    if (wf_list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    wf_list_init(from);
}

#endif

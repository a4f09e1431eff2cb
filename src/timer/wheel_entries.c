// SPDX-License-Identifier: MIT
/* wheel_entries.c - the pages in which a wheel's entries lie side by side.
 *
 * What: a piece of 64 KiB at a time, never given back before the wheel's end: 32 bytes for each of the most timers
 *       that were ever armed at once. Where there is no memory, timers lie in entries of their own.
 * Threads: under the wheel's lock.
 */
#include <sys/mman.h>

#include "timer/wheel_inside.h"

enum { PIECE_BYTES = 64 << 10 };

struct wf_timer_entries {
    struct wf_timer_entries *older;
    /* none of which lies in two cache lines */
    _Alignas(sizeof(struct wf_timer_entry)) struct wf_timer_entry items[];
};

enum {
    BATCH = 64,
    ENTRIES = (PIECE_BYTES - sizeof(struct wf_timer_entries)) / sizeof(struct wf_timer_entry),
};

/* A new piece, whose memory is not touched yet but for its head. */
static bool map_piece(struct wf_wheel *wheel)
{
    struct wf_timer_entries *piece =
        mmap(NULL, PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) {
        return false;
    }
    piece->older = wheel->pieces;
    wheel->pieces = piece;
    wheel->fresh_from = 0;
    return true;
}

/* A few at a time: each page is touched when it is needed. */
bool wf_wheel_add_entries(struct wf_wheel *wheel)
{
    if (wheel->fresh_from == ENTRIES || wheel->pieces == NULL) {
        if (!map_piece(wheel)) {
            return false;
        }
    }
    uint32_t rest = ENTRIES - wheel->fresh_from;
    uint32_t count = rest < BATCH ? rest : BATCH;
    struct wf_timer_entry *items = &wheel->pieces->items[wheel->fresh_from];
    for (uint32_t i = 0; i < count; i++) {
        items[i].link.next = i + 1 < count ? &items[i + 1].link : NULL;
    }
    wheel->spare = items;
    wheel->fresh_from += count;
    return true;
}

void wf_wheel_destroy(struct wf_wheel *wheel)
{
    while (wheel->pieces != NULL) {
        struct wf_timer_entries *older = wheel->pieces->older;
        (void)munmap(wheel->pieces, PIECE_BYTES);
        wheel->pieces = older;
    }
    wheel->spare = NULL;
}

// SPDX-License-Identifier: MIT
/* flood.c - which lines are written, and which are counted. */
#include "sched/flood.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

static bool is_over(const struct wf_flood_place *place, int64_t now_ns)
{
    return now_ns == WF_FOREVER || now_ns - place->since_ns >= WF_FLOOD_NS;
}

static bool is_alike(const struct wf_flood_place *place, const weft_diagnostic *what)
{
    return place->written > 0 && place->kind == what->kind && place->error == what->error &&
           place->site == what->site;
}

/* A place of its own, or the last one, which all others share. Locked. */
static struct wf_flood_place *find(struct wf_flood *flood, int64_t now_ns,
                                   const weft_diagnostic *what)
{
    struct wf_flood_place *found = NULL;
    for (int i = 0; i < WF_FLOOD_PLACES - 1; i++) {
        struct wf_flood_place *place = &flood->places[i];
        if (is_alike(place, what)) {
            return place;
        }
        bool is_free = place->written == 0 || (is_over(place, now_ns) && place->left_out == 0);
        found = found == NULL && is_free ? place : found;
    }
    if (found == NULL) {
        return &flood->places[WF_FLOOD_PLACES - 1];
    }
    found->kind = what->kind;
    found->error = what->error;
    found->site = what->site;
    found->written = 0;
    return found;
}

/* True: to be written. Locked. */
static bool admit(struct wf_flood_place *place, int64_t now_ns)
{
    if (place->written == 0 || is_over(place, now_ns)) {
        place->written = 0;
        place->since_ns = now_ns;
    }
    if (place->written < WF_FLOOD_LINES) {
        place->written++;
        return true;
    }
    return false;
}

/* Locked. */
static void leave_out(struct wf_flood *flood, struct wf_flood_place *place, const char *text)
{
    if (place->left_out == 0) {
        (void)snprintf(place->text, sizeof place->text, "%s", text);
        wf_store_rlx(&flood->has_untold, (uint8_t)1);
    }
    place->left_out++;
}

void wf_flood_say(struct wf_flood *flood, int64_t now_ns, const weft_diagnostic *what)
{
    wf_flood_tell(flood, now_ns);
    wf_lock(&flood->lock);
    struct wf_flood_place *place = find(flood, now_ns, what);
    bool is_admitted = admit(place, now_ns);
    if (!is_admitted) {
        leave_out(flood, place, what->text);
    }
    wf_unlock(&flood->lock);
    if (is_admitted) {
        wf_say("%s", what->text);
    }
}

/* Takes one out that is to be told; false: none is left. */
static bool take_untold(struct wf_flood *flood, int64_t now_ns, struct wf_flood_place *out)
{
    bool has_any = false;
    bool is_found = false;
    wf_lock(&flood->lock);
    for (int i = 0; i < WF_FLOOD_PLACES; i++) {
        struct wf_flood_place *place = &flood->places[i];
        if (place->left_out > 0 && !is_found && is_over(place, now_ns)) {
            *out = *place;
            place->left_out = 0;
            is_found = true;
        }
        has_any = has_any || place->left_out > 0;
    }
    if (!has_any) {
        wf_store_rlx(&flood->has_untold, (uint8_t)0);
    }
    wf_unlock(&flood->lock);
    return is_found;
}

void wf_flood_tell(struct wf_flood *flood, int64_t now_ns)
{
    struct wf_flood_place place;
    /* No more rounds than places: others may be adding all the time. */
    for (int i = 0; i < WF_FLOOD_PLACES; i++) {
        if (wf_load_rlx(&flood->has_untold) == 0 || !take_untold(flood, now_ns, &place)) {
            return;
        }
        wf_say("%" PRIu64 " more %s left out, like this one: %s", place.left_out,
               place.left_out == 1 ? "line was" : "lines were", place.text);
    }
}

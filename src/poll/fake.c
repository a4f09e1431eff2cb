// SPDX-License-Identifier: MIT
/* fake.c - what happens to simulated descriptors, and who hears of it. */
#include "poll/fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16, FIRST_PORT = 49152 };

/* ---- bytes ---- */

static int make_buffer(struct wf_fake_buffer *buffer, size_t room)
{
    *buffer = (struct wf_fake_buffer){.bytes = malloc(room), .room = room};
    return buffer->bytes != NULL ? 0 : -ENOMEM;
}

static void free_buffer(struct wf_fake_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct wf_fake_buffer){.bytes = NULL};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t copy_out(const struct wf_fake_buffer *buffer, char *bytes, size_t length)
{
    size_t n = smaller(length, buffer->length);
    size_t unbroken = smaller(n, buffer->room - buffer->first);
    if (n > 0) {
        memcpy(bytes, buffer->bytes + buffer->first, unbroken);
        memcpy(bytes + unbroken, buffer->bytes, n - unbroken);
    }
    return n;
}

static void consume(struct wf_fake_buffer *buffer, size_t n)
{
    buffer->length -= n;
    buffer->first = buffer->length == 0 ? 0 : (buffer->first + n) % buffer->room;
}

static size_t append(struct wf_fake_buffer *buffer, const char *bytes, size_t length)
{
    size_t n = smaller(length, buffer->room - buffer->length);
    if (n > 0) {
        size_t end = (buffer->first + buffer->length) % buffer->room;
        size_t unbroken = smaller(n, buffer->room - end);
        memcpy(buffer->bytes + end, bytes, unbroken);
        memcpy(buffer->bytes, bytes + unbroken, n - unbroken);
        buffer->length += n;
    }
    return n;
}

/* ---- who hears of it ---- */

static void wake(struct wf_list *waiters, enum wf_verdict verdict, struct wf_later *later)
{
    while (!wf_list_is_empty(waiters)) {
        (void)wf_waiter_grant(WF_CONTAINER(waiters->next, struct wf_waiter, link), verdict, later);
    }
}

static void tell_watches(struct wf_fake *fake, struct wf_later *later)
{
    unsigned seen = wf_fake_ready(fake) & ((unsigned)WF_FAKE_HANGUP | (unsigned)WF_FAKE_HALF_CLOSE);
    for (struct wf_list *link = fake->watches.next; link != &fake->watches && seen != 0;) {
        struct wf_fake_watch *watch = WF_CONTAINER(link, struct wf_fake_watch, link);
        link = link->next;
        watch->tell(watch, seen, later);
    }
}

/* Something about the other side has changed for good. */
static void tell_all(struct wf_fake *fake, struct wf_later *later)
{
    wake(&fake->readers, WF_GRANTED, later);
    wake(&fake->writers, WF_GRANTED, later);
    tell_watches(fake, later);
}

void wf_fake_watch(struct wf_fake *fake, struct wf_fake_watch *watch, struct wf_later *later)
{
    wf_list_init(&watch->link);
    wf_list_push(&fake->watches, &watch->link);
    unsigned seen = wf_fake_ready(fake) & ((unsigned)WF_FAKE_HANGUP | (unsigned)WF_FAKE_HALF_CLOSE);
    if (seen != 0) {
        watch->tell(watch, seen, later);
    }
}

/* ---- looking ---- */

bool wf_fake_is_stream(const struct wf_fake *fake)
{
    return fake->kind == WF_FAKE_PAIR || fake->kind == WF_FAKE_CONNECTION;
}

unsigned wf_fake_ready(const struct wf_fake *fake)
{
    const unsigned both = (unsigned)WF_FAKE_READABLE | (unsigned)WF_FAKE_WRITABLE;
    const struct wf_fake *peer = fake->peer;
    unsigned has_bytes = fake->in.length > 0 ? (unsigned)WF_FAKE_READABLE : 0U;
    bool has_room = peer != NULL && peer->in.length < peer->in.room;
    switch ((enum wf_fake_kind)fake->kind) {
    case WF_FAKE_SOCKET:
        return (unsigned)WF_FAKE_WRITABLE | (unsigned)WF_FAKE_HANGUP;
    case WF_FAKE_LISTENER:
        return fake->pending_count > 0 ? (unsigned)WF_FAKE_READABLE : 0U;
    case WF_FAKE_READER:
        return has_bytes | (peer == NULL ? (unsigned)WF_FAKE_HANGUP : 0U);
    case WF_FAKE_WRITER:
        return has_room       ? (unsigned)WF_FAKE_WRITABLE
               : peer == NULL ? (unsigned)WF_FAKE_WRITABLE | (unsigned)WF_FAKE_HANGUP
                              : 0U;
    case WF_FAKE_PAIR:
    case WF_FAKE_CONNECTION:
        break;
    }
    if (fake->is_reset || (peer == NULL && (fake->kind == WF_FAKE_PAIR || fake->is_gone))) {
        return both | (unsigned)WF_FAKE_HANGUP | (unsigned)WF_FAKE_HALF_CLOSE;
    }
    if (peer == NULL) {
        unsigned ended = fake->is_mute ? (unsigned)WF_FAKE_HANGUP : 0U; /* both sides, that is */
        return both | ended | (unsigned)WF_FAKE_HALF_CLOSE;
    }
    unsigned ready = has_bytes | (has_room || fake->is_mute ? (unsigned)WF_FAKE_WRITABLE : 0U);
    if (peer->is_mute) {
        ready |= (unsigned)WF_FAKE_READABLE | (unsigned)WF_FAKE_HALF_CLOSE;
        ready |= fake->is_mute ? (unsigned)WF_FAKE_HANGUP : 0U;
    }
    return ready | (fake->is_deaf ? (unsigned)WF_FAKE_READABLE : 0U);
}

struct wf_fake *wf_fake_find(const struct wf_fakes *world, int fd)
{
    if (!wf_fake_is_number(fd) || (uint32_t)(fd - WF_FAKE_BASE) >= world->count) {
        return NULL;
    }
    struct wf_fake *fake = world->all[fd - WF_FAKE_BASE];
    return fake->is_open ? fake : NULL;
}

struct wf_fake *wf_fake_listener(const struct wf_fakes *world, uint16_t port)
{
    for (struct wf_list *link = world->listeners.next; link != &world->listeners;
         link = link->next) {
        struct wf_fake *fake = WF_CONTAINER(link, struct wf_fake, link);
        if (fake->port == port) {
            return fake;
        }
    }
    return NULL;
}

/* ---- moving ---- */

int wf_fake_check(const struct wf_fake *fake, bool writes)
{
    if (wf_fake_is_pipe(fake)) {
        return (fake->kind == WF_FAKE_WRITER) == writes ? 0 : -EBADF;
    }
    return wf_fake_is_stream(fake) ? 0 : -ENOTCONN;
}

size_t wf_fake_most(const struct wf_fake *fake, bool writes)
{
    const struct wf_fake *peer = fake->peer;
    return !writes ? fake->in.length : peer != NULL ? peer->in.room - peer->in.length : 0;
}

bool wf_fake_must_wait(const struct wf_fake *fake, bool writes)
{
    const struct wf_fake *peer = fake->peer;
    bool is_over = peer == NULL || (writes ? fake->is_mute : fake->is_deaf || peer->is_mute);
    return !is_over && wf_fake_most(fake, writes) == 0;
}

ssize_t wf_fake_read(struct wf_fake *fake, void *bytes, size_t length, bool keep,
                     struct wf_later *later)
{
    if (fake->is_reset) {
        return -ECONNRESET;
    }
    size_t n = copy_out(&fake->in, bytes, length);
    if (!keep && n > 0) {
        consume(&fake->in, n);
        if (fake->peer != NULL) {
            wake(&fake->peer->writers, WF_GRANTED, later);
        }
    }
    return (ssize_t)n;
}

/* A peer that is gone answers bytes with a reset; what it had sent before can still be read. */
static ssize_t find_gone(struct wf_fake *fake, struct wf_later *later)
{
    if (!fake->is_gone) {
        fake->is_gone = true;
        tell_all(fake, later);
    }
    return -EPIPE;
}

ssize_t wf_fake_write(struct wf_fake *fake, const void *bytes, size_t length,
                      struct wf_later *later)
{
    if (fake->is_reset) {
        return -ECONNRESET;
    }
    if (fake->is_mute) {
        return -EPIPE;
    }
    if (fake->peer == NULL) {
        return find_gone(fake, later);
    }
    size_t n = append(&fake->peer->in, bytes, length);
    if (n > 0) {
        wake(&fake->peer->readers, WF_GRANTED, later);
    }
    return (ssize_t)n;
}

/* One of two local sockets that reads no more tells the other, which a network does not. */
int wf_fake_shutdown(struct wf_fake *fake, bool reads, bool writes, struct wf_later *later)
{
    struct wf_fake *peer = fake->peer;
    if (!wf_fake_is_stream(fake) || fake->is_reset) {
        return -ENOTCONN;
    }
    fake->is_mute = fake->is_mute || writes;
    fake->is_deaf = fake->is_deaf || reads;
    if (peer != NULL) {
        peer->is_mute = peer->is_mute || (reads && fake->kind == WF_FAKE_PAIR);
        tell_all(peer, later);
    }
    tell_all(fake, later); /* what becomes of the peer is part of it */
    return 0;
}

static void reset_end(struct wf_fake *fake, struct wf_later *later)
{
    fake->is_reset = true;
    fake->peer = NULL;
    free_buffer(&fake->in);
    wake(&fake->busy, WF_GRANTED, later);
    tell_all(fake, later);
}

void wf_fake_reset(struct wf_fake *fake, struct wf_later *later)
{
    struct wf_fake *peer = fake->peer;
    reset_end(fake, later);
    if (peer != NULL) {
        reset_end(peer, later);
    }
}

/* ---- making ---- */

static int grow(struct wf_fakes *world)
{
    uint32_t room = world->room != 0 ? 2 * world->room : FIRST_ROOM;
    struct wf_fake **all = realloc(world->all, room * sizeof(struct wf_fake *));
    if (all == NULL) {
        return -ENOMEM;
    }
    world->all = all;
    world->room = room;
    return 0;
}

static int make(struct wf_fakes *world, enum wf_fake_kind kind, size_t room, struct wf_fake **out)
{
    if (world->count == world->room && grow(world) < 0) {
        return -ENOMEM;
    }
    struct wf_fake *fake = calloc(1, sizeof *fake);
    if (fake == NULL || (room > 0 && make_buffer(&fake->in, room) < 0)) {
        free(fake);
        return -ENOMEM;
    }
    fake->number = WF_FAKE_BASE + (int)world->count;
    fake->kind = (uint8_t)kind;
    fake->is_open = true;
    struct wf_list *lists[] = {&fake->readers, &fake->writers, &fake->busy,
                               &fake->watches, &fake->pending, &fake->link};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        wf_list_init(lists[i]);
    }
    world->all[world->count++] = fake;
    world->open_count++;
    *out = fake;
    return 0;
}

/* Nobody has seen it. */
static void shut(struct wf_fakes *world, struct wf_fake *fake)
{
    fake->is_open = false;
    free_buffer(&fake->in);
    world->open_count--;
}

static int make_two(struct wf_fakes *world, const enum wf_fake_kind kinds[2], const size_t rooms[2],
                    struct wf_fake *ends[2])
{
    if (make(world, kinds[0], rooms[0], &ends[0]) < 0) {
        return -ENOMEM;
    }
    if (make(world, kinds[1], rooms[1], &ends[1]) < 0) {
        shut(world, ends[0]);
        return -ENOMEM;
    }
    ends[0]->peer = ends[1];
    ends[1]->peer = ends[0];
    return 0;
}

int wf_fake_pipe(struct wf_fakes *world, struct wf_fake *ends[2])
{
    static const enum wf_fake_kind kinds[2] = {WF_FAKE_READER, WF_FAKE_WRITER};
    static const size_t rooms[2] = {WF_FAKE_PIPE_ROOM, 0};
    return make_two(world, kinds, rooms, ends);
}

int wf_fake_pair(struct wf_fakes *world, struct wf_fake *ends[2])
{
    static const enum wf_fake_kind kinds[2] = {WF_FAKE_PAIR, WF_FAKE_PAIR};
    static const size_t rooms[2] = {WF_FAKE_SOCKET_ROOM, WF_FAKE_SOCKET_ROOM};
    return make_two(world, kinds, rooms, ends);
}

int wf_fake_socket(struct wf_fakes *world, struct wf_fake **out)
{
    return make(world, WF_FAKE_SOCKET, 0, out);
}

int wf_fake_listen(struct wf_fakes *world, uint16_t port, struct wf_fake **out)
{
    if (wf_fake_listener(world, port) != NULL) {
        return -EADDRINUSE;
    }
    int rc = make(world, WF_FAKE_LISTENER, 0, out);
    if (rc == 0) {
        (*out)->port = port;
        wf_list_push(&world->listeners, &(*out)->link);
    }
    return rc;
}

/* ---- connecting ---- */

int wf_fake_connect(struct wf_fakes *world, struct wf_fake *fake, struct wf_fake *listener,
                    struct wf_later *later)
{
    if (listener->pending_count == WF_FAKE_BACKLOG) {
        return -EAGAIN;
    }
    struct wf_fake *other;
    if (make_buffer(&fake->in, WF_FAKE_SOCKET_ROOM) < 0) {
        return -ENOMEM;
    }
    if (make(world, WF_FAKE_CONNECTION, WF_FAKE_SOCKET_ROOM, &other) < 0) {
        free_buffer(&fake->in);
        return -ENOMEM;
    }
    other->is_open = false; /* until it is accepted it is nobody's */
    world->open_count--;
    other->peer_port = world->next_port;
    other->peer = fake;
    fake->kind = WF_FAKE_CONNECTION;
    fake->peer_port = listener->port;
    fake->peer = other;
    world->next_port =
        (uint16_t)(world->next_port == UINT16_MAX ? FIRST_PORT : world->next_port + 1);
    wf_list_push(&listener->pending, &other->link);
    listener->pending_count++;
    wake(&listener->readers, WF_GRANTED, later);
    tell_all(fake, later);
    return 0;
}

struct wf_fake *wf_fake_accept(struct wf_fakes *world, struct wf_fake *listener,
                               struct wf_later *later)
{
    if (wf_list_is_empty(&listener->pending)) {
        return NULL;
    }
    struct wf_fake *fake = WF_CONTAINER(listener->pending.next, struct wf_fake, link);
    wf_list_remove(&fake->link);
    listener->pending_count--;
    fake->is_open = true;
    world->open_count++;
    wake(&listener->writers, WF_GRANTED, later);
    return fake;
}

/* Connections that nobody will take. */
static void refuse_pending(struct wf_fake *listener, struct wf_later *later)
{
    while (!wf_list_is_empty(&listener->pending)) {
        struct wf_fake *fake = WF_CONTAINER(listener->pending.next, struct wf_fake, link);
        wf_list_remove(&fake->link);
        wf_fake_reset(fake, later);
    }
    listener->pending_count = 0;
}

/* ---- the end ---- */

void wf_fake_close(struct wf_fakes *world, struct wf_fake *fake, struct wf_later *later)
{
    struct wf_fake *peer = fake->peer;
    fake->peer = NULL;
    shut(world, fake);
    if (fake->kind == WF_FAKE_LISTENER) {
        wf_list_remove(&fake->link);
        refuse_pending(fake, later);
        wake(&fake->writers, WF_GRANTED, later); /* they are connecting: nobody listens any more */
    }
    wake(&fake->readers, WF_CLOSED, later);
    wake(&fake->writers, WF_CLOSED, later);
    wake(&fake->busy, WF_CLOSED, later);
    while (!wf_list_is_empty(&fake->watches)) {
        wf_list_remove(fake->watches.next);
    }
    if (peer != NULL) {
        peer->peer = NULL;
        tell_all(peer, later);
    }
}

void wf_fakes_init(struct wf_fakes *world)
{
    *world = (struct wf_fakes){.next_port = FIRST_PORT};
    wf_list_init(&world->listeners);
}

void wf_fakes_destroy(struct wf_fakes *world)
{
    for (uint32_t i = 0; i < world->count; i++) {
        free_buffer(&world->all[i]->in);
        free(world->all[i]);
    }
    free(world->all);
}

// SPDX-License-Identifier: MIT
/* fake.h - the pipes and sockets of a simulation: numbers, buffers, pairs, listeners, who waits.
 *
 * What: a world without chance and without time. It knows what each descriptor could do now, does it
 *       when told, and wakes whom that concerns; when it is told is the business of await/fake.h.
 * Numbers begin at WF_FAKE_BASE, above any that the kernel gives out, and are never used again, so that
 *       a call on a closed one is always told so. A record stays until the world ends: whoever
 *       has found it may keep it across a wait, and asks is_open afterwards.
 * Buffers: what is written at one end lies in the buffer of the other until it is read there. So an end
 *       without a peer has its rest to read, then the end; and a reset empties both.
 * Threads: the simulation's one. No locks; waiters are granted as if under one (task/wait.h).
 */
#ifndef WF_POLL_FAKE_H
#define WF_POLL_FAKE_H

#include <limits.h>
#include <sys/types.h>

#include "base/list.h"
#include "task/wait.h"

enum { WF_FAKE_BASE = 1 << 30 };
enum { WF_FAKE_PIPE_ROOM = 64 << 10, WF_FAKE_SOCKET_ROOM = 128 << 10, WF_FAKE_BACKLOG = 128 };

enum wf_fake_kind {
    WF_FAKE_SOCKET,     /* not connected */
    WF_FAKE_PAIR,       /* one of two local sockets: a closed peer is a hang-up */
    WF_FAKE_CONNECTION, /* a network's: a closed peer is seen as half of that until it is written to */
    WF_FAKE_LISTENER,
    WF_FAKE_READER, /* of a pipe */
    WF_FAKE_WRITER,
};

/* What a descriptor is ready for, and what a watch is told. */
enum {
    WF_FAKE_READABLE = 1, /* a read would not wait */
    WF_FAKE_WRITABLE = 2,
    WF_FAKE_HANGUP = 4,
    WF_FAKE_HALF_CLOSE = 8,
};

/* Bytes in the order of their coming. */
struct wf_fake_buffer {
    char *bytes;
    size_t room;
    size_t first;
    size_t length;
};

struct wf_fake {
    int number;
    uint8_t kind; /* enum wf_fake_kind */
    bool is_open;
    bool is_reset;
    bool is_gone;       /* a connection's peer is known not to listen any more */
    bool is_mute;       /* shut down: sends no more */
    bool is_deaf;       /* shut down: reads what there is, then the end */
    bool is_connecting; /* somebody is about to */
    uint16_t port;      /* of a listener */
    uint16_t peer_port; /* of a connection */
    struct wf_fake_buffer in;
    struct wf_fake *peer;   /* NULL: closed, or never there */
    struct wf_list readers; /* wf_waiter.link: until it may be readable */
    struct wf_list
        writers; /* until it may be writable; of a listener: until there is room for one more */
    struct wf_list busy;    /* transfers under way, which end early when it is closed or reset */
    struct wf_list watches; /* wf_fake_watch.link */
    struct wf_list pending; /* of a listener: connections to be accepted */
    struct wf_list link;    /* in pending; of a listener: in the world's list */
    uint32_t pending_count;
};

/* Told of hang-ups, also of those that there were. */
struct wf_fake_watch {
    struct wf_list link;
    void (*tell)(struct wf_fake_watch *watch, unsigned seen, struct wf_later *later);
};

struct wf_fakes {
    struct wf_fake **all; /* by number */
    uint32_t count;
    uint32_t room;
    uint32_t open_count; /* those that a program could close */
    uint16_t next_port;  /* for those who connect */
    struct wf_list listeners;
};

static inline bool wf_fake_is_number(int fd)
{
    return fd >= WF_FAKE_BASE;
}

void wf_fakes_init(struct wf_fakes *world);

/* Whatever is still open goes too. Nobody waits any more. */
void wf_fakes_destroy(struct wf_fakes *world);

/* NULL: closed, or no such number. */
struct wf_fake *wf_fake_find(const struct wf_fakes *world, int fd);

/* ---- making; 0 or -ENOMEM ---- */

int wf_fake_pipe(struct wf_fakes *world, struct wf_fake *ends[2]);
int wf_fake_pair(struct wf_fakes *world, struct wf_fake *ends[2]);
int wf_fake_socket(struct wf_fakes *world, struct wf_fake **out);

/* Or -EADDRINUSE. */
int wf_fake_listen(struct wf_fakes *world, uint16_t port, struct wf_fake **out);

/* ---- looking ---- */

/* WF_FAKE_READABLE and so on, as of now. */
unsigned wf_fake_ready(const struct wf_fake *fake);

static inline bool wf_fake_is_pipe(const struct wf_fake *fake)
{
    return fake->kind == WF_FAKE_READER || fake->kind == WF_FAKE_WRITER;
}

/* Sockets with a peer, or that had one. */
bool wf_fake_is_stream(const struct wf_fake *fake);

/* ---- moving ---- */

/* Whether bytes can be read or written at all: 0, -EBADF, -ENOTCONN. The others expect 0. */
int wf_fake_check(const struct wf_fake *fake, bool writes);

/* How many bytes could be moved now. */
size_t wf_fake_most(const struct wf_fake *fake, bool writes);

/* None, but there may be some later. */
bool wf_fake_must_wait(const struct wf_fake *fake, bool writes);

/* At most `length` bytes; 0 at the end; -ECONNRESET. `keep`: leaves them there. */
ssize_t wf_fake_read(struct wf_fake *fake, void *bytes, size_t length, bool keep,
                     struct wf_later *later);

/* The same; -EPIPE. */
ssize_t wf_fake_write(struct wf_fake *fake, const void *bytes, size_t length,
                      struct wf_later *later);

/* Breaks a connection, at both its ends: what was under way in it is lost. */
void wf_fake_reset(struct wf_fake *fake, struct wf_later *later);

/* Shuts one or both of a connected socket's directions down. 0 or -ENOTCONN. */
int wf_fake_shutdown(struct wf_fake *fake, bool reads, bool writes, struct wf_later *later);

/* ---- connecting ---- */

/* Who listens there, NULL: nobody. */
struct wf_fake *wf_fake_listener(const struct wf_fakes *world, uint16_t port);

/* Connects `fake`, and leaves the other end with the listener. 0; -EAGAIN: it has too many; -ENOMEM. */
int wf_fake_connect(struct wf_fakes *world, struct wf_fake *fake, struct wf_fake *listener,
                    struct wf_later *later);

/* The oldest connection that nobody has taken; NULL: none. */
struct wf_fake *wf_fake_accept(struct wf_fakes *world, struct wf_fake *listener,
                               struct wf_later *later);

/* ---- waiting ---- */

void wf_fake_watch(struct wf_fake *fake, struct wf_fake_watch *watch, struct wf_later *later);

/* Those who wait are told WF_CLOSED, the peer sees what it can see. */
void wf_fake_close(struct wf_fakes *world, struct wf_fake *fake, struct wf_later *later);

#endif

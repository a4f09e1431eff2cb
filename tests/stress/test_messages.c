/* SPDX-License-Identifier: MIT */
/* test_messages.c - messages and vectors between tasks that are cancelled at any moment: each number once, in order.
 *
 * Both ends lie in frames: what were written into a frame after its call had returned would be seen as a wrong
 * number, or by a sanitizer. */
#include <sys/socket.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/time.h>

#include "stress.h"

enum { LINES = 6, NUMBERS = 30000 };

struct line {
    int fds[2]; /* from, to */
    int kind;
    uint64_t seed;
    weft_task *ends[2]; /* receiver, sender */
    atomic_int started; /* ends that run: before that a request would keep them from it */
    atomic_int is_over;
    atomic_long told;
};

static void make_line(struct line *line)
{
    if (line->kind == 2) {
        wt_check(pipe(line->fds) == 0);
    } else {
        int type = line->kind == 0 ? SOCK_SEQPACKET : SOCK_DGRAM | SOCK_NONBLOCK;
        wt_check(socketpair(AF_UNIX, type, 0, line->fds) == 0);
    }
}

static ssize_t receive(const struct line *line, uint32_t *number)
{
    char *bytes = (char *)number;
    struct iovec parts[] = {{bytes, 1}, {bytes + 1, 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return line->kind == 0   ? weft_recvmsg(line->fds[0], &message, 0)
           : line->kind == 1 ? weft_recvfrom(line->fds[0], bytes, 4, 0, NULL, NULL)
                             : weft_readv(line->fds[0], parts, 2);
}

static ssize_t send_number(const struct line *line, uint32_t number)
{
    char *bytes = (char *)&number;
    struct iovec parts[] = {{bytes, 3}, {bytes + 3, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return line->kind == 0   ? weft_sendmsg(line->fds[1], &message, 0)
           : line->kind == 1 ? weft_sendto(line->fds[1], bytes, 4, 0, NULL, 0)
                             : weft_writev(line->fds[1], parts, 2);
}

/* True: told, and to go on as if nothing had been. */
static bool was_told(struct line *line, ssize_t n)
{
    if (n != -ECANCELED) {
        return false;
    }
    atomic_fetch_add(&line->told, 1);
    return true;
}

static intptr_t receive_all(void *arg)
{
    struct line *line = arg;
    uint32_t expected = 0;
    atomic_fetch_add(&line->started, 1);
    while (expected < STRESS_COUNT(NUMBERS)) {
        uint32_t number = UINT32_MAX;
        ssize_t n = receive(line, &number);
        if (was_told(line, n)) {
            wt_check(number == UINT32_MAX);
        } else if (wt_check(n == 4 && number == expected)) {
            expected++;
        } else {
            break;
        }
    }
    atomic_store(&line->is_over, 1);
    return 0;
}

static intptr_t send_all(void *arg)
{
    struct line *line = arg;
    atomic_fetch_add(&line->started, 1);
    for (uint32_t number = 0; number < STRESS_COUNT(NUMBERS);) {
        ssize_t n = send_number(line, number);
        if (was_told(line, n)) {
            continue;
        }
        if (!wt_check(n == 4)) {
            break;
        }
        number++;
    }
    return 0;
}

static intptr_t disturb(void *arg)
{
    struct line *line = arg;
    uint64_t random = line->seed;
    while (atomic_load(&line->started) < 2) {
        wt_check(weft_yield() == 0);
    }
    while (atomic_load(&line->is_over) == 0) {
        (void)weft_cancel(line->ends[draw(&random) % 2]);
        wt_check(weft_sleep(draw_us(&random, 40)) == 0);
        dither(&random);
    }
    return 0;
}

static intptr_t run_lines(void *arg)
{
    static struct line lines[LINES];
    weft_task *disturbers[LINES];
    uint64_t random = as_seed(arg);
    long told = 0;
    for (int i = 0; i < LINES; i++) {
        lines[i] = (struct line){.kind = i % 3, .seed = draw(&random) | 1};
        make_line(&lines[i]);
        wt_check(weft_spawn(&lines[i].ends[0], receive_all, &lines[i]) == 0);
        wt_check(weft_spawn(&lines[i].ends[1], send_all, &lines[i]) == 0);
        wt_check(weft_spawn(&disturbers[i], disturb, &lines[i]) == 0);
    }
    for (int i = 0; i < LINES; i++) {
        wt_check(weft_await(disturbers[i], NULL) == 0);
        for (int end = 0; end < 2; end++) {
            wt_check(weft_await(lines[i].ends[end], NULL) == 0);
        }
        wt_check(weft_close(lines[i].fds[0]) == 0 && weft_close(lines[i].fds[1]) == 0);
        told += atomic_load(&lines[i].told);
    }
    fprintf(stderr, "%ld requests told\n", told);
    wt_check(told > 0);
    return 0;
}

STRESS_TEST(messages, are_not_lost_when_tasks_are_cancelled, run_lines);

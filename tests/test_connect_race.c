// SPDX-License-Identifier: MIT
/* test_connect_race.c - happy eyeballs: order, times, who wins, what is left of the others.
 *
 * In virtual time, with attempts and answers that take as long as they are told. */
#include <errno.h>

#include <weft/testing.h>

#include "net/race.h"
#include "net/resolve.h"
#include "connect_host_test.h"

/* ---- attempts in virtual time ---- */

/* What becomes of an attempt is told by its port: it ends after port / 10 * 10 ms, and well if the port
 * ends with 0, else with errors[port % 10]. */
static const int errors[10] = {0, -ECONNREFUSED, -ENETUNREACH, -ETIMEDOUT, -EHOSTUNREACH};

static int made; /* descriptors */
static int unmade;

static int act(const weft_address *address, const void *context)
{
    char text[80];
    int port = ntohs(address->as.any.sa_family == AF_INET ? address->as.v4.sin_port
                                                          : address->as.v6.sin6_port);
    (void)context;
    (void)snprintf(text, sizeof text, "%d@%d", port, (int)(weft_now() / WEFT_MS));
    mark(text);
    int fd = weft_sim_socket();
    wt_check(fd >= 0);
    made++;
    int rc = weft_sleep(port / 10 * 10 * WEFT_MS);
    rc = rc == 0 ? errors[port % 10] : rc;
    if (rc < 0) {
        wt_check(weft_close(fd) == 0);
        unmade++;
    }
    return rc < 0 ? rc : fd;
}

/* How many milliseconds it took, or the error; the trace of its attempts must be `expected`. */
static int64_t race(const weft_address *addresses, size_t count, const char *expected)
{
    int64_t start = weft_now();
    wt_check(start % WEFT_MS == 0);
    int fd = wf_race(addresses, count, 250 * WEFT_MS, act, NULL);
    int64_t end = weft_now();
    wt_check(traced(expected));
    if (fd >= 0) {
        wt_check(weft_close(fd) == 0);
    }
    return fd < 0 ? fd : (end - start) / WEFT_MS;
}

static intptr_t first_wins(void *arg)
{
    weft_address addresses[] = {v6(100), v4(10)};
    (void)arg;
    wt_check(race(addresses, 2, "100@0 ") == 100);
    return 0;
}

Test(connect_host, the_first_wins)
{
    RUN(first_wins, NULL, &plain_sim);
}

/* The first one hangs: the second, of the other family, begins 250 ms later. */
static intptr_t second_wins(void *arg)
{
    weft_address addresses[] = {v6(10000), v6(10000), v4(20)};
    (void)arg;
    wt_check(race(addresses, 3, "10000@0 20@250 ") == 270);
    return 0;
}

Test(connect_host, the_other_family_comes_next)
{
    RUN(second_wins, NULL, &plain_sim);
}

static intptr_t alternates(void *arg)
{
    weft_address addresses[] = {v4(30001), v4(30011), v4(30021), v4(30031), v6(40001), v6(40011)};
    (void)arg;
    wt_check(race(addresses, 6, "30001@0 40001@250 30011@500 40011@750 30021@1000 30031@1250 ") ==
             -ECONNREFUSED);
    return 0;
}

Test(connect_host, families_alternate)
{
    RUN(alternates, NULL, &plain_sim);
}

/* A failure brings the next one about at once, and the later time counts from there. */
static intptr_t failures_hurry(void *arg)
{
    weft_address addresses[] = {v6(101), v4(51), v6(9990), v4(9990), v6(30)};
    (void)arg;
    wt_check(race(addresses, 5, "101@0 51@100 9990@150 9990@400 30@650 ") == 680);
    return 0;
}

Test(connect_host, failures_hurry)
{
    RUN(failures_hurry, NULL, &plain_sim);
}

/* An earlier attempt may still win while later ones go on. */
static intptr_t late_first(void *arg)
{
    weft_address addresses[] = {v6(600), v4(9990), v6(9990)};
    (void)arg;
    wt_check(race(addresses, 3, "600@0 9990@250 9990@500 ") == 600);
    wt_check(made == 3 && unmade == 2);
    return 0;
}

Test(connect_host, an_earlier_one_may_win)
{
    RUN(late_first, NULL, &plain_sim);
}

static intptr_t last_meaningful(void *arg)
{
    (void)arg;
    weft_address refused[] = {v6(12), v4(21), v6(14)};
    wt_check(race(refused, 3, "12@0 21@10 14@30 ") == -ECONNREFUSED);
    weft_address two[] = {v6(11), v4(13), v6(12)};
    wt_check(race(two, 3, "11@40 13@50 12@60 ") == -ETIMEDOUT);
    weft_address nowhere[] = {v6(12), v4(14)};
    wt_check(race(nowhere, 2, "12@70 14@80 ") == -EHOSTUNREACH);
    return 0;
}

Test(connect_host, the_last_error_that_says_most)
{
    RUN(last_meaningful, NULL, &plain_sim);
}

/* Two end well in the same instant: one is returned, the other closed. */
static intptr_t dead_heat(void *arg)
{
    weft_address addresses[] = {v6(500), v4(250), v6(9990)};
    (void)arg;
    wt_check(race(addresses, 3, "500@0 250@250 ") == 500);
    return 0;
}

static intptr_t given_up(void *arg)
{
    weft_address addresses[] = {v6(9990), v4(9990), v6(9990)};
    (void)arg;
    wt_check(weft_within(400 * WEFT_MS, wf_race(addresses, 3, 250 * WEFT_MS, act, NULL)) ==
             -ETIMEDOUT);
    wt_check(weft_now() == 400 * WEFT_MS);
    wt_check(traced("9990@0 9990@250 "));
    return 0;
}

Test(connect_host, ties_and_time_limits)
{
    static weft_fn *const fns[] = {dead_heat, given_up};
    for (size_t i = 0; i < 2; i++) {
        RUN(fns[i], NULL, &plain_sim);
    }
}

/* ---- answers that come one by one ---- */

/* After so many milliseconds, well with the ports up to a 0, or with an error. */
struct answer {
    enum wf_answer which;
    int after_ms;
    int error;
    uint16_t ports[4];
};

static weft_addresses *list_of(const struct answer *answer)
{
    weft_addresses *list = wf_addresses_make(4);
    wt_check(list != NULL);
    for (size_t i = 0; i < 4 && answer->ports[i] != 0; i++) {
        bool is_v6 = answer->which == WF_ANSWER_V6 || (answer->which == WF_ANSWER_BOTH && i % 2);
        weft_address address = is_v6 ? v6(answer->ports[i]) : v4(answer->ports[i]);
        wf_addresses_add(list, &address.as.any, answer->ports[i]);
    }
    return list;
}

static int looked_up; /* lookups that have ended, and how the last one did */
static int look_up_end;

/* Tells the answers up to one that is none. */
static int look_up(const void *question, struct wf_answers *answers)
{
    int rc = 0;
    for (const struct answer *answer = question; rc == 0 && answer->which != 0; answer++) {
        rc = weft_sleep(answer->after_ms * WEFT_MS);
        if (rc == 0) {
            wf_answers_tell(answers, answer->which, answer->error,
                            answer->error == 0 ? list_of(answer) : NULL);
        }
    }
    looked_up++;
    look_up_end = rc;
    return rc;
}

/* As race, with the answers; times count from here. */
static int64_t race_answers(const struct answer *answers, const char *expected)
{
    int64_t start = weft_now();
    int before = looked_up;
    int fd = wf_race_answers(look_up, answers, 250 * WEFT_MS, act, NULL);
    int64_t end = weft_now();
    wt_check(traced(expected));
    wt_check(looked_up == before + 1);
    if (fd >= 0) {
        wt_check(weft_close(fd) == 0);
    }
    return fd < 0 ? fd : (end - start) / WEFT_MS;
}

/* What begins when: an answer of IPv6 at once, one of IPv4 50 ms later or when there is none of IPv6. */
static intptr_t first_answers(void *arg)
{
    static const struct answer orders[][3] = {
        {{WF_ANSWER_V6, 10, 0, {100}}, {WF_ANSWER_V4, 500, 0, {10}}},
        {{WF_ANSWER_V4, 10, 0, {9990}}, {WF_ANSWER_V6, 30, 0, {20}}},
        {{WF_ANSWER_V4, 10, 0, {20}}, {WF_ANSWER_V6, 51, 0, {30}}},
        {{WF_ANSWER_V4, 10, 0, {20}}, {WF_ANSWER_V6, 10, -ENODATA, {0}}},
        {{WF_ANSWER_V6, 10, -ENODATA, {0}}, {WF_ANSWER_V4, 10, 0, {20}}},
        {{WF_ANSWER_BOTH, 10, 0, {20, 30}}},
    };
    static const struct {
        const char *trace;
        int64_t took_ms;
    } expected[] = {{"100@10 ", 110}, {"20@40 ", 60}, {"20@60 ", 80},
                    {"20@20 ", 40},   {"20@20 ", 40}, {"20@10 ", 30}};
    int at = (int)(intptr_t)arg;
    wt_check(race_answers(orders[at], expected[at].trace) == expected[at].took_ms);
    wt_check(look_up_end == (at == 0 ? -ECANCELED : 0));
    return 0;
}

Test(connect_host, an_answer_of_ipv4_waits_for_the_other)
{
    for (int i = 0; i < 6; i++) {
        RUN(first_answers, (void *)(intptr_t)i, &plain_sim);
    }
}

/* What comes when attempts are under way takes its turn: at the next time, or at once if nothing goes on. */
static intptr_t late_answers(void *arg)
{
    static const struct answer orders[][3] = {
        {{WF_ANSWER_V4, 10, 0, {9990, 9990}}, {WF_ANSWER_V6, 90, 0, {30}}},
        {{WF_ANSWER_V4, 10, 0, {9990}}, {WF_ANSWER_V6, 490, 0, {30}}},
        {{WF_ANSWER_V4, 10, 0, {11, 21}}, {WF_ANSWER_V6, 90, 0, {30}}},
        {{WF_ANSWER_V6, 10, 0, {11, 31}}, {WF_ANSWER_V4, 90, 0, {30}}},
        {{WF_ANSWER_V6, 10, 0, {9990, 9990}}, {WF_ANSWER_V4, 300, -ETIMEDOUT, {0}}},
    };
    static const struct {
        const char *trace;
        int64_t took_ms;
    } expected[] = {{"9990@60 30@310 ", 340},
                    {"9990@60 30@500 ", 530},
                    {"11@60 21@70 30@100 ", 130},
                    {"11@10 31@20 30@100 ", 130},
                    {"9990@10 9990@260 ", 10000}};
    int at = (int)(intptr_t)arg;
    wt_check(race_answers(orders[at], expected[at].trace) == expected[at].took_ms);
    return 0;
}

Test(connect_host, late_answers_take_their_turn)
{
    for (int i = 0; i < 5; i++) {
        RUN(late_answers, (void *)(intptr_t)i, &plain_sim);
    }
}

/* The error that says most; of an attempt, if there was one. */
static intptr_t no_answers(void *arg)
{
    static const struct answer silence[] = {
        {WF_ANSWER_V6, 10, -ETIMEDOUT, {0}}, {WF_ANSWER_V4, 10, -ENODATA, {0}}, {0}};
    static const struct answer unknown[] = {
        {WF_ANSWER_V6, 10, -ENODATA, {0}}, {WF_ANSWER_V4, 10, -ENOENT, {0}}, {0}};
    static const struct answer half[] = {{WF_ANSWER_V4, 10, -ENODATA, {0}}, {0}};
    static const struct answer refused[] = {
        {WF_ANSWER_V4, 10, 0, {21}}, {WF_ANSWER_V6, 100, -ETIMEDOUT, {0}}, {0}};
    (void)arg;
    wt_check(race_answers(silence, "") == -ETIMEDOUT);
    wt_check(race_answers(unknown, "") == -ENOENT);
    wt_check(race_answers(half, "") == -ENODATA);
    wt_check(race_answers(refused, "21@110 ") == -ECONNREFUSED);
    wt_check(weft_now() == 160 * WEFT_MS);
    return 0;
}

Test(connect_host, no_answers)
{
    RUN(no_answers, NULL, &plain_sim);
}

/* A name that is not there as it is, but with a domain behind it: the second answer is both. */
static intptr_t joint_after_all(void *arg)
{
    static const struct answer answers[] = {
        {WF_ANSWER_V6, 10, -ENODATA, {0}}, {WF_ANSWER_BOTH, 10, 0, {9990, 20}}, {0}};
    (void)arg;
    wt_check(race_answers(answers, "9990@20 20@270 ") == 290);
    return 0;
}

static intptr_t given_up_looking(void *arg)
{
    static const struct answer answers[] = {
        {WF_ANSWER_V4, 10, 0, {9990}}, {WF_ANSWER_V6, 9000, 0, {20}}, {0}};
    (void)arg;
    wt_check(weft_within(400 * WEFT_MS, race_answers(answers, "9990@60 ")) == -ETIMEDOUT);
    wt_check(weft_now() == 400 * WEFT_MS && look_up_end == -ECANCELED);
    wt_check(made == unmade + (int)(intptr_t)arg);
    return 0;
}

Test(connect_host, joint_answers_and_time_limits)
{
    RUN(joint_after_all, NULL, &plain_sim);
    made = unmade;
    RUN(given_up_looking, NULL, &plain_sim);
}

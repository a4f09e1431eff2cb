// SPDX-License-Identifier: MIT
/* resolve_each.c - the two answers to a name, each told when it comes (RFC 8305, section 3).
 *
 * What: two questions to one channel of c-ares. Where the two could end at different hosts, or need no server, there
 *       is one question for both instead: names that /etc/hosts knows (a family that it does not list
 *       would be asked for elsewhere), and names that a search list completes, with which each question
 *       would go its own way.
 */
#ifdef WEFT_HAVE_CARES

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "net/cares.h"

struct asker {
    struct wf_cares cares;
    struct wf_answers *answers;
    enum wf_answer open; /* of what is still to be told */
    int error;           /* of the last one, if nothing was found */
    bool has_found;
    bool was_cut; /* by the close */
};

/* ---- one question ---- */

static int tell_both(const struct wf_question *question, struct wf_answers *answers)
{
    weft_addresses *list = NULL;
    int rc = wf_resolve_by_cares(question, &list);
    if (rc != -ECANCELED) {
        wf_answers_tell(answers, WF_ANSWER_BOTH, rc, list);
    }
    return rc;
}

static bool is_in_file(struct wf_cares *cares, int family)
{
    struct hostent *entry = NULL;
    int status = ares_gethostbyname_file(cares->channel, cares->question->host, family, &entry);
    if (status == ARES_SUCCESS) {
        ares_free_hostent(entry);
    }
    return status == ARES_SUCCESS;
}

static bool may_search(const struct wf_question *question)
{
    const char *search = question->options.search;
    size_t length = strlen(question->host);
    return (search == NULL || search[0] != '\0') && question->host[length - 1] != '.';
}

/* Whether it is looked for with the domains of the search list first. */
static bool is_short(struct wf_cares *cares)
{
    struct ares_options options = {0};
    int mask = 0;
    int dots = 0;
    for (const char *at = cares->question->host; (at = strchr(at, '.')) != NULL; at++) {
        dots++;
    }
    bool is_known = ares_save_options(cares->channel, &options, &mask) == ARES_SUCCESS;
    bool is_short = !is_known || dots < options.ndots;
    ares_destroy_options(&options);
    return is_short;
}

/* ---- two questions ---- */

/* What has not been found is told if the other one may still be: the last one is left to the caller. */
static void take(struct asker *asker, enum wf_answer which, int status,
                 struct ares_addrinfo *result)
{
    weft_addresses *list = NULL;
    int rc = wf_cares_error(&asker->cares, status);
    if (rc == 0) {
        rc = wf_addresses_give(wf_cares_copy(&asker->cares, result), &list);
        ares_freeaddrinfo(result);
    }
    asker->open &= ~which;
    asker->has_found |= list != NULL;
    asker->error = rc;
    if (!asker->was_cut && (asker->open != 0 || asker->has_found)) {
        wf_answers_tell(asker->answers, which, rc, list);
    }
}

static void take_v6(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    take(arg, WF_ANSWER_V6, status, result);
}

static void take_v4(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    take(arg, WF_ANSWER_V4, status, result);
}

static int ask_each(struct asker *asker)
{
    int rc = 0;
    wf_cares_ask(&asker->cares, AF_INET6, take_v6, asker);
    wf_cares_ask(&asker->cares, AF_INET, take_v4, asker);
    while (rc == 0 && asker->open != 0) {
        rc = wf_cares_step(&asker->cares);
    }
    return rc;
}

static bool is_missing(int error)
{
    return error == -ENOENT || error == -ENODATA;
}

int wf_resolve_each_by_cares(const void *arg, struct wf_answers *answers)
{
    const struct wf_question *question = arg;
    struct asker asker = {.answers = answers, .open = WF_ANSWER_BOTH};
    int rc = wf_cares_open(&asker.cares, question, false);
    if (rc < 0) {
        return rc;
    }
    bool is_joint = is_in_file(&asker.cares, AF_INET6) || is_in_file(&asker.cares, AF_INET) ||
                    (may_search(question) && is_short(&asker.cares));
    rc = is_joint ? 0 : ask_each(&asker);
    asker.was_cut = asker.open != 0;
    wf_cares_close(&asker.cares);
    if (rc < 0) {
        return rc;
    }
    /* A name that is not there as it is may be so with a domain behind it. */
    if (is_joint || (!asker.has_found && is_missing(asker.error) && may_search(question))) {
        return tell_both(question, answers);
    }
    return asker.has_found ? 0 : asker.error;
}

#else

typedef int wf_no_cares; /* a file may not be empty */

#endif

// SPDX-License-Identifier: MIT
/* bio.c - OpenSSL's view of a connection's buffers: reading takes what has come, and never waits;
 * writing always finds room. All under the connection's lock. */
#include <limits.h>
#include <string.h>

#include <openssl/bio.h>

#include "tls/tls.h"

static int read_in(BIO *bio, char *bytes, size_t length, size_t *done)
{
    weft_tls *tls = BIO_get_data(bio);
    size_t count = wf_tls_buffer_count(&tls->in);
    BIO_clear_retry_flags(bio);
    *done = 0;
    if (count == 0) {
        if (!tls->has_ended) {
            BIO_set_retry_read(bio);
        }
        return 0;
    }
    *done = length < count ? length : count;
    memcpy(bytes, tls->in.bytes + tls->in.begin, *done);
    wf_tls_buffer_drop(&tls->in, *done);
    return 1;
}

static int write_out(BIO *bio, const char *bytes, size_t length, size_t *done)
{
    weft_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *done = 0;
    if (wf_tls_buffer_reserve(&tls->out, length) < 0) {
        return 0;
    }
    memcpy(tls->out.bytes + tls->out.end, bytes, length);
    tls->out.end += length;
    *done = length;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    const weft_tls *tls = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: /* done elsewhere */
        return 1;
    case BIO_CTRL_EOF:
        return tls->has_ended && wf_tls_buffer_count(&tls->in) == 0;
    default:
        return 0;
    }
}

static pthread_once_t made = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; /* once, for the whole process; NULL: no memory */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");
    if (method != NULL) {
        BIO_meth_set_read_ex(method, read_in);
        BIO_meth_set_write_ex(method, write_out);
        BIO_meth_set_ctrl(method, control);
    }
}

BIO *wf_tls_bio_new(weft_tls *tls)
{
    pthread_once(&made, make_method);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio != NULL) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
    }
    return bio;
}

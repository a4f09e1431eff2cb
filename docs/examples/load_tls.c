// SPDX-License-Identifier: MIT
/* load_tls.c - connections through TLS, by weft-tls. */
#include "load.h"

#include "command_line.h"

#include <unistd.h>
#include <weft/tls.h>

struct weft_tls_context *secure_load(const struct options *options)
{
    const weft_tls_options how = {
        .authorities_file = options->authorities_file,
        .verify = options->authorities_file != NULL ? WEFT_TLS_VERIFY_PEER : WEFT_TLS_VERIFY_NONE,
    };
    weft_tls_context *context = NULL;
    char text[256] = "";
    if (options->is_secure && weft_tls_client(&context, &how, text, sizeof text) < 0) {
        usage_error("--authorities: %s", text);
    }
    return context;
}

void secure_unload(struct weft_tls_context *context)
{
    weft_tls_context_drop(context);
}

int secure_open(const struct load *load, weft_stream *stream, int fd)
{
    weft_tls *tls;
    int rc = weft_tls_open(&tls, load->tls, fd, load->options.host);
    if (rc < 0) {
        weft_close(fd);
        return rc;
    }
    rc = weft_tls_handshake(tls);
    rc = rc == 0 ? weft_stream_open_on(stream, weft_tls_transport(), tls, NULL) : rc;
    if (rc < 0) {
        weft_tls_close(tls);
    }
    return rc;
}

// SPDX-License-Identifier: MIT
/* load_plain.c - in place of load_tls.c where weft-tls was not built: there is no TLS. */
#include "load.h"

#include "command_line.h"

struct weft_tls_context *secure_load(const struct options *options)
{
    if (options->is_secure) {
        usage_error("https: this load was built without weft-tls");
    }
    return NULL;
}

void secure_unload(struct weft_tls_context *context)
{
    (void)context;
}

int secure_open(const struct load *load, weft_stream *stream, int fd)
{
    (void)load;
    (void)stream;
    weft_close(fd);
    return -ENOSYS;
}

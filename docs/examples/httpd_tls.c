// SPDX-License-Identifier: MIT
/* httpd_tls.c - connections through TLS, by weft-tls. */
#include "httpd.h"

#include "command_line.h"

#include <weft/tls.h>

struct weft_tls_context *secure_load(const struct options *options)
{
    static const char *const protocols[] = {"http/1.1", NULL};
    const weft_tls_options how = {
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .alpn = protocols,
    };
    weft_tls_context *context = NULL;
    char text[256] = "";
    if (options->certificate_file != NULL &&
        weft_tls_server(&context, &how, text, sizeof text) < 0) {
        usage_error("--tls: %s", text);
    }
    return context;
}

void secure_unload(struct weft_tls_context *context)
{
    weft_tls_context_drop(context);
}

int secure_begin(struct connection *connection)
{
    int rc = weft_tls_open(&connection->tls, connection->server->tls, connection->fd, NULL);
    return rc == 0 ? weft_tls_handshake(connection->tls) : rc;
}

ssize_t secure_read(struct connection *connection, char *room, size_t length)
{
    return weft_tls_read(connection->tls, room, length);
}

ssize_t secure_write(struct connection *connection, const char *bytes, size_t length)
{
    return weft_tls_write(connection->tls, bytes, length);
}

int secure_flush(struct connection *connection)
{
    return weft_tls_flush(connection->tls);
}

int secure_shutdown(struct connection *connection)
{
    return weft_tls_shutdown(connection->tls);
}

void secure_close(struct connection *connection)
{
    weft_tls_close(connection->tls);
}

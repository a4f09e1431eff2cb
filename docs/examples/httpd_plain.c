// SPDX-License-Identifier: MIT
/* httpd_plain.c - in place of httpd_tls.c where weft-tls was not built: there is no TLS. */
#include "httpd.h"

#include "command_line.h"

struct weft_tls_context *secure_load(const struct options *options)
{
    if (options->certificate_file != NULL) {
        usage_error("--tls: this httpd was built without weft-tls");
    }
    return NULL;
}

void secure_unload(struct weft_tls_context *context)
{
    (void)context;
}

int secure_begin(struct connection *connection)
{
    (void)connection;
    return -ENOSYS;
}

ssize_t secure_read(struct connection *connection, char *room, size_t length)
{
    (void)connection;
    (void)room;
    (void)length;
    return -ENOSYS;
}

ssize_t secure_write(struct connection *connection, const char *bytes, size_t length)
{
    (void)connection;
    (void)bytes;
    (void)length;
    return -ENOSYS;
}

int secure_flush(struct connection *connection)
{
    (void)connection;
    return -ENOSYS;
}

int secure_shutdown(struct connection *connection)
{
    (void)connection;
    return -ENOSYS;
}

void secure_close(struct connection *connection)
{
    (void)connection;
}

/* SPDX-License-Identifier: MIT */
/* hello_tls.c - as hello.c, with weft-tls. */
#include <stddef.h>
#include <weft.h>
#include <weft/tls.h>

static intptr_t seven(void *arg)
{
    weft_tls *tls;
    return weft_tls_open(&tls, arg, -1, "localhost") < 0 ? 7 : 0;
}

int main(void)
{
    weft_tls_context *context;
    if (weft_tls_client(&context, NULL, NULL, 0) < 0) {
        return 1;
    }
    intptr_t rc = weft_run(seven, context, NULL);
    weft_tls_context_drop(context);
    return rc == 7 ? 0 : 1;
}

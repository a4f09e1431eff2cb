// SPDX-License-Identifier: MIT
/* context.c - making, searching and giving up contexts. */
#include "task/context.h"

#include <errno.h>
#include <stdlib.h>

static void drop_binding(struct wf_binding *binding)
{
    if (wf_sub_acqrel(&binding->refs, 1U) != 1) {
        return;
    }
    if (binding->key->drop != NULL) {
        binding->key->drop(binding->value);
    }
    free(binding);
}

void wf_context_drop(weft_context *context)
{
    if (context == NULL || wf_sub_acqrel(&context->refs, 1U) != 1) {
        return;
    }
    for (uint32_t i = context->count; i > 0; i--) {
        drop_binding(context->bindings[i - 1]); /* the one set last goes first */
    }
    free(context);
}

static uint32_t place_of(const weft_context *context, const weft_local *key)
{
    uint32_t count = context != NULL ? context->count : 0;
    uint32_t i = 0;
    while (i < count && context->bindings[i]->key != key) {
        i++;
    }
    return i;
}

void *wf_context_find(const weft_context *context, const weft_local *key)
{
    uint32_t place = place_of(context, key);
    return context != NULL && place < context->count ? context->bindings[place]->value : NULL;
}

static struct wf_binding *bind(const weft_local *key, void *value)
{
    struct wf_binding *binding = malloc(sizeof *binding);
    if (binding != NULL) {
        wf_store_rlx(&binding->refs, 1U);
        binding->key = key;
        binding->value = value;
    }
    return binding;
}

/* The others' bindings, with room for one more. */
static weft_context *copy_without(const weft_context *context, uint32_t place)
{
    uint32_t count = context != NULL ? context->count : 0;
    weft_context *made = malloc(sizeof *made + (count + 1) * sizeof made->bindings[0]);
    if (made == NULL) {
        return NULL;
    }
    wf_store_rlx(&made->refs, 1U);
    made->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i != place) {
            (void)wf_add_rlx(&context->bindings[i]->refs, 1U);
            made->bindings[made->count++] = context->bindings[i];
        }
    }
    return made;
}

static int without(weft_context *context, uint32_t place, weft_context **out)
{
    uint32_t count = context != NULL ? context->count : 0;
    if (place == count) {
        *out = wf_context_retain(context); /* it had none */
        return 0;
    }
    *out = count > 1 ? copy_without(context, place) : NULL;
    return count > 1 && *out == NULL ? -ENOMEM : 0;
}

int wf_context_with(weft_context *context, const weft_local *key, void *value, weft_context **out)
{
    uint32_t place = place_of(context, key);
    if (value == NULL) {
        return without(context, place, out);
    }
    struct wf_binding *binding = bind(key, value);
    weft_context *made = binding != NULL ? copy_without(context, place) : NULL;
    if (made == NULL) {
        free(binding);
        return -ENOMEM;
    }
    made->bindings[made->count++] = binding;
    *out = made;
    return 0;
}

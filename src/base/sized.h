// SPDX-License-Identifier: MIT
/* sized.h - structs that callers fill in, and that begin with their own size.
 *
 * Why this way: a later version may add fields at their end. It then sees by the size what it was not given, and an
 *       earlier one that it was given what it does not know.
 */
#ifndef WF_BASE_SIZED_H
#define WF_BASE_SIZED_H

#include <stdbool.h>
#include <stddef.h>

/* Does this version know such a struct, of `own` bytes here? 0 stands for the fields that the first version had: all
 * of today's. */
static inline bool wf_size_is_known(size_t size, size_t own)
{
    return size == 0 || size == own;
}

#endif

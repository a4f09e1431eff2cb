// SPDX-License-Identifier: MIT
/* clobber.h - registers that a call need not preserve, for asm statements that call or switch. */
#ifndef WF_BASE_CLOBBER_H
#define WF_BASE_CLOBBER_H

/* On x86-64, beside xmm0 to xmm15: where the library is compiled for a processor that has more. */
#if defined(__AVX512F__)
#define WF_CLOBBER_MORE                                                                           \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
        "k7"
#else
#define WF_CLOBBER_MORE
#endif

#endif

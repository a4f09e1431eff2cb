// SPDX-License-Identifier: MIT
/* switch_aarch64.S - saving one context and continuing another, AAPCS64.
 *
 * What: only what a call must preserve is kept: x19 to x30 and the low halves d8 to d15.
 *       A parked stack, from its saved stack pointer upwards:
 *
 *           x29 x30  x19 .. x28  d8 .. d15
 *
 * Why this way: the end is `ret`, because a branch through another register would need a landing
 *       pad at every return address where BTI is on. fpcr is deliberately not switched. Return
 *       addresses signed by callers stay valid, because a stack never moves.
 * Debuggers: of a parked fiber, set sp to the saved stack pointer and pc to wf_context_resume. The
 *       entry stub marks its own return address undefined, which ends the trace there.
 */
        .text

/* void wf_context_switch(void **save_sp, void *load_sp) */
        .globl  wf_context_switch
        .hidden wf_context_switch
        .type   wf_context_switch, %function
        .p2align 5
wf_context_switch:
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x29, x30, [sp, #-160]!
        .cfi_adjust_cfa_offset 160
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        stp     x21, x22, [sp, #32]
        .cfi_rel_offset x21, 32
        .cfi_rel_offset x22, 40
        stp     x23, x24, [sp, #48]
        .cfi_rel_offset x23, 48
        .cfi_rel_offset x24, 56
        stp     x25, x26, [sp, #64]
        .cfi_rel_offset x25, 64
        .cfi_rel_offset x26, 72
        stp     x27, x28, [sp, #80]
        .cfi_rel_offset x27, 80
        .cfi_rel_offset x28, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        .globl  wf_context_resume
        .hidden wf_context_resume
wf_context_resume:
        ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x27, x28, [sp, #80]
        ldp     x25, x26, [sp, #64]
        ldp     x23, x24, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #160
        .cfi_adjust_cfa_offset -160
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        ret
        .cfi_endproc
        .size   wf_context_switch, . - wf_context_switch

/* void *wf_context_make(void *top, void (*entry)(void *), void *arg) */
        .globl  wf_context_make
        .hidden wf_context_make
        .type   wf_context_make, %function
        .p2align 4
wf_context_make:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     x9, x0, #160
        adrp    x10, wf_fiber_stub
        add     x10, x10, :lo12:wf_fiber_stub
        stp     xzr, x10, [x9]          /* x29, x30 */
        stp     x1, x2, [x9, #16]       /* x19: entry, x20: arg */
        stp     xzr, xzr, [x9, #32]
        stp     xzr, xzr, [x9, #48]
        stp     xzr, xzr, [x9, #64]
        stp     xzr, xzr, [x9, #80]
        stp     xzr, xzr, [x9, #96]     /* d8 to d15 */
        stp     xzr, xzr, [x9, #112]
        stp     xzr, xzr, [x9, #128]
        stp     xzr, xzr, [x9, #144]
        mov     x0, x9
        ret
        .cfi_endproc
        .size   wf_context_make, . - wf_context_make

/* The outermost frame of every fiber. Entered by `ret`, which needs no landing pad. */
        .globl  wf_fiber_stub
        .hidden wf_fiber_stub
        .type   wf_fiber_stub, %function
        .p2align 4
wf_fiber_stub:
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x19
        mov     x1, x20
        bl      wf_fiber_begin
        brk     #1
        .cfi_endproc
        .size   wf_fiber_stub, . - wf_fiber_stub

        .section .note.GNU-stack, "", %progbits

/* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .word   4
        .word   16
        .word   5
        .asciz  "GNU"
        .word   0xc0000000
        .word   4
        .word   1
        .word   0

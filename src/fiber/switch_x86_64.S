// SPDX-License-Identifier: MIT
/* switch_x86_64.S - saving one context and continuing another, System V ABI.
 *
 * What: only what a call must preserve is kept: rbx, rbp, r12 to r15 and the return address.
 *       A parked stack, from its saved stack pointer upwards:
 *
 *           r15  r14  r13  r12  rbx  rbp  return address
 *
 * Why this way: the end is pop and jmp because `ret` would be predicted to go back to the caller
 *       that this stack no longer belongs to; measured 2.8 ns against 8.3. mxcsr and the x87
 *       control word are deliberately not switched: 2.8 ns more for what almost no program
 *       changes. `notrack`, because the jump goes to an ordinary return address, which has no
 *       endbr64. The property note claims IBT and not SHSTK, so the loader leaves shadow stacks
 *       off: a switch would have to change them as well.
 * Debuggers: unwinding is exact at every instruction. Of a parked fiber: set rsp to the saved stack
 *       pointer and rip to wf_context_resume. The entry stub marks its own return address
 *       undefined, which ends the trace there.
 */
        .text

/* void wf_context_switch(void **save_sp, void *load_sp) */
        .globl  wf_context_switch
        .hidden wf_context_switch
        .type   wf_context_switch, @function
        .p2align 5
wf_context_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        .globl  wf_context_resume
        .hidden wf_context_resume
wf_context_resume:
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   wf_context_switch, . - wf_context_switch

/* void *wf_context_make(void *top, void (*entry)(void *), void *arg)
 *
 * The two words at the top stay zero: a debugger that follows frame pointers ends there too. The
 * stub starts with rsp on a multiple of 16, as its call needs. */
        .globl  wf_context_make
        .hidden wf_context_make
        .type   wf_context_make, @function
        .p2align 4
wf_context_make:
        .cfi_startproc
        endbr64
        xorl    %ecx, %ecx
        leaq    -72(%rdi), %rax
        leaq    wf_fiber_stub(%rip), %r8
        movq    %rcx, (%rax)            /* r15 */
        movq    %rcx, 8(%rax)           /* r14 */
        movq    %rdx, 16(%rax)          /* r13: arg */
        movq    %rsi, 24(%rax)          /* r12: entry */
        movq    %rcx, 32(%rax)          /* rbx */
        movq    %rcx, 40(%rax)          /* rbp */
        movq    %r8, 48(%rax)           /* return address */
        movq    %rcx, 56(%rax)
        movq    %rcx, 64(%rax)
        ret
        .cfi_endproc
        .size   wf_context_make, . - wf_context_make

/* The outermost frame of every fiber. */
        .globl  wf_fiber_stub
        .hidden wf_fiber_stub
        .type   wf_fiber_stub, @function
        .p2align 4
wf_fiber_stub:
        .cfi_startproc
        .cfi_undefined rip
        endbr64
        movq    %r12, %rdi
        movq    %r13, %rsi
        call    wf_fiber_begin
        ud2
        .cfi_endproc
        .size   wf_fiber_stub, . - wf_fiber_stub

        .section .note.GNU-stack, "", @progbits

/* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4
        .long   16
        .long   5
        .asciz  "GNU"
        .long   0xc0000002
        .long   4
        .long   1
        .long   0

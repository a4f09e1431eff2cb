// SPDX-License-Identifier: MIT
/* switch_x86_64.S - what the switch in fiber.h has no C for, System V ABI.
 *
 * What: a parked stack, from its saved stack pointer upwards:
 *
 *           rbp  where to go on
 *
 *       The other registers that a call must preserve lie in the frame of the function around the switch:
 *       its compiler is told that the switch changes them all.
 * Why this way: the end is pop and jmp because `ret` would be predicted to go back to the caller
 *       that this stack no longer belongs to; measured 2.8 ns against 8.3. mxcsr and the x87
 *       control word are deliberately not switched: 2.8 ns more for what almost no program
 *       changes. `notrack`, because the jump goes to an address without an
 *       endbr64. The property note claims IBT and not SHSTK, so the loader leaves shadow stacks
 *       off: a switch would have to change them as well.
 * Debuggers: of a parked fiber, set rsp to the saved stack pointer and rip to wf_context_resume, and the
 *       trace is exact. The entry stub marks its own return address undefined, which ends it there.
 */
        .text

/* For debuggers alone: what every switch ends with, with the rules to unwind it. */
        .globl  wf_context_resume
        .hidden wf_context_resume
        .type   wf_context_resume, @function
        .p2align 4
wf_context_resume:
        .cfi_startproc
        .cfi_def_cfa rsp, 16
        .cfi_offset rip, -8
        .cfi_offset rbp, -16
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   wf_context_resume, . - wf_context_resume

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
        leaq    -48(%rdi), %rax
        leaq    wf_fiber_stub(%rip), %r8
        movq    %rcx, (%rax)            /* rbp */
        movq    %r8, 8(%rax)            /* where to go on */
        movq    %rsi, 16(%rax)          /* entry */
        movq    %rdx, 24(%rax)          /* arg */
        movq    %rcx, 32(%rax)
        movq    %rcx, 40(%rax)
        ret
        .cfi_endproc
        .size   wf_context_make, . - wf_context_make

/* int wf_return_far(void)
 *
 * As a plain return of 0, but for the prediction: that of an indirect jump, from what went before. */
        .globl  wf_return_far
        .hidden wf_return_far
        .type   wf_return_far, @function
        .p2align 4
wf_return_far:
        .cfi_startproc
        endbr64
        xorl    %eax, %eax
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   wf_return_far, . - wf_return_far

/* The outermost frame of every fiber. */
        .globl  wf_fiber_stub
        .hidden wf_fiber_stub
        .type   wf_fiber_stub, @function
        .p2align 4
wf_fiber_stub:
        .cfi_startproc
        .cfi_undefined rip
        endbr64
        popq    %rdi
        popq    %rsi
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

// SPDX-License-Identifier: MIT
/* solo_x86_64.S - the operations of solo.h where there is no crowd, for callers that keep their registers.
 *
 * What: rdi the word, rax what is expected, rsi the new value; rax becomes what the word was. rcx changes, no other
 *       general register; vector registers may. Who is alone changes the word here, as solo.h says how; all others
 *       in wf_solo_swap32 and wf_solo_swap64. So does the worker that has guests, by a locked operation, until it
 *       may try to be alone again.
 * Why this way: the call stands in functions that have no frame otherwise, and do not make it where there is a
 *       crowd. With an ordinary call the compiler would give them one: 5 to 10 % of what they cost.
 */
#define NAME wf_solo(%rip)
#define WORKER wf_solo + 8(%rip)
#define LEFT wf_solo + 64(%rip)
#define IS_WITHIN wf_solo + 68(%rip)
#define PAUSED 2

        .text

        .macro  swap name, otherwise, had, new, seen
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        movq    NAME, %rcx
        cmpq    %fs:0, %rcx
        jne     2f
        movb    $1, IS_WITHIN
        cmpq    NAME, %rcx
        jne     1f
        mov     (%rdi), \seen /* once: another's lock may be given back meanwhile, by a plain store */
        cmp     \seen, \had
        jne     3f
        mov     \new, (%rdi)
        movb    $0, IS_WITHIN
        ret
3:      mov     \seen, \had
        movb    $0, IS_WITHIN
        ret

1:      movb    $0, IS_WITHIN
        jmp     5f
2:      cmpq    $PAUSED, %rcx
        jne     5f
        movq    WORKER, %rcx
        cmpq    %fs:0, %rcx
        jne     5f
        subl    $1, LEFT
        jb      4f
        lock cmpxchg \new, (%rdi)
        ret
4:      addl    $1, LEFT
5:      pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        andq    $-16, %rsp
        movq    %rsi, %rdx
        movq    %rax, %rsi
        call    \otherwise
        leaq    -56(%rbp), %rsp
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rbp
        .cfi_def_cfa rsp, 8
        .cfi_restore rbp
        ret
        .cfi_endproc
        .size   \name, . - \name
        .endm

        swap    wf_solo_far32, wf_solo_swap32, %eax, %esi, %ecx
        swap    wf_solo_far64, wf_solo_swap64, %rax, %rsi, %rcx

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

/* SPDX-License-Identifier: GPL-2.0 */
/* See arch.h. */
#include <asm/prctl.h>
#include <assert.h>
#include <sys/io.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e,
			long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (c), "r" (r10),
		       "r" (r8), "r" (r9)
		     : "rcx", "r11", "memory");
	return ret;
}

/* The child calls @run(@arg), which does not return. */
static inline long sys_child(long nr, long a, long b, int (*run)(void *),
			     void *arg)
{
	register long r10 asm("r10") = 0;
	register long r8 asm("r8") = 0;
	long ret;

	asm volatile("syscall\n"
		     "	test	%%rax, %%rax\n"
		     "	jnz	1f\n"
		     "	mov	%[arg], %%rdi\n"
		     "	call	*%[run]\n"
		     "	hlt\n"
		     "1:"
		     : "=a" (ret)
		     : "a" (nr), "D" (a), "S" (b), "d" (0), "r" (r10),
		       "r" (r8), [arg] "r" (arg), [run] "r" (run)
		     : "rcx", "r11", "memory");
	return ret;
}

/* The call that libc makes for vfork(). */
#define SYS_OF_VFORK	SYS_vfork

/* A 64-bit program can make these as well. */
#define MAP_COMPAT	MAP_32BIT

static inline int compat_sys(int nr, long a, long b, long c)
{
	int ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (nr), "b" (a), "c" (b), "d" (c)
		     : "r8", "r9", "r10", "r11", "memory");
	return ret;
}

/**
 * struct registers - what a child finds in them
 * @general: rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15
 * @flags:   the flags register
 * @tls:     the thread pointer, which is the FS base
 * @gs_base: likewise
 * @fx:      the x87 and SSE registers as FXSAVE has them
 */
struct registers {
	__u64 general[16];
	__u64 flags;
	__u64 tls;
	__u64 gs_base;
	unsigned char fx[512] __attribute__((aligned(16)));
};

static inline void registers_soil(struct registers *registers)
{
	memset(registers, 0xaa, sizeof(*registers));
}

#define REGISTER_ARG	5
#define REGISTER_SP	7
/* Interrupts are on, and a bit that is always set. */
#define FLAGS_AT_START	0x202UL
/* A function finds its return address on the stack. */
#define SP_AT_START(top) ((top) - 8)

/* registers_entry: store every register at the argument. */
#define REGISTERS_ENTRY							\
	".pushsection .text\n"						\
	"	.globl	registers_entry\n"				\
	"registers_entry:\n"						\
	"	mov	%rax, 0(%rdi)\n"				\
	"	mov	%rbx, 8(%rdi)\n"				\
	"	mov	%rcx, 16(%rdi)\n"				\
	"	mov	%rdx, 24(%rdi)\n"				\
	"	mov	%rsi, 32(%rdi)\n"				\
	"	mov	%rdi, 40(%rdi)\n"				\
	"	mov	%rbp, 48(%rdi)\n"				\
	"	mov	%rsp, 56(%rdi)\n"				\
	"	mov	%r8, 64(%rdi)\n"				\
	"	mov	%r9, 72(%rdi)\n"				\
	"	mov	%r10, 80(%rdi)\n"				\
	"	mov	%r11, 88(%rdi)\n"				\
	"	mov	%r12, 96(%rdi)\n"				\
	"	mov	%r13, 104(%rdi)\n"				\
	"	mov	%r14, 112(%rdi)\n"				\
	"	mov	%r15, 120(%rdi)\n"				\
	"	pushfq\n"						\
	"	popq	128(%rdi)\n"					\
	"	fxsave64 160(%rdi)\n"					\
	"	mov	%rdi, %rbx\n"					\
	"	mov	$158, %eax\n"		/* arch_prctl */	\
	"	mov	$0x1003, %edi\n"	/* ARCH_GET_FS */	\
	"	lea	136(%rbx), %rsi\n"				\
	"	syscall\n"						\
	"	mov	$158, %eax\n"					\
	"	mov	$0x1004, %edi\n"	/* ARCH_GET_GS */	\
	"	lea	144(%rbx), %rsi\n"				\
	"	syscall\n"						\
	"	mov	$231, %eax\n"		/* exit_group */	\
	"	xor	%edi, %edi\n"					\
	"	syscall\n"						\
	"	hlt\n"							\
	".popsection\n"

static_assert(offsetof(struct registers, tls) == 136, "see above");
static_assert(offsetof(struct registers, fx) == 160, "see above");

/* What a parent has beside the general registers: the other base. */
static inline void bases_soil(void)
{
	sys6(SYS_arch_prctl, ARCH_SET_GS, 0x123456000, 0, 0, 0, 0);
}

static inline void bases_clean(void)
{
	sys6(SYS_arch_prctl, ARCH_SET_GS, 0, 0, 0, 0, 0);
}

static inline bool bases_are_clean(const struct registers *registers)
{
	return !registers->gs_base;
}

/* And in those of the FPU. */
struct fpu_control {
	__u16 fcw;
	__u32 mxcsr;
};

static inline void fpu_soil(struct fpu_control *old)
{
	const __u32 mxcsr = 0x7fc0;	/* round to zero, denormals are zero */
	const __u16 fcw = 0x0f7e;	/* round to zero, trap invalid */

	asm volatile("fnstcw %0" : "=m" (old->fcw));
	asm volatile("stmxcsr %0" : "=m" (old->mxcsr));
	asm volatile("fldcw %0; fldpi" : : "m" (fcw));
	asm volatile("ldmxcsr %0" : : "m" (mxcsr));
	asm volatile("pcmpeqd %%xmm15, %%xmm15" : : : "xmm15");
}

static inline void fpu_clean(const struct fpu_control *old)
{
	asm volatile("fstp %%st(0); fldcw %0" : : "m" (old->fcw));
	asm volatile("ldmxcsr %0" : : "m" (old->mxcsr));
}

/* Return: what is not as at the start of a program, or NULL. */
static inline const char *fpu_dirt(const struct registers *registers)
{
	const unsigned char *fx = registers->fx;
	static const char zero[256];
	__u32 mxcsr;
	__u16 fcw;
	int i;

	memcpy(&fcw, fx, sizeof(fcw));
	memcpy(&mxcsr, fx + 24, sizeof(mxcsr));
	if (fcw != 0x37f)
		return "FCW";
	if (mxcsr != 0x1f80)
		return "MXCSR";
	if (memcmp(fx + 2, zero, 3))
		return "status and tags";
	for (i = 0; i < 8; i++)
		if (memcmp(fx + 32 + 16 * i, zero, 10))
			return "ST0 to ST7";
	return memcmp(fx + 160, zero, 256) ? "XMM0 to XMM15" : NULL;
}

#define FLAGS_ODD	0x244400UL	/* ID, AC, NT, DF */
#define FLAGS_OF_ARITHMETIC 0x8d5UL

/*
 * spawn_with_flags(nr, a, b, c, flags, flags_of_child): a system call with @flags
 * set. Where that is clone(2), the child stores its own at @flags_of_child, as
 * store_flags() does as a child's entry.
 */
#define SPAWN_WITH_FLAGS						\
	".pushsection .text\n"						\
	"	.globl	spawn_with_flags, store_flags\n"		\
	"spawn_with_flags:\n"						\
	"	push	%rbx\n"						\
	"	mov	%r9, %rbx\n"					\
	"	mov	%rdi, %rax\n"					\
	"	mov	%rsi, %rdi\n"					\
	"	mov	%rdx, %rsi\n"					\
	"	mov	%rcx, %rdx\n"					\
	"	xor	%r10d, %r10d\n"					\
	"	push	%r8\n"						\
	"	popfq\n"						\
	"	syscall\n"						\
	"	pushfq\n"						\
	"	pop	%rcx\n"						\
	"	push	$0x202\n"					\
	"	popfq\n"						\
	"	test	%rax, %rax\n"					\
	"	jz	1f\n"						\
	"	pop	%rbx\n"						\
	"	ret\n"							\
	"1:	mov	%rcx, (%rbx)\n"					\
	"	jmp	2f\n"						\
	"store_flags:\n"						\
	"	pushfq\n"						\
	"	pop	(%rdi)\n"					\
	"2:	mov	$231, %eax\n"		/* exit_group */	\
	"	xor	%edi, %edi\n"					\
	"	syscall\n"						\
	"	hlt\n"							\
	".popsection\n"

static inline int start_read(pid_t pid, struct start *start)
{
	struct user_regs_struct regs;
	struct iovec all = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all))
		return -1;
	start->pc = regs.rip;
	start->sp = regs.rsp;
	start->arg = regs.rdi;
	start->nr = regs.orig_rax;
	return 0;
}

/* To the SYSCALL instruction, with number @nr and second argument @b. */
static inline bool restarts_call(const ucontext_t *context, long nr, long b)
{
	const greg_t *regs = context->uc_mcontext.gregs;
	const unsigned char *next = (void *)regs[REG_RIP];

	return next[0] == 0x0f && next[1] == 0x05 && regs[REG_RAX] == nr &&
	       regs[REG_RSI] == b;
}

/* One that arch_prctl(2) takes for a thread pointer. */
static inline bool is_user_address(unsigned long address)
{
	return !sys6(SYS_arch_prctl, ARCH_SET_GS, address, 0, 0, 0, 0);
}

/* Where user space ends, with four levels of page tables and with five. */
#define USER_END	((1UL << 47) - PAGE)
#define USER_END_5	((1UL << 56) - PAGE)
#define UNTAGGED(address) (address)

#define FUZZ_ENTRIES							\
	".pushsection .text\n"						\
	FUZZ_LABELS							\
	"entry_push:\n"							\
	"	push %rax; pop %rax\n"					\
	"entry_exit:\n"							\
	"	xor %edi, %edi; mov $231, %eax; syscall\n"		\
	"entry_undefined:\n"						\
	"	ud2\n"							\
	"entry_breakpoint:\n"						\
	"	int3; jmp entry_exit\n"					\
	"entry_halt:\n"							\
	"	hlt\n"							\
	"entry_null:\n"							\
	"	xor %eax, %eax; mov %rax, (%rax)\n"			\
	"entry_divide:\n"						\
	"	xor %ecx, %ecx; div %ecx\n"				\
	"entry_sigreturn:\n"	/* to registers that cannot be loaded */ \
	"	sub $1024, %rsp; mov %rsp, %rdi; mov $1024, %ecx\n"	\
	"	mov $-1, %al; rep stosb; mov $15, %eax; syscall; ud2\n"	\
	".popsection\n"

/* SPDX-License-Identifier: GPL-2.0 */
/* See arch.h. */
#include <assert.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e,
			long f)
{
	register long x8 asm("x8") = nr;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;
	register long x4 asm("x4") = e;
	register long x5 asm("x5") = f;

	asm volatile("svc	#0"
		     : "+r" (x0)
		     : "r" (x8), "r" (x1), "r" (x2), "r" (x3), "r" (x4),
		       "r" (x5)
		     : "memory");
	return x0;
}

/* The child calls @run(@arg), which does not return. */
static inline long sys_child(long nr, long a, long b, int (*run)(void *),
			     void *arg)
{
	register long x8 asm("x8") = nr;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = 0;
	register long x3 asm("x3") = 0;
	register long x4 asm("x4") = 0;

	asm volatile("svc	#0\n"
		     "	cbnz	x0, 1f\n"
		     "	mov	x0, %[arg]\n"
		     "	blr	%[run]\n"
		     "	udf	#0\n"
		     "1:"
		     : "+r" (x0)
		     : "r" (x8), "r" (x1), "r" (x2), "r" (x3), "r" (x4),
		       [arg] "r" (arg), [run] "r" (run)
		     : "x30", "memory");
	return x0;
}

/* The call that libc makes for vfork(). */
#define SYS_OF_VFORK	SYS_clone

/*
 * Only a 32-bit program can make these: here a copy of the caller becomes one, whose
 * exit status is the result, from -128 to 127. No pointer of the caller's is one there.
 */
#define MAP_COMPAT	0

static inline int compat_sys(int nr, long a, long b, long c)
{
	const struct {
		Elf32_Ehdr file;
		Elf32_Phdr segment;
		__u32 code[11];
	} program = {
		.file = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32,
				     ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_ARM,
			.e_version = EV_CURRENT,
			.e_entry = 0x10000 + offsetof(typeof(program), code),
			.e_phoff = offsetof(typeof(program), segment),
			.e_flags = EF_ARM_EABI_VER5,
			.e_ehsize = sizeof(Elf32_Ehdr),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD,
			.p_vaddr = 0x10000,
			.p_filesz = sizeof(program),
			.p_memsz = sizeof(program),
			.p_flags = PF_R | PF_X,
			.p_align = 0x10000,
		},
		.code = {
			0xe59f7014, 0xe59f0014,		/* ldr r7, nr; ldr r0, a */
			0xe59f1014, 0xe59f2014,		/* ldr r1, b; ldr r2, c */
			0xef000000,			/* svc 0 */
			0xe3a07001, 0xef000000,		/* exit */
			nr, a, b, c,
		},
	};
	int file, status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		file = syscall(SYS_memfd_create, "compat", 1 /* MFD_CLOEXEC */);
		if (write(file, &program, sizeof(program)) == sizeof(program)) {
			fcntl(a, F_SETFD, 0);
			syscall(SYS_execveat, file, "", NULL, NULL,
				AT_EMPTY_PATH);
		}
		_exit(-ENOSYS);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ENOSYS;
	return (signed char)WEXITSTATUS(status);
}

/**
 * struct registers - what a child finds in them
 * @general: x0 to x30 and the stack pointer
 * @flags:   the condition flags
 * @tls:     the thread pointer
 * @fpcr:    how floating point numbers are calculated
 * @fpsr:    what has come of that
 * @v:       the vector registers, of 16 bytes each
 * @has_sme: set before, for what the CPU may not have:
 * @tpidr2:  SME's thread pointer
 * @svcr:    SME's modes
 */
struct registers {
	__u64 general[32];
	__u64 flags;
	__u64 tls;
	__u64 fpcr;
	__u64 fpsr;
	__u64 v[64];
	__u64 has_sme;
	__u64 tpidr2;
	__u64 svcr;
};

static inline bool has_sme(void)
{
	return getauxval(AT_HWCAP2) & 1 << 23;	/* HWCAP2_SME */
}

static inline void registers_soil(struct registers *registers)
{
	memset(registers, 0xaa, sizeof(*registers));
	registers->has_sme = has_sme();
}

#define REGISTER_ARG	0
#define REGISTER_SP	31
#define FLAGS_AT_START	0UL
#define SP_AT_START(top) (top)

#define TPIDR2_EL0	"S3_3_C13_C0_5"
#define SVCR		"S3_3_C4_C2_2"

/* registers_entry: store every register at the argument. */
#define REGISTERS_ENTRY							\
	".pushsection .text\n"						\
	"	.globl	registers_entry\n"				\
	"registers_entry:\n"						\
	"	stp	x0, x1, [x0, 0]\n"				\
	"	stp	x2, x3, [x0, 16]\n"				\
	"	stp	x4, x5, [x0, 32]\n"				\
	"	stp	x6, x7, [x0, 48]\n"				\
	"	stp	x8, x9, [x0, 64]\n"				\
	"	stp	x10, x11, [x0, 80]\n"				\
	"	stp	x12, x13, [x0, 96]\n"				\
	"	stp	x14, x15, [x0, 112]\n"				\
	"	stp	x16, x17, [x0, 128]\n"				\
	"	stp	x18, x19, [x0, 144]\n"				\
	"	stp	x20, x21, [x0, 160]\n"				\
	"	stp	x22, x23, [x0, 176]\n"				\
	"	stp	x24, x25, [x0, 192]\n"				\
	"	stp	x26, x27, [x0, 208]\n"				\
	"	stp	x28, x29, [x0, 224]\n"				\
	"	mov	x1, sp\n"					\
	"	stp	x30, x1, [x0, 240]\n"				\
	"	mrs	x1, nzcv\n"					\
	"	mrs	x2, tpidr_el0\n"				\
	"	stp	x1, x2, [x0, 256]\n"				\
	"	mrs	x1, fpcr\n"					\
	"	mrs	x2, fpsr\n"					\
	"	stp	x1, x2, [x0, 272]\n"				\
	"	add	x3, x0, 288\n"					\
	"	st1	{v0.2d-v3.2d}, [x3], 64\n"			\
	"	st1	{v4.2d-v7.2d}, [x3], 64\n"			\
	"	st1	{v8.2d-v11.2d}, [x3], 64\n"			\
	"	st1	{v12.2d-v15.2d}, [x3], 64\n"			\
	"	st1	{v16.2d-v19.2d}, [x3], 64\n"			\
	"	st1	{v20.2d-v23.2d}, [x3], 64\n"			\
	"	st1	{v24.2d-v27.2d}, [x3], 64\n"			\
	"	st1	{v28.2d-v31.2d}, [x3], 64\n"			\
	"	ldr	x1, [x3]\n"					\
	"	cbz	x1, 1f\n"					\
	"	mrs	x1, " TPIDR2_EL0 "\n"				\
	"	mrs	x2, " SVCR "\n"					\
	"	stp	x1, x2, [x3, 8]\n"				\
	"1:	mov	x8, 94\n"		/* exit_group */	\
	"	mov	x0, 0\n"					\
	"	svc	#0\n"						\
	"	udf	#0\n"						\
	".popsection\n"

static_assert(offsetof(struct registers, flags) == 256, "see above");
static_assert(offsetof(struct registers, v) == 288, "see above");
static_assert(offsetof(struct registers, has_sme) == 800, "see above");

/*
 * What a parent has beside the general registers. Of SME's, a child gets what
 * was last saved when its parent was switched out.
 */
static inline void bases_soil(void)
{
	const struct timespec moment = { .tv_nsec = 10000000 };

	if (!has_sme())
		return;
	asm volatile("msr " TPIDR2_EL0 ", %0" : : "r" (0x123456000UL));
	asm volatile("msr S0_3_C4_C5_3, xzr");	/* SMSTART ZA */
	sys6(SYS_nanosleep, (long)&moment, 0, 0, 0, 0, 0);
}

static inline void bases_clean(void)
{
	if (!has_sme())
		return;
	asm volatile("msr S0_3_C4_C4_3, xzr");	/* SMSTOP ZA */
	asm volatile("msr " TPIDR2_EL0 ", xzr");
}

static inline bool bases_are_clean(const struct registers *registers)
{
	return !has_sme() || (!registers->tpidr2 && !registers->svcr);
}

/* And in those of floating point arithmetic. */
struct fpu_control {
	__u64 fpcr;
	__u64 fpsr;
};

static inline void fpu_soil(struct fpu_control *old)
{
	asm volatile("mrs %0, fpcr" : "=r" (old->fpcr));
	asm volatile("mrs %0, fpsr" : "=r" (old->fpsr));
	/* Round to zero, flush denormals to it. */
	asm volatile("msr fpcr, %0" : : "r" (3UL << 22 | 1UL << 24));
	/* Saturated, and an invalid operation. */
	asm volatile("msr fpsr, %0" : : "r" (1UL << 27 | 1));
	asm volatile("movi v31.16b, 0xff; movi v16.16b, 0xff"
		     : : : "v31", "v16");
}

static inline void fpu_clean(const struct fpu_control *old)
{
	asm volatile("msr fpcr, %0" : : "r" (old->fpcr));
	asm volatile("msr fpsr, %0" : : "r" (old->fpsr));
}

/* Return: what is not as at the start of a program, or NULL. */
static inline const char *fpu_dirt(const struct registers *registers)
{
	size_t i;

	if (registers->fpcr)
		return "FPCR";
	if (registers->fpsr)
		return "FPSR";
	for (i = 0; i < sizeof(registers->v) / sizeof(registers->v[0]); i++)
		if (registers->v[i])
			return "V0 to V31";
	return NULL;
}

#define FLAGS_ODD	0xf0000000UL	/* N, Z, C, V */
#define FLAGS_OF_ARITHMETIC 0UL

/*
 * spawn_with_flags(nr, a, b, c, flags, flags_of_child): a system call with @flags
 * set. Where that is clone(2), the child stores its own at @flags_of_child, as
 * store_flags() does as a child's entry.
 */
#define SPAWN_WITH_FLAGS						\
	".pushsection .text\n"						\
	"	.globl	spawn_with_flags, store_flags\n"		\
	"spawn_with_flags:\n"						\
	"	mov	x8, x0\n"					\
	"	mov	x0, x1\n"					\
	"	mov	x1, x2\n"					\
	"	mov	x2, x3\n"					\
	"	mov	x3, xzr\n"					\
	"	msr	nzcv, x4\n"					\
	"	mov	x4, xzr\n"					\
	"	svc	#0\n"						\
	"	mrs	x9, nzcv\n"					\
	"	cbz	x0, 1f\n"					\
	"	ret\n"							\
	"1:	str	x9, [x5]\n"					\
	"	b	2f\n"						\
	"store_flags:\n"						\
	"	mrs	x9, nzcv\n"					\
	"	str	x9, [x0]\n"					\
	"2:	mov	x8, 94\n"		/* exit_group */	\
	"	mov	x0, 0\n"					\
	"	svc	#0\n"						\
	"	udf	#0\n"						\
	".popsection\n"

static inline int start_read(pid_t pid, struct start *start)
{
	struct user_regs_struct regs;
	struct iovec all = { &regs, sizeof(regs) };
	struct iovec nr = { &start->nr, sizeof(start->nr) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) ||
	    ptrace(PTRACE_GETREGSET, pid, NT_ARM_SYSTEM_CALL, &nr))
		return -1;
	start->pc = regs.pc;
	start->sp = regs.sp;
	start->arg = regs.regs[0];
	return 0;
}

/* To the SVC instruction, with number @nr and second argument @b. */
static inline bool restarts_call(const ucontext_t *context, long nr, long b)
{
	const mcontext_t *regs = &context->uc_mcontext;
	const __u32 *next = (void *)regs->pc;

	return *next == 0xd4000001 && (long)regs->regs[8] == nr &&
	       (long)regs->regs[1] == b;
}

/*
 * One that write(2) takes, which writes nothing of it to /dev/null. With a tag in
 * the highest byte system calls take only those of whoever has asked for that.
 */
static inline bool is_user_address(unsigned long address)
{
	long fd = sys6(SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY, 0, 0,
		       0);
	long ret;

	sys6(SYS_prctl, PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0,
	     0);
	ret = sys6(SYS_write, fd, address, 1, 0, 0, 0);
	sys6(SYS_close, fd, 0, 0, 0, 0, 0);
	return ret == 1;
}

/*
 * Where user space ends, with four levels of page tables and with five: the
 * kernel's limit, whatever this CPU has of them.
 */
#define USER_END	(1UL << 48)
#define USER_END_5	(1UL << 52)
/* Only where bit 55 is clear, as in user space. */
#define UNTAGGED(address) \
	((address) & 1UL << 55 ? (address) : (address) & ~0UL >> 8)
#define TAG		(0xa5UL << 56)

#define FUZZ_ENTRIES							\
	".pushsection .text\n"						\
	FUZZ_LABELS							\
	"entry_push:\n"							\
	"	str x1, [sp, -16]!; ldr x1, [sp], 16\n"			\
	"entry_exit:\n"							\
	"	mov x0, 0; mov x8, 94; svc #0\n"			\
	"entry_undefined:\n"						\
	"	udf #0\n"						\
	"entry_breakpoint:\n"						\
	"	brk #0; b entry_exit\n"					\
	"entry_halt:\n"		/* an instruction for the kernel alone */ \
	"	msr daifset, #2\n"					\
	"	udf #0\n"						\
	"entry_null:\n"							\
	"	mov x1, xzr; str x1, [x1]\n"				\
	"entry_divide:\n"	/* not an error here: a misaligned jump is */ \
	"	mov x1, 2; br x1\n"					\
	"entry_sigreturn:\n"	/* to registers that cannot be loaded */ \
	"	mov x1, 5120; mov x2, -1\n"				\
	"1:	str x2, [sp, -8]!; subs x1, x1, 8; b.ne 1b\n"		\
	"	mov x8, 139; svc #0; udf #0\n"				\
	".popsection\n"

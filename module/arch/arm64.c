// SPDX-License-Identifier: GPL-2.0
/*
 * Starting a child on arm64.
 */
#include <linux/errno.h>
#include <linux/error-injection.h>
#include <linux/mm.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>

#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/sysreg.h>

#include "../compat.h"
#include "arch.h"

#ifdef CONFIG_ARM64_GCS
#include <asm/gcs.h>

static bool has_shadow_stack(void)
{
	return task_gcs_el0_enabled(current);
}
#else
static bool has_shadow_stack(void)
{
	return false;
}
#endif

/* Not inlined: a test has it fail, for want of CPUs with shadow stacks. */
noinline int avfork_arch_check(void)
{
	return has_shadow_stack() ? -ENOPROTOOPT : 0;
}

ALLOW_ERROR_INJECTION(avfork_arch_check, ERRNO);

/*
 * No address does harm here, only the end of user space is looked for. The CPU
 * ignores the highest byte, where MTE and HWASan keep tags.
 */
bool avfork_arch_in_user_space(u64 start, u64 size)
{
	start = untagged_addr(start);
	return size <= TASK_SIZE_MAX && start <= TASK_SIZE_MAX - size;
}

void *avfork_arch_first_arg(struct task_struct *task, int (*function)(void *))
{
	/* Where copy_thread() puts both for ret_from_fork(). */
	const struct cpu_context *context = &task->thread.cpu_context;

	return context->x19 == (unsigned long)function ? (void *)context->x20 :
							 NULL;
}

/* The protection keys: the register is newer than what was saved of it. */
void avfork_arch_given(struct task_struct *task)
{
#ifdef CONFIG_ARM64_POE
	if (system_supports_poe())
		task->thread.por_el0 = read_sysreg_s(SYS_POR_EL0);
#endif
}

/*
 * What a child keeps of its parent, as a thread does: the keys that pointers in
 * the shared memory are signed with, the mode of tag checks, and how long its
 * vectors are.
 */
void avfork_arch_start(const struct avfork_start *start)
{
	struct thread_struct *thread = &current->thread;
	struct pt_regs *regs = current_pt_regs();

	/*
	 * start_thread() is exec's: all general registers are zero, and the CPU
	 * is in user mode. It also sets PSTATE.SSBS, by a function that is not
	 * exported. Here the bit is 0: until it execs the child lets no load
	 * pass a store on speculation, which is safe, and slower.
	 */
	avfork_start_thread(regs, start->entry);
	regs->sp = start->stack_top;
	regs->regs[0] = start->arg;
	/* Not in a system call: nothing may be restarted. */
	forget_syscall(regs);

	/*
	 * The vector registers are the parent's: arch_dup_task_struct() copies
	 * them for every child. The CPU has not got them yet: the child has
	 * TIF_FOREIGN_FPSTATE until it leaves the kernel, and nothing saves what
	 * is in the registers before, if it is preempted here. Streaming mode
	 * and SME's ZA array, which some kernels copy, are off.
	 */
	memset(&thread->uw, 0, sizeof(thread->uw));
	thread->svcr = 0;

	/*
	 * One store each, whatever a context switch before has saved: the next
	 * one saves what is in the register.
	 */
	write_sysreg(start->tls, tpidr_el0);
	if (system_supports_tpidr2())
		write_sysreg_s(0, SYS_TPIDR2_EL0);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Starting a child on x86-64.
 */
#include <linux/errno.h>
#include <linux/error-injection.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/thread_info.h>

#include <asm/fsgsbase.h>
#include <asm/processor.h>
#include <asm/switch_to.h>

#include "arch.h"

/*
 * start_thread() does what exec does, which ends the shadow stack and unlocks
 * its features. For whoever has none the locks stay: that it remains so is a
 * restriction, too.
 */
#ifdef CONFIG_X86_USER_SHADOW_STACK
#include <asm/prctl.h>

static bool has_shadow_stack(void)
{
	return current->thread.features & ARCH_SHSTK_SHSTK;
}

static void start_locked(struct pt_regs *regs, unsigned long ip,
			 unsigned long sp)
{
	unsigned long locked = current->thread.features_locked;

	start_thread(regs, ip, sp);
	current->thread.features_locked = locked;
}
#else
static bool has_shadow_stack(void)
{
	return false;
}

static void start_locked(struct pt_regs *regs, unsigned long ip,
			 unsigned long sp)
{
	start_thread(regs, ip, sp);
}
#endif

/* Not inlined: a test has it fail, for want of CPUs with shadow stacks. */
noinline int avfork_arch_check(void)
{
	return has_shadow_stack() ? -ENOPROTOOPT : 0;
}

ALLOW_ERROR_INJECTION(avfork_arch_check, ERRNO);

/*
 * Stricter than access_ok(), which on some kernels lets through what is not
 * canonical: these addresses go to registers, not through a checked copy. Tagged
 * ones (LAM) are no good: the instruction pointer and the FS base take none.
 */
bool avfork_arch_in_user_space(u64 start, u64 size)
{
	return size <= TASK_SIZE_MAX && start <= TASK_SIZE_MAX - size;
}

/* Nothing: copy_thread() reads the protection keys for every child. */
void avfork_arch_given(struct task_struct *task)
{
}

void *avfork_arch_first_arg(struct task_struct *task, int (*function)(void *))
{
	/* Where copy_thread() puts both for ret_from_fork(). */
	const struct inactive_task_frame *frame = (void *)task->thread.sp;

	return frame->bx == (unsigned long)function ? (void *)frame->r12 : NULL;
}

void avfork_arch_start(const struct avfork_start *start)
{
	struct thread_struct *thread = &current->thread;
	struct pt_regs *regs = current_pt_regs();

	/*
	 * The FPU and vector registers are already at their initial values:
	 * copy_thread() does not copy them for a child that has a function.
	 */
	memset(regs, 0, sizeof(*regs));
	/*
	 * A function finds its return address at the stack pointer, just below
	 * a multiple of 16. start_thread() is exec's: it sets the stack,
	 * instruction and flags registers and all the segments.
	 */
	start_locked(regs, start->entry, start->stack_top - sizeof(long));
	regs->di = start->arg;
	/* Not in a system call: nothing may be restarted. */
	regs->orig_ax = -1;

	/*
	 * As do_arch_prctl_64(ARCH_SET_FS) does it: a context switch between
	 * the register and its saved copy would lose one of them. The saved
	 * selectors and the GS base are those that start_thread() has loaded.
	 */
	preempt_disable();
	thread->fsindex = 0;
	thread->gsindex = 0;
	thread->gsbase = 0;
	x86_fsbase_write_cpu(start->tls);
	thread->fsbase = start->tls;
	preempt_enable();

	/*
	 * No I/O ports. copy_thread() leaves a child that has a function without
	 * its parent's bitmap, but with iopl(2)'s level and, on some kernels,
	 * with the flag that has the bitmap looked into. It would be NULL.
	 */
	clear_thread_flag(TIF_IO_BITMAP);
	thread->iopl_emul = 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clone.h"

/* glibc's, whose <sched.h> cannot be had together with <linux/sched.h>. */
int clone(int (*run)(void *), void *stack, int flags, void *arg, ...);

static int run(void *start)
{
	start_run(start);
}

/*
 * clone3(2), whose child calls run(@arg) on its new stack. libc has no public
 * function for it, and a C function cannot return on another stack.
 */
static long clone3(const struct clone_args *args, void *arg)
{
#ifdef __x86_64__
	long ret;

	asm volatile("syscall\n\t"
		     "testq %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "xorl %%ebp, %%ebp\n\t"	/* the outermost frame */
		     "movq %%rdx, %%rdi\n\t"
		     "call *%%rbx\n\t"
		     "ud2\n"
		     "1:"
		     : "=a"(ret)
		     : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)),
		       "b"(run), "d"(arg)
		     : "rcx", "r11", "memory");
	return ret;
#else
	(void)args;
	(void)arg;
	return -ENOSYS;
#endif
}

/* Without clone3(2): Linux before 5.3, or a filter that does not know it. */
static long clone_old(const struct clone_args *args, void *arg)
{
	int pid;

	/* It has no place for these. */
	if (args->flags & (CLONE_INTO_CGROUP | CLONE_NEWTIME))
		return -ENOSYS;
	pid = clone(run, (char *)(uintptr_t)(args->stack + args->stack_size),
		    (int)(args->flags | args->exit_signal), arg,
		    (void *)(uintptr_t)(args->pidfd ? args->pidfd :
						      args->parent_tid),
		    (void *)(uintptr_t)args->tls,
		    (void *)(uintptr_t)args->child_tid);
	return pid < 0 ? -errno : pid;
}

pid_t clone_start(const struct avfork_opts *opts, int exit_signal,
		  const struct carrier *carrier, struct start *start,
		  _Atomic pid_t *pid)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_SETTLS | CLONE_CHILD_CLEARTID |
			 opts->namespaces,
		.child_tid = (uintptr_t)carrier->lent,
		.exit_signal = (unsigned int)exit_signal,
		.stack = (uintptr_t)(opts->stack ? opts->stack :
						   carrier->stack),
		.stack_size = opts->stack ? opts->stack_size :
					    carrier->stack_size,
		.tls = carrier->thread_pointer,
	};
	kernel_sigset saved;
	long ret;

	if (start->flags & AVFORK_AUTOKILL) {
		start->maker = getpid();
		start->maker_thread = (pid_t)syscall(SYS_gettid);
	}
	if (start->device >= 0)
		args.flags |= CLONE_FILES;
	if (opts->flags & AVFORK_SYNC)
		args.flags |= CLONE_VFORK;
	if (opts->flags & AVFORK_INTO_CGROUP) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned int)opts->cgroup_fd;
	}
	if (opts->pidfd) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uintptr_t)opts->pidfd;
	} else if (pid) {
		/* clone(2) has but one place for the two. */
		args.flags |= CLONE_PARENT_SETTID;
		args.parent_tid = (uintptr_t)pid;
	}

	/* None of our handlers is to run in the child. */
	start_block_signals(&saved);
	ret = clone3(&args, start);
	if (ret == -ENOSYS)
		ret = clone_old(&args, start);
	start_restore_signals(&saved);
	if (ret < 0) {
		errno = (int)-ret;
		return -1;
	}
	return (pid_t)ret;
}

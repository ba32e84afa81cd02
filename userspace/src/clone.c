// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clone.h"
#include "raw.h"
#include "sanitizer.h"

/* libc's, whose <sched.h> cannot be had together with <linux/sched.h>. */
int clone(int (*run)(void *), void *stack, int flags, void *arg, ...);

static TSAN_UNSEEN int run(void *prelude)
{
	prelude_run(prelude);
}

/* Linux before 5.3, and filters that cannot look into clone3()'s arguments. */
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

/* In the form that this kernel has. @args: for a child without handlers. */
static long clone_any(struct clone_args *args, struct prelude *prelude)
{
	long ret;

	prelude->handlers_gone = true;
	ret = raw_clone3(args, run, prelude);
	if (ret != -EINVAL && ret != -ENOSYS && ret != -EPERM && ret != -E2BIG)
		return ret;
	/* Linux 5.3 and 5.4 do not know the flag. */
	args->flags &= ~CLONE_CLEAR_SIGHAND;
	prelude->handlers_gone = false;
	if (ret == -EINVAL)
		return raw_clone3(args, run, prelude);
	/* The privilege for namespaces; or a filter, but the old form cannot do that. */
	if (ret == -EPERM && args->flags & (CLONE_INTO_CGROUP | CLONE_NEWTIME))
		return ret;
	return clone_old(args, prelude);
}

pid_t clone_start(const struct avfork_opts *opts, int exit_signal,
		  const struct carrier *carrier, struct prelude *prelude,
		  _Atomic pid_t *pid)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_SETTLS | CLONE_CLEAR_SIGHAND |
			 opts->namespaces,
		.exit_signal = (unsigned int)exit_signal,
		.stack = (uintptr_t)(opts->stack ? opts->stack :
						   carrier->stack),
		.stack_size = opts->stack ? opts->stack_size :
					    carrier->stack_size,
		.tls = carrier->thread_pointer,
	};
	kernel_sigset saved;
	long ret;

	if (opts->flags & AVFORK_AUTOKILL)
		prelude_ties(prelude);
	if (carrier->loan.word) {
		args.flags |= CLONE_CHILD_CLEARTID;
		args.child_tid = (uintptr_t)carrier->loan.word;
	}
	if (prelude->device >= 0 || opts->flags & AVFORK_SHARE_FDS)
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

	tsan_before(prelude);
	/* None of our handlers is to run in the child. */
	signals_mask(&(const kernel_sigset){ ALL_SIGNALS }, &saved);
	ret = clone_any(&args, prelude);
	signals_mask(&saved, NULL);
	if (ret < 0) {
		errno = (int)-ret;
		return -1;
	}
	return (pid_t)ret;
}

/*
 * By calls whose flags the kernel refuses: a filter sees a call that makes no
 * thread, as ours does not.
 */
bool clone_allowed(void)
{
	const struct clone_args args = {
		.flags = CLONE_DETACHED, .exit_signal = SIGCHLD,
	};

	if (raw_clone3(&args, run, NULL) == -EINVAL ||
	    (syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL,
		     NULL) < 0 && errno == EINVAL))
		return true;
	errno = ENOSYS;
	return false;
}

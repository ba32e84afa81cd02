// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_SPAWN, once its argument is in the kernel.
 */
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "birth.h"
#include "spawn.h"
#include "symbols.h"
#include "trace.h"

static DEFINE_PER_CPU(unsigned long [AVFORK_NR_COUNTS], counts);

/**
 * avfork_count - read a counter
 * @count: which
 *
 * Return: its value since the module was loaded, of all CPUs.
 */
unsigned long avfork_count(enum avfork_count count)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(counts, cpu)[count];
	return sum;
}

/*
 * Stricter than access_ok(), which on some kernels lets through what is not
 * canonical: these addresses go to registers, not through a checked copy.
 */
static bool in_user_space(u64 start, u64 size)
{
	return size <= TASK_SIZE_MAX && start <= TASK_SIZE_MAX - size;
}

static int check_args(const struct avfork_args *args)
{
	if (args->flags & ~AVFORK_FLAGS ||
	    args->namespaces & ~(u64)AVFORK_NAMESPACES || args->reserved)
		return -EINVAL;
	if (!valid_signal(args->exit_signal))
		return -EINVAL;
	if (!(args->flags & AVFORK_INTO_CGROUP) && args->cgroup_fd)
		return -EINVAL;
	if (!args->entry || !args->stack ||
	    args->stack_size < AVFORK_STACK_MIN ||
	    !IS_ALIGNED(args->stack | args->stack_size, 16) ||
	    !IS_ALIGNED(args->release, sizeof(u32)))
		return -EINVAL;
	if (!in_user_space(args->entry, 1) ||
	    !in_user_space(args->stack, args->stack_size) ||
	    !in_user_space(args->tls, 1) ||
	    !in_user_space(args->release, sizeof(u32)))
		return -EFAULT;
	return 0;
}

static long make_child(struct avfork_nursery *nursery,
		       const struct avfork_args *args)
{
	struct kernel_clone_args clone = {
		/*
		 * CLONE_FILES: to copy the caller's table only to drop it would
		 * cost what the table holds. The child never gets to use it, so
		 * what __fget_light() relies on holds: the ioctl's borrowed
		 * reference to /dev/avfork, taken while nobody shared the
		 * table, cannot be closed by the one that now does.
		 */
		.flags = CLONE_VM | CLONE_FILES | args->namespaces,
		.exit_signal = args->exit_signal,
		.fn = avfork_birth_complete,
	};
	struct avfork_birth *birth;
	long pid;
	int err;

	err = check_args(args);
	if (err)
		return err;

	if (args->flags & AVFORK_SYNC)
		clone.flags |= CLONE_VFORK;
	if (args->flags & AVFORK_INTO_CGROUP) {
		clone.flags |= CLONE_INTO_CGROUP;
		clone.cgroup = args->cgroup_fd;
	}
	if (args->release) {
		clone.flags |= CLONE_CHILD_CLEARTID;
		clone.child_tid = u64_to_user_ptr(args->release);
	}
	if (args->pidfd) {
		clone.flags |= CLONE_PIDFD;
		clone.pidfd = u64_to_user_ptr(args->pidfd);
	}

	birth = avfork_birth_new(nursery, args);
	if (IS_ERR(birth))
		return PTR_ERR(birth);
	clone.fn_arg = birth;

	/*
	 * Once this has succeeded the birth is the child's. It may fail with
	 * -ERESTARTNOINTR for a pending signal: the whole call is then made
	 * again, by the kernel's own syscall restart.
	 */
	pid = static_call(avfork_kernel_clone)(&clone);
	if (pid < 0)
		avfork_birth_abort(birth);
	return pid;
}

/**
 * avfork_spawn - make a child
 * @nursery: of the open file that it is asked of
 * @args:    how it starts; unchecked
 *
 * Return: the child's pid as the caller's namespace has it, or an errno:
 * check_args()'s, avfork_birth_new()'s or kernel_clone()'s.
 */
long avfork_spawn(struct avfork_nursery *nursery,
		  const struct avfork_args *args)
{
	u64 start = trace_avfork_spawn_enabled() ? local_clock() : 0;
	long pid = make_child(nursery, args);

	/* The call goes on, and nobody is told of this. */
	if (pid == -ERESTARTNOINTR)
		return pid;
	this_cpu_inc(counts[pid < 0 ? AVFORK_FAILED : AVFORK_SPAWNED]);
	/* It may have been turned on meanwhile: then the time is not known. */
	trace_avfork_spawn(args, pid, start ? local_clock() - start : 0);
	return pid;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_SPAWN, once its argument is in the kernel.
 */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>

#include "arch/arch.h"
#include "birth.h"
#include "compat.h"
#include "spawn.h"
#include "symbols.h"
#include "table.h"
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
 * Whether current may have a child that AVFORK_AUTOKILL kills whatever it has
 * exec'd. A child that could gain privileges must not be killed by somebody
 * without: copy_process() wants CLONE_NNP or the capability for
 * CLONE_PIDFD_AUTOKILL. That current has no_new_privs is as good, since the child
 * inherits that.
 */
static bool may_autokill(const struct avfork_args *args)
{
	return args->flags & AVFORK_NNP || task_no_new_privs(current) ||
	       ns_capable(current_user_ns(), CAP_SYS_ADMIN);
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
	if (args->flags & AVFORK_AUTOREAP && args->exit_signal)
		return -EINVAL;
	/* What the caller has is shared, not granted. */
	if (args->flags & AVFORK_SHARE_FDS &&
	    (args->flags & AVFORK_GRANT_FLAGS || args->fds || args->nr_fds))
		return -EINVAL;
	if (!args->entry || !args->stack ||
	    args->stack_size < AVFORK_STACK_MIN ||
	    !IS_ALIGNED(args->stack | args->stack_size, 16) ||
	    !IS_ALIGNED(args->release, sizeof(u32)))
		return -EINVAL;
	if (!avfork_arch_in_user_space(args->entry, 1) ||
	    !avfork_arch_in_user_space(args->stack, args->stack_size) ||
	    !avfork_arch_in_user_space(args->tls, 1) ||
	    !avfork_arch_in_user_space(args->release, sizeof(u32)))
		return -EFAULT;
	if (args->flags & AVFORK_AUTOREAP && !CLONE_AUTOREAP)
		return -EOPNOTSUPP;
	if (args->flags & AVFORK_AUTOKILL && !may_autokill(args))
		return -EPERM;
	return 0;
}

static long make_child(struct avfork_nursery *nursery,
		       const struct avfork_args *args)
{
	struct kernel_clone_args clone = {
		.flags = CLONE_VM | args->namespaces,
		.exit_signal = args->exit_signal,
		.fn = avfork_birth_complete,
	};
	struct avfork_birth *birth;
	long pid;
	int err;

	err = check_args(args);
	if (err)
		return err;

	/* Shared or none: a copy would cost what the caller's table holds. */
	if (args->flags & AVFORK_SHARE_FDS)
		clone.flags |= CLONE_FILES;
	else
		avfork_copy_no_files(&clone);
	if (args->flags & AVFORK_SYNC)
		clone.flags |= CLONE_VFORK;
	if (args->flags & AVFORK_AUTOREAP)
		clone.flags |= CLONE_AUTOREAP;
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

/*
 * The audit of system calls sees an ioctl(2) and does not know that a process was
 * made: this record tells. It joins the records of the call where rules have the
 * call watched, and stands alone where none do (a dummy context: to join that
 * would have the kernel write all the others). The child is 0 if another thread
 * has reaped it meanwhile.
 */
static void audit_child(const struct avfork_args *args, pid_t pid)
{
	struct audit_context *context = audit_dummy_context() ?
					NULL : audit_context();
	pid_t child;

	rcu_read_lock();
	child = pid_nr(find_vpid(pid));
	rcu_read_unlock();
	audit_log(context, GFP_KERNEL, AUDIT_KERNEL_OTHER,
		  "op=avfork pid=%d uid=%u child=%d namespaces=%#llx",
		  task_tgid_nr(current),
		  from_kuid(&init_user_ns, current_uid()), child,
		  args->namespaces);
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
	u64 start = trace_avfork_spawn_enabled() ? ktime_get_ns() : 0;
	long pid = make_child(nursery, args);

	/* The call goes on, and nobody is told of this. */
	if (pid == -ERESTARTNOINTR)
		return pid;
	this_cpu_inc(counts[pid < 0 ? AVFORK_FAILED : AVFORK_SPAWNED]);
	/* It may have been turned on meanwhile: then the time is not known. */
	trace_avfork_spawn(args, pid, start ? ktime_get_ns() - start : 0);
	if (audit_enabled != AUDIT_OFF && pid > 0)
		audit_child(args, pid);
	return pid;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_SPAWN: from struct avfork_args to kernel_clone(). A prepared child is
 * made here as well.
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
#include <linux/uaccess.h>

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

/* The kinds that are made anew for the child. */
static u64 new_namespaces(const struct avfork_args *args)
{
	return args->flags & AVFORK_ISOLATE ? AVFORK_KINDS & ~args->namespaces :
					      args->namespaces;
}

/* What a child inherits, and dies with. */
static int check_inherited(const struct avfork_args *args, u64 flags)
{
	if (args->flags & ~flags ||
	    args->namespaces & ~AVFORK_NAMESPACES || args->reserved)
		return -EINVAL;
	if (!(args->flags & AVFORK_INTO_CGROUP) && args->cgroup_fd)
		return -EINVAL;
	return 0;
}

/* What a child starts with. */
static int check_start(const struct avfork_args *args)
{
	if (!valid_signal(args->exit_signal))
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
	return 0;
}

/* Whether the kernel has it, and current may. */
static int check_allowed(const struct avfork_args *args)
{
	if (args->flags & AVFORK_AUTOREAP && !CLONE_AUTOREAP)
		return -EOPNOTSUPP;
	/* A gap that nobody has asked for is none to be silent about. */
	if (args->flags & AVFORK_ISOLATE &&
	    new_namespaces(args) & ~AVFORK_ISOLATED)
		return -EOPNOTSUPP;
	if (args->flags & AVFORK_AUTOKILL && !may_autokill(args))
		return -EPERM;
	return 0;
}

static int check_spawn(const struct avfork_args *args)
{
	int err = check_inherited(args, AVFORK_FLAGS);

	if (err)
		return err;
	if (args->flags & AVFORK_AUTOREAP && args->exit_signal)
		return -EINVAL;
	/* What the caller has is shared, not granted. */
	if (args->flags & AVFORK_SHARE_FDS &&
	    (args->flags & AVFORK_GRANT_FLAGS || args->fds || args->nr_fds))
		return -EINVAL;
	return check_start(args) ?: check_allowed(args);
}

static int check_prepare(const struct avfork_args *args)
{
	int err = check_inherited(args, AVFORK_PREPARE_FLAGS);

	if (err)
		return err;
	/* What AVFORK_IOC_START takes. */
	if (args->entry || args->arg || args->stack || args->stack_size ||
	    args->tls || args->release || args->pidfd || args->fds ||
	    args->nr_fds || args->exit_signal)
		return -EINVAL;
	return check_allowed(args);
}

/**
 * avfork_args_check_start - check the argument of AVFORK_IOC_START
 * @args: the argument
 *
 * Return: 0, -EINVAL or -EFAULT.
 */
int avfork_args_check_start(const struct avfork_args *args)
{
	if (args->namespaces)
		return -EINVAL;
	return check_inherited(args, AVFORK_START_FLAGS) ?: check_start(args);
}

/**
 * avfork_args_read - copy an argument
 * @args: where to
 * @from: the caller's
 * @size: the size of the caller's
 *
 * Return: 0, -EINVAL for one smaller than its first version, -E2BIG for one that
 * is longer than ours and not zero there, or -EFAULT.
 */
int avfork_args_read(struct avfork_args *args, const void __user *from,
		     size_t size)
{
	BUILD_BUG_ON(sizeof(*args) != AVFORK_ARGS_SIZE_VER0);
	if (size < AVFORK_ARGS_SIZE_VER0)
		return -EINVAL;
	return copy_struct_from_user(args, sizeof(*args), from, size);
}

static long make_child(struct avfork_nursery *nursery,
		       const struct avfork_args *args,
		       struct avfork_prepared *prepared)
{
	struct kernel_clone_args clone = {
		.flags = CLONE_VM | new_namespaces(args),
		.exit_signal = args->exit_signal,
		.fn = avfork_birth_complete,
	};
	struct avfork_birth *birth;
	long pid;
	int err;

	err = prepared ? check_prepare(args) : check_spawn(args);
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
	if (prepared)
		avfork_birth_prepare(birth, prepared);
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
		  new_namespaces(args));
}

/**
 * avfork_spawn - make a child
 * @nursery:  of the open file that it is asked of
 * @args:     how it starts; unchecked
 * @prepared: what it waits with before it starts, or NULL
 *
 * Return: the child's pid as the caller's namespace has it, or an errno:
 * check_spawn()'s or check_prepare()'s, avfork_birth_new()'s or kernel_clone()'s.
 */
long avfork_spawn(struct avfork_nursery *nursery,
		  const struct avfork_args *args,
		  struct avfork_prepared *prepared)
{
	u64 start = trace_avfork_spawn_enabled() ? ktime_get_ns() : 0;
	long pid = make_child(nursery, args, prepared);

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

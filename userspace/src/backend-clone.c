// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The backend that needs nothing but clone(2).
 *
 * The kernel copies the caller's descriptor table, which takes as long as that
 * is large, and pins what is granted. The child then drops from its copies what
 * it was not granted, before its start routine runs (prelude.c).
 *
 * Where /dev/avfork is open but makes no children for this caller (a seccomp
 * filter), a large table is not copied: the child begins in it, and its first
 * system call has the device give it one with what it is granted. The caller
 * waits for that, which takes less than to copy and to close so many.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carrier.h"
#include "clone.h"
#include "device.h"
#include "guard.h"
#include "keeper.h"
#include "namespaces.h"

/* What a copy costs as much as waiting for a child to run. */
#define COPY_AT_MOST 1024

/* Whether the caller may be killed with whoever its child becomes. */
static bool may_autokill(const struct avfork_opts *opts)
{
	struct __user_cap_header_struct self = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (opts->flags & AVFORK_NNP ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return true;
	syscall(SYS_capget, &self, caps);
	return caps[0].effective & 1U << CAP_SYS_ADMIN;
}

/* What the module refuses, too: check_spawn() there. */
int clone_check(const struct avfork_opts *opts)
{
	uintptr_t stack = (uintptr_t)opts->stack;

	/* namespaces_isolate() knows of more. */
	if ((!(opts->flags & AVFORK_ISOLATE) &&
	     opts->namespaces & ~(uint64_t)NAMESPACES) ||
	    (stack && (opts->stack_size < AVFORK_STACK_MIN ||
		       (stack | opts->stack_size) % 16)) ||
	    (opts->flags & AVFORK_SHARE_FDS &&
	     (opts->nr_fds ||
	      opts->flags & (AVFORK_STDIO | AVFORK_INHERIT_FDS)))) {
		errno = EINVAL;
		return -1;
	}
	/* clone3() calls it EINVAL. */
	if (opts->flags & AVFORK_INTO_CGROUP && opts->cgroup_fd < 0) {
		errno = EBADF;
		return -1;
	}
	/* The upper half of the addresses is the kernel's. */
	if (stack && (opts->stack_size > INTPTR_MAX ||
		      stack > INTPTR_MAX - opts->stack_size)) {
		errno = EFAULT;
		return -1;
	}
	if (opts->flags & AVFORK_AUTOKILL && !may_autokill(opts)) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/*
 * The device, where a child with @opts shall leave the caller's table by it, or
 * -1. A child in another cgroup may be long in coming to that.
 */
static int shared_by(const struct avfork_opts *opts)
{
	int fd = atomic_load(&device_common);
	struct avfork_info info = { 0 };

	if (!fd || opts->flags & (AVFORK_INHERIT_FDS | AVFORK_INTO_CGROUP |
				     AVFORK_SHARE_FDS))
		return -1;
	return device_ask(fd, &info) && info.table_size > COPY_AT_MOST ?
	       fd : -1;
}

static pid_t clone_make(const struct child *child, struct carrier *carrier,
			struct prelude *prelude)
{
	int device = shared_by(child->opts);
	/* Neither our exec nor our close() may come before the child is ready. */
	bool waits = carrier->loan.word &&
		     (device >= 0 || child->opts->flags & AVFORK_AUTOKILL);
	pid_t pid;

	if (device >= 0)
		prelude_share(prelude, device);
	if (waits)
		loan_set(&carrier->loan, LOAN_STARTING);
	pid = clone_start(child->opts, SIGCHLD, carrier, prelude, NULL);
	if (pid >= 0 && waits)
		loan_wait_while(&carrier->loan, LOAN_STARTING);
	return pid;
}

static pid_t clone_spawn_kept(struct child *child)
{
	if (child->opts->flags & AVFORK_HIDDEN)
		return guard_spawn(child);
	return carrier_spawn(child, prelude_put_grants, clone_make);
}

static pid_t clone_spawn_checked(struct child *child)
{
	if (child->opts->flags &
	    (AVFORK_AUTOKILL | AVFORK_AUTOREAP | AVFORK_HIDDEN))
		return keeper_spawn(child, clone_spawn_kept, KEEPER_STACK_SIZE);
	return clone_spawn_kept(child);
}

static pid_t spawn_isolated(struct child *child)
{
	const struct avfork_opts *asked = child->opts;
	struct avfork_opts opts = *asked;
	pid_t pid;

	if (namespaces_isolate(&opts))
		return -1;
	child->opts = &opts;
	pid = clone_spawn_checked(child);
	child->opts = asked;
	return pid;
}

static pid_t clone_spawn(struct child *child)
{
	if (clone_check(child->opts))
		return -1;
	if (child->opts->flags & AVFORK_ISOLATE)
		return spawn_isolated(child);
	return clone_spawn_checked(child);
}

const struct backend backend_clone = {
	.name = "clone",
	.available = clone_allowed,
	.spawn = clone_spawn,
};

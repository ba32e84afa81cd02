// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The backend that asks the avfork module.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "backend.h"
#include "carrier.h"
#include "device.h"
#include "keeper.h"
#include "sanitizer.h"

/*
 * The device kills when it is closed. A child that shares the table has it open, too,
 * until the exec, and is to be killed by its maker's end (prelude.c).
 */
static bool keeps_device(const struct avfork_opts *opts)
{
	return opts->flags & AVFORK_AUTOKILL && opts->flags & AVFORK_SHARE_FDS;
}

static pid_t kernel_make(const struct child *child, struct carrier *carrier,
			 struct prelude *prelude)
{
	const struct avfork_opts *opts = child->opts;
	void *stack = opts->stack ? opts->stack : carrier->stack;
	const struct avfork_args args = {
		.flags = (unsigned int)(opts->flags & ~AVFORK_HIDDEN),
		.namespaces = opts->namespaces,
		.entry = (uintptr_t)prelude_run_started,
		.arg = (uintptr_t)prelude,
		.stack = (uintptr_t)stack,
		.stack_size = opts->stack ? opts->stack_size :
					    carrier->stack_size,
		.tls = carrier->thread_pointer,
		.release = (uintptr_t)carrier->loan.word,
		.pidfd = (uintptr_t)opts->pidfd,
		.fds = opts->nr_fds ? (uintptr_t)opts->fds : 0,
		.nr_fds = (uint32_t)opts->nr_fds,
		.exit_signal = opts->flags & (AVFORK_HIDDEN | AVFORK_AUTOREAP) ?
			       0 : SIGCHLD,
		.cgroup_fd = opts->flags & AVFORK_INTO_CGROUP ?
			     opts->cgroup_fd : 0,
	};
	_Atomic int *device = opts->flags & AVFORK_AUTOKILL ? &device_own :
							      &device_common;
	pid_t pid;

	/* More than the kernel's field holds is more than any table. */
	if (opts->nr_fds > UINT32_MAX) {
		errno = EMFILE;
		return -1;
	}
	if (keeps_device(opts)) {
		prelude_ties(prelude);
		if (carrier->loan.word)
			loan_set(&carrier->loan, LOAN_STARTING);
	}
	tsan_before(prelude);
	pid = device_call(device, AVFORK_IOC_SPAWN, &args);
	if (pid >= 0 && carrier->loan.word)
		loan_wait_while(&carrier->loan, LOAN_STARTING);
	return pid;
}

static pid_t kernel_spawn_kept(struct child *child)
{
	return carrier_spawn(child, prelude_put, kernel_make);
}

/* Whether the kernel reaps children of its own accord. */
static bool can_autoreap(void)
{
	int fd = device_get(&device_common);
	struct avfork_info info;

	return fd && device_ask(fd, &info) &&
	       info.flags & AVFORK_AUTOREAP;
}

static pid_t kernel_spawn(struct child *child)
{
	if ((child->opts->flags & AVFORK_AUTOREAP && !can_autoreap()) ||
	    keeps_device(child->opts))
		return keeper_spawn(child, kernel_spawn_kept,
				    KEEPER_STACK_SIZE);
	return kernel_spawn_kept(child);
}

static bool kernel_available(void)
{
	const int no_struct = _IOC(_IOC_WRITE, AVFORK_IOC_MAGIC,
				   _IOC_NR(AVFORK_IOC_SPAWN), 0);
	int fd = device_get(&device_common);

	if (!fd)
		return false;
	/*
	 * Without a struct it is EINVAL, but for callers that the device makes
	 * no children for, and filters that let nobody ask. (Where the number is
	 * another file's by now, its user finds out.)
	 */
	return !ioctl(fd, no_struct) ||
	       errno == EINVAL || errno == EBADF || errno == ENOTTY;
}

const struct backend backend_kernel = {
	.name = "kernel",
	.available = kernel_available,
	.spawn = kernel_spawn,
};

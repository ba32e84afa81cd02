// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Prepared children by the module, where they wait in the kernel. All that user space
 * gives them it gives at the start.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carrier.h"
#include "device.h"
#include "fds.h"
#include "prepared.h"
#include "sanitizer.h"

static int make(struct avfork_prepared *prepared)
{
	const struct avfork_opts *opts = &prepared->opts;
	const struct avfork_args args = {
		.flags = (unsigned int)opts->flags & AVFORK_PREPARE_FLAGS,
		.namespaces = opts->namespaces,
		.cgroup_fd = opts->flags & AVFORK_INTO_CGROUP ?
			     opts->cgroup_fd : 0,
	};
	int fd = device_call(opts->flags & AVFORK_AUTOKILL ? &device_own :
							      &device_common,
			     AVFORK_IOC_PREPARE, &args);

	/* A module that is older than that. */
	if (fd < 0 && errno == ENOTTY)
		errno = ENOSYS;
	prepared->fd = fd_above_stdio(fd);
	return prepared->fd < 0 ? -1 : 0;
}

static pid_t start_on(const struct child *child, struct carrier *carrier,
		      struct prelude *prelude)
{
	const struct avfork_opts *opts = child->opts;
	const struct avfork_args args = {
		.flags = (unsigned int)opts->flags & AVFORK_START_FLAGS,
		.entry = (uintptr_t)prelude_run_started,
		.arg = (uintptr_t)prelude,
		.stack = (uintptr_t)carrier->stack,
		.stack_size = carrier->stack_size,
		.tls = carrier->thread_pointer,
		.release = (uintptr_t)carrier->loan.word,
		.fds = opts->nr_fds ? (uintptr_t)opts->fds : 0,
		.nr_fds = (uint32_t)opts->nr_fds,
		.exit_signal = opts->flags & (AVFORK_HIDDEN | AVFORK_AUTOREAP) ?
			       0 : SIGCHLD,
	};
	pid_t pid;

	if (opts->nr_fds > UINT32_MAX) {
		errno = EMFILE;
		return -1;
	}
	tsan_before(prelude);
	pid = ioctl(child->prepared->fd, AVFORK_IOC_START, &args);
	/* Another file's by now, that knows the number or does not. */
	if (!pid || (pid < 0 && errno == ENOTTY)) {
		errno = ESRCH;
		return -1;
	}
	return pid;
}

static pid_t start(struct avfork_prepared *prepared, struct child *child)
{
	(void)prepared;
	return carrier_spawn(child, prelude_put, start_on);
}

static void close_fd(struct avfork_prepared *prepared)
{
	if (device_has_prepared(prepared->fd))
		syscall(SYS_close, prepared->fd);
}

/* The kernel does it at the close. */
static void end(struct avfork_prepared *prepared)
{
	(void)prepared;
}

const struct prepared_kind prepared_kernel = {
	.make = make,
	.start = start,
	.close = close_fd,
	.end = end,
};

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls that make a child and run a function there.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guard.h"
#include "left.h"
#include "memory.h"
#include "spawn.h"

#define KNOWN_FLAGS (AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP | \
		     AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS | \
		     AVFORK_AUTOKILL | AVFORK_AUTOREAP | AVFORK_NNP | \
		     AVFORK_SHARE_FDS | AVFORK_ISOLATE | AVFORK_HIDDEN)

/* Members are appended, so that nothing lies between them; and never moved. */
_Static_assert(sizeof(void *) != 8 ||
	       (sizeof(struct avfork_opts) == AVFORK_OPTS_SIZE_VER0 &&
		offsetof(struct avfork_opts, before_arg) ==
		AVFORK_OPTS_SIZE_VER0 - sizeof(void *)),
	       "struct avfork_opts has changed");

/* No struct avfork_opts of any version is larger: a size beyond is a mistake. */
#define OPTS_SIZE_MAX 4096

bool kernel_since(int major, int minor)
{
	static atomic_int known;	/* 1000 * major + minor */
	struct utsname system;
	int running[2] = { 0, 0 };

	if (!known) {
		uname(&system);
		sscanf(system.release, "%d.%d", &running[0], &running[1]);
		known = 1000 * running[0] + running[1];
	}
	return known >= 1000 * major + minor;
}

/*
 * Before Linux 5.16 (commit 0258b5fd7c71, "coredump: Limit coredumps to a single
 * thread group") a signal that dumps core killed all that shared the memory, whether
 * or not there was a core to be dumped.
 */
bool crashes_alone(void)
{
	return kernel_since(5, 16);
}

static pid_t spawn_by(const struct backend *backend, struct child *child)
{
	/* The module is for later kernels. */
	if (backend != &backend_kernel && !child->execs && !crashes_alone()) {
		errno = ENOSYS;
		return -1;
	}
	return backend->spawn(child);
}

/*
 * Whether the caller is a guest, in whose parent's memory nothing is to be kept that
 * ends with the guest. To ask costs a system call, 1 % of the cheapest way to make a
 * child: that needs nothing but a carrier, and that is not made for a guest.
 */
static bool is_refused(const struct backend *backend,
		       const struct avfork_opts *opts)
{
	if (backend == &backend_kernel && !(opts->flags & AVFORK_SYNC))
		return is_child();
	return is_guest();
}

pid_t spawn(struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	const struct backend *backend;
	int saved = errno;
	pid_t pid;

	/* What is for an exec alone has been taken out by that. */
	if (!child->start_routine || opts->flags & ~KNOWN_FLAGS ||
	    opts->before_exec) {
		errno = EINVAL;
		return -1;
	}
	if (opts->left)
		return left_spawn(child);
	backend = backend_get();
	if (!backend)
		return -1;
	if (is_refused(backend, opts)) {
		errno = EDEADLK;
		return -1;
	}
	if (opts->flags & AVFORK_INHERIT_SIGNALS)
		signals_mask(NULL, &child->mask);
	do
		pid = spawn_by(backend, child);
	while (pid < 0 && (backend = backend_after(backend)));
	if (pid >= 0)
		errno = saved;
	return pid;
}

void spawn_undo(const struct avfork_opts *opts, pid_t pid)
{
	guard_reap(pid);
	if (opts->pidfd)
		syscall(SYS_close, *opts->pidfd);
	if (opts->left)
		syscall(SYS_close, *opts->left);
}

pid_t avfork(int (*start_routine)(void *), void *arg)
{
	return avforkx(0, start_routine, arg);
}

pid_t avforkx(int flags, int (*start_routine)(void *), void *arg)
{
	struct avfork_opts opts = { .size = sizeof(opts), .flags = flags };
	struct child child = {
		.opts = &opts, .start_routine = start_routine, .arg = arg,
	};

	/* There is no place to say which. */
	if (flags & AVFORK_INTO_CGROUP) {
		errno = EINVAL;
		return -1;
	}
	return spawn(&child);
}

int sized_copy(void *to, size_t size, const void *from, size_t first)
{
	const unsigned char *bytes = from;
	size_t i, given = from ? *(const size_t *)from : 0;
	int error = 0;

	memset(to, 0, size);
	*(size_t *)to = size;
	if (!from)
		return 0;
	if (given < first)
		error = EINVAL;
	else if (given > OPTS_SIZE_MAX)
		error = E2BIG;
	for (i = size; !error && i < given; i++)
		if (bytes[i])
			error = E2BIG;
	if (error) {
		errno = error;
		return -1;
	}
	memcpy(to, from, given < size ? given : size);
	return 0;
}

int opts_copy(struct avfork_opts *to, const struct avfork_opts *from)
{
	/*
	 * By far the most, and not by memcpy(): arm64's uses SVE, of which the first
	 * instruction after a system call traps, for 600 others.
	 */
	if (from && from->size == sizeof(*to)) {
		*to = *from;
		return 0;
	}
	return sized_copy(to, sizeof(*to), from, AVFORK_OPTS_SIZE_VER0);
}

pid_t avfork_with(const struct avfork_opts *opts,
		  int (*start_routine)(void *), void *arg)
{
	struct avfork_opts copy;
	struct child child = {
		.opts = &copy, .start_routine = start_routine, .arg = arg,
	};

	if (opts_copy(&copy, opts))
		return -1;
	return spawn(&child);
}

const char *avfork_backend(void)
{
	const struct backend *backend = backend_get();

	return backend ? backend->name : NULL;
}

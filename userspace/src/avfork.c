// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The public calls: check, borrow a carrier, have the backend make the child.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <avfork.h>

#include "backend.h"
#include "pool.h"

#define KNOWN_FLAGS (AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP | \
		     AVFORK_NOSIGCHLD | AVFORK_WAITPID)

/* No struct avfork_opts of any version is larger: a size beyond is a mistake. */
#define OPTS_SIZE_MAX 4096

/* The child's first function. _exit: the parent's atexit handlers stay there. */
static void child_main(void *arg)
{
	const struct carrier *carrier = arg;

	_exit(carrier->start_routine(carrier->arg));
}

/* @opts is complete and the caller's own: it is changed. */
static pid_t spawn(struct avfork_opts *opts, int (*start_routine)(void *),
		   void *arg)
{
	const struct backend *backend;
	struct carrier *carrier;
	struct child child;
	int saved = errno;
	pid_t pid;

	if (!start_routine || opts->flags & ~KNOWN_FLAGS) {
		errno = EINVAL;
		return -1;
	}
	if (pool_in_child()) {
		errno = EDEADLK;
		return -1;
	}
	backend = backend_get();
	if (!backend)
		return -1;

	if (!opts->stack && opts->stack_size < POOL_STACK_SIZE)
		opts->stack_size = POOL_STACK_SIZE;
	carrier = pool_get(opts->stack ? 0 : opts->stack_size);
	if (!carrier)
		return -1;
	carrier->start_routine = start_routine;
	carrier->arg = arg;
	if (!opts->stack) {
		opts->stack = carrier->stack;
		opts->stack_size = carrier->stack_size;
	}

	child.opts = opts;
	child.entry = child_main;
	child.arg = carrier;
	child.thread_pointer = carrier->thread_pointer;
	child.release = carrier->release;
	pid = backend->spawn(&child);
	if (pid < 0)
		pool_put(carrier);
	else
		errno = saved;
	return pid;
}

pid_t avfork(int (*start_routine)(void *), void *arg)
{
	struct avfork_opts opts = { .size = sizeof(opts) };

	return spawn(&opts, start_routine, arg);
}

pid_t avforkx(int flags, int (*start_routine)(void *), void *arg)
{
	struct avfork_opts opts = { .size = sizeof(opts), .flags = flags };

	if (flags & AVFORK_INTO_CGROUP) {
		errno = EINVAL;
		return -1;
	}
	return spawn(&opts, start_routine, arg);
}

/*
 * The caller's struct may be an older one, whose missing end is zero, or a
 * newer one, whose end must be: copy_struct_from_user()'s rules.
 */
static int copy_opts(struct avfork_opts *to, const struct avfork_opts *from)
{
	const unsigned char *bytes = (const unsigned char *)from;
	size_t i;

	if (from->size < sizeof(*from)) {
		/* There is no older one yet. */
		errno = EINVAL;
		return -1;
	}
	if (from->size > OPTS_SIZE_MAX) {
		errno = E2BIG;
		return -1;
	}
	for (i = sizeof(*from); i < from->size; i++) {
		if (bytes[i]) {
			errno = E2BIG;
			return -1;
		}
	}
	*to = *from;
	for (i = 0; i < sizeof(to->reserved) / sizeof(*to->reserved); i++) {
		if (to->reserved[i]) {
			errno = EINVAL;
			return -1;
		}
	}
	return 0;
}

pid_t avfork_with(const struct avfork_opts *opts,
		  int (*start_routine)(void *), void *arg)
{
	struct avfork_opts copy;

	if (!opts)
		return avfork(start_routine, arg);
	if (copy_opts(&copy, opts))
		return -1;
	return spawn(&copy, start_routine, arg);
}

pid_t avfork_waitpid(pid_t pid, int *status, int options)
{
	return waitpid(pid, status, options | __WALL);
}

const char *avfork_backend(void)
{
	const struct backend *backend = backend_get();

	return backend ? backend->name : NULL;
}

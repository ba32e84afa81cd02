// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls that make a child and run a function there.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "spawn.h"

#define KNOWN_FLAGS (AVFORK_SYNC | AVFORK_STDIO | AVFORK_INTO_CGROUP | \
		     AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS | \
		     AVFORK_AUTOKILL | AVFORK_AUTOREAP | AVFORK_NNP | \
		     AVFORK_HIDDEN)

/* No struct avfork_opts of any version is larger: a size beyond is a mistake. */
#define OPTS_SIZE_MAX 4096

/*
 * Set in the thread-local storage that a child borrows; the threads that lend
 * it make no children. With the pid, for a fork()ed copy of a child has memory
 * of its own and may use the library. initial-exec: no call and no allocation
 * at the first use in a thread.
 */
static _Thread_local pid_t child_pid __attribute__((tls_model("initial-exec")));

void spawn_enter_child(void)
{
	child_pid = getpid();
}

bool spawn_in_child(void)
{
	return child_pid && child_pid == getpid();
}

pid_t spawn(struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	const struct backend *backend;
	int saved = errno;
	pid_t pid;

	if (!child->start_routine || opts->flags & ~KNOWN_FLAGS) {
		errno = EINVAL;
		return -1;
	}
	if (spawn_in_child()) {
		errno = EDEADLK;
		return -1;
	}
	backend = backend_get();
	if (!backend)
		return -1;
	do
		pid = backend->spawn(child);
	while (pid < 0 && (backend = backend_after(backend)));
	if (pid >= 0) {
		child->owned = NULL;
		errno = saved;
	}
	return pid;
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

	/* It is not known which. */
	if (flags & AVFORK_INTO_CGROUP) {
		errno = EINVAL;
		return -1;
	}
	return spawn(&child);
}

/* copy_struct_from_user()'s rules, for what is in our own memory. */
int opts_copy(struct avfork_opts *to, const struct avfork_opts *from)
{
	const unsigned char *bytes = (const unsigned char *)from;
	uint64_t reserved = 0;
	size_t i;

	if (!from) {
		*to = (struct avfork_opts) { .size = sizeof(*to) };
		return 0;
	}
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
	for (i = 0; i < sizeof(to->reserved) / sizeof(*to->reserved); i++)
		reserved |= to->reserved[i];
	if (reserved) {
		errno = EINVAL;
		return -1;
	}
	return 0;
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

pid_t avfork_waitpid(pid_t pid, int *status, int options)
{
	return guard_waitpid(pid, status, options);
}

const char *avfork_backend(void)
{
	const struct backend *backend = backend_get();

	return backend ? backend->name : NULL;
}

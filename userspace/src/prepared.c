// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend.h"
#include "memory.h"
#include "prepared.h"
#include "spawn.h"

#define KNOWN_FLAGS (AVFORK_STDIO | AVFORK_INTO_CGROUP | \
		     AVFORK_INHERIT_SIGNALS | AVFORK_AUTOKILL | \
		     AVFORK_AUTOREAP | AVFORK_NNP | AVFORK_HIDDEN)

/* What belongs to a child's start is not among what it is prepared with. */
static int check_opts(const struct avfork_opts *opts)
{
	if (opts->flags & ~KNOWN_FLAGS || opts->fds || opts->nr_fds ||
	    opts->pidfd || opts->left || opts->stack || opts->before_exec) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static const struct prepared_kind *kind_of(const struct backend *backend)
{
	return backend == &backend_kernel ? &prepared_kernel : &prepared_clone;
}

static int make(struct avfork_prepared *prepared)
{
	const struct backend *backend = backend_get();
	int ret;

	if (!backend)
		return -1;
	if (is_guest()) {
		errno = EDEADLK;
		return -1;
	}
	prepared->maker = getpid();
	if (prepared->opts.flags & AVFORK_INHERIT_SIGNALS)
		signals_mask(NULL, &prepared->mask);
	do {
		prepared->kind = kind_of(backend);
		ret = prepared->kind->make(prepared);
	} while (ret && (backend = backend_after(backend)));
	return ret;
}

struct avfork_prepared *avfork_prepare(const struct avfork_opts *opts)
{
	struct avfork_opts copy;
	struct avfork_prepared *prepared;
	int saved = errno;

	if (opts_copy(&copy, opts) || check_opts(&copy))
		return NULL;
	prepared = malloc(sizeof(*prepared));
	if (!prepared)
		return NULL;
	*prepared = (struct avfork_prepared) { .opts = copy };
	if (make(prepared)) {
		saved = errno;
		free(prepared);
		prepared = NULL;
	}
	errno = saved;
	return prepared;
}

pid_t prepared_start(struct avfork_prepared *prepared,
		     const struct avfork_fd *fds, size_t nr_fds,
		     struct child *child)
{
	struct avfork_opts opts = prepared->opts;
	int saved = errno;
	pid_t pid;

	opts.fds = fds;
	opts.nr_fds = nr_fds;
	child->opts = &opts;
	child->mask = prepared->mask;
	child->prepared = prepared;
	pid = prepared->kind->start(prepared, child);
	if (pid < 0) {
		/* A copy of the maker, or a child in its memory. */
		if (getpid() != prepared->maker)
			errno = EPERM;
		return -1;
	}
	/* Unlike close(), no cancellation point. */
	syscall(SYS_close, prepared->fd);
	free(prepared);
	errno = saved;
	return pid;
}

pid_t avfork_start(struct avfork_prepared *prepared,
		   const struct avfork_fd *fds, size_t nr_fds,
		   int (*start_routine)(void *), void *arg)
{
	struct child child = { .start_routine = start_routine, .arg = arg };

	if (!prepared || !start_routine) {
		errno = EINVAL;
		return -1;
	}
	return prepared_start(prepared, fds, nr_fds, &child);
}

void avfork_discard(struct avfork_prepared *prepared)
{
	int saved = errno;

	if (!prepared)
		return;
	prepared->kind->end(prepared);
	free(prepared);
	errno = saved;
}

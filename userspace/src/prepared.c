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
		     AVFORK_AUTOREAP | AVFORK_NNP | AVFORK_ISOLATE | \
		     AVFORK_HIDDEN)

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

/*
 * Those that were started. To close what is left of one takes half as long as to start
 * one, and the call that starts is the one that is in a hurry. So others do that.
 */
static struct avfork_prepared *_Atomic spent;

static void spent_add(struct avfork_prepared *prepared)
{
	prepared->next = atomic_load(&spent);
	while (!atomic_compare_exchange_weak(&spent, &prepared->next, prepared))
		;
}

/* Nobody takes a part of the list, so nothing of it comes back while one is added. */
static void spent_free(void)
{
	struct avfork_prepared *prepared;

	/* What a guest closes is its own: the descriptors stay open in its parent. */
	if (is_guest())
		return;
	prepared = atomic_exchange(&spent, NULL);
	while (prepared) {
		struct avfork_prepared *next = prepared->next;

		prepared->kind->close(prepared);
		free(prepared);
		prepared = next;
	}
}

struct avfork_prepared *avfork_prepare(const struct avfork_opts *opts)
{
	struct avfork_opts copy;
	struct avfork_prepared *prepared;
	int saved = errno;

	spent_free();
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

/* Neither a copy of the maker nor a child in its memory; both may have its pid. */
static bool is_maker(const struct avfork_prepared *prepared)
{
	return getpid() == prepared->maker && !is_guest();
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
		if (!is_maker(prepared))
			errno = EPERM;
		return -1;
	}
	spent_add(prepared);
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

	spent_free();
	/* The memory that a guest would free is its parent's. */
	if (!prepared || is_guest()) {
		errno = saved;
		return;
	}
	prepared->kind->close(prepared);
	if (is_maker(prepared))
		prepared->kind->end(prepared);
	free(prepared);
	errno = saved;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backend: one way to make a child. Each has a file backend-NAME.c.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <avfork.h>

#include "loan.h"
#include "signals.h"

struct avfork_prepared;

/**
 * struct child - a child to be, as every backend is asked for it
 * @opts:          what the caller chose, complete and checked
 * @start_routine: what the child runs, with @arg
 * @copy:          unless NULL: puts what @arg points to, which is the caller's, in
 *                 @to and returns what is passed instead. Not called with AVFORK_SYNC
 * @copy_size:     bytes that @copy needs
 * @execs:         @start_routine is the library's own: it makes system calls until
 *                 it execs, and so cannot crash, and needs little stack
 * @left:          unless NULL: receives the child's descriptor that opts->left is the
 *                 other end of (left.h)
 * @mask:          the caller's, for AVFORK_INHERIT_SIGNALS; filled in by spawn()
 * @loan:          set by the backend, but for AVFORK_SYNC
 * @pid:           for keeper_spawn()
 * @prepared:      the child itself, if it was prepared
 */
struct child {
	const struct avfork_opts *opts;
	int (*start_routine)(void *arg);
	void *arg;
	void *(*copy)(void *to, void *arg);
	size_t copy_size;
	bool execs;
	int *left;
	kernel_sigset mask;
	struct loan loan;
	pid_t pid;
	struct avfork_prepared *prepared;
};

/**
 * struct backend - a way to make children
 * @name:      as avfork_backend() returns it and AVFORK_BACKEND names it
 * @available: whether it works here and now; if not, errno says why
 * @spawn:     make a child: its pid, or -1 with errno
 */
struct backend {
	const char *name;
	bool (*available)(void);
	pid_t (*spawn)(struct child *child);
};

extern const struct backend backend_kernel;
extern const struct backend backend_clone;
extern const struct backend backend_taskq;

/*
 * The backend of this process: the one that the environment variable
 * AVFORK_BACKEND names, or else the first available. NULL with errno where the
 * named one is not: ENOSYS, EPERM where it refuses the caller, or what it lacks
 * at the moment.
 */
const struct backend *backend_get(void);

/*
 * Whom to ask for a child that @backend has refused with errno, because it is not
 * there for this thread or at this moment: a filter has been put on it, or its
 * descriptor was closed and there is no /dev any more. NULL, and errno as it was,
 * where @backend would make others, or is what AVFORK_BACKEND names.
 */
const struct backend *backend_after(const struct backend *backend);

/* Whether a backend that fails with @error may be available a moment later. */
static inline bool backend_is_short(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* What the library's flags ask of the child's exit signal. */
#define AVFORK_HIDDEN (AVFORK_NOSIGCHLD | AVFORK_WAITPID)

#endif

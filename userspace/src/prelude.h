/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A prelude: what a child finds at the top of its stack and does first. Without the
 * module the child drops what it must not have of its parent's descriptors and
 * signals. The stack ends with the child, so nobody has to free a prelude.
 */
#ifndef PRELUDE_H
#define PRELUDE_H

#include "backend.h"
#include "pool.h"
#include "signals.h"

/**
 * struct prelude - what one child does first
 * @start_routine: what comes then, with @arg
 * @flags:         AVFORK_*
 * @loan:          set to have started when the child can do without its maker, if
 *                 the maker has set it to STARTING; no word: nobody waits
 * @maker:         0, or the process, and @maker_thread its thread, that the child is
 *                 to die with
 * @mask:          the signals that the child blocks
 * @handlers_gone: the kernel has set the signals with handlers to their defaults
 * @ignore_child:  SIGCHLD is to be ignored, as it was before a guardian needed it
 * @device:        the child begins in the caller's descriptor table, and leaves
 *                 that by this descriptor of /dev/avfork; -1: in a table of its own
 * @sources:       the @nr_sources sources of the grants, each once, behind @fds
 * @fds:           the @nr_fds grants, by ascending child_fd
 */
struct prelude {
	int (*start_routine)(void *arg);
	void *arg;
	int flags;
	struct loan loan;
	pid_t maker;
	pid_t maker_thread;
	kernel_sigset mask;
	bool handlers_gone;
	bool ignore_child;
	int device;
	struct avfork_fd *sources;
	uint32_t nr_sources;
	size_t nr_fds;
	struct avfork_fd fds[];
};

/* How much memory @child's prelude needs, a multiple of 16. */
size_t prelude_size(const struct child *child);

/* How much stack @child needs: for what it runs, and the prelude. */
size_t prelude_stack_size(const struct child *child);

typedef struct prelude *prelude_put_fn(struct carrier *carrier,
				       const struct child *child);

/* Put @child's at the top of @carrier's stack, for a child that the module starts. */
prelude_put_fn prelude_put;

/* The same with @child's grants. NULL with the module's errno: EINVAL, EMFILE, EBADF. */
prelude_put_fn prelude_put_grants;

/*
 * Have the child begin in the caller's descriptor table, which need not be copied
 * then, and leave it by @device. Until it has started, the caller's descriptors are
 * what the child is granted.
 */
void prelude_share(struct prelude *prelude, int device);

/* The calling thread makes the child, which is to die with it: AVFORK_AUTOKILL. */
void prelude_ties(struct prelude *prelude);

/* In a child that the module started. */
_Noreturn void prelude_run_started(struct prelude *prelude);

/* In any other child, all signals blocked. */
_Noreturn void prelude_run(struct prelude *prelude);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child's first steps where no module takes them: what it must drop of its
 * copies of its parent's descriptors and signals, it drops itself.
 */
#ifndef START_H
#define START_H

#include "backend.h"

/* The kernel's signal set; libc's own functions leave its own signals out. */
typedef uint64_t kernel_sigset;

/* Block all signals of the calling thread, even those of libc. */
void start_block_signals(kernel_sigset *saved);
void start_restore_signals(const kernel_sigset *saved);

/**
 * struct start - what one child does first
 * @start_routine: then
 * @arg:           passed to it
 * @inherit_fds:   AVFORK_INHERIT_FDS
 * @mask:          the signals that it blocks
 * @ignored:       those that it ignores
 * @nr_fds:        number of grants
 * @fds:           the grants, by ascending child_fd
 */
struct start {
	int (*start_routine)(void *arg);
	void *arg;
	bool inherit_fds;
	kernel_sigset mask;
	kernel_sigset ignored;
	size_t nr_fds;
	struct avfork_fd fds[];
};

/*
 * Prepare @child's. To be freed when it has left our memory. NULL with errno as
 * the module's: EINVAL, EMFILE, EBADF, EFAULT, ENOMEM.
 */
struct start *start_new(const struct child *child);

/* In the child, all signals blocked. */
_Noreturn void start_run(struct start *start);

#endif

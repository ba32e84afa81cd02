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
 * @flags:         AVFORK_INHERIT_FDS, AVFORK_AUTOKILL, AVFORK_NNP
 * @maker:         the pid of the process that makes the child, ...
 * @maker_thread:  ... and the id of its thread: both set when it does, for
 *                 AVFORK_AUTOKILL
 * @mask:          the signals that the child blocks
 * @ignored:       those that it ignores
 * @device:        the child begins in the caller's descriptor table, and leaves
 *                 that by this descriptor of /dev/avfork; -1 for a copy
 * @ready:         set from @ticket + 1 to @ticket when the child does not depend
 *                 on its maker any more, or NULL. A futex
 * @ticket:        see @ready
 * @sources:       of the grants, each once: nr_sources, behind @fds
 * @nr_sources:    their number
 * @nr_fds:        number of grants
 * @fds:           the grants, by ascending child_fd
 */
struct start {
	int (*start_routine)(void *arg);
	void *arg;
	int flags;
	pid_t maker;
	pid_t maker_thread;
	kernel_sigset mask;
	kernel_sigset ignored;
	int device;
	_Atomic uint32_t *ready;
	uint32_t ticket;
	struct avfork_fd *sources;
	uint32_t nr_sources;
	size_t nr_fds;
	struct avfork_fd fds[];
};

/*
 * Prepare @child's. To be freed when it has left our memory. NULL with errno as
 * the module's: EINVAL, EMFILE, EBADF, EFAULT, ENOMEM.
 */
struct start *start_new(const struct child *child);

/*
 * Have the child begin in the caller's descriptor table, which need not be copied
 * then, and leave it by @device. Until it is ready the caller's descriptors are
 * what the child is granted.
 */
void start_share(struct start *start, int device);

/*
 * Have the child say in @word, for which it is given @ticket, when it is ready:
 * whoever makes it waits while @word is @ticket + 1.
 */
void start_tells(struct start *start, _Atomic uint32_t *word, uint32_t ticket);

/* In the child, all signals blocked. */
_Noreturn void start_run(struct start *start);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prepared children: made ahead, started later.
 */
#ifndef PREPARED_H
#define PREPARED_H

#include "loan.h"
#include "signals.h"

struct child;

/**
 * struct avfork_prepared - a child that waits to be started
 * @kind:    how it was made
 * @opts:    what it was prepared with
 * @maker:   the process that did
 * @mask:    that process's, with AVFORK_INHERIT_SIGNALS; else empty
 * @fd:      by which it is started; to close that ends it
 * @inode:   by which @fd is known again, of those that can be taken for another
 * @pid:     its pid, if it is known before the start
 * @loan:    of what it runs on, if that is chosen before the start
 * @next:    another that was started
 */
struct avfork_prepared {
	const struct prepared_kind *kind;
	struct avfork_opts opts;
	pid_t maker;
	kernel_sigset mask;
	int fd;
	ino_t inode;
	pid_t pid;
	struct loan loan;
	struct avfork_prepared *next;
};

/**
 * struct prepared_kind - a way to make and start them
 * @make:  make one as ->opts say: 0, or -1 with errno
 * @start: have it run @child: its pid, or -1 with errno
 * @close: close ->fd, if that is still ours; in copies of the maker, too
 * @end:   have one gone that was not started, after that
 */
struct prepared_kind {
	int (*make)(struct avfork_prepared *prepared);
	pid_t (*start)(struct avfork_prepared *prepared, struct child *child);
	void (*close)(struct avfork_prepared *prepared);
	void (*end)(struct avfork_prepared *prepared);
};

extern const struct prepared_kind prepared_kernel;
extern const struct prepared_kind prepared_clone;

/*
 * avfork_start(), for the start routine of @child with its argument, which is copied
 * as @child says. The rest of @child is filled in here.
 */
pid_t prepared_start(struct avfork_prepared *prepared,
		     const struct avfork_fd *fds, size_t nr_fds,
		     struct child *child);

#endif

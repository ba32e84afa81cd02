/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clone(2) of a process that shares our memory, on a carrier.
 */
#ifndef CLONE_H
#define CLONE_H

#include "pool.h"
#include "start.h"

/*
 * Make a child of the caller that does start_run(@start) on @carrier. It shares
 * the caller's descriptor table if @start has a device to leave that with. Of @opts
 * count what @start has not: flags, namespaces, stack, cgroup, pidfd. Its pid,
 * or -1 with errno, ENOSYS for what this kernel's clone cannot do. The pid is
 * in @pid, too, before the child runs, unless that is NULL or a pidfd is asked
 * for.
 */
pid_t clone_start(const struct avfork_opts *opts, int exit_signal,
		  const struct carrier *carrier, struct start *start,
		  _Atomic pid_t *pid);

#endif

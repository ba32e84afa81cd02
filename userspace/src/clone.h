/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clone(2) of a process that shares our memory.
 */
#ifndef CLONE_H
#define CLONE_H

#include "prelude.h"

/* Whether a child may have @opts. 0, or -1 with the module's errno. */
int clone_check(const struct avfork_opts *opts);

/*
 * Make a child of the caller that does prelude_run(@prelude) on @carrier. The child
 * shares the caller's descriptor table if AVFORK_SHARE_FDS asks for it, or if
 * @prelude has a device to leave the table with. Of @opts count what @prelude has
 * not: flags, namespaces, stack, cgroup, pidfd. The child's pid, or -1 with errno,
 * ENOSYS for what this kernel's clone cannot do. The pid is in @pid, too, before
 * the child runs, unless that is NULL or a pidfd is asked for.
 */
pid_t clone_start(const struct avfork_opts *opts, int exit_signal,
		  const struct carrier *carrier, struct prelude *prelude,
		  _Atomic pid_t *pid);

/* Whether a form of clone(2) is there and no filter forbids it. If not: ENOSYS. */
bool clone_allowed(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a child runs on: a carrier of the pool or, for a call that waits for the
 * child to leave our memory (AVFORK_SYNC), the calling thread itself. That thread
 * does nothing meanwhile, as vfork(2)'s caller, so its child has the thread's own
 * thread pointer, and such a call needs no thread, no lock and no malloc().
 */
#ifndef CARRIER_H
#define CARRIER_H

#include "prelude.h"

/* Starts the child with what is on its stack: the pid, or -1. */
typedef pid_t maker_fn(const struct child *child, struct carrier *carrier,
		       struct prelude *prelude);

/* Make @child by @make, with a prelude by @put. Its pid, or -1 with errno. */
pid_t carrier_spawn(struct child *child, prelude_put_fn *put, maker_fn *make);

/*
 * Make @child by clone(2), without an exit signal, for the library's own use: in
 * @loan, before the child runs, is a loan that is STARTING until the child's start
 * routine says otherwise. @pid: as for clone_start(). The child's pid, or -1.
 */
pid_t carrier_spawn_own(const struct child *child, struct loan *loan,
			_Atomic pid_t *pid);

#endif

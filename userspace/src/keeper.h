/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that need a thread of their parent's for as long as they live.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "backend.h"

#define KEEPER_STACK_SIZE (64 * 1024)	/* where the child runs on another */

/*
 * Make @child by @spawn in a keeper: a new thread of the caller's with @stack_size
 * bytes of stack, which stays until the child has died, and reaps a child with
 * AVFORK_AUTOREAP. @spawn finds a loan in @child that is STARTING, and may replace
 * it. The caller goes on when that changes, for which @spawn has set ->pid, or when
 * @spawn returns. The child's pid, or -1 with errno, @spawn's or EAGAIN.
 */
pid_t keeper_spawn(struct child *child, pid_t (*spawn)(struct child *child),
		   size_t stack_size);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that need a thread of their parent's for as long as they live.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "backend.h"

/*
 * Make @child by @spawn in a keeper: a new thread of the caller's, which stays until
 * the child has died, and reaps a child with AVFORK_AUTOREAP. The child's pid, or
 * -1 with errno, @spawn's or EAGAIN.
 */
pid_t keeper_spawn(struct child *child, pid_t (*spawn)(struct child *child));

#endif

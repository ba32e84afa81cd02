/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that need a thread of their parent's for as long as they live.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "backend.h"

/*
 * Make @child, which has AVFORK_AUTOREAP or AVFORK_AUTOKILL, by @spawn in a
 * keeper: a new thread, which stays until the child has died. Its pid, or -1
 * with errno: EOPNOTSUPP with AVFORK_INHERIT_SIGNALS, as the thread has none of
 * the caller's, or EAGAIN.
 */
pid_t keeper_spawn(struct child *child, pid_t (*spawn)(struct child *child));

#endif

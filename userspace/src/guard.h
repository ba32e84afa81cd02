/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that the program's own wait() does not find, where no module hides them;
 * and waiting, which finds them.
 */
#ifndef GUARD_H
#define GUARD_H

#include "backend.h"

/*
 * Make @child, a child with AVFORK_HIDDEN, as clone(2) can. The calling thread has
 * to stay until the guardian has died: a keeper. The child's pid, or -1.
 */
pid_t guard_spawn(struct child *child);

/* waitpid(2), for such children, too. */
pid_t guard_waitpid(pid_t pid, int *status, int options);

/* Wait until @pid, any child of ours, can be reaped. */
void guard_watch(pid_t pid);

/* Have a child gone that the program is not to know of. No cancellation point. */
void guard_reap(pid_t pid);

/* Kill @pid, any child of ours. */
void guard_kill(pid_t pid);

#endif

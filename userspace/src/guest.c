// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whose memory is this? A word that each fork() wipes holds the owner's pid: a
 * copy finds 0 there, a process that shares the memory finds another's.
 */
#include <unistd.h>

#include "wiped.h"
#include "guest.h"

bool is_guest(void)
{
	static void *_Atomic where;
	_Atomic pid_t *owner = wiped_get(&where, sizeof(*owner));
	pid_t self = getpid(), found = 0;

	if (!owner || atomic_compare_exchange_strong(owner, &found, self))
		return false;
	return found != self;
}

/* As early as we can, when there is no guest yet. */
static void __attribute__((constructor)) claim(void)
{
	is_guest();
}

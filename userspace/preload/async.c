// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../src/spawn.h"
#include "async.h"

/*
 * A session, and other ids, are what the caller may rely on when the call returns;
 * and scheduling is often not allowed. (The process group is set by the caller, too.)
 */
#define SYNCHRONOUS_FLAGS (POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETSID | \
			   POSIX_SPAWN_SETSCHEDPARAM | \
			   POSIX_SPAWN_SETSCHEDULER)

static bool asked_for(void)
{
	static atomic_int known;	/* 1: yes, -1: no */
	const char *value;

	if (!known) {
		value = secure_getenv("AVFORK_PRELOAD");
		known = value && !strcmp(value, "async") ? 1 : -1;
	}
	return known > 0;
}

/*
 * Whether the caller cannot tell when @action is done. A regular file may be removed or
 * written to when the call has returned; and a link may lead through a descriptor that
 * the child has not.
 */
static bool action_may(const struct action *action)
{
	struct stat file;

	switch (action->kind) {
	case ACTION_CLOSE:
	case ACTION_DUP2:
	case ACTION_CLOSEFROM:
		return true;
	case ACTION_OPEN:
		return !lstat(action->path, &file) &&
		       (S_ISCHR(file.st_mode) || S_ISFIFO(file.st_mode));
	case ACTION_CHDIR:
	case ACTION_FCHDIR:
	case ACTION_TCSETPGRP:
		return false;
	}
	__builtin_unreachable();
}

static bool actions_may(const struct actions *actions)
{
	int i;

	for (i = 0; i < actions->used; i++)
		if (!action_may(&actions->list[i]))
			return false;
	return true;
}

/* eaccess(3) would make seven system calls where one does, and mostly none is needed. */
static bool is_program(const char *path)
{
	const mode_t all = S_IXUSR | S_IXGRP | S_IXOTH;
	struct stat file;

	return !stat(path, &file) && S_ISREG(file.st_mode) &&
	       ((file.st_mode & all) == all ||
		!syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS));
}

static bool is_found(const char *file, const char *path)
{
	char name[PATH_MAX];

	if (!path || strchr(file, '/'))
		return is_program(file);
	while (*file && search_next(&path, file, name, sizeof(name)))
		if (is_program(name))
			return true;
	return false;
}

bool async_may(short flags, const struct actions *actions, const char *file,
	       const char *path)
{
	return asked_for() && !(flags & SYNCHRONOUS_FLAGS) &&
	       actions_may(actions) && is_found(file, path);
}

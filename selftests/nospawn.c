// SPDX-License-Identifier: GPL-2.0
/*
 * In place of libc's functions, behind libavfork-preload.so, so that a call
 * that was left to libc shows.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr,
		char *const argv[], char *const envp[])
{
	return ENOTRECOVERABLE;
}

int posix_spawnp(pid_t *pid, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[])
{
	return ENOTRECOVERABLE;
}

/* Since glibc 2.39. */
int pidfd_spawn(int *pidfd, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr,
		char *const argv[], char *const envp[])
{
	return ENOTRECOVERABLE;
}

int pidfd_spawnp(int *pidfd, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[])
{
	return ENOTRECOVERABLE;
}

FILE *popen(const char *command, const char *type)
{
	errno = ENOTRECOVERABLE;
	return NULL;
}

int system(const char *command)
{
	errno = ENOTRECOVERABLE;
	return -1;
}

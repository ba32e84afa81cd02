// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sanitizer.h"
#include "search.h"

/* The system call: the functions of that name may be another library's. */
static void exec_bare(const char *path, char *const argv[], char *const envp[])
{
	tsan_before(&tsan_child_ends);
	syscall(SYS_execve, path, argv, envp);
}

void search_exec(const char *file, const char *path, char *const argv[],
		 char *const envp[])
{
	size_t file_size = strlen(file) + 1;
	char name[PATH_MAX + NAME_MAX + 1];
	bool denied = false;

	if (!path || !*file || strchr(file, '/')) {
		exec_bare(file, argv, envp);
		return;
	}
	errno = ENAMETOOLONG;
	if (file_size > NAME_MAX + 1)
		return;
	errno = ENOENT;
	for (;;) {
		size_t length = strcspn(path, ":");

		if (length < PATH_MAX) {
			char *end = mempcpy(name, path, length);

			/* An empty one is the working directory. */
			if (length)
				*end++ = '/';
			memcpy(end, file, file_size);
			exec_bare(name, argv, envp);
			switch (errno) {
			case EACCES:
				denied = true;
				break;
			case ENOENT:
			case ENOTDIR:
			case ENODEV:
			case ESTALE:
			case ETIMEDOUT:
				break;
			default:
				return;
			}
		}
		if (!path[length])
			break;
		path += length + 1;
	}
	if (denied)
		errno = EACCES;
}

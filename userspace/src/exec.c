// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "left.h"
#include "prepared.h"
#include "sanitizer.h"
#include "spawn.h"
#include "strings.h"

/* The system call: the functions of that name may be another library's. */
static void exec_bare(const char *path, char *const argv[], char *const envp[])
{
	tsan_before(&tsan_child_ends);
	syscall(SYS_execve, path, argv, envp);
}

/* The longest of the directories in @path that may be one. */
static size_t longest(const char *path)
{
	size_t length, most = 0;

	for (;; path += length + 1) {
		length = strcspn(path, ":");
		if (length > most && length < PATH_MAX)
			most = length;
		if (!path[length])
			return most;
	}
}

bool search_next(const char **path, const char *file, char *name, size_t size)
{
	size_t file_size = strlen(file) + 1;
	const char *directory;

	while ((directory = *path)) {
		size_t length = strcspn(directory, ":");
		char *end;

		*path = directory[length] ? directory + length + 1 : NULL;
		if (length + 1 + file_size > size)
			continue;
		end = mempcpy(name, directory, length);
		/* An empty one is the working directory. */
		if (length)
			*end++ = '/';
		memcpy(end, file, file_size);
		return true;
	}
	return false;
}

/* On a stack that may be the caller's, and a small one. */
static void search_along(const char *file, const char *path, char *const argv[],
			 char *const envp[])
{
	char name[longest(path) + 1 + strlen(file) + 1];
	bool denied = false;

	errno = ENOENT;
	while (search_next(&path, file, name, sizeof(name))) {
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
	if (denied)
		errno = EACCES;
}

void search_exec(const char *file, const char *path, char *const argv[],
		 char *const envp[])
{
	if (!path || !*file || strchr(file, '/'))
		exec_bare(file, argv, envp);
	else if (strlen(file) > NAME_MAX)
		errno = ENAMETOOLONG;
	else
		search_along(file, path, argv, envp);
}

/**
 * struct exec - an exec to be
 * @names:    what to exec and, unless it is a path, the directories to look for it in
 * @argv:     its arguments
 * @envp:     its environment, or NULL for none, as after clearenv(3)
 * @before:   unless NULL: what the program wants done first, with @before_arg
 * @defaults: signals to handle by default
 * @left:     tells why there is no exec
 * @error:    receives that, too; NULL if nobody waits for it
 */
struct exec {
	char *const *names;
	char *const *argv;
	char *const *envp;
	int (*before)(void *arg);
	void *before_arg;
	kernel_sigset defaults;
	struct left_end left;
	int *error;
};

static void *exec_copy(void *to, void *arg)
{
	const struct exec *from = arg;
	struct exec *exec = to;
	char *next = (char *)(exec + 1);

	*exec = *from;
	exec->names = strings_copy(&next, from->names);
	exec->argv = strings_copy(&next, from->argv);
	exec->envp = strings_copy(&next, from->envp);
	return exec;
}

/* 0, or why there is to be no exec. */
static int run_before(const struct exec *exec)
{
	int error;

	errno = 0;
	error = exec->before(exec->before_arg);
	if (error < 0)
		error = errno ? errno : ECANCELED;
	return error;
}

static TSAN_UNSEEN int exec_child(void *arg)
{
	struct exec *exec = arg;
	int error = 0;

	signals_reset(exec->defaults);
	if (exec->before) {
		left_know(&exec->left);
		error = run_before(exec);
	}
	if (!error) {
		search_exec(exec->names[0], exec->names[1], exec->argv,
			    exec->envp);
		error = errno;
	}
	left_tell(&exec->left, error);
	if (exec->error)
		*exec->error = error;
	return EXIT_NO_EXEC;
}

static pid_t exec_with(const struct avfork_opts *opts, char *const names[],
		       char *const argv[], char *const envp[],
		       kernel_sigset defaults)
{
	struct exec exec = {
		.names = names, .argv = argv, .envp = envp,
		.before = opts->before_exec, .before_arg = opts->before_arg,
		.defaults = defaults, .left.fd = -1,
	};
	struct avfork_opts of_spawn = *opts;
	struct child child = {
		.opts = &of_spawn, .start_routine = exec_child, .arg = &exec,
		.execs = !exec.before, .copy = exec_copy, .left = &exec.left.fd,
	};
	int error = 0;
	pid_t pid;

	of_spawn.before_exec = NULL;

	/* Our stack is there for as long as somebody waits. */
	if (opts->flags & AVFORK_SYNC)
		exec.error = &error;
	else
		child.copy_size = sizeof(exec) + strings_size(names) +
				  strings_size(argv) + strings_size(envp);
	pid = spawn(&child);
	if (pid < 0 || !error)
		return pid;

	spawn_undo(opts, pid);
	errno = error;
	return -1;
}

static char *search_path(void)
{
	char *path = getenv("PATH");

	return path ? path : SEARCH_DEFAULT;
}

pid_t exec_search(const struct avfork_opts *opts, char *const argv[])
{
	char *const names[] = { argv[0], search_path(), NULL };

	return exec_with(opts, names, argv, environ, 0);
}

pid_t exec_shell(const struct avfork_opts *opts, const char *command,
		 kernel_sigset defaults)
{
	char *const argv[] = SHELL_ARGV(command);
	char *const names[] = { SHELL, NULL };

	return exec_with(opts, names, argv, environ, defaults);
}

pid_t avfork_exec(const struct avfork_opts *opts, const char *path,
		  char *const argv[], char *const envp[])
{
	char *names[] = { (char *)path, NULL, NULL };
	struct avfork_opts copy;

	if (!path || !argv) {
		errno = EINVAL;
		return -1;
	}
	if (opts_copy(&copy, opts))
		return -1;
	if (copy.flags & AVFORK_SEARCH_PATH)
		names[1] = search_path();
	copy.flags &= ~AVFORK_SEARCH_PATH;
	return exec_with(&copy, names, argv, envp ? envp : environ, 0);
}

pid_t avfork_start_exec(struct avfork_prepared *prepared,
			const struct avfork_fd *fds, size_t nr_fds,
			const char *path, char *const argv[],
			char *const envp[])
{
	char *const names[] = { (char *)path, NULL };
	struct exec exec = {
		.names = names, .argv = argv, .envp = envp ? envp : environ,
		.left.fd = -1,
	};
	struct child child = {
		.start_routine = exec_child, .arg = &exec, .copy = exec_copy,
		.execs = true,
	};

	if (!prepared || !path || !argv) {
		errno = EINVAL;
		return -1;
	}
	child.copy_size = sizeof(exec) + strings_size(names) +
			  strings_size(argv) + strings_size(exec.envp);
	return prepared_start(prepared, fds, nr_fds, &child);
}

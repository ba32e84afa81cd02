// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "guard.h"
#include "search.h"
#include "spawn.h"

#define EXIT_NO_EXEC	127

/**
 * struct exec - an exec to be, all in one block of memory
 * @path:   what to exec
 * @argv:   its arguments
 * @envp:   its environment
 * @search: the directories to look for @path in, or NULL
 * @error:  receives errno; NULL if nobody waits for it
 */
struct exec {
	char *path;
	char **argv;
	char **envp;
	char *search;
	int *error;
};

static size_t count(char *const strings[])
{
	size_t n = 0;

	while (strings[n])
		n++;
	return n;
}

static size_t size_of(char *const strings[])
{
	size_t size = 0;

	while (*strings)
		size += strlen(*strings++) + 1;
	return size;
}

/* Copy @string to *@to, which moves on. */
static char *copy(char **to, const char *string)
{
	char *start = *to;

	*to = stpcpy(*to, string) + 1;
	return start;
}

static void copy_all(char **pointers, char *const strings[], char **to)
{
	while (*strings)
		*pointers++ = copy(to, *strings++);
	*pointers = NULL;
}

static struct exec *exec_new(const char *path, const char *search,
			     char *const argv[], char *const envp[])
{
	size_t argc = count(argv) + 1, envc = count(envp) + 1;
	struct exec *exec;
	char *strings;

	exec = calloc(1, sizeof(*exec) + (argc + envc) * sizeof(char *) +
			 size_of(argv) + size_of(envp) + strlen(path) + 1 +
			 (search ? strlen(search) + 1 : 0));
	if (!exec)
		return NULL;
	exec->argv = (char **)(exec + 1);
	exec->envp = exec->argv + argc;
	strings = (char *)(exec->envp + envc);
	copy_all(exec->argv, argv, &strings);
	copy_all(exec->envp, envp, &strings);
	exec->path = copy(&strings, path);
	if (search)
		exec->search = copy(&strings, search);
	return exec;
}

static int exec_child(void *arg)
{
	const struct exec *exec = arg;

	if (exec->search)
		search_exec(exec->path, exec->search, exec->argv, exec->envp);
	else
		execve(exec->path, exec->argv, exec->envp);
	if (exec->error)
		*exec->error = errno;
	return EXIT_NO_EXEC;
}

pid_t exec_spawn(const struct avfork_opts *opts, const char *path, bool search,
		 char *const argv[], char *const envp[])
{
	struct child child = { .opts = opts, .start_routine = exec_child };
	const char *dirs = NULL;
	struct exec *exec;
	int error = 0;
	pid_t pid;

	if (search) {
		dirs = getenv("PATH");
		if (!dirs)
			dirs = SEARCH_DEFAULT;
	}
	exec = exec_new(path, dirs, argv, envp);
	if (!exec)
		return -1;
	/* Our stack is there for as long as somebody waits. */
	if (opts->flags & AVFORK_SYNC)
		exec->error = &error;
	child.arg = exec;
	child.owned = exec;
	pid = spawn(&child);
	free(child.owned);
	if (pid < 0 || !error)
		return pid;

	guard_reap(pid);
	if (opts->pidfd)
		close(*opts->pidfd);
	errno = error;
	return -1;
}

pid_t exec_shell(const struct avfork_opts *opts, const char *command)
{
	/* "--": a command may begin with a dash. */
	char *const argv[] = { "sh", "-c", "--", (char *)command, NULL };

	return exec_spawn(opts, SHELL, false, argv, environ);
}

pid_t avfork_exec(const struct avfork_opts *opts, const char *path,
		  char *const argv[], char *const envp[])
{
	struct avfork_opts copy;

	if (!path || !argv) {
		errno = EINVAL;
		return -1;
	}
	if (opts_copy(&copy, opts))
		return -1;
	return exec_spawn(&copy, path, false, argv, envp ? envp : environ);
}

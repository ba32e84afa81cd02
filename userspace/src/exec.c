// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard.h"
#include "spawn.h"

#include "exec.h"

#define DEFAULT_PATH	"/bin:/usr/bin"
#define EXIT_NO_EXEC	127

/**
 * struct exec - an exec to be, all in one block of memory
 * @path:      what to exec
 * @argv:      its arguments
 * @envp:      its environment
 * @search:    the directories to look for @path in, or NULL
 * @candidate: room for @path in one of them
 * @error:     receives errno; NULL if nobody waits for it
 */
struct exec {
	char *path;
	char **argv;
	char **envp;
	char *search;
	char *candidate;
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
	size_t candidate = search ? strlen(search) + strlen(path) + 2 : 0;
	struct exec *exec;
	char *strings;

	exec = calloc(1, sizeof(*exec) + (argc + envc) * sizeof(char *) +
			 size_of(argv) + size_of(envp) + strlen(path) + 1 +
			 2 * candidate);
	if (!exec)
		return NULL;
	exec->argv = (char **)(exec + 1);
	exec->envp = exec->argv + argc;
	strings = (char *)(exec->envp + envc);
	copy_all(exec->argv, argv, &strings);
	copy_all(exec->envp, envp, &strings);
	exec->path = copy(&strings, path);
	if (search) {
		exec->search = copy(&strings, search);
		exec->candidate = strings;
	}
	return exec;
}

/* Try every directory. errno as execvp(3)'s; without its shell for ENOEXEC. */
static void exec_search(const struct exec *exec)
{
	const char *dir = exec->search;
	int error = ENOENT;

	for (;;) {
		size_t length = strcspn(dir, ":");
		char *end = mempcpy(exec->candidate, dir, length);

		/* An empty one is the working directory. */
		if (length)
			*end++ = '/';
		strcpy(end, exec->path);
		execve(exec->candidate, exec->argv, exec->envp);
		if (errno == EACCES)
			error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR &&
			 errno != ESTALE && errno != ENODEV &&
			 errno != ETIMEDOUT)
			return;
		if (!dir[length])
			break;
		dir += length + 1;
	}
	errno = error;
}

static int exec_child(void *arg)
{
	const struct exec *exec = arg;

	if (exec->search)
		exec_search(exec);
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

	if (search && *path && !strchr(path, '/')) {
		dirs = getenv("PATH");
		if (!dirs)
			dirs = DEFAULT_PATH;
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

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "guard.h"
#include "sanitizer.h"
#include "search.h"
#include "spawn.h"

#define EXIT_NO_EXEC	127

/**
 * struct exec - an exec to be
 * @path:     what to exec
 * @argv:     its arguments
 * @envp:     its environment, or NULL for none, as after clearenv(3)
 * @search:   the directories to look for @path in, or NULL
 * @defaults: signals to handle by default
 * @error:    receives errno; NULL if nobody waits for it
 */
struct exec {
	const char *path;
	char *const *argv;
	char *const *envp;
	const char *search;
	kernel_sigset defaults;
	int *error;
};

static size_t count(char *const strings[])
{
	size_t n = 0;

	while (strings && strings[n])
		n++;
	return n;
}

static size_t size_of(char *const strings[])
{
	size_t size = 0;

	while (strings && *strings)
		size += strlen(*strings++) + 1;
	return size;
}

/* Bytes of a copy of @exec and all that it points to. */
static size_t exec_size(const struct exec *exec)
{
	return sizeof(*exec) +
	       (count(exec->argv) + count(exec->envp) + 2) * sizeof(char *) +
	       size_of(exec->argv) + size_of(exec->envp) +
	       strlen(exec->path) + 1 +
	       (exec->search ? strlen(exec->search) + 1 : 0);
}

/* Copy @string to *@to, which moves on. */
static char *copy_string(char **to, const char *string)
{
	char *start = *to;

	*to = stpcpy(*to, string) + 1;
	return start;
}

/* Copy @strings to *@to, with their pointers at *@pointers, which moves on. */
static char *const *copy_strings(char ***pointers, char *const strings[],
				 char **to)
{
	char **start = *pointers;

	while (strings && *strings)
		*(*pointers)++ = copy_string(to, *strings++);
	*(*pointers)++ = NULL;
	return start;
}

static void *exec_copy(void *to, void *arg)
{
	const struct exec *from = arg;
	struct exec *exec = to;
	char **pointers = (char **)(exec + 1);
	char *strings = (char *)(pointers + count(from->argv) +
				 count(from->envp) + 2);

	*exec = *from;
	exec->argv = copy_strings(&pointers, from->argv, &strings);
	exec->envp = copy_strings(&pointers, from->envp, &strings);
	exec->path = copy_string(&strings, from->path);
	if (from->search)
		exec->search = copy_string(&strings, from->search);
	return exec;
}

static TSAN_UNSEEN int exec_child(void *arg)
{
	const struct exec *exec = arg;

	signals_reset(exec->defaults);
	search_exec(exec->path, exec->search, exec->argv, exec->envp);
	if (exec->error)
		*exec->error = errno;
	return EXIT_NO_EXEC;
}

static pid_t exec_with(const struct avfork_opts *opts, const char *path,
		       bool search, char *const argv[], char *const envp[],
		       kernel_sigset defaults)
{
	struct exec exec = {
		.path = path, .argv = argv, .envp = envp,
		.defaults = defaults,
	};
	struct child child = {
		.opts = opts, .start_routine = exec_child, .arg = &exec,
		.execs = true, .copy = exec_copy,
	};
	int cancel, error = 0;
	pid_t pid;

	if (search) {
		exec.search = getenv("PATH");
		if (!exec.search)
			exec.search = SEARCH_DEFAULT;
	}
	/* Our stack is there for as long as somebody waits. */
	if (opts->flags & AVFORK_SYNC)
		exec.error = &error;
	else
		child.copy_size = exec_size(&exec);
	pid = spawn(&child);
	if (pid < 0 || !error)
		return pid;

	/* With what a cancelled thread would leave behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	guard_reap(pid);
	if (opts->pidfd)
		close(*opts->pidfd);
	pthread_setcancelstate(cancel, NULL);
	errno = error;
	return -1;
}

pid_t exec_spawn(const struct avfork_opts *opts, const char *path, bool search,
		 char *const argv[], char *const envp[])
{
	return exec_with(opts, path, search, argv, envp, 0);
}

pid_t exec_shell(const struct avfork_opts *opts, const char *command,
		 kernel_sigset defaults)
{
	/* "--": a command may begin with a dash. */
	char *const argv[] = { "sh", "-c", "--", (char *)command, NULL };

	return exec_with(opts, SHELL, false, argv, environ, defaults);
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

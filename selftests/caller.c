// SPDX-License-Identifier: GPL-2.0
/*
 * A caller of libavfork in each language that its header is for: built as
 * C99, C11 and C++17, pedantically, and statically linked; and with much
 * thread-local storage. The header comes first, so that it must bring all that it
 * needs.
 */
#include <avfork.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static int failed;

#ifdef THREAD_LOCAL
static __thread char storage[THREAD_LOCAL];

/* The storage is the child's, or the caller's that waits: all of it, and zero. */
static int storage_is_bad(void)
{
	size_t i;

	for (i = 0; i < sizeof(storage); i += 1024)
		if (storage[i]++)
			return 1;
	for (i = 0; i < sizeof(storage); i += 1024)
		storage[i] = 0;
	return 0;
}
#else
static int storage_is_bad(void)
{
	return 0;
}
#endif

static int add_one(void *arg)
{
	return storage_is_bad() ? 100 : ++*(int *)arg;
}

static void check(const char *what, pid_t pid, int wanted, int value)
{
	int status = -1;

	if (pid > 0 && avfork_waitpid(pid, &status, 0) == pid &&
	    WIFEXITED(status) && WEXITSTATUS(status) == wanted &&
	    value == wanted) {
		printf("ok %d %s\n", wanted, what);
		return;
	}
	printf("not ok %d %s\n", wanted, what);
	failed = 1;
}

int main(void)
{
	struct avfork_opts opts = AVFORK_OPTS_INIT;
	int value = 0;
	pid_t pid;

	printf("TAP version 13\n1..6\n");
	pid = avfork(add_one, &value);
	check("avfork", pid, 1, 1);
	pid = avforkx(AVFORK_SYNC, add_one, &value);
	check("avforkx", pid, 2, value);
	opts.flags = AVFORK_STDIO;
	pid = avfork_with(&opts, add_one, &value);
	check("avfork_with", pid, 3, 3);
	pid = avfork_with(NULL, add_one, &value);
	check("avfork_with, and a backend", pid, 4, avfork_backend() ? 4 : 0);
	pid = avforkx(AVFORK_WAITPID, add_one, &value);
	check("avforkx, hidden", pid, 5, 5);
	value = avfork_system("exit 5") / 256;
	pid = avfork(add_one, &value);
	check("avfork_system", pid, 6, 6);
	return failed;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Spawns echo ten times, and once what does not exist. Built as a program that
 * has no dynamic linker, as one that gets another user's privileges, and as a
 * library that is loaded late.
 */
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

int main(void)
{
	char number[16];
	char *argv[] = { "echo", "child", number, NULL };
	char *envp[] = { NULL };
	int i, error, status;
	pid_t pid;

	for (i = 0; i < 10; i++) {
		snprintf(number, sizeof(number), "%d", i);
		error = posix_spawn(&pid, "/bin/echo", NULL, NULL, argv, envp);
		if (error || waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	error = posix_spawn(&pid, "/absent", NULL, NULL, argv, envp);
	printf("%s\n", strerror(error));
	return fflush(stdout) != 0;
}

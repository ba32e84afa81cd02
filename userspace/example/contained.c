// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs a build in a container that can write one directory:
 *
 *	./contained DIRECTORY make -j 4
 *
 * In there the directory is /build. The system's programs can be read; there is no
 * network, no other process and no other file, and whatever kinds of namespaces the
 * kernel gets in later years are the build's own. Exits as the build does.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <avfork.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define MAX_BINDS 8

static const char *const readable[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives",
};

static int run(void *arg)
{
	char *const environment[] = {
		"PATH=/usr/bin:/bin", "HOME=/build", "TMPDIR=/build", NULL,
	};
	char **argv = arg;

	if (chdir("/build"))
		return 126;
	execvpe(argv[0], argv, environment);
	dprintf(STDERR_FILENO, "%s: no such program in the container\n", argv[0]);
	return 127;
}

static pid_t start(const char *directory, char **argv)
{
	struct avfork_bind binds[MAX_BINDS] = {
		{ directory, "/build", AVFORK_WRITABLE },
	};
	struct avfork_container container = {
		.size = sizeof(container), .binds = binds, .nr_binds = 1,
		.hostname = "build",
	};
	/* The container dies with us. */
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_STDIO | AVFORK_AUTOKILL,
	};
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(readable) / sizeof(*readable); i++) {
		if (!access(readable[i], F_OK))
			binds[container.nr_binds++] = (struct avfork_bind){
				readable[i], readable[i], 0,
			};
	}
	pid = avfork_container(&opts, &container, run, argv);
	/* Before Linux 6.3 its clock cannot be its own, and we have to say so. */
	if (pid < 0 && errno == EOPNOTSUPP) {
		container.shared = CLONE_NEWTIME;
		pid = avfork_container(&opts, &container, run, argv);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	if (argc < 3)
		errx(2, "usage: contained DIRECTORY COMMAND [ARGUMENT...]");
	pid = start(argv[1], argv + 2);
	if (pid < 0)
		err(2, "container");
	while (avfork_waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err(2, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

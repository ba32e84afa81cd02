// SPDX-License-Identifier: GPL-2.0
/*
 * What only some versions of glibc have.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

/* Which programs have that were linked long ago. */
static void case_old_version(void)
{
	__typeof__(posix_spawn) *spawn =
		dlvsym(RTLD_DEFAULT, "posix_spawn", "GLIBC_2.2.5");
	char *argv[] = { "script", NULL };
	pid_t pid = -1;
	int error;

	if (!spawn)
		skip("no older posix_spawn()");
	make_dir();
	make_file("script", 0755, "echo run by a shell");
	fflush(stdout);
	error = spawn(&pid, "./script", &actions, NULL, argv, environ);
	finish(error, pid);
}

/* By a handle, as a library that looks for what the system has. */
static void case_looked_up(void)
{
	__typeof__(posix_spawn) *spawn = dlsym(RTLD_DEFAULT, "posix_spawn");
	char *argv[] = { "spawner", "descriptors", NULL };
	pid_t pid;

	DUP2(1, 5);
	CHECK(!spawn(&pid, self, &actions, &attr, argv, environ));
	finish(0, pid);
}

/* By pidfd_spawn() or pidfd_spawnp(), of glibc 2.39. */
static void spawn_pidfd(const char *function, const char *file)
{
	__typeof__(posix_spawn) *spawn = dlsym(RTLD_DEFAULT, function);
	char *argv[] = { "spawner", "descriptors", NULL };
	unsigned int fds;
	siginfo_t info;
	int pidfd, error;

	if (!spawn)
		skip("no pidfd_spawn()");
	fflush(stdout);
	error = spawn(&pidfd, file, &actions, &attr, argv, environ);
	if (error == ENOSYS)
		skip("no pidfd_spawn() for want of a backend");
	CHECK(!error);
	CHECK(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	CHECK(!waitid(3 /* P_PIDFD */, pidfd, &info, WEXITED));
	printf("status %d\n", info.si_status);
	close(pidfd);

	fds = count("/proc/self/fd");
	pidfd = -1;
	CHECK(spawn(&pidfd, "/absent", &actions, &attr, argv, environ) ==
	      ENOENT);
	CHECK(spawn(&pidfd, "/", &actions, &attr, argv, environ) == EACCES);
	CHECK(pidfd == -1);
	CHECK(count("/proc/self/fd") == fds);
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void case_pidfd(void)
{
	char *name = strrchr(self, '/');

	DUP2(1, 5);
	spawn_pidfd("pidfd_spawn", self);
	*name = '\0';
	setenv("PATH", self, true);
	spawn_pidfd("pidfd_spawnp", name + 1);
}

/* With a number for the pidfd and none for another descriptor. */
static void case_pidfd_last_number(void)
{
	const struct rlimit limit = { .rlim_cur = 32, .rlim_max = 32 };
	int fd;

	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	for (fd = 3; fd < 31; fd++)
		CHECK(dup2(0, fd) == fd);
	FLAGS(0);
	CLOSEFROM(3);
	spawn_pidfd("pidfd_spawn", self);
}

#ifndef POSIX_SPAWN_SETCGROUP
#define POSIX_SPAWN_SETCGROUP 0x100
#endif

/* Of glibc 2.39, too. */
static void set_cgroup(int fd)
{
	int (*set)(posix_spawnattr_t *attr, int cgroup) =
		dlsym(RTLD_DEFAULT, "posix_spawnattr_setcgroup_np");

	if (!set)
		skip("no posix_spawnattr_setcgroup_np()");
	CHECK(!set(&attr, fd));
}

static void case_cgroup(void)
{
	const char *path = "/sys/fs/cgroup/spawner";
	int fd;

	/* Skips, if it does, before there is something to remove. */
	set_cgroup(-1);
	if (access("/sys/fs/cgroup/cgroup.procs", W_OK) ||
	    (mkdir(path, 0755) && errno != EEXIST))
		skip("no cgroup2 where we may have one of our own");
	fd = open(path, O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	set_cgroup(fd);
	RUN(NULL, &attr, "cgroup");
	FLAGS(POSIX_SPAWN_SETCGROUP);
	RUN(NULL, &attr, "cgroup", "descriptors");
	/* With another attribute, and file actions. */
	FLAGS(POSIX_SPAWN_SETCGROUP | POSIX_SPAWN_SETSID);
	DUP2(1, 5);
	RUN(&actions, &attr, "cgroup", "session", "descriptors");
	CHECK(!close(fd));
	/* The kernel may let go of it a little after we were told. */
	while (rmdir(path))
		CHECK(errno == EBUSY);
}

static void case_cgroup_of_closed(void)
{
	set_cgroup(99);
	FLAGS(POSIX_SPAWN_SETCGROUP);
	RUN(NULL, &attr, "cgroup");
}

const struct spawner_case glibc_cases[] = {
	CASE(looked_up),
	CASE(old_version),
	CASE(pidfd),
	CASE(pidfd_last_number),
	CASE(cgroup),
	CASE(cgroup_of_closed),
	{ NULL, NULL },
};

// SPDX-License-Identifier: GPL-2.0
/*
 * The program that is executed, and actions that are not added, too many, or of
 * another library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"

static void case_exec(void)
{
	char *environment[] = { "ONE=1", NULL };
	char *none[] = { NULL };

	spawn_file(self, false, environment);
	spawn_file(self, true, environment);
	spawn_file(self, false, none);
	spawn_file(self, false, NULL);
	/* A descriptor that is close-on-exec still names a program. */
	put_open(20, self, O_RDONLY | O_CLOEXEC);
	spawn_file("/proc/self/fd/20", false, environment);
	spawn_file("/dev/fd/20", true, environment);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
}

static void case_exec_errors(void)
{
	char long_name[NAME_MAX + 2];
	char *none[] = { NULL };

	make_dir();
	make_file("data", 0644, "data");
	make_file("script", 0755, "echo run by a shell");
	make_file("orphan", 0755, "#!/absent/interpreter\n");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[NAME_MAX + 1] = '\0';

	spawn_file("", false, none);
	spawn_file("./absent", false, none);
	spawn_file("./data", false, none);
	spawn_file("./data/file", false, none);
	spawn_file("./script", false, none);
	spawn_file("./orphan", false, none);
	spawn_file(long_name, false, none);
	spawn_file("/tmp", false, none);
}

static void case_path(void)
{
	char long_name[NAME_MAX + 2];
	char *none[] = { NULL };

	make_dir();
	CHECK(!mkdir("a", 0755) && !mkdir("b", 0755) && !mkdir("c", 0755));
	make_file("a/program", 0644, "not executable");
	CHECK(!symlink(self, "b/program"));
	make_file("b/script", 0755, "echo run by a shell");
	make_file("c/script", 0755, "echo run by a shell");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[NAME_MAX + 1] = '\0';

	setenv("PATH", "absent:a/program:a:b:c", true);
	spawn_file("program", true, none);
	spawn_file("script", true, none);
	spawn_file("absent", true, none);
	spawn_file("", true, none);
	spawn_file(long_name, true, none);
	setenv("PATH", "absent:a:c", true);
	spawn_file("program", true, none);
	spawn_file("b/program", true, none);
	spawn_file("./script", true, none);
	/* Looked for where the child is. An empty name is that directory. */
	CHDIR("b");
	spawn_file("program", true, none);
	setenv("PATH", "/absent:", true);
	spawn_file("program", true, none);
	setenv("PATH", "", true);
	spawn_file("program", true, none);
	setenv("PATH", "/absent", true);
	spawn_file("program", true, none);
	unsetenv("PATH");
	spawn_file("program", true, none);
	spawn_file("true", true, none);
}

/* Adding actions */

static void case_bad_descriptors(void)
{
	const int bad[] = { -1, INT_MIN, INT_MAX, sysconf(_SC_OPEN_MAX) };
	posix_spawn_file_actions_t *a = &actions;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int fd = bad[i];

		CHECK(posix_spawn_file_actions_addclose(a, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addopen(a, fd, "/", 0, 0) ==
		      EBADF);
		CHECK(posix_spawn_file_actions_adddup2(a, fd, 0) == EBADF);
		CHECK(posix_spawn_file_actions_adddup2(a, 0, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addclosefrom_np(a, fd) == EBADF);
		CHECK(posix_spawn_file_actions_addtcsetpgrp_np(a, fd) == EBADF);
	}
	RUN(&actions, NULL, "none was added");
}

static void case_many_actions(void)
{
	int i;

	put(20, "twenty", O_CLOEXEC);
	for (i = 0; i < 900; i++) {
		DUP2(20, 30 + i);
		OPEN(30 + i, "/dev/null", O_RDONLY, 0);
		CLOSE(30 + i);
	}
	DUP2(20, 21);
	RUN(&actions, NULL, "descriptors", "21");
	RUN(&actions, NULL, "descriptors", "21");
}

/* More close-on-exec descriptors than are looked after. */
static void case_many_descriptors(void)
{
	int i;

	for (i = 0; i < 200; i++) {
		put(50 + i, "some", O_CLOEXEC);
		DUP2(50 + i, 5);
	}
	RUN(&actions, NULL, "descriptors", "5");
}

/* Whoever finds libc's function there can be given the object. */
static void case_libcs_object(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	__typeof__(posix_spawn) *spawn = dlsym(libc, "posix_spawn");
	char *argv[] = { "spawner", "descriptors", "5", "directory", NULL };
	pid_t pid;

	CHECK(spawn);
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	DUP2(20, 5);
	OPEN(6, "/dev/null", O_RDONLY, 0);
	CLOSE(21);
	CHDIR("/usr");
	fflush(stdout);
	CHECK(!spawn(&pid, self, &actions, NULL, argv, environ));
	finish(0, pid);
}

/* What libc's function has initialised, found there and not by its name. */
static void case_foreign_actions(void)
{
	__typeof__(posix_spawn_file_actions_init) *init;
	__typeof__(posix_spawn_file_actions_adddup2) *adddup2;
	void *libc = dlopen("libc.so.6", RTLD_NOW);

	CHECK(libc);
	init = dlsym(libc, "posix_spawn_file_actions_init");
	adddup2 = dlsym(libc, "posix_spawn_file_actions_adddup2");
	CHECK(init && adddup2);
	CHECK(!posix_spawn_file_actions_destroy(&actions));

	put(20, "twenty", O_CLOEXEC);
	CHECK(!init(&actions));
	CHECK(!adddup2(&actions, 20, 5));
	DUP2(20, 6);
	OPEN(7, "/dev/null", O_RDONLY, 0);
	CLOSE(7);
	CHDIR("/");
	RUN(&actions, NULL, "descriptors", "5", "6");
	/* One that was put to zero is as if initialised, in libc. */
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	memset(&actions, 0, sizeof(actions));
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors", "5");
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawn_file_actions_init(&actions));
}

const struct spawner_case program_cases[] = {
	CASE(exec),
	CASE(exec_errors),
	CASE(path),
	CASE(bad_descriptors),
	CASE(many_actions),
	CASE(many_descriptors),
	CASE(libcs_object),
	CASE(foreign_actions),
	{ NULL, NULL },
};

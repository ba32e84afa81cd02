// SPDX-License-Identifier: GPL-2.0
/*
 * A program that knows nothing of avfork, for preload.c.
 *
 * spawner case CASE   play that one: spawn, and print what came of it
 * spawner ITEM...     the child: print what one has, see report()
 *
 * The cases are in cases/, by subject.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases/cases.h"

char self[PATH_MAX];

void check(bool right, const char *what, int line)
{
	if (right)
		return;
	printf("line %d: %s (errno %s)\n", line, what, strerrorname_np(errno));
	exit(1);
}

void skip(const char *why)
{
	printf("%s", why);
	exit(SKIPPED);
}

/* A file at descriptor @number that holds @text. */
void put(int number, const char *text, int flags)
{
	int fd = memfd_create(text, 0);

	CHECK(fd >= 0 && number > fd);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(dup3(fd, number, flags) == number);
	CHECK(!close(fd));
}

void put_open(int number, const char *path, int flags)
{
	int fd = open(path, flags);

	CHECK(fd >= 0 && number > fd);
	CHECK(dup3(fd, number, flags & O_CLOEXEC) == number);
	CHECK(!close(fd));
}

void print_error(const char *what, int error)
{
	printf("%s: %s\n", what, error ? strerrorname_np(error) : "0");
}

/* What became of a call that returned @error and, perhaps, @pid. */
void finish(int error, pid_t pid)
{
	int status;

	if (error) {
		print_error("error", error);
		CHECK(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
		return;
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		printf("status %x\n", status);
}

void run(const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[])
{
	pid_t pid = -1;
	int error;

	fflush(stdout);
	error = posix_spawn(&pid, self, actions, attr, argv, environ);
	finish(error, pid);
}

posix_spawn_file_actions_t actions;
posix_spawnattr_t attr;

/* Begin anew in the middle of a case. */
void renew(void)
{
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawnattr_destroy(&attr));
	CHECK(!posix_spawnattr_init(&attr));
}

char dir[] = "/tmp/spawner.XXXXXX";

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		perror(command);
}

/* Enter a new directory, which is gone at exit. */
void make_dir(void)
{
	CHECK(mkdtemp(dir));
	atexit(remove_dir);
	CHECK(!chmod(dir, 0755) && !chdir(dir));
}

void make_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(!close(fd));
}

void on_signal(int sig)
{
}

void fill(sigset_t *set, int one, int other)
{
	sigemptyset(set);
	if (one)
		sigaddset(set, one);
	if (other)
		sigaddset(set, other);
}

void spawn_file(const char *file, bool search, char *const envp[])
{
	char *argv[] = { "spawner", "environment", NULL };
	pid_t pid = -1;
	int error;

	fflush(stdout);
	error = search ?
		posix_spawnp(&pid, file, &actions, NULL, argv, envp) :
		posix_spawn(&pid, file, &actions, NULL, argv, envp);
	finish(error, pid);
}

unsigned int count(const char *path)
{
	unsigned int entries = 0;
	DIR *folder = opendir(path);

	while (readdir(folder))
		entries++;
	closedir(folder);
	return entries;
}

/* Whoever has started us. */
static void forget_the_past(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	closefrom(3);
	CHECK(!chdir("/") && !setenv("PATH", "/bin:/usr/bin", true));
}

static const struct spawner_case *find(const char *name)
{
	static const struct spawner_case *const subjects[] = {
		descriptors_cases, attributes_cases, program_cases,
		caller_cases, command_cases, glibc_cases,
	};
	const struct spawner_case *found;
	size_t i;

	for (i = 0; i < sizeof(subjects) / sizeof(*subjects); i++)
		for (found = subjects[i]; found->name; found++)
			if (!strcmp(name, found->name))
				return found;
	printf("no case %s\n", name);
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "case"))
		return report(argc, argv);

	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	forget_the_past();
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawnattr_init(&attr));
	find(argv[2])->play();
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	CHECK(!posix_spawnattr_destroy(&attr));
	return 0;
}

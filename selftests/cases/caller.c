// SPDX-License-Identifier: GPL-2.0
/*
 * What the caller of a spawning function notices of that, and what is left behind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

static void case_nothing_left(void)
{
	unsigned int fds;
	int i;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	RUN(&actions, NULL, "first");
	fds = count("/proc/self/fd");
	for (i = 0; i < 100; i++) {
		char *none[] = { NULL };
		pid_t pid = 1234;

		CHECK(posix_spawn(&pid, "/absent", &actions, NULL, none,
				  none) == ENOENT);
		CHECK(pid == 1234);
		CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	}
	CHECK(count("/proc/self/fd") == fds);
	RUN(&actions, NULL, "last");
}

static void case_errno_is_kept(void)
{
	char *none[] = { NULL };
	pid_t pid;

	errno = ENOTNAM;
	CHECK(!posix_spawn(&pid, "/bin/true", NULL, NULL, none, none));
	print_error("errno", errno);
	finish(0, pid);
}

static void case_errno_after_error(void)
{
	char *none[] = { NULL };
	pid_t pid;

	errno = ENOTNAM;
	CHECK(posix_spawn(&pid, "/", NULL, NULL, none, none) == EACCES);
	CHECK(posix_spawn(&pid, "/absent", NULL, NULL, none, none) == ENOENT);
	print_error("errno", errno);
}

/* What the library behind ours has counted, or 0 if there is none. */
static unsigned int counted(const char *name)
{
	const unsigned int *counter = dlsym(RTLD_DEFAULT, name);

	return counter ? *counter : 0;
}

/* No library that stands in for libc's functions has seen the child. */
static void case_unseen(void)
{
	unsigned int before;
	sigset_t set;

	make_dir();
	put(20, "twenty", O_CLOEXEC);
	put(21, "twenty-one", 0);
	put_open(22, "/usr", O_RDONLY | O_CLOEXEC);
	signal(SIGINT, SIG_IGN);
	DUP2(20, 5);
	DUP2(21, 21);
	OPEN(6, "/dev/null", O_RDONLY, 0);
	CHDIR("/");
	FCHDIR(22);
	CLOSE(20);
	CLOSEFROM(30);
	fill(&set, SIGINT, SIGUSR1);
	CHECK(!posix_spawnattr_setsigdefault(&attr, &set));
	FLAGS(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
	      POSIX_SPAWN_SETSID);
	before = counted("nospawn_seen");
	RUN(&actions, &attr, "descriptors");
	spawn_file("true", true, environ);
	spawn_file("/absent", false, environ);
	printf("seen %u\n", counted("nospawn_seen") - before);
}

/* A signal handler may have interrupted malloc(). */
static void case_no_malloc(void)
{
	char *argv[] = { "true", NULL };
	unsigned int before;
	pid_t first, second;
	int error;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	CHECK(!posix_spawnattr_setpgroup(&attr, 0));
	FLAGS(POSIX_SPAWN_SETPGROUP);
	before = counted("nospawn_mallocs");
	CHECK(!posix_spawn(&first, "/bin/true", &actions, &attr, argv, environ));
	CHECK(!posix_spawnp(&second, "true", &actions, NULL, argv, environ));
	error = posix_spawnp(NULL, "absent", &actions, NULL, argv, environ);
	printf("mallocs %u\n", counted("nospawn_mallocs") - before);
	finish(0, first);
	finish(0, second);
	finish(error, 0);
}

/* No thread is made, for libc or the kernel to know of. */
static void case_single_threaded(void)
{
	RUN(NULL, NULL, "it ran");
	printf("single %d\n", __libc_single_threaded);
	printf("threads %u\n", count("/proc/self/task") - 2);
}

/* An ordinary user's process, which may have one more. */
static volatile pid_t handled;
static volatile sig_atomic_t unknown;

static void look_for_pid(int signal)
{
	unknown += !handled;
}

/* As a shell's list of jobs: what has ended is what has been made. */
static void case_handler_knows_pid(void)
{
	char *argv[] = { "true", NULL };
	cpu_set_t cpus;
	int i;

	/* On one CPU the child is often gone when the call returns. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	signal(SIGCHLD, look_for_pid);
	for (i = 0; i < 300; i++) {
		handled = 0;
		CHECK(!posix_spawnp((pid_t *)&handled, "true", NULL, NULL, argv,
				    environ));
		while (waitpid(handled, NULL, 0) < 0)
			CHECK(errno == EINTR);
	}
	printf("unknown: %d\n", unknown);
}

/* A process that opens the other end of "fifo" when @told is, or after five seconds. */
static pid_t fork_opener(int told)
{
	struct pollfd poll_told = { .fd = told, .events = POLLIN };
	pid_t pid = fork();
	int ready;

	if (pid)
		return pid;
	ready = poll(&poll_told, 1, 5000);
	if (open("fifo", O_WRONLY) < 0)
		_exit(2);
	_exit(ready ? 0 : 1);
}

/* The child's first step takes until then: who returns before does not wait for it. */
static void case_returns_before_exec(void)
{
	char *argv[] = { "true", NULL };
	int status, wire[2];
	pid_t pid, opener;

	make_dir();
	CHECK(!mkfifo("fifo", 0600) && !pipe2(wire, O_CLOEXEC));
	opener = fork_opener(wire[0]);
	OPEN(0, "fifo", O_RDONLY, 0);
	FLAGS(POSIX_SPAWN_SETPGROUP);
	CHECK(!posix_spawnp(&pid, "true", &actions, &attr, argv, environ));
	CHECK(getpgid(pid) == pid);
	/* What the child still needs are copies. */
	argv[0] = (char *)1;
	renew();
	CHECK(write(wire[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK(waitpid(opener, &status, 0) == opener);
	printf("%s the exec\n", status ? "after" : "before");

	/* A child that fails exits; what can be seen before is an error. */
	DUP2(77, 5);
	spawn_file(self, false, environ);
	renew();
	/* A file may be gone when the child looks for it, so the call waits. */
	OPEN(0, "absent", O_RDONLY, 0);
	spawn_file(self, false, environ);
	renew();
	spawn_file("absent", true, environ);
	spawn_file("/etc/passwd", false, environ);
	spawn_file("/etc", false, environ);
}

static void case_one_more_process(void)
{
	const struct rlimit limit = { .rlim_cur = 2, .rlim_max = 2 };

	if (geteuid())
		skip("needs root");
	CHECK(!setrlimit(RLIMIT_NPROC, &limit));
	CHECK(!setgid(23456) && !setuid(23456));
	spawn_file("true", true, environ);
	spawn_file("true", true, environ);
	printf("two ran\n");
}

static void *spawn_on_little(void *unused)
{
	DUP2(20, 5);
	spawn_file("true", true, environ);
	spawn_file("absent", true, environ);
	return NULL;
}

static void case_small_stack(void)
{
	pthread_attr_t small;
	pthread_t thread;

	put(20, "twenty", O_CLOEXEC);
	CHECK(!pthread_attr_init(&small));
	CHECK(!pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN));
	CHECK(!pthread_create(&thread, &small, spawn_on_little, NULL));
	CHECK(!pthread_join(thread, NULL));
}

static void case_sigchld_ignored(void)
{
	char *none[] = { NULL };

	signal(SIGCHLD, SIG_IGN);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
	signal(SIGCHLD, on_signal);
	finish(posix_spawn(NULL, "/absent", NULL, NULL, none, none), 0);
}

static void *spawn_cancelled(void *unused)
{
	char *argv[] = { "true", NULL };
	pid_t pid;

	pthread_cancel(pthread_self());
	CHECK(!posix_spawnp(&pid, "true", NULL, NULL, argv, environ));
	pthread_testcancel();
	return NULL;
}

/* The call has its way: nothing is lost. What comes after it is cancelled. */
static void case_cancellation(void)
{
	pthread_t thread;
	void *result;
	int status;

	CHECK(!pthread_create(&thread, NULL, spawn_cancelled, NULL));
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK(wait(&status) > 0);
	printf("status %x\n", status);
}

#define THREADS	8
#define SPAWNS	30

static void *spawn_often(void *number)
{
	posix_spawn_file_actions_t own;
	char expected[16], got[16];
	int i, ends[2], status;

	snprintf(expected, sizeof(expected), "%ld", (long)number);
	for (i = 0; i < SPAWNS; i++) {
		char *argv[] = { "echo", "-n", expected, NULL };
		bool absent = i % 3 == 2;
		ssize_t size;
		pid_t pid;
		int error;

		CHECK(!pipe2(ends, O_CLOEXEC));
		CHECK(!posix_spawn_file_actions_init(&own));
		CHECK(!posix_spawn_file_actions_adddup2(&own, ends[1], 1));
		error = posix_spawnp(&pid, absent ? "absent" : "echo", &own,
				     NULL, argv, environ);
		CHECK(error == (absent ? ENOENT : 0));
		CHECK(!posix_spawn_file_actions_destroy(&own));
		close(ends[1]);
		size = read(ends[0], got, sizeof(got));
		close(ends[0]);
		if (absent) {
			CHECK(!size);
			continue;
		}
		CHECK(size == (ssize_t)strlen(expected));
		CHECK(!memcmp(got, expected, size));
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t threads[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, spawn_often,
				      (void *)i));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	printf("all spawned\n");
}

/* With actions from before it. */
static void case_after_fork(void)
{
	int status;
	pid_t pid;

	put(20, "twenty", O_CLOEXEC);
	DUP2(20, 5);
	RUN(&actions, NULL, "descriptors", "5");
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		RUN(&actions, NULL, "descriptors", "5");
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

/* Who may do nothing here, but does, is no concern of avfork's. */
static void spawn_in_vfork(void)
{
	char *argv[] = { "true", NULL };
	int status;
	pid_t pid;

	pid = vfork();
	if (!pid) {
		pid_t grandchild;
		int error = posix_spawnp(&grandchild, "true", NULL, NULL, argv,
					 environ);

		if (!error && waitpid(grandchild, &status, 0) != grandchild)
			error = errno;
		_exit(error);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	print_error("in the child", WEXITSTATUS(status));
	RUN(NULL, NULL, "after");
}

static void case_in_vfork(void)
{
	RUN(NULL, NULL, "before");
	spawn_in_vfork();
}

/* A copy whose first to spawn is a guest of its. */
static void case_in_vfork_of_copy(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		spawn_in_vfork();
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

const struct spawner_case caller_cases[] = {
	CASE(nothing_left),
	CASE(errno_is_kept),
	CASE(errno_after_error),
	CASE(unseen),
	CASE(no_malloc),
	CASE(single_threaded),
	CASE(handler_knows_pid),
	CASE(returns_before_exec),
	CASE(one_more_process),
	CASE(small_stack),
	CASE(sigchld_ignored),
	CASE(cancellation),
	CASE(threads),
	CASE(after_fork),
	CASE(in_vfork),
	CASE(in_vfork_of_copy),
	{ NULL, NULL },
};

// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_exec() and what surrounds an exec: a function before it (before_exec), a
 * descriptor that tells of it (left), the search for it, and pipes to the program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"

#define SH	"/bin/sh"
#define TRUE	"/bin/true"
#define NOWHERE	"/nonexistent/program"

static char *const argv_true[] = { "true", NULL };

/* What a child waits for, and what it has seen. */
static struct shared {
	sem_t go;
	sem_t there;
	_Atomic pid_t pid;
	atomic_int error;
	atomic_uint nr_fds;
} shared;

FIXTURE(exec)
{
	struct avfork_opts opts;
	unsigned int nr_fds;
	int left;
};

FIXTURE_SETUP(exec)
{
	self->opts = (struct avfork_opts)AVFORK_OPTS_INIT;
	self->left = -1;
	self->opts.left = &self->left;
	sem_init(&shared.go, 0, 0);
	sem_init(&shared.there, 0, 0);
	atomic_store(&shared.pid, 0);
	/* The library opens what it keeps. */
	ASSERT_EQ(3, reap(avfork(return_arg, (void *)3)));
	self->nr_fds = count_fds();
}

FIXTURE_TEARDOWN(exec)
{
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	EXPECT_EQ(self->nr_fds, count_fds());
}

/* Whether @left is readable within @timeout ms. */
static int readable(int left, int timeout)
{
	struct pollfd poll_left = { .fd = left, .events = POLLIN };

	return poll(&poll_left, 1, timeout);
}

/* What is left in @left, which is closed: exec's errno, 0, or -1. */
static int end_of(int left)
{
	int error = 0, more;
	ssize_t size = read(left, &error, sizeof(error));

	if (size && (size != sizeof(error) || read(left, &more, 1)))
		error = -1;
	close(left);
	return error;
}

static int fail(void *arg)
{
	errno = EXDEV;
	return (int)(long)arg;
}

static int note(void *arg)
{
	atomic_store(&shared.pid, getpid());
	atomic_store(&shared.nr_fds, count_fds());
	return 0;
}

static int wait_there(void *arg)
{
	sem_post(&shared.there);
	return wait_for(&shared.go);
}

static int crash(void *arg)
{
	*(volatile int *)arg = 0;
	return 0;
}

static int leave_by_exit(void *arg)
{
	_exit(5);
}

static int close_all(void *arg)
{
	close_range(0, ~0U, 0);
	return wait_there(NULL);
}

/* before_exec */

static int move_grant(void *arg)
{
	sigset_t mask;
	struct sigaction action;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGUSR1, NULL, &action);
	atomic_store(&shared.error, !sigisemptyset(&mask) ||
				    action.sa_handler != SIG_DFL);
	return dup2(9, 1) == 1 && !strcmp(arg, "value") ? 0 : errno;
}

TEST_F(exec, before_has_what_is_granted)
{
	char *const argv[] = { "sh", "-c", "echo $0; echo >&9 || exit 4", NULL };
	char line[16] = "";
	int wire[2];
	struct avfork_fd fd = { .child_fd = 9 };

	ASSERT_EQ(0, pipe2(wire, O_CLOEXEC));
	fd.parent_fd = wire[1];
	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	self->opts.before_exec = move_grant;
	self->opts.before_arg = "value";
	signal(SIGUSR1, SIG_IGN);
	atomic_store(&shared.error, -1);
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, SH, argv, NULL)));
	ASSERT_EQ(0, atomic_load(&shared.error));
	ASSERT_EQ(4, read(wire[0], line, sizeof(line)));
	ASSERT_STREQ("sh\n\n", line);
	close(wire[0]);
	close(wire[1]);
	ASSERT_EQ(0, end_of(self->left));
}

/* In another process than ours, with the one descriptor that is the library's. */
TEST_F(exec, before_runs_in_the_child)
{
	pid_t pid;

	self->opts.before_exec = note;
	pid = avfork_exec(&self->opts, TRUE, argv_true, NULL);
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_EQ(pid, atomic_load(&shared.pid));
	ASSERT_EQ(0, reap(pid));
	/* There is no /proc/self/fd to be read without a descriptor. */
	ASSERT_EQ(1, atomic_load(&shared.nr_fds));

	self->opts.left = NULL;
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, TRUE, argv_true, NULL)));
	ASSERT_EQ(0, atomic_load(&shared.nr_fds));
}

TEST_F(exec, before_fails)
{
	const struct {
		int returned;
		int error;
	} cases[] = { { -1, EXDEV }, { ENXIO, ENXIO }, { -7, EXDEV } };
	size_t i;

	self->opts.before_exec = fail;
	for (i = 0; i < 3; i++) {
		self->opts.before_arg = (void *)(long)cases[i].returned;
		self->opts.flags = 0;
		ASSERT_EQ(127, reap(avfork_exec(&self->opts, TRUE, argv_true,
						NULL)));
		ASSERT_EQ(cases[i].error, end_of(self->left));
		self->opts.flags = AVFORK_SYNC;
		ASSERT_FAILS(cases[i].error,
			     avfork_exec(&self->opts, TRUE, argv_true, NULL));
	}
	/* The control. */
	self->opts.before_arg = NULL;
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, TRUE, argv_true, NULL)));
	ASSERT_EQ(0, end_of(self->left));
}

static int return_negative(void *arg)
{
	return -1;
}

TEST_F(exec, before_fails_without_errno)
{
	self->opts.before_exec = return_negative;
	self->opts.flags = AVFORK_SYNC;
	errno = EXDEV;
	ASSERT_FAILS(ECANCELED, avfork_exec(&self->opts, TRUE, argv_true, NULL));
}

TEST_F(exec, before_crashes)
{
	const struct rlimit none = { 0, 0 };
	int flags[] = { 0, AVFORK_SYNC };
	size_t i;

	setrlimit(RLIMIT_CORE, &none);
	for (i = 0; i < 2; i++) {
		self->opts.flags = flags[i];
		self->opts.before_exec = crash;
		ASSERT_EQ(-SIGSEGV, reap(avfork_exec(&self->opts, TRUE, argv_true,
						     NULL)));
		ASSERT_EQ(0, end_of(self->left));
		self->opts.before_exec = leave_by_exit;
		ASSERT_EQ(5, reap(avfork_exec(&self->opts, TRUE, argv_true,
					      NULL)));
		ASSERT_EQ(0, end_of(self->left));
	}
}

TEST_F(exec, before_does_not_return)
{
	pid_t pid;

	self->opts.before_exec = wait_there;
	pid = avfork_exec(&self->opts, TRUE, argv_true, NULL);
	sem_wait(&shared.there);
	ASSERT_EQ(0, readable(self->left, 0));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(1, readable(self->left, -1));
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_EQ(-SIGKILL, reap(pid));
}

static int close_grant(void *arg)
{
	return close(9);
}

TEST_F(exec, before_closes_a_grant)
{
	char *const argv[] = { "sh", "-c", "echo >&9", NULL };
	struct avfork_fd fd = { .parent_fd = 2, .child_fd = 9 };

	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	self->opts.before_exec = close_grant;
	ASSERT_EQ(2, reap(avfork_exec(&self->opts, SH, argv, NULL)));
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_LE(0, fcntl(2, F_GETFD));
	/* The second time there is none to be closed. */
	self->opts.nr_fds = 0;
	ASSERT_EQ(127, reap(avfork_exec(&self->opts, SH, argv, NULL)));
	ASSERT_EQ(EBADF, end_of(self->left));
}

static void jump(jmp_buf there)
{
	longjmp(there, ENXIO);
}

static int jump_inside(void *arg)
{
	jmp_buf there;
	int error = setjmp(there);

	if (!error)
		jump(there);
	return error;
}

/* Not out of the function, which would be to the caller's stack. */
TEST_F(exec, before_jumps)
{
	self->opts.before_exec = jump_inside;
	ASSERT_EQ(127, reap(avfork_exec(&self->opts, TRUE, argv_true, NULL)));
	ASSERT_EQ(ENXIO, end_of(self->left));
}

/* Whoever closes the end has left, for all that anybody is told. */
TEST_F(exec, before_closes_all)
{
	pid_t pid;

	self->opts.before_exec = close_all;
	pid = avfork_exec(&self->opts, NOWHERE, argv_true, NULL);
	sem_wait(&shared.there);
	ASSERT_EQ(0, end_of(self->left));
	sem_post(&shared.go);
	ASSERT_EQ(127, reap(pid));
}

/* All numbers that the end may have lead to @arg, a file. */
static int put_everywhere(void *arg)
{
	int fd, file = open(arg, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (file < 0)
		return errno;
	for (fd = 3; fd < 100; fd++)
		if (fd != file && dup2(file, fd) < 0)
			return errno;
	return 0;
}

TEST_F(exec, before_puts_another_file_there)
{
	char path[] = "/tmp/avfork-exec.XXXXXX";
	struct stat stat_path;

	close(mkstemp(path));
	self->opts.before_exec = put_everywhere;
	self->opts.before_arg = path;
	ASSERT_EQ(127, reap(avfork_exec(&self->opts, NOWHERE, argv_true, NULL)));
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_EQ(0, stat(path, &stat_path));
	ASSERT_EQ(0, stat_path.st_size);
	unlink(path);
}

TEST_F(exec, before_and_search_are_for_an_exec)
{
	self->opts.before_exec = note;
	ASSERT_FAILS(EINVAL, avfork_with(&self->opts, return_arg, NULL));
	self->opts.before_exec = NULL;
	self->opts.flags = AVFORK_SEARCH_PATH;
	ASSERT_FAILS(EINVAL, avfork_with(&self->opts, return_arg, NULL));
	ASSERT_FAILS(EINVAL, avforkx(AVFORK_SEARCH_PATH, return_arg, NULL));
	ASSERT_EQ(-1, self->left);
}

/* left */

TEST_F(exec, left_until_exec)
{
	char *const argv[] = { "sh", "-c", "read line", NULL };
	int wire[2];
	struct avfork_fd fd = { .child_fd = 0 };
	pid_t pid;

	ASSERT_EQ(0, pipe2(wire, O_CLOEXEC));
	fd.parent_fd = wire[0];
	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	self->opts.before_exec = wait_there;
	pid = avfork_exec(&self->opts, SH, argv, NULL);
	sem_wait(&shared.there);
	ASSERT_EQ(0, readable(self->left, 0));
	ASSERT_EQ(FD_CLOEXEC, fcntl(self->left, F_GETFD));
	sem_post(&shared.go);
	ASSERT_EQ(1, readable(self->left, -1));
	ASSERT_EQ(0, end_of(self->left));
	/* The program has nothing of it. */
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(1, write(wire[1], "\n", 1));
	ASSERT_EQ(0, reap(pid));
	close(wire[0]);
	close(wire[1]);
}

TEST_F(exec, left_has_execs_errno)
{
	pid_t pid = avfork_exec(&self->opts, NOWHERE, argv_true, NULL);

	ASSERT_EQ(1, readable(self->left, -1));
	ASSERT_EQ(ENOENT, end_of(self->left));
	ASSERT_EQ(127, reap(pid));
	pid = avfork_exec(&self->opts, "/etc/passwd", argv_true, NULL);
	ASSERT_EQ(EACCES, end_of(self->left));
	ASSERT_EQ(127, reap(pid));

	/* A call that fails has no descriptor to give. */
	self->left = -2;
	self->opts.flags = AVFORK_SYNC;
	ASSERT_FAILS(ENOENT, avfork_exec(&self->opts, NOWHERE, argv_true, NULL));
}

TEST_F(exec, left_of_a_function)
{
	pid_t pid = avfork_with(&self->opts, wait_there, NULL);

	sem_wait(&shared.there);
	ASSERT_EQ(0, readable(self->left, 0));
	sem_post(&shared.go);
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_EQ(0, reap(pid));
}

/* Not SIGPIPE. */
TEST_F(exec, left_that_nobody_reads)
{
	pid_t pid;

	self->opts.before_exec = wait_there;
	pid = avfork_exec(&self->opts, NOWHERE, argv_true, NULL);
	sem_wait(&shared.there);
	close(self->left);
	sem_post(&shared.go);
	ASSERT_EQ(127, reap(pid));
}

static int wait_for_orphanage(void *arg)
{
	while (getppid() == (pid_t)(long)arg)
		sched_yield();
	return 0;
}

/*
 * The copy of the test ends before its child tries to exec, and nobody is there to be
 * told.
 */
static int orphan(void *arg)
{
	struct avfork_opts *opts = arg;

	opts->before_exec = wait_for_orphanage;
	opts->before_arg = (void *)(long)getpid();
	REQUIRE(avfork_exec(opts, NOWHERE, argv_true, NULL) > 0);
	return 0;
}

TEST_F(exec, left_of_a_dead_parent)
{
	int status;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	ASSERT_PASSED(in_copy(orphan, &self->opts));
	ASSERT_LT(0, waitpid(-1, &status, 0));
	ASSERT_EQ(W_EXITCODE(127, 0), status);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

static int with_full_table(void *arg)
{
	struct avfork_opts *opts = arg;
	struct rlimit limit = { count_fds() + 4, count_fds() + 4 };
	int first = -1, fd;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = dup(2)) >= 0)
		if (first < 0)
			first = fd;
	*opts->left = -3;
	REQUIRE(avfork_exec(opts, TRUE, argv_true, NULL) == -1 && errno == EMFILE);
	/* Room for one end of two. */
	close(first);
	REQUIRE(avfork_exec(opts, TRUE, argv_true, NULL) == -1 && errno == EMFILE);
	REQUIRE(*opts->left == -3);
	REQUIRE(dup(2) == first && dup(2) == -1);
	/* For both. */
	close(first);
	close(first + 1);
	REQUIRE(reap(avfork_exec(opts, TRUE, argv_true, NULL)) == 0);
	REQUIRE(*opts->left == first && end_of(first) == 0);
	REQUIRE(dup(2) == first && dup(2) == first + 1 && dup(2) == -1);
	return 0;
}

TEST_F(exec, left_with_full_table)
{
	ASSERT_PASSED(in_copy(with_full_table, &self->opts));
}

TEST_F(exec, left_and_shared_table)
{
	self->opts.flags = AVFORK_SHARE_FDS;
	ASSERT_FAILS(EINVAL, avfork_with(&self->opts, return_arg, NULL));
	ASSERT_EQ(-1, self->left);
}

/* With every flag that changes how a child is made. */
TEST_F(exec, left_with_each_flag)
{
	const int flags[] = {
		AVFORK_STDIO, AVFORK_INHERIT_FDS, AVFORK_INHERIT_SIGNALS,
		AVFORK_NOSIGCHLD, AVFORK_WAITPID | AVFORK_SYNC, AVFORK_NNP,
		AVFORK_NNP | AVFORK_AUTOKILL, AVFORK_AUTOREAP,
		AVFORK_AUTOREAP | AVFORK_INHERIT_FDS,
	};
	size_t i;
	pid_t pid;

	/* For AVFORK_AUTOKILL the library opens one more that it keeps. */
	ASSERT_EQ(3, reap(avforkx(AVFORK_NNP | AVFORK_AUTOKILL, return_arg,
				  (void *)3)));
	self->nr_fds = count_fds();
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		self->opts.flags = flags[i];
		pid = avfork_exec(&self->opts, TRUE, argv_true, NULL);
		ASSERT_LT(0, pid);
		ASSERT_EQ(0, end_of(self->left));
		if (!(flags[i] & AVFORK_AUTOREAP))
			ASSERT_EQ(0, reap(pid));
		if (flags[i] & AVFORK_SYNC)
			continue;
		pid = avfork_exec(&self->opts, NOWHERE, argv_true, NULL);
		ASSERT_LT(0, pid);
		ASSERT_EQ(ENOENT, end_of(self->left));
		if (!(flags[i] & AVFORK_AUTOREAP))
			ASSERT_EQ(127, reap(pid));
	}
	ASSERT_TRUE(COMES_TRUE(waitpid(-1, NULL, WNOHANG | __WALL) == -1,
			       IDLE_LIMIT));
}

/* Where the end would be are grants. */
TEST_F(exec, left_beside_many_grants)
{
	char *const argv[] = {
		"sh", "-c", "cd /proc/self/fd && echo x >63 && echo y >64", NULL
	};
	const int flags[] = { 0, AVFORK_INHERIT_FDS };
	struct avfork_fd fds[80];
	char lines[8];
	int wire[2];
	size_t i, nr;

	ASSERT_EQ(0, pipe2(wire, O_CLOEXEC));
	for (i = 0; i < 80; i++)
		fds[i] = (struct avfork_fd){ wire[1], (int)i, 0, 0 };
	self->opts.fds = fds;
	for (i = 0; i < 2; i++) {
		self->opts.flags = flags[i];
		for (nr = 65; nr <= 80; nr += 15) {
			self->opts.nr_fds = nr;
			ASSERT_EQ(0, reap(avfork_exec(&self->opts, SH, argv,
						      NULL)));
			ASSERT_EQ(0, end_of(self->left));
			ASSERT_EQ(4, read(wire[0], lines, sizeof(lines)));
			ASSERT_EQ(127, reap(avfork_exec(&self->opts, NOWHERE,
							argv, NULL)));
			ASSERT_EQ(ENOENT, end_of(self->left));
		}
	}
	/* One that a grant has already. */
	fds[79].child_fd = 3;
	ASSERT_FAILS(EINVAL, avfork_exec(&self->opts, SH, argv, NULL));
	close(wire[0]);
	close(wire[1]);
}

/* A pipe must not be taken for a descriptor that is granted and not open. */
TEST_F(exec, grant_of_closed)
{
	struct avfork_fd fd = { .child_fd = 5 };
	int out, i, first = dup(2);

	close(first);
	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	for (i = 0; i < 4; i++) {
		fd.parent_fd = first + i;
		ASSERT_FAILS(EBADF, avfork_exec(&self->opts, TRUE, argv_true,
						NULL));
	}
	self->opts.left = NULL;
	for (i = 0; i < 4; i++) {
		fd.parent_fd = first + i;
		ASSERT_FAILS(EBADF, avfork_exec_pipes(&self->opts, TRUE,
						      argv_true, NULL, NULL,
						      &out, NULL));
	}
}

TEST_F(exec, left_below_the_highest_grant)
{
	struct avfork_fd fd = { .parent_fd = 2 };
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	fd.child_fd = limit.rlim_cur - 1;
	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	self->opts.flags = AVFORK_INHERIT_FDS;
	ASSERT_EQ(127, reap(avfork_exec(&self->opts, NOWHERE, argv_true, NULL)));
	ASSERT_EQ(ENOENT, end_of(self->left));
}

/* Below it is nothing that may be written to. */
TEST_F(exec, on_the_smallest_stack)
{
	const int flags[] = { 0, AVFORK_SEARCH_PATH, AVFORK_SYNC };
	const size_t size = AVFORK_STACK_MIN;
	char *map = mmap(NULL, 2 * 65536, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (SANITIZED)
		SKIP(return, "the sanitizer's frames are larger");
	ASSERT_NE(MAP_FAILED, map);
	self->opts.stack = map + 65536;
	ASSERT_EQ(0, mprotect(self->opts.stack, 65536, PROT_READ | PROT_WRITE));
	self->opts.stack_size = size;
	for (i = 0; i < 3; i++) {
		self->opts.flags = flags[i];
		ASSERT_EQ(0, reap(avfork_exec(&self->opts,
					      flags[i] & AVFORK_SEARCH_PATH ?
					      "true" : TRUE, argv_true, NULL)));
		ASSERT_EQ(0, end_of(self->left));
	}
	munmap(map, 2 * 65536);
}

/* AVFORK_SEARCH_PATH */

TEST_F(exec, search)
{
	char *path = strdup(getenv("PATH"));

	self->opts.flags = AVFORK_SYNC;
	self->opts.left = NULL;
	ASSERT_FAILS(ENOENT, avfork_exec(&self->opts, "true", argv_true, NULL));
	self->opts.flags |= AVFORK_SEARCH_PATH;
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, "true", argv_true, NULL)));
	ASSERT_FAILS(ENOENT, avfork_exec(&self->opts, "tmp/true", argv_true,
					 NULL));
	setenv("PATH", "/nonexistent:/etc", 1);
	ASSERT_FAILS(ENOENT, avfork_exec(&self->opts, "true", argv_true, NULL));
	/* What cannot be executed is not what is looked for, but is told. */
	ASSERT_FAILS(EACCES, avfork_exec(&self->opts, "passwd", argv_true,
					 NULL));
	setenv("PATH", "/etc:/bin", 1);
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, "true", argv_true, NULL)));
	unsetenv("PATH");
	ASSERT_EQ(0, reap(avfork_exec(&self->opts, "true", argv_true, NULL)));
	setenv("PATH", path, 1);
	free(path);
}

/* avfork_exec_pipes() */

static ssize_t read_all(int fd, char *text, size_t size)
{
	ssize_t length = 0, more;

	while ((more = read(fd, text + length, size - length)) > 0)
		length += more;
	text[length] = '\0';
	close(fd);
	return length;
}

TEST_F(exec, pipes)
{
	char *const argv[] = { "sh", "-c", "read a; echo out $a; echo err $a >&2",
			       NULL };
	int in = -1, out = -1, err = -1;
	char text[64];
	pid_t pid;

	self->opts.left = NULL;
	pid = avfork_exec_pipes(&self->opts, SH, argv, NULL, &in, &out, &err);
	ASSERT_LT(0, pid);
	ASSERT_EQ(FD_CLOEXEC, fcntl(in, F_GETFD));
	ASSERT_EQ(FD_CLOEXEC, fcntl(out, F_GETFD));
	ASSERT_EQ(FD_CLOEXEC, fcntl(err, F_GETFD));
	ASSERT_EQ(2, write(in, "x\n", 2));
	ASSERT_EQ(6, read_all(out, text, sizeof(text) - 1));
	ASSERT_STREQ("out x\n", text);
	ASSERT_EQ(6, read_all(err, text, sizeof(text) - 1));
	ASSERT_STREQ("err x\n", text);
	ASSERT_EQ(0, reap(pid));
	close(in);

	/* One for both, and no standard input. */
	pid = avfork_exec_pipes(NULL, SH, argv, NULL, NULL, &out, &out);
	ASSERT_LT(0, pid);
	ASSERT_LT(0, read_all(out, text, sizeof(text) - 1));
	ASSERT_NE(NULL, strstr(text, "out\nerr\n"));
	ASSERT_EQ(0, reap(pid));

	/* None at all. */
	ASSERT_EQ(0, reap(avfork_exec_pipes(NULL, TRUE, argv_true, NULL, NULL,
					    NULL, NULL)));
}

TEST_F(exec, pipes_beside_grants)
{
	char *const argv[] = { "sh", "-c", "echo 1; echo 5 >&5", NULL };
	struct avfork_fd fd = { .child_fd = 5 };
	char text[16];
	int out, wire[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(wire, O_CLOEXEC));
	fd.parent_fd = wire[1];
	self->opts.fds = &fd;
	self->opts.nr_fds = 1;
	self->opts.flags = AVFORK_STDIO;
	pid = avfork_exec_pipes(&self->opts, SH, argv, NULL, NULL, &out, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, end_of(self->left));
	ASSERT_EQ(2, read_all(out, text, sizeof(text) - 1));
	ASSERT_STREQ("1\n", text);
	ASSERT_EQ(2, read(wire[0], text, 2));
	ASSERT_EQ(0, reap(pid));

	fd.child_fd = 1;
	ASSERT_FAILS(EINVAL, avfork_exec_pipes(&self->opts, SH, argv, NULL, NULL,
					       &out, NULL));
	close(wire[0]);
	close(wire[1]);
}

static int pipes_with_full_table(void *arg)
{
	struct rlimit limit = { 64, 64 };
	int in = -1, out = -1, err = -1, fd, room;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit));
	while (dup(2) >= 0)
		;
	/* Six are needed. */
	for (room = 0; room < 6; room++) {
		REQUIRE(avfork_exec_pipes(NULL, TRUE, argv_true, NULL, &in, &out,
					  &err) == -1 && errno == EMFILE);
		REQUIRE(in == -1 && out == -1 && err == -1);
		/* Nothing is lost: what was free is. */
		for (fd = 0; fd < room; fd++)
			REQUIRE(dup(2) >= 0);
		REQUIRE(dup(2) == -1);
		for (fd = 0; fd <= room; fd++)
			close(63 - fd);
	}
	fd = reap(avfork_exec_pipes(NULL, TRUE, argv_true, NULL, &in, &out, &err));
	REQUIRE(fd == 0 && in >= 58 && out >= 58 && err >= 58);
	return 0;
}

TEST_F(exec, pipes_fail)
{
	int in, out;

	self->opts.left = NULL;
	self->opts.flags = AVFORK_SYNC;
	ASSERT_FAILS(ENOENT, avfork_exec_pipes(&self->opts, NOWHERE, argv_true,
					       NULL, &in, &out, NULL));
	ASSERT_FAILS(EINVAL, avfork_exec_pipes(NULL, TRUE, argv_true, NULL, &in,
					       &in, NULL));
	ASSERT_FAILS(EINVAL, avfork_exec_pipes(NULL, TRUE, argv_true, NULL, &in,
					       &out, &in));
	ASSERT_FAILS(EINVAL, avfork_exec_pipes(NULL, NULL, argv_true, NULL, &in,
					       &out, NULL));
	ASSERT_PASSED(in_copy(pipes_with_full_table, NULL));
}

TEST_HARNESS_MAIN

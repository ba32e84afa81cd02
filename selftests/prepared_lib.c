// SPDX-License-Identifier: GPL-2.0
/*
 * avfork_prepare(), avfork_start() and avfork_discard(), by whichever backend: a child
 * inherits at the first, has what is granted at the second, and is nobody's before.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "file.h"

/* All that we have are our children, and those of a maker that has died. */
FIXTURE(prepared) {
	struct avfork_prepared *child;
};

FIXTURE_SETUP(prepared)
{
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	/* What the library makes at its first child is not counted below. */
	ASSERT_EQ(7, reap(avfork(return_arg, (void *)7)));
	self->child = avfork_prepare(NULL);
	ASSERT_NE(NULL, self->child);
}

FIXTURE_TEARDOWN(prepared)
{
	avfork_discard(self->child);
}

#define START(routine, arg) ({						\
	pid_t pid_ = avfork_start(self->child, NULL, 0, routine, arg);	\
									\
	ASSERT_GT(pid_, 0);						\
	self->child = NULL;						\
	pid_;								\
})

#define PREPARE(opts) do {						\
	avfork_discard(self->child);					\
	self->child = avfork_prepare(opts);				\
	ASSERT_NE(NULL, self->child);					\
} while (0)

/* The child that waits, from the kernel's list of the main thread's children. */
static pid_t waiting(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	return (pid_t)read_number(path);
}

#define ASSERT_NO_CHILD_AT_ALL()					\
	ASSERT_FAILS(ECHILD, waitpid(-1, NULL, __WALL | WNOHANG))

static int count_own_fds(void *arg)
{
	struct stat file;
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++)
		count += !fstat(fd, &file);
	return count;
}

static int set(void *arg)
{
	*(atomic_int *)arg = 1;
	return 9;
}

TEST_F(prepared, child_runs_when_it_is_started)
{
	atomic_int ran = 0;
	pid_t pid;

	ASSERT_EQ(0, ran);
	pid = START(set, &ran);
	ASSERT_EQ(9, reap(pid));
	ASSERT_EQ(1, ran);
	ASSERT_NO_CHILD_AT_ALL();
}

static int write_to_5(void *arg)
{
	if (write(5, arg, 5) != 5)
		return 100;
	return count_own_fds(NULL);
}

TEST_F(prepared, child_has_what_is_granted_at_the_start)
{
	struct avfork_fd fds[2] = { { .child_fd = 5 }, { .child_fd = 2 } };
	char text[8];
	int ends[2];
	pid_t pid;

	ASSERT_EQ(0, reap(START(count_own_fds, NULL)));

	/* These were opened after the child was prepared, and closed at once. */
	PREPARE(NULL);
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	fds[0].parent_fd = fds[1].parent_fd = ends[1];
	pid = avfork_start(self->child, fds, 2, write_to_5, "12345");
	ASSERT_GT(pid, 0);
	self->child = NULL;
	close(ends[1]);
	ASSERT_EQ(2, reap(pid));
	ASSERT_EQ(5, read(ends[0], text, sizeof(text)));
	/* The end of the pipe: nobody has it open any more. */
	ASSERT_EQ(0, read(ends[0], text, sizeof(text)));
	close(ends[0]);
}

TEST_F(prepared, grants_exchange_numbers)
{
	/* Whatever numbers the descriptors have while they are on their way. */
	struct avfork_fd fds[200];
	pid_t pid;
	int i;

	for (i = 0; i < 200; i++)
		fds[i] = (struct avfork_fd) {
			.parent_fd = i % 3, .child_fd = 199 - i,
		};
	pid = avfork_start(self->child, fds, 200, count_own_fds, NULL);
	ASSERT_GT(pid, 0);
	self->child = NULL;
	ASSERT_EQ(200, reap(pid));
}

TEST_F(prepared, standard_descriptors_are_those_of_the_start)
{
	struct avfork_opts opts = AVFORK_OPTS_INIT;

	opts.flags = AVFORK_STDIO;
	PREPARE(&opts);
	close(STDIN_FILENO);
	ASSERT_EQ(2, reap(START(count_own_fds, NULL)));
}

TEST_F(prepared, waiting_child_keeps_nothing_open)
{
	char byte;
	int ends[2];

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	PREPARE(NULL);
	close(ends[1]);
	ASSERT_EQ(0, read(ends[0], &byte, 1));
	close(ends[0]);
}

/* What a child inherits, as a number; and what it can be changed to. */
static int inherited(void *arg)
{
	char directory[64];
	struct rlimit limit;
	mode_t mask = umask(0);

	if (!getcwd(directory, sizeof(directory)) ||
	    getrlimit(RLIMIT_NOFILE, &limit))
		return 100;
	return (mask == 0123) | !strcmp(directory, "/proc") << 1 |
	       (limit.rlim_cur == 123) << 2 |
	       (getpriority(PRIO_PROCESS, 0) == 3) << 3 |
	       (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) << 4;
}

#define ALL_INHERITED 31

TEST_F(prepared, child_inherits_what_its_maker_had)
{
	const struct rlimit few = { 123, 123 };

	umask(022);
	ASSERT_EQ(0, chdir("/"));
	PREPARE(NULL);
	umask(0123);
	ASSERT_EQ(0, chdir("/proc"));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 3));
	ASSERT_EQ(0, reap(START(inherited, NULL)));
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	/* An ordinary child has all of that. */
	ASSERT_EQ(ALL_INHERITED, reap(avfork(inherited, NULL)));
}

/* 0 unless it is in the UTS namespace @arg. */
static int has_uts_namespace(void *arg)
{
	struct stat namespace;

	return !stat("/proc/thread-self/ns/uts", &namespace) &&
	       namespace.st_ino == *(ino_t *)arg;
}

TEST_F(prepared, child_is_isolated_but_for_what_is_shared)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_ISOLATE,
		/* So that /proc is the one that we see. */
		.namespaces = CLONE_NEWPID | CLONE_NEWTIME | CLONE_NEWUSER,
	};
	struct stat ours;

	ASSERT_EQ(0, stat("/proc/self/ns/uts", &ours));
	if (geteuid())
		SKIP(return, "needs root");
	PREPARE(&opts);
	ASSERT_EQ(0, reap(START(has_uts_namespace, &ours.st_ino)));
	opts.namespaces |= CLONE_NEWUTS;
	PREPARE(&opts);
	ASSERT_EQ(1, reap(START(has_uts_namespace, &ours.st_ino)));
}

TEST_F(prepared, module_refuses_a_starter_who_may_do_less)
{
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (backend_is("kernel"))
		ASSERT_FAILS(EPERM, avfork_start(self->child, NULL, 0, inherited,
						 NULL));
	else
		ASSERT_EQ(0, reap(START(inherited, NULL)) & 16);
}

static int signals(void *arg)
{
	struct sigaction action;
	sigset_t mask, pending;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigpending(&pending);
	sigaction(SIGHUP, NULL, &action);
	return sigismember(&mask, SIGUSR1) | sigismember(&mask, SIGUSR2) << 1 |
	       (action.sa_handler == SIG_IGN) << 2 |
	       sigismember(&pending, SIGUSR1) << 3;
}

TEST_F(prepared, signals_are_those_of_the_maker_only_if_asked_for)
{
	struct avfork_opts opts = AVFORK_OPTS_INIT;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGHUP, SIG_IGN);
	opts.flags = AVFORK_INHERIT_SIGNALS;
	PREPARE(&opts);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	ASSERT_EQ(5, reap(START(signals, NULL)));
	PREPARE(NULL);
	ASSERT_EQ(0, reap(START(signals, NULL)));
}

TEST_F(prepared, signals_to_a_waiting_child_are_dropped)
{
	struct avfork_opts opts = AVFORK_OPTS_INIT;
	sigset_t mask;
	pid_t pid;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	opts.flags = AVFORK_INHERIT_SIGNALS;
	PREPARE(&opts);
	pid = waiting();
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, kill(pid, SIGUSR1));
	ASSERT_EQ(0, kill(pid, SIGTERM));
	ASSERT_EQ(1, reap(START(signals, NULL)));
}

TEST_F(prepared, waiting_child_stops_and_continues)
{
	pid_t pid = waiting();

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_TRUE(COMES_TRUE(state_of(pid) == 'T', 10));
	ASSERT_EQ(pid, START(return_arg, (void *)4));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	ASSERT_EQ(4, reap(pid));
}

TEST_F(prepared, wait_does_not_find_it)
{
	pid_t pid;
	int status;

	ASSERT_FAILS(ECHILD, wait(NULL));
	ASSERT_FAILS(ECHILD, waitpid(-1, NULL, WNOHANG));
	ASSERT_FAILS(ECHILD, waitpid(waiting(), NULL, WNOHANG));
	pid = START(return_arg, (void *)3);
	ASSERT_EQ(pid, avfork_waitpid(-1, &status, 0));
	ASSERT_EQ(W_EXITCODE(3, 0), status);
}

TEST_F(prepared, discarding_leaves_nothing)
{
	unsigned int fds = count_fds();
	pid_t pid = waiting();

	avfork_discard(self->child);
	self->child = NULL;
	ASSERT_EQ(fds - 1, count_fds());
	ASSERT_NO_CHILD_AT_ALL();
	ASSERT_FAILS(ESRCH, kill(pid, 0));
	avfork_discard(NULL);
}

TEST_F(prepared, killed_one_cannot_be_started)
{
	pid_t pid = waiting();

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_TRUE(COMES_TRUE(state_of(pid) == 'Z' || !state_of(pid), 10));
	ASSERT_FAILS(ESRCH, avfork_start(self->child, NULL, 0, return_arg, NULL));
	avfork_discard(self->child);
	self->child = NULL;
	ASSERT_NO_CHILD_AT_ALL();
}

TEST_F(prepared, stopped_one_is_discarded)
{
	pid_t pid = waiting();

	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_TRUE(COMES_TRUE(state_of(pid) == 'T', 10));
	avfork_discard(self->child);
	self->child = NULL;
	ASSERT_NO_CHILD_AT_ALL();
}

static int start_in_copy(void *arg)
{
	REQUIRE(avfork_start(arg, NULL, 0, return_arg, NULL) < 0);
	REQUIRE(errno == EPERM);
	avfork_discard(arg);
	return 0;
}

TEST_F(prepared, forked_copy_has_none_of_it)
{
	ASSERT_PASSED(in_copy(start_in_copy, self->child));
	ASSERT_EQ(6, reap(START(return_arg, (void *)6)));
}

static int start_in_guest(void *arg)
{
	REQUIRE(avfork_start(arg, NULL, 0, return_arg, NULL) < 0);
	REQUIRE(errno == EPERM);
	return 0;
}

TEST_F(prepared, guest_with_its_descriptor_cannot_start_it)
{
	ASSERT_PASSED(reap(avforkx(AVFORK_SHARE_FDS, start_in_guest,
				   self->child)));
	ASSERT_EQ(6, reap(START(return_arg, (void *)6)));
}

static int clean_up_in_guest(void *arg)
{
	REQUIRE(!avfork_prepare(NULL) && errno == EDEADLK);
	avfork_discard(arg);
	return 0;
}

TEST_F(prepared, guest_leaves_it_and_what_is_to_be_closed)
{
	unsigned int fds = count_fds();

	ASSERT_EQ(6, reap(START(return_arg, (void *)6)));
	self->child = avfork_prepare(NULL);
	ASSERT_NE(NULL, self->child);
	ASSERT_EQ(6, reap(START(return_arg, (void *)6)));
	ASSERT_PASSED(reap(avfork(clean_up_in_guest, NULL)));
	PREPARE(NULL);
	ASSERT_EQ(fds, count_fds());
	ASSERT_PASSED(reap(avfork(clean_up_in_guest, self->child)));
	ASSERT_EQ(6, reap(START(return_arg, (void *)6)));
}

enum ending { EXITS, IS_KILLED, EXECS };

/* In a copy of the test: prepare one, have a copy keep what is open, and end. */
static void make_and_end(enum ending how, bool copied)
{
	if (!avfork_prepare(NULL))
		_exit(1);
	if (copied && !fork())
		for (;;)
			pause();
	if (how == IS_KILLED)
		kill(getpid(), SIGKILL);
	if (how == EXECS)
		execl("/bin/true", "true", NULL);
	_exit(0);
}

static void assert_ends_with_maker(struct __test_metadata *_metadata,
				   enum ending how, bool copied)
{
	pid_t maker = fork(), copy, child;

	ASSERT_GE(maker, 0);
	if (!maker)
		make_and_end(how, copied);
	ASSERT_EQ(how == IS_KILLED ? -SIGKILL : 0, reap(maker));
	/*
	 * What it made is ours now, if the module has not reaped it at the close. The
	 * copy does not end by itself.
	 */
	child = waitpid(-1, NULL, __WALL);
	ASSERT_TRUE(child > 0 || (!copied && errno == ECHILD));
	copy = waiting();
	if (copied) {
		ASSERT_GT(copy, 0);
		ASSERT_EQ(0, kill(copy, SIGKILL));
		ASSERT_EQ(copy, waitpid(copy, NULL, 0));
	}
	ASSERT_NO_CHILD_AT_ALL();
}

TEST_F(prepared, one_ends_with_its_maker)
{
	avfork_discard(self->child);
	self->child = NULL;
	assert_ends_with_maker(_metadata, EXITS, false);
	assert_ends_with_maker(_metadata, IS_KILLED, false);
	assert_ends_with_maker(_metadata, EXECS, false);
}

TEST_F(prepared, one_ends_with_its_maker_though_a_copy_lives)
{
	avfork_discard(self->child);
	self->child = NULL;
	assert_ends_with_maker(_metadata, EXITS, true);
	assert_ends_with_maker(_metadata, IS_KILLED, true);
}

static int start_and_end(void *arg)
{
	struct avfork_prepared *child = avfork_prepare(NULL);
	char *const argv[] = { "sh", "-c", "exit 3", NULL };

	REQUIRE(child);
	REQUIRE(avfork_start_exec(child, NULL, 0, "/bin/sh", argv, NULL) > 0);
	_exit(0);
}

TEST_F(prepared, started_one_outlives_its_maker)
{
	int status, i;

	avfork_discard(self->child);
	self->child = NULL;
	for (i = 0; i < 100; i++) {
		ASSERT_PASSED(in_copy(start_and_end, NULL));
		ASSERT_GT(waitpid(-1, &status, __WALL), 0);
		ASSERT_EQ(W_EXITCODE(3, 0), status);
	}
}

TEST_F(prepared, bad_input_loses_nothing)
{
	struct avfork_fd fd = { .parent_fd = 999, .child_fd = 0 };
	struct avfork_opts opts = AVFORK_OPTS_INIT;
	unsigned int fds = count_fds();
	struct avfork_prepared *child = self->child;
	int any;

	ASSERT_FAILS(EBADF, avfork_start(child, &fd, 1, return_arg, NULL));
	fd = (struct avfork_fd) { .parent_fd = 0, .child_fd = -1 };
	ASSERT_FAILS(EINVAL, avfork_start(child, &fd, 1, return_arg, NULL));
	fd = (struct avfork_fd) { .child_fd = AVFORK_FD_LIMIT };
	ASSERT_FAILS(EMFILE, avfork_start(child, &fd, 1, return_arg, NULL));
	ASSERT_FAILS(EINVAL, avfork_start(child, NULL, 0, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_start(NULL, NULL, 0, return_arg, NULL));
	ASSERT_FAILS(EINVAL, avfork_start_exec(child, NULL, 0, NULL, NULL, NULL));

#define ASSERT_REFUSED(error) do {					\
	errno = 0;							\
	ASSERT_EQ(NULL, avfork_prepare(&opts));				\
	ASSERT_EQ(error, errno);					\
	opts = (struct avfork_opts)AVFORK_OPTS_INIT;			\
} while (0)
	opts.size = 1;
	ASSERT_REFUSED(EINVAL);
	opts.flags = AVFORK_SYNC;
	ASSERT_REFUSED(EINVAL);
	opts.flags = AVFORK_INHERIT_FDS;
	ASSERT_REFUSED(EINVAL);
	opts.fds = &fd;
	ASSERT_REFUSED(EINVAL);
	opts.pidfd = &any;
	ASSERT_REFUSED(EINVAL);
	opts.left = &any;
	ASSERT_REFUSED(EINVAL);
	opts.flags = AVFORK_INTO_CGROUP;
	opts.cgroup_fd = -1;
	ASSERT_REFUSED(EBADF);
	opts.namespaces = 1;
	ASSERT_REFUSED(EINVAL);
	ASSERT_EQ(fds, count_fds());
	ASSERT_EQ(8, reap(START(return_arg, (void *)8)));
}

TEST_F(prepared, one_that_nobody_waits_for_needs_the_module)
{
	struct avfork_opts opts = AVFORK_OPTS_INIT;

	opts.flags = AVFORK_WAITPID | AVFORK_NOSIGCHLD;
	if (!backend_is("kernel"))
		ASSERT_REFUSED(EOPNOTSUPP);
	else
		PREPARE(&opts);
}

/* The kernel gives it the lowest number, and the library takes no standard one. */
TEST_F(prepared, descriptor_0_is_free)
{
	int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);

	close(STDIN_FILENO);
	PREPARE(NULL);
	ASSERT_EQ(8, reap(START(return_arg, (void *)8)));
	ASSERT_FAILS(EBADF, fcntl(STDIN_FILENO, F_GETFD));
	ASSERT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	ASSERT_EQ(ECHILD, errno);
	ASSERT_EQ(STDIN_FILENO, dup2(in, STDIN_FILENO));
	close(in);
}

TEST_F(prepared, closed_descriptor_is_nobody_elses)
{
	int ends[2], fd;
	char byte;

	/* A program that closes all it has, and opens its own under the numbers. */
	ASSERT_EQ(0, close_range(3, ~0U, 0));
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	for (fd = 5; fd < 20; fd++)
		ASSERT_EQ(fd, dup(ends[1]));
	errno = 0;
	ASSERT_EQ(-1, avfork_start(self->child, NULL, 0, return_arg, NULL));
	ASSERT_EQ(ESRCH, errno);
	avfork_discard(self->child);
	self->child = NULL;
	for (fd = 5; fd < 20; fd++)
		ASSERT_EQ(0, close(fd));
	ASSERT_EQ(-1, read(ends[0], &byte, 1));
	ASSERT_EQ(EAGAIN, errno);
}

TEST_F(prepared, arguments_of_an_exec_are_copied)
{
	char word[] = "one", *argv[] = { "echo", word, "two", NULL };
	char program[PATH_MAX];
	int i;

	snprintf(program, sizeof(program), "%s", sibling("echo"));
	for (i = 0; i < 200; i++) {
		struct avfork_fd fds[2] = {
			{ .child_fd = 0 }, { .child_fd = 1 },
		};
		pid_t pid;
		int in[2];

		PREPARE(NULL);
		ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
		fds[0].parent_fd = in[0];
		fds[1].parent_fd = in[1];
		pid = avfork_start_exec(self->child, fds, 1, program, argv, NULL);
		ASSERT_GT(pid, 0);
		self->child = NULL;
		argv[0] = argv[1] = NULL;
		memset(program, 'x', 8);
		close(in[0]);
		close(in[1]);
		ASSERT_EQ(2, reap(pid));
		argv[0] = "echo";
		argv[1] = word;
		snprintf(program, sizeof(program), "%s", sibling("echo"));
	}
	PREPARE(NULL);
	ASSERT_EQ(127, reap(avfork_start_exec(self->child, NULL, 0, "/none",
					      argv, NULL)));
	self->child = NULL;
}

TEST_F(prepared, memory_stays_flat)
{
	char *const argv[] = { "echo", NULL };
	size_t before = 0;
	unsigned int fds = count_fds();
	int i;

	for (i = 0; i < 600; i++) {
		if (i == 100)
			before = allocated_bytes();
		PREPARE(NULL);
		ASSERT_EQ(i % 2 ? 127 : 1, reap(i % 2 ?
			avfork_start_exec(self->child, NULL, 0, "/none", argv,
					  NULL) :
			avfork_start(self->child, NULL, 0, return_arg,
				     (void *)1)));
		self->child = NULL;
	}
	/* The last of the started ones is closed by the next call. */
	ASSERT_EQ(fds, count_fds());
	avfork_discard(NULL);
	if (!SANITIZED)
		ASSERT_LE(allocated_bytes(), before + 1024);
}

TEST_F(prepared, starts_that_fail_keep_no_memory)
{
	const struct avfork_fd closed = { .parent_fd = 999, .child_fd = 5 };
	char *const argv[] = { "echo", NULL };
	size_t before = 0;
	int i;

	for (i = 0; i < 200; i++) {
		if (i == 100)
			before = allocated_bytes();
		ASSERT_FAILS(EBADF, avfork_start_exec(self->child, &closed, 1,
						      "/none", argv, NULL));
	}
	if (!SANITIZED)
		ASSERT_LE(allocated_bytes(), before + 1024);
}

static void *fail_to_start(void *arg)
{
	const struct avfork_fd closed = { .parent_fd = 999, .child_fd = 5 };
	char *const argv[] = { "echo", NULL };

	for (;;) {
		pthread_testcancel();
		avfork_start_exec(arg, &closed, 1, "/none", argv, NULL);
	}
	return NULL;
}

static int exec_in_copy(void *unused)
{
	char *const argv[] = { "echo", NULL };
	struct avfork_prepared *child = avfork_prepare(NULL);

	(void)unused;
	REQUIRE(child);
	REQUIRE(reap(avfork_start_exec(child, NULL, 0, "/none", argv, NULL)) ==
		127);
	return 0;
}

TEST_F(prepared, copy_made_while_another_thread_starts_one)
{
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, fail_to_start, self->child));
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, in_copy(exec_in_copy, NULL));
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

static void *start_many(void *arg)
{
	struct avfork_prepared *child;
	long i;

	for (i = 0; i < 100; i++) {
		child = avfork_prepare(NULL);
		if (!child || reap(avfork_start(child, NULL, 0, return_arg,
						(void *)(i % 100))) != i % 100)
			return (void *)1;
	}
	return NULL;
}

TEST_F(prepared, threads_prepare_and_start_at_once)
{
	pthread_t threads[8];
	void *failed;
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, start_many, NULL));
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], &failed);
		ASSERT_EQ(NULL, failed);
	}
}

TEST_HARNESS_MAIN

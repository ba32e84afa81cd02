// SPDX-License-Identifier: GPL-2.0
/*
 * libavfork's calls, one by one: what a child starts with, and what it inherits.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "library.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

TEST(exit_status_is_the_return_value)
{
	static const int values[][2] = {
		{ 0, 0 }, { 1, 1 }, { 42, 42 }, { 255, 255 }, { 256, 0 },
		{ -1, 255 },
	};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		void *arg = (void *)(long)values[i][0];

		ASSERT_EQ(values[i][1], reap(avfork(return_arg, arg)));
		ASSERT_EQ(values[i][1], reap(avforkx(0, return_arg, arg)));
		ASSERT_EQ(values[i][1], reap(avfork_with(NULL, return_arg,
							 arg)));
	}
}

static int exchange_memory(void *arg)
{
	char **text = arg;

	REQUIRE(!strcmp(*text, "from the parent"));
	*text = strdup("from the child");
	return 0;
}

TEST(memory_is_shared)
{
	char given[] = "from the parent", *text = given;

	ASSERT_PASSED(reap(avfork(exchange_memory, &text)));
	ASSERT_STREQ("from the child", text);
	free(text);
}

TEST(parent_goes_on)
{
	int status;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	pid = avfork(wait_for, &go);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, avfork_waitpid(pid, &status, WNOHANG));
	sem_post(&go);
	ASSERT_EQ(0, reap(pid));
}

TEST(errno_after_success)
{
	int round;

	errno = 1234;
	for (round = 0; round < 20; round++) {
		/* With a new carrier, a used one, a stale descriptor. */
		pid_t first = avfork(return_arg, NULL);
		pid_t second = avfork(return_arg, NULL);

		ASSERT_EQ(0, reap(first));
		ASSERT_EQ(0, reap(second));
		ASSERT_EQ(1234, errno);
		close_range(3, ~0U, 0);
	}
}

TEST(waitpid_errors)
{
	int status;

	ASSERT_FAILS(ECHILD, avfork_waitpid(-1, &status, 0));
	ASSERT_FAILS(ECHILD, avfork_waitpid(getppid(), &status, 0));
	ASSERT_FAILS(EINVAL, avfork_waitpid(-1, &status, INT_MAX));
}

TEST(starts_without_descriptors)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_PASSED(reap(avfork(check_no_fds, NULL)));
	ASSERT_PASSED(reap(avforkx(AVFORK_SYNC, check_no_fds, NULL)));
	ASSERT_PASSED(reap(avfork_with(NULL, check_no_fds, NULL)));
}

static void ignore(int sig)
{
	(void)sig;
}

static int check_signals(void *arg)
{
	struct sigaction action;
	sigset_t set;
	int sig;

	(void)arg;
	REQUIRE(!sigprocmask(SIG_BLOCK, NULL, &set));
	for (sig = 1; sig < NSIG; sig++) {
		REQUIRE(sigismember(&set, sig) <= 0);
		/* glibc keeps two to itself. */
		if (sigaction(sig, NULL, &action))
			continue;
		REQUIRE(action.sa_handler == SIG_DFL);
	}
	REQUIRE(!sigpending(&set));
	REQUIRE(sigisemptyset(&set));
	return 0;
}

TEST(starts_with_default_signals)
{
	sigset_t all;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, ignore);
	signal(SIGRTMAX, ignore);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	raise(SIGUSR2);
	ASSERT_PASSED(reap(avfork(check_signals, NULL)));
	sigprocmask(SIG_SETMASK, NULL, &all);
	ASSERT_EQ(1, sigismember(&all, SIGUSR1));
	ASSERT_EQ(SIG_IGN, signal(SIGPIPE, SIG_IGN));
}

TEST(stdio)
{
	struct wanted_table table = { .nr = 3 };
	int i;

	for (i = 0; i < 3; i++) {
		table.fds[i].fd = i;
		ASSERT_EQ(0, fstat(i, &table.fds[i].stat));
	}
	ASSERT_PASSED(reap(avforkx(AVFORK_STDIO, check_table, &table)));

	/* What is closed stays closed. */
	close(0);
	table.fds[0] = table.fds[2];
	table.nr = 2;
	ASSERT_PASSED(reap(avforkx(AVFORK_STDIO, check_table, &table)));
}

TEST(grants)
{
	struct wanted_table table = {
		.nr = 4,
		.fds = { { .fd = 700 }, { .fd = 0 },
			 { .fd = 5, .flags = FD_CLOEXEC }, { .fd = 1 } },
	};
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_STDIO, .nr_fds = 3,
	};
	struct avfork_fd fds[3] = { };
	int one[2], two[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(one));
	ASSERT_EQ(0, pipe(two));
	close(2);
	fds[0].parent_fd = one[0];
	fds[0].child_fd = 700;
	fds[1].parent_fd = two[1];
	fds[1].child_fd = 0;
	fds[2].parent_fd = one[0];
	fds[2].child_fd = 5;
	fds[2].flags = FD_CLOEXEC;
	opts.fds = fds;
	fstat(one[0], &table.fds[0].stat);
	fstat(two[1], &table.fds[1].stat);
	fstat(one[0], &table.fds[2].stat);
	fstat(1, &table.fds[3].stat);

	pid = avfork_with(&opts, check_table, &table);
	/* The grants are the child's from here on, whatever becomes of ours. */
	memset(fds, -1, sizeof(fds));
	memset(&opts, -1, sizeof(opts));
	close_range(3, ~0U, 0);
	ASSERT_PASSED(reap(pid));
}

TEST(grants_swapped)
{
	struct wanted_table table = { .nr = 2 };
	struct avfork_opts opts = { .size = sizeof(opts), .nr_fds = 2 };
	struct avfork_fd fds[2] = { };
	int ends[2], i;

	ASSERT_EQ(0, pipe(ends));
	/* The two ends of a pipe have one inode: make them differ. */
	ASSERT_EQ(ends[1], dup2(STDERR_FILENO, ends[1]));
	for (i = 0; i < 2; i++) {
		fds[i].parent_fd = ends[i];
		fds[i].child_fd = ends[!i];
		table.fds[i].fd = ends[!i];
		fstat(ends[i], &table.fds[i].stat);
	}
	opts.fds = fds;
	ASSERT_PASSED(reap(avfork_with(&opts, check_table, &table)));
}

TEST(grant_errors)
{
	struct avfork_opts opts = { .size = sizeof(opts), .nr_fds = 2 };
	struct avfork_fd fds[2] = { { 1, 1, 0, 0 }, { 2, 2, 0, 0 } };
	const struct avfork_fd good = fds[1];
	unsigned int nr_fds;
	struct rlimit limit;
	int pidfd = -1;

	getrlimit(RLIMIT_NOFILE, &limit);
	opts.fds = fds;
	opts.pidfd = &pidfd;
	ASSERT_EQ(0, reap(avfork_with(&opts, return_arg, NULL)));
	ASSERT_EQ(0, close(pidfd));
	pidfd = -1;
	nr_fds = count_fds();

#define ASSERT_REFUSED(error, ...) do {					\
	fds[1] = (struct avfork_fd){ __VA_ARGS__ };			\
	ASSERT_FAILS(error, avfork_with(&opts, return_arg, NULL));	\
	fds[1] = good;							\
} while (0)
	ASSERT_REFUSED(EBADF, 1023, 2, 0, 0);
	ASSERT_REFUSED(EBADF, -1, 2, 0, 0);
	ASSERT_REFUSED(EINVAL, 2, 1, 0, 0);
	ASSERT_REFUSED(EINVAL, 2, -1, 0, 0);
	ASSERT_REFUSED(EINVAL, 2, 2, 2, 0);
	ASSERT_REFUSED(EINVAL, 2, 2, 0, 1);
	ASSERT_REFUSED(EMFILE, 2, (int)limit.rlim_cur, 0, 0);

	opts.nr_fds = limit.rlim_cur + 1;
	ASSERT_FAILS(EMFILE, avfork_with(&opts, return_arg, NULL));
	opts.nr_fds = 1ULL << 32;
	ASSERT_FAILS(EMFILE, avfork_with(&opts, return_arg, NULL));
	opts.nr_fds = SIZE_MAX;
	ASSERT_FAILS(EMFILE, avfork_with(&opts, return_arg, NULL));
	opts.nr_fds = 2;
	opts.pidfd = (void *)8;
	ASSERT_FAILS(EFAULT, avfork_with(&opts, return_arg, NULL));
	opts.pidfd = &pidfd;

	ASSERT_EQ(-1, pidfd);
	ASSERT_NOTHING_LEFT(nr_fds);
	ASSERT_EQ(0, reap(avfork_with(&opts, return_arg, NULL)));
	ASSERT_EQ(nr_fds + 1, count_fds());
	ASSERT_TRUE(threads_leave());
}

/* The flags. */

static int finish_late(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		sched_yield();
	*(volatile bool *)arg = true;
	return 3;
}

TEST(sync_until_exit)
{
	volatile bool finished = false;
	pid_t pid;

	pid = avforkx(AVFORK_SYNC, finish_late, (void *)&finished);
	ASSERT_EQ(true, finished);
	ASSERT_EQ(3, reap(pid));
}

TEST(sync_until_exec)
{
	struct avfork_opts opts;
	char buf[8] = "";
	int ends[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe_opts(&opts, ends));
	opts.flags = AVFORK_SYNC;
	pid = avfork_with(&opts, exec_echo, (void *)sibling("echo"));
	close_granted(&opts);
	/* It has exec'd, and lives. */
	ASSERT_EQ(0, avfork_waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(2, write(ends[1], "hi", 2));
	ASSERT_EQ(2, read(ends[0], buf, sizeof(buf)));
	ASSERT_STREQ("hi", buf);
	close(ends[1]);
	ASSERT_EQ(1, reap(pid));
}

/* What is inherited. */

static void want_fd(struct wanted_table *table, int fd, int source)
{
	struct wanted_fd *wanted = &table->fds[table->nr++];

	wanted->fd = fd;
	wanted->flags = 0;
	fstat(source, &wanted->stat);
}

/*
 * Have this very program, executed anew, look at its table: before, some
 * backends' children have descriptors with FD_CLOEXEC. What it wants is in the
 * file that descriptor *@arg is.
 */
static int check_after_exec(void *arg)
{
	char *argv[] = { "library", NULL };
	char table[32];

	snprintf(table, sizeof(table), "AVFORK_TABLE=%d", *(int *)arg);
	return execve("/proc/self/exe", argv, (char *[]){ table, NULL });
}

static void __attribute__((constructor)) execed(void)
{
	const char *number = getenv("AVFORK_TABLE");
	struct wanted_table table;

	if (!number)
		return;
	if (pread(atoi(number), &table, sizeof(table), 0) != sizeof(table))
		_exit(126);
	_exit(check_table(&table));
}

TEST(inherits_descriptors)
{
	struct avfork_fd fd = { .parent_fd = 2, .child_fd = 300 };
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_INHERIT_FDS,
		.fds = &fd, .nr_fds = 1,
	};
	struct wanted_table table = { };
	int file, i;

	/* No others are in the way, and one of the standard ones is closed. */
	close_range(3, ~0U, 0);
	file = memfd_create("table", 0);
	close(1);
	ASSERT_EQ(300, dup2(file, 300));
	ASSERT_EQ(1000, dup2(file, 1000));
	ASSERT_EQ(20, fcntl(file, F_DUPFD_CLOEXEC, 20));
	for (i = 500; i < 520; i++)
		ASSERT_EQ(i, fcntl(file, F_DUPFD_CLOEXEC, i));
	want_fd(&table, 0, 0);
	want_fd(&table, 2, 2);
	want_fd(&table, file, file);
	want_fd(&table, 300, file);
	want_fd(&table, 1000, file);
	ASSERT_EQ(sizeof(table), write(file, &table, sizeof(table)));
	if (backend_is("kernel"))
		ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_FDS, check_table,
					   &table)));
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_FDS, check_after_exec,
				   &file)));
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_FDS | AVFORK_WAITPID,
				   check_after_exec, &file)));
	/* Of what is inherited already, nothing is new. */
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_FDS | AVFORK_STDIO,
				   check_after_exec, &file)));

	/* A grant has its number. */
	fstat(2, &table.fds[3].stat);
	ASSERT_EQ(sizeof(table), pwrite(file, &table, sizeof(table), 0));
	ASSERT_PASSED(reap(avfork_with(&opts, check_after_exec, &file)));
}

static int check_inherited_signals(void *arg)
{
	struct sigaction action;
	sigset_t set;
	int sig;

	REQUIRE(!sigprocmask(SIG_BLOCK, NULL, &set));
	for (sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &action))
			continue;
		REQUIRE(sigismember(&set, sig) ==
			sigismember(arg, sig));
		REQUIRE(action.sa_handler ==
			(sig == SIGPIPE || sig == SIGRTMAX ? SIG_IGN :
							     SIG_DFL));
	}
	REQUIRE(!sigpending(&set));
	REQUIRE(sigisemptyset(&set));
	return 0;
}

TEST(inherits_signals)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
	signal(SIGUSR1, ignore);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &set, NULL);
	raise(SIGUSR2);
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_SIGNALS,
				   check_inherited_signals, &set)));
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_SIGNALS | AVFORK_WAITPID,
				   check_inherited_signals, &set)));
	signal(SIGUSR2, ignore);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	ASSERT_PASSED(reap(avforkx(AVFORK_INHERIT_SIGNALS,
				   check_inherited_signals, &set)));
}

TEST_HARNESS_MAIN

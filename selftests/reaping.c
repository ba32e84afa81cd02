// SPDX-License-Identifier: GPL-2.0
/*
 * Who learns of a child's death: the program, or the library that made it. As
 * in hazards.c each test plays its scenario with an older call first.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "scenario.h"
#include "handler.h"
#include "shell.h"

/* Wait until our child has died, and leave it to be reaped. */
static void await_death(struct __test_metadata *_metadata)
{
	siginfo_t info;

	/* The only child; with some backends it is one who waits for it. */
	ASSERT_EQ(0, waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL));
}

#define ASSERT_NO_CHILD() do {						\
	ASSERT_EQ(-1, waitpid(-1, NULL, WNOHANG));			\
	ASSERT_EQ(ECHILD, errno);					\
} while (0)

/*
 * A program's loop around wait() reaps each child, those of its libraries
 * included. popen()'s is gone when pclose() looks for it, and its status lost.
 * The program gets SIGCHLD for children that it knows nothing of, too.
 */
TEST_F(hazard, child_of_a_library_is_reaped)
{
	struct shell shell;
	int status;
	FILE *file;
	pid_t pid;

	handle(_metadata, SIGCHLD, count_signal);
	file = popen("exit 3", "r");
	ASSERT_NE(NULL, file);
	ASSERT_GT(wait(&status), 0);
	ASSERT_EQ(W_EXITCODE(3, 0), status);
	ASSERT_EQ(-1, pclose(file));
	ASSERT_EQ(ECHILD, errno);
	ASSERT_EQ(1, handled_by_parent);

	handle(_metadata, SIGCHLD, count_signal);
	shell_start(_metadata, &shell, shell_by_private_avfork);
	ASSERT_NO_CHILD();
	shell_finish(_metadata, &shell);
	await_death(_metadata);
	ASSERT_NO_CHILD();
	ASSERT_EQ(SHELL_STATUS, reap(shell.pid));
	ASSERT_EQ(0, handled_by_parent);

	/* The same for a child that does not exec. */
	pid = avforkx(AVFORK_WAITPID | AVFORK_NOSIGCHLD, return_arg, (void *)5);
	ASSERT_GT(pid, 0);
	ASSERT_NO_CHILD();
	await_death(_metadata);
	ASSERT_NO_CHILD();
	ASSERT_EQ(5, reap(pid));
	ASSERT_EQ(0, handled_by_parent);
}

/*
 * Where the program ignores SIGCHLD, the kernel itself reaps: no library learns
 * what became of its child.
 */
TEST_F(hazard, status_is_lost_where_sigchld_is_ignored)
{
	struct shell shell;
	FILE *file;

	handle(_metadata, SIGCHLD, SIG_IGN);
	file = popen("exit 3", "r");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(-1, pclose(file));
	ASSERT_EQ(ECHILD, errno);

	shell_start(_metadata, &shell, shell_by_private_avfork);
	shell_finish(_metadata, &shell);
	ASSERT_EQ(SHELL_STATUS, reap(shell.pid));
}

/*
 * A program with an event loop polls a pidfd of each child, and waits for the child
 * when that is readable, without waiting: it is told but once. Where a process is
 * between the program and the child, that may know of the end later.
 */

static bool await_edge(int pidfd)
{
	struct pollfd poller = { .fd = pidfd, .events = POLLIN };
	bool ended = poll(&poller, 1, -1) == 1;

	close(pidfd);
	return ended;
}

/* A process between this one and its child: it reaps its child when it is told to. */
static int go_between(void *unused)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(3);
	stage->message = pid;
	sem_post(&stage->ready);
	if (!await(&stage->go) || waitpid(pid, &status, 0) != pid)
		return 1;
	return WEXITSTATUS(status);
}

TEST_F(hazard, go_between_is_late)
{
	pid_t pid = by_fork(go_between, NULL);
	int pidfd, status;

	ASSERT_TRUE(await(&stage->ready));
	pidfd = syscall(SYS_pidfd_open, stage->message, 0);
	ASSERT_GE(pidfd, 0);
	ASSERT_TRUE(await_edge(pidfd));
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(0, waitpid(-1, &status, WNOHANG));
	ASSERT_EQ(0, waitpid(-getpgrp(), &status, WNOHANG));
	sem_post(&stage->go);
	ASSERT_EQ(3, reap(pid));
}

static int exec_echo(void *path)
{
	execl(path, "echo", "1", "2", "3", NULL);
	return 127;
}

FIXTURE(edge) {
};

FIXTURE_VARIANT(edge) {
	int flags;
};

FIXTURE_SETUP(edge)
{
}

FIXTURE_TEARDOWN(edge)
{
}

FIXTURE_VARIANT_ADD(edge, plain) { .flags = 0 };
FIXTURE_VARIANT_ADD(edge, waitpid) { .flags = AVFORK_WAITPID };
FIXTURE_VARIANT_ADD(edge, nosigchld) { .flags = AVFORK_NOSIGCHLD };
FIXTURE_VARIANT_ADD(edge, both) { .flags = AVFORK_WAITPID | AVFORK_NOSIGCHLD };

/* @whom: as for avfork_waitpid(); 1 stands for the child itself. */
static void find_at_the_edge(struct __test_metadata *_metadata, int flags,
			     pid_t whom, int rounds)
{
	int pidfd, status, round;
	const struct avfork_opts opts = {
		.size = sizeof(opts), .flags = flags, .pidfd = &pidfd,
	};
	const char *echo = sibling("echo");

	for (round = 0; round < rounds; round++) {
		pid_t pid = round % 4 ?
			avfork_with(&opts, return_arg, (void *)3) :
			avfork_with(&opts, exec_echo, (void *)echo);

		ASSERT_GT(pid, 0);
		ASSERT_TRUE(await_edge(pidfd));
		status = -1;
		ASSERT_EQ(pid, avfork_waitpid(whom > 0 ? pid : whom, &status,
					      WNOHANG))
			TH_LOG("found nothing in round %d", round);
		ASSERT_EQ(W_EXITCODE(3, 0), status);
		ASSERT_EQ(-1, avfork_waitpid(whom > 0 ? pid : whom, &status,
					     WNOHANG));
		ASSERT_EQ(ECHILD, errno);
	}
}

TEST_F(edge, finds_the_child)
{
	find_at_the_edge(_metadata, variant->flags, 1, 300);
}

TEST_F(edge, finds_any_child)
{
	find_at_the_edge(_metadata, variant->flags, -1, 300);
}

TEST_F(edge, finds_a_child_of_the_group)
{
	find_at_the_edge(_metadata, variant->flags, 0, 150);
	find_at_the_edge(_metadata, variant->flags, -getpgrp(), 150);
}

/* Nor is the child another's to find. */
TEST_F(edge, finds_no_other)
{
	int pidfds[2], status;
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = variant->flags,
	};
	pid_t waits, ends;
	sem_t go;

	sem_init(&go, 0, 0);
	opts.pidfd = &pidfds[0];
	waits = avfork_with(&opts, wait_for, &go);
	opts.pidfd = &pidfds[1];
	ends = avfork_with(&opts, return_arg, (void *)5);
	ASSERT_GT(waits, 0);
	ASSERT_GT(ends, 0);
	ASSERT_TRUE(await_edge(pidfds[1]));
	ASSERT_EQ(0, avfork_waitpid(waits, &status, WNOHANG));
	ASSERT_EQ(ends, avfork_waitpid(-1, &status, WNOHANG));
	ASSERT_EQ(W_EXITCODE(5, 0), status);
	ASSERT_EQ(0, avfork_waitpid(-1, &status, WNOHANG));
	sem_post(&go);
	ASSERT_TRUE(await_edge(pidfds[0]));
	ASSERT_EQ(waits, avfork_waitpid(waits, &status, WNOHANG));
	ASSERT_EQ(0, status);
}

TEST_HARNESS_MAIN

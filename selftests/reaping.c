// SPDX-License-Identifier: GPL-2.0
/*
 * Who learns of a child's death: the program, or the library that made it. As
 * in hazards.c each test plays its scenario with an older call first.
 */
#define _GNU_SOURCE
#include <signal.h>

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

TEST_HARNESS_MAIN

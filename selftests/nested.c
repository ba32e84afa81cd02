// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of those who are themselves children: of avfork(), of vfork(), and copies of
 * such.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "library.h"

/*
 * As a user who has no other process, so that we alone count. @warm: whether
 * the pool has a carrier when the limit is reached.
 */
static int reach_nproc_limit(void *warm)
{
	struct rlimit limit = { .rlim_max = 1000 };
	unsigned int nr_fds;

	REQUIRE(!become_lone_user());
	if (warm)
		REQUIRE(reap(avfork(return_arg, NULL)) == 0);
	nr_fds = count_fds();

	/* No room, be there a carrier or not. */
	limit.rlim_cur = 1;
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EAGAIN);
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);

	/* Room for a carrier alone, which leaves when there is no more. */
	limit.rlim_cur = 2;
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EAGAIN);
	REQUIRE(threads_leave());

	limit.rlim_cur = 1000;
	REQUIRE(!setrlimit(RLIMIT_NPROC, &limit));
	REQUIRE(reap(avfork(return_arg, (void *)4)) == 4);
	REQUIRE(threads_leave());
	REQUIRE(count_fds() == nr_fds + (!warm && backend_is("kernel")));
	return 0;
}

TEST(nproc_limit)
{
	if (geteuid())
		SKIP(return, "needs root, to become a user without processes");
	ASSERT_PASSED(in_copy(reach_nproc_limit, NULL));
	ASSERT_PASSED(in_copy(reach_nproc_limit, (void *)1));
}

static int call_in_child(void *arg)
{
	struct avfork_opts opts = { .size = sizeof(opts) };

	(void)arg;
	REQUIRE(avfork(return_arg, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avforkx(AVFORK_SYNC, return_arg, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_with(&opts, return_arg, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	REQUIRE(waitpid(-1, NULL, __WALL) == -1);
	REQUIRE(errno == ECHILD);
	return 0;
}

TEST(in_a_child)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct avfork_opts opts = {
		.size = sizeof(opts), .stack = stack,
		.stack_size = sizeof(stack),
	};

	ASSERT_PASSED(reap(avfork(call_in_child, NULL)));
	ASSERT_PASSED(reap(avforkx(AVFORK_SYNC, call_in_child, NULL)));
	ASSERT_PASSED(reap(avfork_with(&opts, call_in_child, NULL)));
	/* The parent may still. */
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

static int is_1_as_well(void *unused)
{
	(void)unused;
	errno = 0;
	REQUIRE(getpid() == 1);
	REQUIRE(avfork_reserve(1) == -1 && errno == EDEADLK);
	errno = 0;
	REQUIRE(!avfork_prepare(NULL) && errno == EDEADLK);
	errno = 0;
	REQUIRE(avforkx(AVFORK_SYNC, return_arg, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	return 0;
}

static int is_1(void *unused)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .namespaces = CLONE_NEWPID,
	};

	(void)unused;
	REQUIRE(getpid() == 1);
	REQUIRE(!reap(avfork_with(&opts, is_1_as_well, NULL)));
	opts.flags = AVFORK_SYNC;
	REQUIRE(!reap(avfork_with(&opts, is_1_as_well, NULL)));
	/* Control: the parent may. */
	return reap(avforkx(AVFORK_SYNC, return_arg, NULL));
}

static int copied_as_1(void *unused)
{
	(void)unused;
	REQUIRE(!unshare(CLONE_NEWPID));
	return in_copy(is_1, NULL);
}

/* As in a container: their pids do not tell the two apart. */
TEST(in_a_child_whose_parent_is_1_as_well)
{
	if (geteuid())
		SKIP(return, "needs root, for pid namespaces");
	ASSERT_PASSED(in_copy(copied_as_1, NULL));
}

static int all_calls_refuse(void *warm)
{
	char *const argv[] = { "true", NULL };
	static const int flags[] = {
		AVFORK_WAITPID, AVFORK_AUTOREAP, AVFORK_AUTOKILL | AVFORK_NNP,
	};
	size_t i;

	errno = 0;
	REQUIRE(avforkx(AVFORK_SYNC, return_arg, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_async(return_arg, NULL, done_is_not_called) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_reserve(1) == -1 && errno == EDEADLK);
	/* With the module, what needs but a carrier that is there is not refused. */
	if (warm && backend_is("kernel"))
		return 0;

	if (call_in_child(NULL))
		return 1;
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		errno = 0;
		REQUIRE(avforkx(flags[i], return_arg, NULL) == -1);
		REQUIRE(errno == EDEADLK);
	}
	errno = 0;
	REQUIRE(avfork_exec(NULL, "/bin/true", argv, NULL) == -1);
	REQUIRE(errno == EDEADLK);
	errno = 0;
	REQUIRE(avfork_system("true") == -1 && errno == EDEADLK);
	errno = 0;
	REQUIRE(!avfork_popen("true", "r") && errno == EDEADLK);
	errno = 0;
	REQUIRE(!avfork_popenv(argv, "r") && errno == EDEADLK);
	return 0;
}

static int in_vfork(int (*run)(void *), void *arg)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(run(arg));
	return reap(pid);
}

/*
 * Where a child of vfork() is the first to call: it would make threads that die with
 * it, in memory that is its parent's. @arg: whether the parent is next.
 */
static int vfork_first(void *arg)
{
	const unsigned int threads = count_threads();

	if (in_vfork(all_calls_refuse, NULL))
		return 1;
	REQUIRE(count_threads() == threads);
	REQUIRE(reap(avfork(return_arg, (void *)4)) == 4);
	if (in_vfork(all_calls_refuse, "warm"))
		return 1;
	REQUIRE(reap(avfork(all_calls_refuse, NULL)) == 0);
	/* A copy is a program of its own, and may be the first, too. */
	return arg ? in_copy(vfork_first, NULL) : 0;
}

TEST(in_a_child_of_vfork)
{
	ASSERT_PASSED(vfork_first(NULL));
	ASSERT_PASSED(in_copy(vfork_first, ""));
}

static int copy_of_guest(void *arg)
{
	/* The control: a child of fork() has memory of its own. */
	return in_copy(vfork_first, arg);
}

TEST(in_a_child_of_vfork_in_a_copy_of_a_child)
{
	ASSERT_PASSED(reap(avfork(copy_of_guest, "")));
	/* A sanitizer's vfork() clears all between this child's stack and its thread's. */
	if (!SANITIZED)
		ASSERT_PASSED(reap(avforkx(AVFORK_SYNC, copy_of_guest, NULL)));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

static int spawn_in_copy(void *arg)
{
	REQUIRE(reap(avfork(return_arg, arg)) == 21);
	REQUIRE(reap(avforkx(AVFORK_SYNC, return_arg, arg)) == 21);
	/* And it is a parent like any other. */
	return reap(avfork(call_in_child, NULL));
}

static int fork_and_spawn(void *arg)
{
	return in_copy(spawn_in_copy, arg);
}

TEST(in_a_fork_of_a_child)
{
	ASSERT_PASSED(reap(avfork(fork_and_spawn, (void *)21)));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

TEST_HARNESS_MAIN

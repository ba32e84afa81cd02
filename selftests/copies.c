// SPDX-License-Identifier: GPL-2.0
/*
 * What is told to all threads of a program, and copies of the program, which have none
 * of its threads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "crowd.h"

/* Signals. */

static volatile sig_atomic_t handled_by;

static void note_thread(int sig)
{
	(void)sig;
	handled_by = gettid();
}

/* Whether the thread @name of ours blocks all that it can. */
static bool blocks_all(const char *name)
{
	/* SIGKILL and SIGSTOP; glibc's SIGCANCEL and SIGSETXID. */
	const unsigned long long never = 1ULL << 8 | 1ULL << 18 |
					 1ULL << 31 | 1ULL << 32;
	unsigned long long mask = 0;
	char path[PATH_MAX], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", name);
	status = fopen(path, "r");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	fclose(status);
	return (mask | never) == ~0ULL;
}

TEST(signals_stay_ours)
{
	unsigned int others = 0;
	static struct crowd crowd;
	struct dirent *entry;
	sigset_t all, pending;
	DIR *tasks;

	signal(SIGUSR1, note_thread);
	ASSERT_PASSED(crowd_start(&crowd, 10));
	tasks = opendir("/proc/self/task");
	ASSERT_NE(NULL, tasks);
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		ASSERT_TRUE(blocks_all(entry->d_name));
		others++;
	}
	closedir(tasks);
	ASSERT_EQ(10, others);

	/* With the only thread of ours that would, nobody handles it. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	kill(getpid(), SIGUSR1);
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_TRUE(threads_leave());
	ASSERT_EQ(0, handled_by);
	sigpending(&pending);
	ASSERT_EQ(1, sigismember(&pending, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	ASSERT_EQ(getpid(), handled_by);
}

/* What is told to all threads of a program at once, over the carriers, too. */

static atomic_bool quit;

static int work_until_quit(void *arg)
{
	(void)arg;
	while (!quit) {
		char text[32], *copy;

		errno = 77;
		snprintf(text, sizeof(text), "%d", getpid());
		copy = strdup(text);
		REQUIRE(copy && atoi(copy) == getpid());
		free(copy);
		REQUIRE(errno == 77);
		/* The broadcast waits for each thread to have its turn. */
		sched_yield();
	}
	return 0;
}

static void *set_ids(void *arg)
{
	long round;

	(void)arg;
	for (round = 0; round < 200; round++)
		if (setgid(getgid()) || setuid(getuid()))
			return (void *)-1L;
	return NULL;
}

TEST(setxid_broadcast)
{
	static struct crowd parked;
	void *result;
	pthread_t thread;
	pid_t pids[8];
	int i;

	if (backend_is("taskq"))
		SKIP(return, "a thread in vfork() has no turn until its child execs");
	ASSERT_PASSED(crowd_start(&parked, 16));
	ASSERT_PASSED(crowd_end(&parked));
	for (i = 0; i < 8; i++)
		pids[i] = avfork(work_until_quit, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, set_ids, NULL));
	pthread_join(thread, &result);
	ASSERT_EQ(NULL, result);
	quit = true;
	for (i = 0; i < 8; i++)
		ASSERT_PASSED(reap(pids[i]));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

static int drop_privileges(void *arg)
{
	(void)arg;
	REQUIRE(!setgid(54321));
	REQUIRE(!setuid(54321));
	REQUIRE(getuid() == 54321 && getegid() == 54321);
	REQUIRE(setuid(0) == -1);
	return 0;
}

TEST(setxid_in_a_child)
{
	static struct crowd crowd;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_PASSED(crowd_start(&crowd, 8));
	ASSERT_PASSED(reap(avfork(drop_privileges, NULL)));
	ASSERT_EQ(0, geteuid());
	ASSERT_PASSED(crowd_end(&crowd));
}

/* Copies of the program: they have none of its threads. */

static int use_in_copy(void *arg)
{
	static struct crowd crowd;
	int depth = (int)(long)arg;

	REQUIRE(count_threads() == 1);
	REQUIRE(reap(avfork(return_arg, (void *)5)) == 5);
	if (crowd_start(&crowd, 5))
		return 1;
	/*
	 * The first worker may yet have to see that its child has died, or the
	 * first carrier be on its way out.
	 */
	REQUIRE(COMES_TRUE(count_threads() == 1 + 5, IDLE_LIMIT));
	if (depth && in_copy(use_in_copy, (void *)(depth - 1L)))
		return 1;
	if (crowd_end(&crowd))
		return 1;
	REQUIRE(depth || threads_leave());
	return 0;
}

static pid_t raw_clone(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

FIXTURE(copy)
{
};

FIXTURE_VARIANT(copy)
{
	pid_t (*make)(void);
};

FIXTURE_VARIANT_ADD(copy, fork)
{
	.make = fork,
};

FIXTURE_VARIANT_ADD(copy, _Fork)
{
	.make = _Fork,
};

FIXTURE_VARIANT_ADD(copy, raw_clone)
{
	.make = raw_clone,
};

FIXTURE_SETUP(copy)
{
}

FIXTURE_TEARDOWN(copy)
{
}

TEST_F(copy, of_a_busy_pool)
{
	static struct crowd crowd;
	pid_t pid;

	ASSERT_PASSED(crowd_start(&crowd, 10));
	pid = variant->make();
	if (!pid)
		_exit(use_in_copy((void *)2));
	ASSERT_PASSED(reap(pid));
	/* Nothing of this was ours. */
	ASSERT_EQ(1 + 10, count_threads());
	ASSERT_PASSED(crowd_end(&crowd));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_TRUE(threads_leave());
}

struct forker {
	pthread_t thread;
	pid_t (*make)(void);
};

static void *copy_until_quit(void *arg)
{
	const struct forker *forker = arg;
	int round;

	for (round = 0; !quit; round++) {
		pid_t pid = forker->make();

		if (!pid)
			_exit(round % 8 ? 0 : reap(avfork(return_arg, NULL)));
		if (reap(pid))
			return (void *)-1L;
	}
	return round ? NULL : (void *)-2L;
}

TEST(fork_storm)
{
	struct forker forkers[3];
	void *result;
	int i;

	for (i = 0; i < 3; i++) {
		forkers[i].make = fork;
		ASSERT_EQ(0, pthread_create(&forkers[i].thread, NULL,
					    copy_until_quit, &forkers[i]));
	}
	for (i = 0; i < 500; i++) {
		pid_t first = avfork(return_arg, (void *)1);
		pid_t second = avforkx(AVFORK_WAITPID, return_arg, (void *)2);

		ASSERT_EQ(1, reap(first));
		ASSERT_EQ(2, reap(second));
	}
	quit = true;
	for (i = 0; i < 3; i++) {
		pthread_join(forkers[i].thread, &result);
		ASSERT_EQ(NULL, result);
	}
	ASSERT_TRUE(threads_leave());
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * Children that the program's own waits do not see: AVFORK_NOSIGCHLD and
 * AVFORK_WAITPID.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "library.h"

static volatile sig_atomic_t nr_sigchld;

static void count_sigchld(int sig)
{
	(void)sig;
	nr_sigchld++;
}

TEST(sigchld)
{
	int status;
	pid_t pid;

	signal(SIGCHLD, count_sigchld);
	pid = avfork(return_arg, (void *)7);
	while (waitpid(pid, &status, 0) == -1)
		ASSERT_EQ(EINTR, errno);
	ASSERT_EQ(7, WEXITSTATUS(status));
	ASSERT_EQ(1, nr_sigchld);
}

FIXTURE(hidden)
{
	struct avfork_opts opts;
	int ends[2];
};

FIXTURE_VARIANT(hidden)
{
	int flags;
};

FIXTURE_VARIANT_ADD(hidden, nosigchld)
{
	.flags = AVFORK_NOSIGCHLD,
};

FIXTURE_VARIANT_ADD(hidden, waitpid)
{
	.flags = AVFORK_WAITPID,
};

FIXTURE_VARIANT_ADD(hidden, both)
{
	.flags = AVFORK_NOSIGCHLD | AVFORK_WAITPID,
};

FIXTURE_SETUP(hidden)
{
	ASSERT_EQ(0, pipe_opts(&self->opts, self->ends));
	self->opts.flags = variant->flags;
	nr_sigchld = 0;
	signal(SIGCHLD, count_sigchld);
}

FIXTURE_TEARDOWN(hidden)
{
}

#define ASSERT_HIDDEN(pid) do {						\
	ASSERT_FAILS(ECHILD, wait(NULL));				\
	ASSERT_FAILS(ECHILD, waitpid(pid, NULL, 0));			\
} while (0)

TEST_F(hidden, from_wait_and_sigchld)
{
	siginfo_t info;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	pid = avforkx(variant->flags, wait_for, &go);
	ASSERT_LT(0, pid);
	ASSERT_HIDDEN(pid);
	sem_post(&go);
	ASSERT_EQ(0, waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL));
	ASSERT_HIDDEN(pid);
	ASSERT_EQ(0, reap(pid));
	ASSERT_EQ(0, nr_sigchld);
}

TEST_F(hidden, after_exec)
{
	siginfo_t info;
	char byte = 0;
	pid_t pid;

	pid = avfork_with(&self->opts, exec_echo, (void *)sibling("echo"));
	ASSERT_LT(0, pid);
	close_granted(&self->opts);
	/* What it echoes says that it has exec'd. */
	ASSERT_EQ(1, write(self->ends[1], &byte, 1));
	ASSERT_EQ(1, read(self->ends[0], &byte, 1));
	ASSERT_HIDDEN(pid);
	close(self->ends[1]);
	ASSERT_EQ(0, waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL));
	ASSERT_HIDDEN(pid);
	ASSERT_EQ(1, reap(pid));
	ASSERT_EQ(0, nr_sigchld);
}

struct waiter {
	pid_t pid;
	pid_t found;
	int status;
	int error;
};

static void *wait_in_thread(void *arg)
{
	struct waiter *waiter = arg;

	waiter->found = avfork_waitpid(waiter->pid, &waiter->status, 0);
	waiter->error = errno;
	return NULL;
}

TEST_F(hidden, waited_for_twice)
{
	struct waiter waiters[2];
	pthread_t threads[2];
	int round, i, first;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	for (round = 0; round < 100; round++) {
		pid = avforkx(variant->flags, wait_for, &go);
		ASSERT_LT(0, pid);
		for (i = 0; i < 2; i++) {
			waiters[i] = (struct waiter){ .pid = pid, .status = -1 };
			/* By number, or as any child. */
			if (round % 2 && i)
				waiters[i].pid = -1;
			ASSERT_EQ(0, pthread_create(&threads[i], NULL,
						    wait_in_thread,
						    &waiters[i]));
		}
		sem_post(&go);
		for (i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		first = waiters[0].found != pid;
		ASSERT_EQ(pid, waiters[first].found);
		ASSERT_EQ(0, waiters[first].status);
		ASSERT_EQ(-1, waiters[!first].found);
		ASSERT_EQ(ECHILD, waiters[!first].error);
	}
}

/* A wait that was cancelled keeps nothing of what it waited for. */
TEST_F(hidden, wait_is_cancelled)
{
	const int rounds = 200, first = 20;
	size_t before = 0;
	int round;
	sem_t go;

	sem_init(&go, 0, 0);
	for (round = 0; round < rounds; round++) {
		struct waiter waiter;
		pthread_t thread;
		void *result;

		if (round == first)
			before = allocated_bytes();
		waiter.pid = avforkx(variant->flags, wait_for, &go);
		ASSERT_LT(0, waiter.pid);
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_thread,
					    &waiter));
		ASSERT_EQ(0, pthread_cancel(thread));
		ASSERT_EQ(0, pthread_join(thread, &result));
		ASSERT_EQ(PTHREAD_CANCELED, result);
		sem_post(&go);
		ASSERT_EQ(0, reap(waiter.pid));
	}
	/* Less than 32 bytes a round. */
	ASSERT_GT(before + (rounds - first) * 32, allocated_bytes());
}

/*
 * What makes a hidden child without the module would be in the other namespace,
 * and not know the pid that we need.
 */
TEST_F(hidden, in_another_pid_namespace)
{
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	/* It leaves carriers: there can be no new threads then. */
	ASSERT_EQ(1, reap(avforkx(variant->flags, return_arg, (void *)1)));
	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	pid = avforkx(variant->flags, return_arg, (void *)2);
	/* A second may have passed: then the carriers are gone. */
	if (pid < 0) {
		ASSERT_EQ(EAGAIN, errno);
	} else {
		ASSERT_STREQ("kernel", avfork_backend());
		ASSERT_EQ(2, reap(pid));
	}
	ASSERT_FAILS(ECHILD, waitpid(-1, NULL, __WALL));
}

struct sync {
	int flags;
	sem_t running, go;
	pid_t parent;
	bool left;
	pid_t pid;
	bool left_by_then;
};

static int leave_when_told(void *arg)
{
	struct sync *sync = arg;

	sync->parent = getppid();
	sem_post(&sync->running);
	sem_wait(&sync->go);
	sync->left = true;
	return 0;
}

static void *spawn_sync(void *arg)
{
	struct sync *sync = arg;

	sync->pid = avforkx(sync->flags | AVFORK_SYNC, leave_when_told, sync);
	sync->left_by_then = sync->left;
	return NULL;
}

/* Without the module there is a process between us and a hidden child. */
TEST_F(hidden, sync_outlives_what_is_between)
{
	struct sync sync = { .flags = variant->flags };
	pthread_t thread;
	siginfo_t info;
	int status;

	if (backend_is("kernel"))
		SKIP(return, "nothing is between with the module");
	sem_init(&sync.running, 0, 0);
	sem_init(&sync.go, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, spawn_sync, &sync));
	sem_wait(&sync.running);
	ASSERT_NE(getpid(), sync.parent);
	ASSERT_EQ(0, kill(sync.parent, SIGKILL));
	ASSERT_EQ(0, waitid(P_PID, sync.parent, &info,
			    WEXITED | WNOWAIT | __WALL));
	sem_post(&sync.go);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LT(0, sync.pid);
	ASSERT_TRUE(sync.left_by_then);
	ASSERT_EQ(sync.pid, avfork_waitpid(sync.pid, &status, 0));
	ASSERT_EQ(SIGKILL, status);
	ASSERT_FAILS(ECHILD, waitpid(-1, NULL, __WALL));
}

/* Nor is a wait for any child to find that, where it could make none. */
TEST_F(hidden, failure_is_no_child)
{
	struct waiter waiter = { .pid = -1 };
	pthread_t thread;
	int round;
	sem_t go;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	sem_init(&go, 0, 0);
	pid = avforkx(variant->flags, wait_for, &go);
	ASSERT_LT(0, pid);
	/* There are no user namespaces in there. */
	ASSERT_EQ(0, chroot("/proc"));
	self->opts.namespaces = CLONE_NEWUSER;
	ASSERT_EQ(-1, avfork_with(&self->opts, return_arg, NULL));
	if (errno != EPERM) {
		sem_post(&go);
		ASSERT_EQ(0, reap(pid));
		SKIP(return, "there are none outside, either");
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_thread, &waiter));
	for (round = 0; round < 200; round++)
		ASSERT_FAILS(EPERM, avfork_with(&self->opts, return_arg, NULL));
	sem_post(&go);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(pid, waiter.found);
	ASSERT_EQ(0, waiter.status);
}

TEST_F(hidden, stopped_and_continued)
{
	int status;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	pid = avforkx(variant->flags, wait_for, &go);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	sem_post(&go);
	ASSERT_EQ(0, reap(pid));
	ASSERT_EQ(-1, avfork_waitpid(pid, &status, WNOHANG));
	ASSERT_EQ(ECHILD, errno);
}

static int sigchld_is_ignored(void *arg)
{
	struct sigaction action;

	sigaction(SIGCHLD, NULL, &action);
	return action.sa_handler == SIG_IGN;
}

TEST_F(hidden, kept_where_sigchld_is_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	ASSERT_EQ(9, reap(avforkx(variant->flags, return_arg, (void *)9)));
	ASSERT_EQ(0, reap(avforkx(variant->flags, sigchld_is_ignored, NULL)));
	ASSERT_EQ(1, reap(avforkx(variant->flags | AVFORK_INHERIT_SIGNALS,
				  sigchld_is_ignored, NULL)));
}

TEST(waitpid_reaps_any)
{
	int status;
	pid_t pid;

	pid = avforkx(AVFORK_WAITPID, return_arg, NULL);
	ASSERT_FAILS(EINVAL, avfork_waitpid(-1, &status, WNOWAIT));
	ASSERT_EQ(pid, avfork_waitpid(0, &status, 0));
	ASSERT_EQ(0, status);
	pid = avfork(return_arg, (void *)1);
	ASSERT_EQ(pid, avfork_waitpid(-1, &status, 0));
	ASSERT_EQ(1, WEXITSTATUS(status));
	pid = avforkx(AVFORK_WAITPID, return_arg, (void *)2);
	ASSERT_EQ(pid, avfork_waitpid(-1, &status, 0));
	ASSERT_EQ(2, WEXITSTATUS(status));
	pid = fork();
	if (!pid)
		_exit(3);
	ASSERT_EQ(pid, avfork_waitpid(-1, &status, 0));
	ASSERT_EQ(3, WEXITSTATUS(status));
}

TEST_HARNESS_MAIN

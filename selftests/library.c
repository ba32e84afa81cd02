// SPDX-License-Identifier: GPL-2.0
/*
 * libavfork's calls, one by one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <linux/magic.h>

#include <avfork.h>

#include "../kselftest_harness.h"
#include "helpers.h"
#include "seccomp.h"

#define MIB (1024 * 1024)

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Have no child left, no thread, and no descriptor beyond those of before. */
#define ASSERT_NOTHING_LEFT(fds) do {					\
	ASSERT_EQ(-1, waitpid(-1, NULL, __WALL));			\
	ASSERT_EQ(ECHILD, errno);					\
	ASSERT_EQ(fds, count_fds());					\
	ASSERT_TRUE(threads_leave());					\
} while (0)

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

/* What a child has to start with. */

static int check_no_fds(void *arg)
{
	int fd;

	(void)arg;
	for (fd = 0; fd < 1024; fd++) {
		REQUIRE(fcntl(fd, F_GETFD) == -1);
		REQUIRE(errno == EBADF);
	}
	return 0;
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

/**
 * struct wanted_fd - one entry of the table that a child shall have
 * @fd:    its number
 * @flags: FD_CLOEXEC or 0
 * @stat:  of the file
 */
struct wanted_fd {
	int fd;
	int flags;
	struct stat stat;
};

struct wanted_table {
	unsigned int nr;
	struct wanted_fd fds[8];
};

static int check_table(void *arg)
{
	const struct wanted_table *table = arg;
	struct stat st;
	unsigned int i;
	int fd;

	for (fd = 0; fd < 1024; fd++) {
		for (i = 0; i < table->nr && table->fds[i].fd != fd; i++)
			;
		if (i == table->nr) {
			REQUIRE(fcntl(fd, F_GETFD) == -1);
			continue;
		}
		REQUIRE(fcntl(fd, F_GETFD) == table->fds[i].flags);
		REQUIRE(!fstat(fd, &st));
		REQUIRE(st.st_dev == table->fds[i].stat.st_dev);
		REQUIRE(st.st_ino == table->fds[i].stat.st_ino);
	}
	return 0;
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

static int exec_echo(void *arg)
{
	char *argv[] = { "echo", "argument", NULL };
	char *envp[] = { NULL };

	execve(arg, argv, envp);
	return 127;
}

/* Opts that grant the ends of two pipes; @ends are the other two. */
static int pipe_opts(struct avfork_opts *opts, int ends[2])
{
	static struct avfork_fd fds[2];
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -1;
	fds[0] = (struct avfork_fd){ .parent_fd = to[0], .child_fd = 0 };
	fds[1] = (struct avfork_fd){ .parent_fd = from[1], .child_fd = 1 };
	*opts = (struct avfork_opts){
		.size = sizeof(*opts), .fds = fds, .nr_fds = 2,
	};
	ends[0] = from[0];
	ends[1] = to[1];
	return 0;
}

static void close_granted(const struct avfork_opts *opts)
{
	size_t i;

	for (i = 0; i < opts->nr_fds; i++)
		close(opts->fds[i].parent_fd);
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

/* The options. */

TEST(pidfd)
{
	struct avfork_opts opts = { .size = sizeof(opts) };
	struct pollfd poll_for = { .events = POLLIN };
	siginfo_t info = { };
	int pidfd = -1;
	sem_t go;
	pid_t pid;

	sem_init(&go, 0, 0);
	opts.pidfd = &pidfd;
	pid = avfork_with(&opts, wait_for, &go);
	ASSERT_LT(0, pid);
	ASSERT_LE(0, pidfd);
	ASSERT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
	poll_for.fd = pidfd;
	ASSERT_EQ(0, poll(&poll_for, 1, 0));
	ASSERT_EQ(0, syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	ASSERT_EQ(1, poll(&poll_for, 1, -1));
	ASSERT_EQ(0, waitid(P_PIDFD, pidfd, &info, WEXITED));
	ASSERT_EQ(pid, info.si_pid);
	ASSERT_EQ(CLD_KILLED, info.si_code);
	ASSERT_EQ(SIGTERM, info.si_status);
}

FIXTURE(cgroup)
{
	char path[64];
	int fd;
};

FIXTURE_SETUP(cgroup)
{
	struct statfs fs;

	self->fd = -1;
	if (statfs("/sys/fs/cgroup", &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		SKIP(return, "no cgroup2 at /sys/fs/cgroup");
	snprintf(self->path, sizeof(self->path),
		 "/sys/fs/cgroup/avfork-test-%d", getpid());
	if (mkdir(self->path, 0755))
		SKIP(return, "may not make a cgroup");
	self->fd = open(self->path, O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(cgroup)
{
	rmdir(self->path);
}

TEST_F(cgroup, into)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .flags = AVFORK_INTO_CGROUP,
		.cgroup_fd = self->fd,
	};
	char path[64], line[128] = "";
	sem_t go;
	FILE *file;
	pid_t pid;

	if (self->fd < 0)
		return;
	sem_init(&go, 0, 0);
	pid = avfork_with(&opts, wait_for, &go);
	ASSERT_LT(0, pid);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "r");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file) && strncmp(line, "0::", 3))
		;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	ASSERT_STREQ(self->path + strlen("/sys/fs/cgroup"), line + 3);
	sem_post(&go);
	ASSERT_EQ(0, reap(pid));
}

TEST_F(cgroup, errors)
{
	struct avfork_opts opts = { .size = sizeof(opts), .cgroup_fd = -1 };
	unsigned int nr_fds;

	if (self->fd < 0)
		return;
	/* Not looked at without the flag. */
	ASSERT_EQ(0, reap(avfork_with(&opts, return_arg, NULL)));
	nr_fds = count_fds();

	opts.flags = AVFORK_INTO_CGROUP;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	opts.cgroup_fd = 1023;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	opts.cgroup_fd = STDERR_FILENO;
	ASSERT_FAILS(EBADF, avfork_with(&opts, return_arg, NULL));
	/* There is no descriptor in this call. */
	ASSERT_FAILS(EINVAL, avforkx(AVFORK_INTO_CGROUP, return_arg, NULL));
	ASSERT_NOTHING_LEFT(nr_fds);
}

static int in_new_namespaces(void *arg)
{
	(void)arg;
	REQUIRE(getpid() == 1);
	REQUIRE(!sethostname("avfork-child", 12));
	return 0;
}

TEST(namespaces)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .namespaces = CLONE_NEWUTS | CLONE_NEWPID,
	};
	struct utsname before, after;

	if (geteuid())
		SKIP(return, "needs root");
	uname(&before);
	ASSERT_PASSED(reap(avfork_with(&opts, in_new_namespaces, NULL)));
	uname(&after);
	ASSERT_STREQ(before.nodename, after.nodename);

	opts.namespaces = CLONE_VM;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
	opts.namespaces = 1ULL << 40;
	ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
}

static int show_frame(void *arg)
{
	*(void **)arg = __builtin_frame_address(0);
	return 0;
}

TEST(own_stack)
{
	static char area[3 * 65536] __attribute__((aligned(16)));
	char *stack = area + 65536;
	struct avfork_opts opts = {
		.size = sizeof(opts), .stack = stack, .stack_size = 65536,
	};
	char *frame = NULL;
	size_t i;

	ASSERT_EQ(0, reap(avfork_with(&opts, show_frame, &frame)));
	ASSERT_LT(stack, frame);
	ASSERT_GT(stack + 65536, frame);
	/* Nothing was written outside of it. */
	for (i = 0; i < 65536; i++)
		ASSERT_EQ(0, area[i] | area[2 * 65536 + i]);

	opts.stack_size = AVFORK_STACK_MIN;
	ASSERT_EQ(7, reap(avfork_with(&opts, return_arg, (void *)7)));
}

TEST(own_stack_errors)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct avfork_opts opts = { .size = sizeof(opts) };
	unsigned int nr_fds;

	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	nr_fds = count_fds();

#define ASSERT_STACK_REFUSED(error, address, bytes) do {		\
	opts.stack = (void *)(address);					\
	opts.stack_size = (bytes);					\
	ASSERT_FAILS(error, avfork_with(&opts, return_arg, NULL));	\
} while (0)
	ASSERT_STACK_REFUSED(EINVAL, stack + 8, 32768);
	ASSERT_STACK_REFUSED(EINVAL, stack, 32768 + 8);
	ASSERT_STACK_REFUSED(EINVAL, stack, 0);
	ASSERT_STACK_REFUSED(EINVAL, stack, AVFORK_STACK_MIN - 16);
	ASSERT_STACK_REFUSED(EFAULT, stack, SIZE_MAX & ~15UL);
	ASSERT_STACK_REFUSED(EFAULT, UINTPTR_MAX & ~0xffffUL, 32768);
	ASSERT_NOTHING_LEFT(nr_fds);
}

/* Touch @arg bytes of stack. */
static int __attribute__((noinline)) use_stack(void *arg)
{
	size_t size = (size_t)arg, at;
	volatile char *bytes = __builtin_alloca(size);

	for (at = size; at > 4096; at -= 4096)
		bytes[at - 1] = 1;
	bytes[0] = 1;
	return 0;
}

TEST(stack_size)
{
	struct avfork_opts opts = {
		.size = sizeof(opts), .stack_size = MIB,
	};
	unsigned int nr_fds;

	/* All but a page, for the frames above. */
	ASSERT_EQ(0, reap(avfork_with(&opts, use_stack,
				      (void *)(MIB - 4096L))));
	ASSERT_EQ(0, reap(avfork(use_stack, (void *)(256 * 1024L - 4096))));
	opts.stack_size = 1;
	ASSERT_EQ(0, reap(avfork_with(&opts, use_stack,
				      (void *)(256 * 1024L - 4096))));
	nr_fds = count_fds();

	opts.stack_size = SIZE_MAX;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	opts.stack_size = PTRDIFF_MAX;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	opts.stack_size = 1ULL << 47;
	ASSERT_FAILS(ENOMEM, avfork_with(&opts, return_arg, NULL));
	ASSERT_NOTHING_LEFT(nr_fds);
}

TEST(stack_overflow)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	ASSERT_EQ(-SIGSEGV, reap(avfork(use_stack,
					(void *)(512 * 1024L))));
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

/* What is refused. */

TEST(opts_size)
{
	long page = sysconf(_SC_PAGESIZE);
	struct avfork_opts *opts;
	char *map, *end;

	/* What lies beyond the struct, or before it, cannot be read. */
	map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	end = map + 2 * page;
	ASSERT_EQ(0, mprotect(end, page, PROT_NONE));

	opts = (void *)(end - sizeof(*opts));
	opts->size = sizeof(*opts);
	ASSERT_EQ(5, reap(avfork_with(opts, return_arg, (void *)5)));
	opts->size = sizeof(*opts) - 1;
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));

	opts = (void *)(end - sizeof(opts->size));
	opts->size = 0;
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));
	opts->size = sizeof(opts->size);
	ASSERT_FAILS(EINVAL, avfork_with(opts, return_arg, NULL));
	opts->size = page + 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	opts->size = SIZE_MAX;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));

	/* One of the future: it may be longer, with nothing in what we lack. */
	memset(map, 0, 2 * page);
	opts = (void *)(end - sizeof(*opts) - 24);
	opts->size = sizeof(*opts) + 24;
	ASSERT_EQ(6, reap(avfork_with(opts, return_arg, (void *)6)));
	end[-1] = 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	end[-1] = 0;
	end[-24] = 1;
	ASSERT_FAILS(E2BIG, avfork_with(opts, return_arg, NULL));
	end[-24] = 0;
	memset(map, 0, 2 * page);
	opts = (void *)(end - 4096);
	opts->size = 4096;
	ASSERT_EQ(7, reap(avfork_with(opts, return_arg, (void *)7)));
}

TEST(unknown_flags)
{
	const unsigned int known = AVFORK_SYNC | AVFORK_STDIO |
				   AVFORK_INTO_CGROUP | AVFORK_INHERIT_FDS |
				   AVFORK_INHERIT_SIGNALS | AVFORK_NOSIGCHLD |
				   AVFORK_WAITPID | AVFORK_AUTOKILL |
				   AVFORK_AUTOREAP | AVFORK_NNP |
				   AVFORK_SHARE_FDS;
	struct avfork_opts opts = { .size = sizeof(opts) };
	unsigned int bit;

	for (bit = 1; bit; bit <<= 1) {
		if (bit & known)
			continue;
		opts.flags = (int)bit;
		ASSERT_FAILS(EINVAL, avfork_with(&opts, return_arg, NULL));
		ASSERT_FAILS(EINVAL, avforkx((int)bit, return_arg, NULL));
	}
}

TEST(no_start_routine)
{
	struct avfork_opts opts = { .size = sizeof(opts) };

	ASSERT_FAILS(EINVAL, avfork(NULL, NULL));
	ASSERT_FAILS(EINVAL, avforkx(AVFORK_STDIO, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_with(&opts, NULL, NULL));
	ASSERT_FAILS(EINVAL, avfork_with(NULL, NULL, NULL));
	ASSERT_EQ(1, count_threads());
}

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

static void done_is_not_called(pid_t pid)
{
	(void)pid;
	abort();
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

/* The backend. */

TEST(backend)
{
	const char *forced = getenv("AVFORK_BACKEND");

	if (!forced || !*forced)
		forced = "kernel";
	ASSERT_STREQ(forced, avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
	ASSERT_STREQ(forced, avfork_backend());
}

FIXTURE(backend)
{
};

FIXTURE_VARIANT(backend)
{
	const char *name;
	bool needs_module;
};

FIXTURE_VARIANT_ADD(backend, kernel)
{
	.name = "kernel",
	.needs_module = true,
};

FIXTURE_VARIANT_ADD(backend, clone)
{
	.name = "clone",
};

FIXTURE_VARIANT_ADD(backend, taskq)
{
	.name = "taskq",
};

FIXTURE_SETUP(backend)
{
	if (variant->needs_module && access("/dev/avfork", F_OK))
		SKIP(_exit(255), "there is no /dev/avfork");
}

FIXTURE_TEARDOWN(backend)
{
}

TEST_F(backend, forced)
{
	setenv("AVFORK_BACKEND", variant->name, 1);
	ASSERT_STREQ(variant->name, avfork_backend());
	/* It is chosen once. */
	setenv("AVFORK_BACKEND", "nonesuch", 1);
	ASSERT_STREQ(variant->name, avfork_backend());
	ASSERT_EQ(0, reap(avfork(return_arg, NULL)));
}

TEST(backend_empty_is_none_forced)
{
	const bool module = !access("/dev/avfork", F_OK);

	setenv("AVFORK_BACKEND", "", 1);
	ASSERT_STREQ(module ? "kernel" : "clone", avfork_backend());
}

/* Without clone3() and close_range(), which Linux has since 5.3 and 5.9. */
static int without_newer_calls(void *arg)
{
	const struct sock_filter instructions[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		REFUSE(ENOSYS),
		ALLOW,
	};
	struct wanted_table table = {
		.nr = 2, .fds = { { .fd = 3 }, { .fd = 900 } },
	};
	struct avfork_fd fds[2] = { { 1, 3, 0, 0 }, { 2, 900, 0, 0 } };
	struct avfork_opts opts = { .size = sizeof(opts), .fds = fds };
	int pidfd = -1;

	(void)arg;
	REQUIRE(!seccomp_filter(instructions));
	REQUIRE(close_range(3, ~0U, 0) == -1 && errno == ENOSYS);

	REQUIRE(reap(avfork(check_no_fds, NULL)) == 0);
	REQUIRE(!fstat(1, &table.fds[0].stat) && !fstat(2, &table.fds[1].stat));
	opts.nr_fds = 2;
	opts.pidfd = &pidfd;
	REQUIRE(reap(avfork_with(&opts, check_table, &table)) == 0);
	REQUIRE(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	opts.flags = AVFORK_WAITPID;
	REQUIRE(reap(avfork_with(&opts, check_table, &table)) == 0);

	errno = 0;
	opts.namespaces = CLONE_NEWTIME;
	REQUIRE(avfork_with(&opts, return_arg, NULL) == -1 && errno == ENOSYS);
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	return 0;
}

TEST(on_an_old_kernel)
{
	if (backend_is("kernel"))
		SKIP(return, "the module needs a newer one");
	ASSERT_PASSED(in_copy(without_newer_calls, NULL));
}

/*
 * Before Linux 5.16 who crashed took all along that shared its memory. There only the
 * library's own functions run in such children, until they exec. @arg: UNAME26, by
 * which any kernel calls itself 2.6. What it is called is asked for but once.
 */
static int on_a_kernel_called(void *arg)
{
	const bool refuses = arg && !backend_is("kernel");
	const struct avfork_opts opts = { .size = sizeof(opts) };
	const struct avfork_opts sync = {
		.size = sizeof(opts), .flags = AVFORK_SYNC,
	};
	char *const argv[] = { "sh", "-c", "exit 3", NULL };
	static const int flags[] = {
		0, AVFORK_SYNC, AVFORK_WAITPID, AVFORK_STDIO | AVFORK_NOSIGCHLD,
		AVFORK_AUTOKILL | AVFORK_NNP,
	};
	struct utsname name;
	unsigned int nr_fds;
	size_t i;
	FILE *file;

	personality(PER_LINUX | (unsigned long)arg);
	REQUIRE(!uname(&name) && !strncmp(name.release, "2.6.", 4) == !!arg);
	REQUIRE(avfork_backend());
	/* The module's descriptors are opened when they are needed. */
	if (!refuses)
		REQUIRE(reap(avforkx(AVFORK_AUTOKILL | AVFORK_NNP, return_arg,
				     (void *)2)) == 2);
	nr_fds = count_fds();

#define REQUIRE_REFUSAL(call) do {					\
	pid_t __pid;							\
									\
	errno = 0;							\
	__pid = (call);							\
	if (refuses)							\
		REQUIRE(__pid == -1 && errno == ENOSYS);		\
	else								\
		REQUIRE(reap(__pid) == 2);				\
} while (0)
	REQUIRE_REFUSAL(avfork(return_arg, (void *)2));
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		REQUIRE_REFUSAL(avforkx(flags[i], return_arg, (void *)2));
	REQUIRE_REFUSAL(avfork_with(NULL, return_arg, (void *)2));
	REQUIRE_REFUSAL(avfork_with(&opts, return_arg, (void *)2));
	if (refuses) {
		errno = 0;
		REQUIRE(avfork_async(return_arg, NULL, NULL) == -1);
		REQUIRE(errno == ENOSYS);
		errno = 0;
		REQUIRE(avfork_async(return_arg, NULL,
				     done_is_not_called) == -1);
		REQUIRE(errno == ENOSYS);
	}
	REQUIRE(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	REQUIRE(count_fds() == nr_fds);

	REQUIRE(reap(avfork_exec(NULL, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(reap(avfork_exec(&opts, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(reap(avfork_exec(&sync, "/bin/sh", argv, NULL)) == 3);
	REQUIRE(avfork_exec(&sync, "/nonesuch", argv, NULL) == -1);
	REQUIRE(errno == ENOENT);
	REQUIRE(avfork_system("exit 3") == W_EXITCODE(3, 0));
	file = avfork_popen("exit 3", "r");
	REQUIRE(file && avfork_pclose(file) == W_EXITCODE(3, 0));
	file = avfork_popenv(argv, "w");
	REQUIRE(file && avfork_pclose(file) == W_EXITCODE(3, 0));
	return 0;
}

TEST(where_a_crash_is_not_alone)
{
	ASSERT_PASSED(in_copy(on_a_kernel_called, (void *)UNAME26));
	/* The control. */
	ASSERT_PASSED(in_copy(on_a_kernel_called, NULL));
}

static int under_seccomp(void *arg)
{
	(void)arg;
	REQUIRE(!seccomp_allow());
	setenv("AVFORK_BACKEND", "kernel", 1);
	REQUIRE(!avfork_backend() && errno == EPERM);
	REQUIRE(avfork(return_arg, NULL) == -1 && errno == EPERM);
	unsetenv("AVFORK_BACKEND");
	REQUIRE(!strcmp(avfork_backend(), "clone"));
	REQUIRE(reap(avfork(return_arg, (void *)9)) == 9);
	return 0;
}

TEST(backend_under_seccomp)
{
	if (!backend_is("kernel"))
		SKIP(return, "of the kernel backend alone");
	ASSERT_PASSED(in_copy(under_seccomp, NULL));
}

TEST(backend_unknown)
{
	setenv("AVFORK_BACKEND", "nonesuch", 1);
	errno = 0;
	ASSERT_EQ(NULL, avfork_backend());
	ASSERT_EQ(ENOSYS, errno);
	ASSERT_FAILS(ENOSYS, avfork(return_arg, NULL));
	ASSERT_EQ(1, count_threads());
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

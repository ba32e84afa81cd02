// SPDX-License-Identifier: GPL-2.0
/*
 * How a child of /dev/avfork ends, whom that is told, and what it releases.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "spawning.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

/* With a bad pointer for @arg. */
static int child_segfaults(void *arg)
{
	*(volatile char *)arg = 0;
	return 0;
}

static int child_kills_itself(void *arg)
{
	return sys(SYS_kill, sys(SYS_getpid), SIGKILL);
}

TEST_F(spawn, status_is_of_exit)
{
	static const int codes[] = { 0, 1, 42, 255 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		child_init(&self->child, child_returns, (void *)(long)codes[i]);
		SPAWN(&self->child);
		EXPECT_EQ(EXITED(codes[i]), child_reap(&self->child));
	}
}

TEST_F(spawn, status_is_of_signal)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGPIPE, 64 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		child_init(&self->child, child_pauses, NULL);
		SPAWN(&self->child);
		EXPECT_EQ(0, kill(self->child.pid, signals[i]));
		EXPECT_EQ(signals[i], child_reap(&self->child));
	}
}

/* With what the kernel dumps: it once took all that shared the memory along. */
TEST_F(spawn, core_dump_is_the_childs_alone)
{
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char directory[] = "/tmp/avfork.XXXXXX", pattern[256] = "", core[64];
	struct child *child = &self->child, other;
	int fd, status;

	fd = open(CORE_PATTERN, O_RDONLY);
	ASSERT_LT(0, read(fd, pattern, sizeof(pattern) - 1));
	close(fd);
	ASSERT_NE(NULL, mkdtemp(directory));
	ASSERT_EQ(0, chdir(directory));
	if (setrlimit(RLIMIT_CORE, &unlimited) ||
	    write_file(CORE_PATTERN, "core.%p")) {
		rmdir(directory);
		SKIP(return, "cannot set " CORE_PATTERN);
	}

	child_init(&other, child_blocks, &other);
	child_init(child, child_segfaults, NULL);
	SPAWN(&other);
	SPAWN(child);
	status = child_reap(child);
	EXPECT_EQ(0, write_file(CORE_PATTERN, pattern));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	EXPECT_TRUE(WCOREDUMP(status));
	EXPECT_EQ(0, waitpid(other.pid, NULL, WNOHANG));
	word_set(&other.go, 1);
	EXPECT_EQ(EXITED(0), child_reap(&other));

	snprintf(core, sizeof(core), "core.%d", child->pid);
	EXPECT_EQ(0, unlink(core));
	EXPECT_EQ(0, rmdir(directory));
}

static void signals_block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static __u64 signals_pending(void)
{
	__u64 pending = 0;

	sys(SYS_rt_sigpending, &pending, 8);
	return pending;
}

/* Take @sig, and check that it tells of the death of @pid with @status. */
static void signal_tells(struct __test_metadata *_metadata, int sig,
			 pid_t pid, int status)
{
	const __u64 set = 1ULL << (sig - 1);
	siginfo_t info = { 0 };

	EXPECT_EQ(sig, sys(SYS_rt_sigtimedwait, &set, &info, NULL, 8));
	EXPECT_EQ(pid, info.si_pid);
	EXPECT_EQ(CLD_EXITED, info.si_code);
	EXPECT_EQ(status, info.si_status);
}

/* Wait for its death, but leave it to be reaped. */
static void wait_dead(struct __test_metadata *_metadata, pid_t pid)
{
	siginfo_t info;

	EXPECT_EQ(0, sys(SYS_waitid, P_PID, pid, &info,
			 WEXITED | WNOWAIT | __WALL, NULL));
}

/* Whether the program's own wait() loop does not see any child. */
static int hidden_from_wait(void)
{
	return sys(SYS_waitid, P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT,
		   NULL) == -ECHILD;
}

TEST_F(spawn, exit_signal_is_sent)
{
	static const int signals[] = { SIGCHLD, SIGUSR1, SIGIO, 40, 64 };
	struct child *child = &self->child;
	size_t i;

	signals_block_all();
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		child_init(child, child_returns, (void *)5);
		child->args.exit_signal = signals[i];
		SPAWN(child);
		signal_tells(_metadata, signals[i], child->pid, 5);
		EXPECT_EQ(signals[i] != SIGCHLD, hidden_from_wait());
		EXPECT_EQ(EXITED(5), child_reap(child));
		EXPECT_EQ(0, signals_pending());
	}
}

TEST_F(spawn, exit_signal_may_be_none)
{
	struct child *child = &self->child;

	signals_block_all();
	child_init(child, child_blocks, child);
	child->args.exit_signal = 0;
	SPAWN(child);
	EXPECT_TRUE(hidden_from_wait());
	word_set(&child->go, 1);
	wait_dead(_metadata, child->pid);
	EXPECT_TRUE(hidden_from_wait());
	EXPECT_EQ(0, signals_pending());
	EXPECT_EQ(EXITED(0), child_reap(child));
}

/* In the child: a thread, whose exec makes it the leader. */
static long start_thread(char *stack_top, int (*run)(void *))
{
	return sys_child(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES |
			 CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
			 (long)stack_top, run, NULL);
}

static int child_execs_in_thread(void *arg)
{
	struct child *child = arg;

	start_thread(child->memory + CHILD_MEMORY / 2, child_execs);
	return child_pauses(NULL);
}

/*
 * A child that execs keeps its exit signal: no wait() loop sees it, and no
 * ignored SIGCHLD loses its status.
 */
static void exit_signal_survives(struct __test_metadata *_metadata,
				 FIXTURE_DATA(spawn) *self, int sig,
				 int (*exec)(void *))
{
	struct child *child = &self->child;
	struct avfork_fd grant;
	int control[2];

	signals_block_all();
	signal(SIGCHLD, SIG_IGN);
	child_init(child, exec, child);
	child->args.exit_signal = sig;
	control_open(_metadata, control, child, &grant);
	SPAWN(child);
	ASSERT_TRUE(child_has_execed(control[0]));
	EXPECT_TRUE(hidden_from_wait());
	EXPECT_TRUE(child_shall_exit(control[0], 9));
	wait_dead(_metadata, child->pid);
	EXPECT_TRUE(hidden_from_wait());
	if (sig)
		signal_tells(_metadata, sig, child->pid, 9);
	EXPECT_EQ(0, signals_pending());
	EXPECT_EQ(EXITED(9), child_reap(child));
	close(control[0]);
	close(control[1]);
}

TEST_F(spawn, exit_signal_survives_exec)
{
	exit_signal_survives(_metadata, self, SIGUSR1, child_execs);
}

TEST_F(spawn, exit_signal_none_survives_exec)
{
	exit_signal_survives(_metadata, self, 0, child_execs);
}

TEST_F(spawn, exit_signal_survives_exec_by_thread)
{
	exit_signal_survives(_metadata, self, SIGUSR1, child_execs_in_thread);
}

TEST_F(spawn, exit_signal_none_survives_exec_by_thread)
{
	exit_signal_survives(_metadata, self, 0, child_execs_in_thread);
}

TEST_F(spawn, sigchld_is_as_after_fork)
{
	struct child *child = &self->child;

	/* The kernel reaps it on its own. */
	signal(SIGCHLD, SIG_IGN);
	child_init(child, child_returns, NULL);
	SPAWN(child);
	EXPECT_EQ(-ECHILD, child_reap(child));
	child_free(child);
	/* Any wait does. */
	signal(SIGCHLD, SIG_DFL);
	child_init(child, child_returns, (void *)1);
	SPAWN(child);
	EXPECT_EQ(child->pid, wait(NULL));
	child_free(child);
}

/* When the parent of a child without an exit signal does what? */
enum { DIES_BEFORE_EXEC, DIES_AFTER_EXEC, DIES_WITHOUT_EXEC, EXECS };

static int child_blocks_and_returns_9(void *arg)
{
	child_blocks(arg);
	return 9;
}

/* Let somebody else's child exit, and wait for that. */
static void wait_gone(struct __test_metadata *_metadata, pid_t pid,
		      int control, int status)
{
	struct pollfd poller = {
		.fd = syscall(SYS_pidfd_open, pid, 0),
		.events = POLLIN,
	};

	ASSERT_LE(0, poller.fd);
	EXPECT_TRUE(child_shall_exit(control, status));
	EXPECT_EQ(1, poll(&poller, 1, -1));
	close(poller.fd);
}

/*
 * In a process between: make a child that is hidden from plain waits, then
 * leave it to this one, its subreaper, which must be able to reap it plainly.
 */
static void orphan_is_reaped(struct __test_metadata *_metadata,
			     FIXTURE_DATA(spawn) *self, int when)
{
	struct child *child;
	struct avfork_fd grant;
	int control[2], between[2], status;
	pid_t pid;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	signals_block_all();
	child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)child);
	child_init(child, when == DIES_WITHOUT_EXEC ?
		   child_blocks_and_returns_9 : child_blocks_and_execs, child);
	child->args.exit_signal = 0;
	control_open(_metadata, control, child, &grant);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				between));
	pid = fork();
	if (!pid) {
		if (child_spawn(self->device, child) < 0)
			_exit(1);
		if (when == DIES_AFTER_EXEC || when == EXECS) {
			word_set(&child->go, 1);
			word_wait(&child->in_memory, 1);
		}
		if (when == EXECS) {
			dup2(between[1], 0);
			_exit(child_execs(NULL));
		}
		_exit(0);
	}

	if (when == EXECS) {
		ASSERT_TRUE(child_has_execed(control[0]));
		ASSERT_TRUE(child_has_execed(between[0]));
		wait_gone(_metadata, child->pid, control[0], 9);
		EXPECT_TRUE(child_shall_exit(between[0], EXECED_WAITS));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		/* In its death it is the new program's like any other. */
		EXPECT_EQ(EXITED(9), status);
	} else {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(EXITED(0), status);
		signal_tells(_metadata, SIGCHLD, pid, 0);
		/* Still alive, and ours. */
		EXPECT_EQ(0, waitpid(child->pid, NULL, WNOHANG));
		word_set(&child->go, 1);
		if (when != DIES_WITHOUT_EXEC) {
			ASSERT_TRUE(child_has_execed(control[0]));
			EXPECT_TRUE(child_shall_exit(control[0], 9));
		}
		signal_tells(_metadata, SIGCHLD, child->pid, 9);
		EXPECT_EQ(child->pid, waitpid(-1, &status, 0));
		EXPECT_EQ(EXITED(9), status);
	}
	close(control[0]);
	close(control[1]);
	close(between[0]);
	close(between[1]);
}

TEST_F(spawn, orphan_is_reaped)
{
	orphan_is_reaped(_metadata, self, DIES_WITHOUT_EXEC);
}

TEST_F(spawn, orphan_is_reaped_after_exec)
{
	orphan_is_reaped(_metadata, self, DIES_AFTER_EXEC);
}

TEST_F(spawn, orphan_is_reaped_before_exec)
{
	orphan_is_reaped(_metadata, self, DIES_BEFORE_EXEC);
}

TEST_F(spawn, child_is_reaped_by_parents_next_program)
{
	orphan_is_reaped(_metadata, self, EXECS);
}

/* The release word: a fixture of its own, for each way to end. */
FIXTURE(release) {
	int device;
	struct child child;
};

FIXTURE_VARIANT(release) {
	int (*end)(void *arg);
	int status;
};

FIXTURE_SETUP(release)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(release)
{
	EXPECT_TRUE(no_child_left());
}

FIXTURE_VARIANT_ADD(release, exec) {
	.end = child_execs,
	.status = EXITED(EXECED),
};

FIXTURE_VARIANT_ADD(release, exec_by_thread) {
	.end = child_execs_in_thread,
	.status = EXITED(EXECED),
};

FIXTURE_VARIANT_ADD(release, exit) {
	.end = child_returns,
	.status = EXITED(0),
};

FIXTURE_VARIANT_ADD(release, sigkill) {
	.end = child_kills_itself,
	.status = SIGKILL,
};

FIXTURE_VARIANT_ADD(release, sigsegv) {
	.end = child_segfaults,
	.status = SIGSEGV,
};

/**
 * struct releasing - a child that ends when somebody waits for that
 * @child:     it
 * @end:       how
 * @requeued:  what the parent sleeps on until the child moves it to the word
 */
struct releasing {
	struct child *child;
	int (*end)(void *arg);
	__u32 requeued;
};

static int child_requeues_and_ends(void *arg)
{
	struct releasing *releasing = arg;

	/* The parent is asleep when it can be moved. */
	while (sys(SYS_futex, &releasing->requeued, FUTEX_CMP_REQUEUE, 0, 1,
		   &releasing->child->in_memory, 0) != 1)
		sys(SYS_sched_yield);
	return releasing->end(releasing->end == child_execs_in_thread ?
			      releasing->child : NULL);
}

TEST_F(release, is_cleared_and_woken)
{
	struct releasing releasing = { &self->child, variant->end, 0 };
	const struct rlimit none = { 0 };

	ASSERT_EQ(0, setrlimit(RLIMIT_CORE, &none));
	child_init(&self->child, child_requeues_and_ends, &releasing);
	SPAWN(&self->child);
	EXPECT_EQ(1, word_get(&self->child.in_memory));
	/* Only the kernel wakes that. */
	EXPECT_EQ(0, sys(SYS_futex, &releasing.requeued, FUTEX_WAIT, 0, NULL));
	EXPECT_EQ(0, word_get(&self->child.in_memory));
	EXPECT_EQ(variant->status, child_reap(&self->child));
}

static int child_fails_to_exec(void *arg)
{
	struct child *child = arg;
	static char *const none[] = { NULL };
	long err = sys(SYS_execve, "/nonexistent", none, none);

	return word_get(&child->in_memory) == 1 ? -err : 0;
}

TEST_F(spawn, release_word_stays_when_exec_fails)
{
	child_init(&self->child, child_fails_to_exec, &self->child);
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(ENOENT), child_reap(&self->child));
	EXPECT_EQ(0, self->child.in_memory);
}

TEST_F(spawn, release_word_is_optional)
{
	child_init(&self->child, child_returns, (void *)4);
	self->child.args.release = 0;
	SPAWN(&self->child);
	EXPECT_EQ(EXITED(4), child_reap(&self->child));
	EXPECT_EQ(1, self->child.in_memory);
}

/* Whether thread @tid of this process sleeps so that only SIGKILL wakes it. */
static int sleeps_uninterruptibly(pid_t tid)
{
	char path[64], stat[256];
	ssize_t len;
	char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	stat[len] = '\0';
	state = strrchr(stat, ')');
	return state && state[2] == 'D';
}

/**
 * struct sync - a call that is to last until its child is gone
 * @caller: the thread that makes it
 * @child:  it waits on child.go
 */
struct sync {
	pid_t caller;
	struct child *child;
};

static void *release_when_caller_sleeps(void *arg)
{
	struct sync *sync = arg;

	while (!sleeps_uninterruptibly(sync->caller))
		sched_yield();
	word_set(&sync->child->go, 1);
	return NULL;
}

static void sync_returns_after(struct __test_metadata *_metadata,
			       FIXTURE_DATA(spawn) *self, int (*run)(void *),
			       int status)
{
	struct child *child = &self->child;
	struct sync sync = { gettid(), child };
	pthread_t thread;

	child_init(child, run, child);
	child->args.flags = AVFORK_SYNC;
	ASSERT_EQ(0, pthread_create(&thread, NULL, release_when_caller_sleeps,
				    &sync));
	SPAWN(child);
	EXPECT_EQ(0, word_get(&child->in_memory));
	EXPECT_EQ(1, word_get(&child->go)) {
		/* The thread waits for a sleep that is not to come. */
		kill(child->pid, SIGKILL);
		child_reap(child);
		_exit(1);
	}
	EXPECT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(status, child_reap(child));
}

TEST_F(spawn, sync_returns_after_exec)
{
	sync_returns_after(_metadata, self, child_blocks_and_execs,
			   EXITED(EXECED));
}

TEST_F(spawn, sync_returns_after_exit)
{
	sync_returns_after(_metadata, self, child_blocks_and_returns_9,
			   EXITED(9));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * Prepared children that wait: what they have inherited, next to ordinary children
 * who inherit later, and what signals, tracers and the freezer do to them.
 */
#include "../kselftest_harness.h"
#include "prepared.h"
#include "seccomp.h"

#include <linux/io_uring.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/utsname.h>

/* What is inherited */

struct inherited {
	int uid;
	int umask;
	int nice;
	__u64 limit;
	char cwd[PATH_MAX];
	struct utsname uts;
	__u64 blocked;
	__u64 ignored;
};

static int child_looks(void *arg)
{
	struct inherited *inherited = arg;
	struct rlimit limit;
	struct sigaction action;
	int sig;

	inherited->uid = sys(SYS_getuid);
	inherited->umask = sys(SYS_umask, 0);
	/* The system call returns 20 - nice. */
	inherited->nice = 20 - sys(SYS_getpriority, PRIO_PROCESS, 0);
	sys(SYS_prlimit64, 0, RLIMIT_MEMLOCK, NULL, &limit);
	inherited->limit = limit.rlim_cur;
	sys(SYS_getcwd, inherited->cwd, sizeof(inherited->cwd));
	sys(SYS_uname, &inherited->uts);
	sys(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &inherited->blocked, 8);
	for (sig = 1; sig < 65; sig++) {
		/* libc's own: whoever has started us may have ignored them. */
		if (sig == 32 || sig == 33)
			continue;
		/* The kernel's begins with the handler as well. */
		sys(SYS_rt_sigaction, sig, NULL, &action, 8);
		if (action.sa_handler == SIG_IGN)
			inherited->ignored |= 1ULL << (sig - 1);
	}
	return 0;
}

static void change_inherited(struct __test_metadata *_metadata, int umask_,
			     int nice, rlim_t limit_, const char *cwd,
			     const char *host)
{
	struct rlimit limit;

	umask(umask_);
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, nice));
	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &limit));
	limit.rlim_cur = limit_;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, chdir(cwd));
	ASSERT_EQ(0, unshare(CLONE_NEWUTS));
	ASSERT_EQ(0, sethostname(host, strlen(host)));
}

static void set_ignored_and_blocked(int ignored, int blocked)
{
	sigset_t mask;

	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	signal(ignored, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, blocked);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

#define BIT(sig) (1ULL << ((sig) - 1))

TEST_F(prepared, inherits_what_was)
{
	const struct avfork_args args = { .flags = AVFORK_INHERIT_SIGNALS };
	static struct inherited before, after;
	struct child ordinary;
	int prepared;

	if (geteuid())
		SKIP(return, "only root changes all of it");
	change_inherited(_metadata, 0027, 3, 4096, "/proc", "before");
	set_ignored_and_blocked(SIGUSR1, SIGUSR2);
	prepared = PREPARE(&args);
	change_inherited(_metadata, 0077, 5, 8192, "/sys", "after");
	set_ignored_and_blocked(SIGUSR2, SIGUSR1);
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, -1));

	child_init(&self->child, child_looks, &before);
	START(prepared, &self->child);
	EXPECT_EQ(0, child_reap(&self->child));
	child_init(&ordinary, child_looks, &after);
	ordinary.args.flags = AVFORK_INHERIT_SIGNALS;
	ASSERT_LT(0, child_spawn(self->device, &ordinary));
	EXPECT_EQ(0, child_reap(&ordinary));

	EXPECT_EQ(0, before.uid);
	EXPECT_EQ(NOBODY, after.uid);
	EXPECT_EQ(0027, before.umask);
	EXPECT_EQ(0077, after.umask);
	EXPECT_EQ(3, before.nice);
	EXPECT_EQ(5, after.nice);
	EXPECT_EQ(4096, before.limit);
	EXPECT_EQ(8192, after.limit);
	EXPECT_STREQ("/proc", before.cwd);
	EXPECT_STREQ("/sys", after.cwd);
	EXPECT_STREQ("before", before.uts.nodename);
	EXPECT_STREQ("after", after.uts.nodename);
	EXPECT_EQ(BIT(SIGUSR2), before.blocked);
	EXPECT_EQ(BIT(SIGUSR1), after.blocked);
	EXPECT_EQ(BIT(SIGUSR1), before.ignored);
	EXPECT_EQ(BIT(SIGUSR2), after.ignored);
	close(prepared);
}

/* Without the flag: all default, as for any child. */
TEST_F(prepared, signals_are_default)
{
	static struct inherited inherited;
	int prepared;

	set_ignored_and_blocked(SIGUSR1, SIGUSR2);
	prepared = PREPARE(&self->none);
	child_init(&self->child, child_looks, &inherited);
	START(prepared, &self->child);
	EXPECT_EQ(0, child_reap(&self->child));
	EXPECT_EQ(0, inherited.blocked);
	EXPECT_EQ(0, inherited.ignored);
	close(prepared);
}

static int child_is_confined(void *unused)
{
	return sys(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

TEST_F(prepared, no_new_privs)
{
	const struct avfork_args args = { .flags = AVFORK_NNP };
	int without = PREPARE(&self->none), with = PREPARE(&args);

	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	child_init(&self->child, child_is_confined, NULL);
	EXPECT_EQ(-EPERM, prepared_start(without, &self->child));
	START(with, &self->child);
	EXPECT_EQ(EXITED(1), child_reap(&self->child));
	close(without);
	close(with);
}

TEST_F(prepared, filter_since)
{
	const struct avfork_args args = { .flags = AVFORK_NNP };
	int prepared = PREPARE(&args);

	child_init(&self->child, child_is_confined, NULL);
	ASSERT_EQ(0, seccomp_allow());
	EXPECT_EQ(-EPERM, prepared_start(prepared, &self->child));
	EXPECT_EQ(-EPERM, child_prepare(self->device, &args));
	child_free(&self->child);
	close(prepared);
}

TEST_F(prepared, io_uring_since)
{
	/* The header of Linux 7.x has this, with a name. */
	struct {
		__u16 flags;
		__u16 nr;
		__u32 reserved[3];
		struct io_uring_restriction only;
	} task = {
		.nr = 1,
		.only = { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP },
	};
	int prepared = PREPARE(&self->none);

	if (sys(SYS_io_uring_register, -1, IORING_REGISTER_RESTRICTIONS, &task, 1)) {
		close(prepared);
		SKIP(return, "the kernel restricts no task's io_uring");
	}
	child_init(&self->child, child_returns, (void *)3);
	EXPECT_EQ(-EPERM, prepared_start(prepared, &self->child));
	close(prepared);
	/* Control: a child that has the restriction. */
	prepared = PREPARE(&self->none);
	START(prepared, &self->child);
	EXPECT_EQ(EXITED(3), child_reap(&self->child));
	close(prepared);
}

/* Signals to one that waits */

TEST_F(prepared, killed)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);
	pid_t pid = only_child();

	child_init(child, child_returns, NULL);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-ESRCH, prepared_start(prepared, child));
	EXPECT_TRUE(has_left(prepared, FOREVER));
	/* No wait has to be made for it. */
	await_gone(pid);
	EXPECT_EQ(-ESRCH, prepared_start(prepared, child));
	EXPECT_EQ(1, word_get(&child->in_memory));
	child_free(child);
	close(prepared);
}

TEST_F(prepared, signals_come_to_nothing)
{
	const struct avfork_args args = { .flags = AVFORK_INHERIT_SIGNALS };
	struct child *child = &self->child;
	sigset_t all;
	int prepared, sig;
	pid_t pid;

	sigfillset(&all);
	ASSERT_EQ(0, sigprocmask(SIG_SETMASK, &all, NULL));
	prepared = PREPARE(&args);
	pid = only_child();
	for (sig = 1; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			EXPECT_EQ(0, kill(pid, sig));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

static int child_sleeps(void *unused)
{
	return sys(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

/* Whether or not the child has run since. */
TEST_F(prepared, signals_after_the_start_are_taken)
{
	struct child *child = &self->child;
	int prepared, i;

	for (i = 0; i < 100; i++) {
		prepared = PREPARE(&self->none);
		child_init(child, child_sleeps, NULL);
		START(prepared, child);
		ASSERT_EQ(0, kill(child->pid, SIGTERM));
		ASSERT_EQ(SIGTERM, child_reap(child));
		close(prepared);
	}
}

TEST_F(prepared, stopped)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);
	pid_t pid = only_child();

	child_init(child, child_returns, (void *)3);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	await_state(pid, 'T');
	START(prepared, child);
	EXPECT_EQ('T', state_of(pid));
	EXPECT_EQ(1, word_get(&child->in_memory));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(EXITED(3), child_reap(child));
	EXPECT_EQ(0, word_get(&child->in_memory));
	close(prepared);
}

/* It has been started, so it dies as any child, with all that it was given. */
TEST_F(prepared, killed_between_start_and_entry)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), ends[2];
	struct avfork_fd grant;
	pid_t pid = only_child();
	char byte;

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	grant = (struct avfork_fd) { .parent_fd = ends[1] };
	child_init(child, child_returns, (void *)3);
	child_grant(child, &grant, 1);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	await_state(pid, 'T');
	START(prepared, child);
	close(ends[1]);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	word_wait(&child->in_memory, 1);
	EXPECT_EQ(0, read(ends[0], &byte, 1));
	EXPECT_TRUE(has_left(prepared, FOREVER));
	EXPECT_EQ(SIGKILL, child_reap(child));
	close(ends[0]);
	close(prepared);
}

TEST_F(prepared, frozen)
{
	struct child *child = &self->child;
	struct avfork_args args = { .flags = AVFORK_INTO_CGROUP };
	char path[64], name[128], text[256];
	int prepared;

	args.cgroup_fd = cgroup_make(path, sizeof(path));
	if (args.cgroup_fd < 0)
		SKIP(return, "no cgroup v2 that can be written");
	snprintf(name, sizeof(name), "%s/cgroup.events", path);
	prepared = PREPARE(&args);
	ASSERT_EQ(0, cgroup_write(path, "cgroup.freeze", "1"));
	do {
		read_text(name, text, sizeof(text));
	} while (!strstr(text, "frozen 1"));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(1, word_get(&child->in_memory));
	read_text(name, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "frozen 1"));
	ASSERT_EQ(0, cgroup_write(path, "cgroup.freeze", "0"));
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);

	/* One that is frozen can be ended. */
	prepared = PREPARE(&args);
	ASSERT_EQ(0, cgroup_write(path, "cgroup.freeze", "1"));
	close(prepared);
	EXPECT_EQ(0, cgroup_remove(path));
	close(args.cgroup_fd);
}

/*
 * All processes of the system are frozen, and go on: the kernel's own test of its
 * freezer. For one that is not to be frozen it waits 20 s, and fails with EBUSY.
 */
TEST_F(prepared, suspended)
{
	const char *delay = "/sys/module/suspend/parameters/pm_test_delay";
	struct child *child = &self->child;
	char seconds[16] = "";
	int prepared;

	if (write_file("/sys/power/pm_test", "freezer"))
		SKIP(return, "the kernel cannot try its freezer");
	read_text(delay, seconds, sizeof(seconds));
	write_file(delay, "0");
	prepared = PREPARE(&self->none);
	EXPECT_EQ(0, write_file("/sys/power/state", "freeze"));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
	write_file(delay, seconds);
	EXPECT_EQ(0, write_file("/sys/power/pm_test", "none"));
}

TEST_F(prepared, traced)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), status;
	pid_t pid = only_child();

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, __WALL));
	EXPECT_TRUE(WIFSTOPPED(status));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(1, word_get(&child->in_memory));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

/* Somebody else's tracer has the zombie first, and then it is reaped. */
TEST_F(prepared, killed_while_traced)
{
	int prepared = PREPARE(&self->none), status;
	pid_t pid = only_child(), tracer;
	int ready[2], go[2];
	char byte;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	tracer = fork();
	if (!tracer) {
		close(prepared);
		if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) ||
		    waitpid(pid, &status, __WALL) != pid)
			_exit(1);
		sys(SYS_write, ready[1], "", 1);
		sys(SYS_read, go[0], &byte, 1);
		_exit(waitpid(pid, &status, __WALL) != pid ||
		      !WIFSIGNALED(status));
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	close(prepared);
	EXPECT_EQ('Z', state_of(pid));
	ASSERT_EQ(1, write(go[1], "", 1));
	EXPECT_EQ(0, status_of(tracer));
	await_gone(pid);
	close_pipe(ready);
	close_pipe(go);
}

TEST_HARNESS_MAIN

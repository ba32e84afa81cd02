// SPDX-License-Identifier: GPL-2.0
/*
 * Prepared children: AVFORK_IOC_PREPARE and AVFORK_IOC_START. What they inherit
 * and when, what becomes of one that waits, and that nothing is left of it. Next
 * to it ordinary children, where these are different.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "seccomp.h"

#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/utsname.h>

FIXTURE(prepared) {
	int device;
	int descriptors;
	struct avfork_args none;
	struct child child;
};

FIXTURE_SETUP(prepared)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(prepared)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
}

#define PREPARE(args) ({						\
	int __prepared = child_prepare(self->device, args);			\
									\
	ASSERT_LE(0, __prepared);					\
	__prepared;							\
})

#define START(prepared, child) ASSERT_LT(0, prepared_start(prepared, child))

/* The only child of the calling thread, which has just one. */
static pid_t only_child(void)
{
	return read_number("/proc/thread-self/children");
}

/* Whether there is something to read within @milliseconds. */
static bool has_left(int prepared, int milliseconds)
{
	struct pollfd fd = { .fd = prepared, .events = POLLIN };

	return poll(&fd, 1, milliseconds) == 1 && fd.revents == POLLIN;
}

#define FOREVER (-1)

static void close_pipe(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* Start a child that execs. Return: when it has, the parent's end of @control. */
static int start_and_exec(int prepared, struct child *child)
{
	struct avfork_fd grant;
	int control[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
		return -1;
	grant = (struct avfork_fd) { .parent_fd = control[1] };
	child_grant(child, &grant, 1);
	prepared_start(prepared, child);
	close(control[1]);
	child_has_execed(control[0]);
	return control[0];
}

/* The letter of @pid's state in /proc, 0 if there is none. */
static char state_of(pid_t pid)
{
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	end = strrchr(text, ')');
	return end ? end[2] : 0;
}

/* No event tells of a state. */
static void await_state(pid_t pid, char state)
{
	while (state_of(pid) != state)
		usleep(1000);
}

static void await_gone(pid_t pid)
{
	await_state(pid, 0);
}

TEST_F(prepared, child_is_started)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);
	pid_t pid = only_child();

	ASSERT_LT(0, pid);
	EXPECT_EQ(FD_CLOEXEC, fcntl(prepared, F_GETFD));
	await_state(pid, 'S');
	EXPECT_FALSE(has_left(prepared, 0));
	/* Nobody's wait finds it, of those that know nothing of it. */
	EXPECT_EQ(-ECHILD, sys(SYS_wait4, -1, NULL, WNOHANG, NULL));
	EXPECT_EQ(-ECHILD, sys(SYS_wait4, 0, NULL, WNOHANG, NULL));
	EXPECT_EQ(-ECHILD, sys(SYS_waitid, P_ALL, 0, NULL, WNOHANG | WEXITED |
			       WSTOPPED | WCONTINUED, NULL));

	child_init(child, child_blocks, child);
	ASSERT_EQ(pid, prepared_start(prepared, child));
	EXPECT_EQ(0, sys(SYS_wait4, -1, NULL, WNOHANG, NULL));
	EXPECT_FALSE(has_left(prepared, 0));
	EXPECT_EQ(1, word_get(&child->in_memory));
	EXPECT_EQ(-EALREADY, sys(SYS_ioctl, prepared, AVFORK_IOC_START,
				 &child->args));
	word_set(&child->go, 1);
	word_wait(&child->in_memory, 1);
	EXPECT_TRUE(has_left(prepared, FOREVER));
	EXPECT_EQ(0, child_reap(child));
	EXPECT_EQ(-EALREADY, sys(SYS_ioctl, prepared, AVFORK_IOC_START,
				 &child->args));
	EXPECT_EQ(0, close(prepared));
}

/* The descriptor is of no use to a child that has been started. */
TEST_F(prepared, child_outlives_the_descriptor)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);

	child_init(child, child_blocks, child);
	START(prepared, child);
	close(prepared);
	close(self->device);
	self->descriptors--;
	word_set(&child->go, 1);
	EXPECT_EQ(0, child_reap(child));
}

TEST_F(prepared, poll_tells_of_exec)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), control;

	child_init(child, child_execs, NULL);
	control = start_and_exec(prepared, child);
	ASSERT_LT(0, child->pid);
	EXPECT_TRUE(has_left(prepared, FOREVER));
	EXPECT_EQ(0, word_get(&child->in_memory));
	EXPECT_TRUE(child_shall_exit(control, 7));
	EXPECT_EQ(EXITED(7), child_reap(child));
	close(control);
	close(prepared);
}

/* Descriptors */

/* @of_700: what fcntl() says of 700. There is 600, without FD_CLOEXEC. */
static int child_counts_descriptors(void *of_700)
{
	int fd, nr = 0;

	for (fd = 0; fd < 1024; fd++)
		if (sys(SYS_fcntl, fd, F_GETFD) >= 0)
			nr++;
	if (sys(SYS_fcntl, 600, F_GETFD) != 0 ||
	    sys(SYS_fcntl, 700, F_GETFD) != (long)of_700)
		return 255;
	return nr;
}

static int count_descriptors_of(pid_t pid)
{
	char path[64];
	int fd, nr = 0;

	for (fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		nr += !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
	}
	return nr;
}

/* The grants are those of the start, of which the preparation knew nothing. */
TEST_F(prepared, grants_are_exact)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);
	int ends[2];
	char byte;

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	struct avfork_fd grants[] = {
		{ .parent_fd = ends[0], .child_fd = 600 },
		{ .parent_fd = ends[1], .child_fd = 700, .flags = FD_CLOEXEC },
	};

	EXPECT_EQ(0, count_descriptors_of(only_child()));
	child_init(child, child_counts_descriptors, (void *)FD_CLOEXEC);
	child_grant(child, grants, 2);
	START(prepared, child);
	/* Held from the call on; and by nobody when the child is gone. */
	close(ends[1]);
	EXPECT_EQ(EXITED(2), child_reap(child));
	EXPECT_EQ(0, read(ends[0], &byte, 1));
	close(ends[0]);
	close(prepared);
}

/* What waits holds nothing open. */
TEST_F(prepared, nothing_is_held)
{
	int ends[2], prepared;
	char byte;

	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	prepared = PREPARE(&self->none);
	close(ends[1]);
	EXPECT_EQ(0, read(ends[0], &byte, 1));
	close(ends[0]);
	close(prepared);
}

TEST_F(prepared, stdio_and_inherited)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), fd, nr = 0;

	ASSERT_EQ(700, fcntl(self->device, F_DUPFD_CLOEXEC, 700));
	ASSERT_EQ(600, dup2(self->device, 600));
	for (fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) == 0;
	child_init(child, child_counts_descriptors, (void *)-EBADF);
	child->args.flags = AVFORK_INHERIT_FDS | AVFORK_STDIO;
	START(prepared, child);
	EXPECT_EQ(EXITED(nr), child_reap(child));
	close(600);
	close(700);
	close(prepared);
}

/* Bad input */

struct bad_args {
	const char *name;
	int error;
	struct avfork_args args;
};

#define MAX_U64 (~0ULL)

TEST_F(prepared, bad_preparations)
{
	const struct bad_args bad[] = {
		{ "flag unknown", EINVAL, { .flags = 1ULL << 63 } },
		{ "sync", EINVAL, { .flags = AVFORK_SYNC } },
		{ "stdio", EINVAL, { .flags = AVFORK_STDIO } },
		{ "inherit", EINVAL, { .flags = AVFORK_INHERIT_FDS } },
		{ "share", EINVAL, { .flags = AVFORK_SHARE_FDS } },
		{ "namespace", EINVAL, { .namespaces = CLONE_VM } },
		{ "entry", EINVAL, { .entry = 4096 } },
		{ "arg", EINVAL, { .arg = 1 } },
		{ "stack", EINVAL, { .stack = 4096 } },
		{ "stack_size", EINVAL, { .stack_size = 4096 } },
		{ "tls", EINVAL, { .tls = 4096 } },
		{ "release", EINVAL, { .release = 4096 } },
		{ "pidfd", EINVAL, { .pidfd = 4096 } },
		{ "fds", EINVAL, { .fds = 4096 } },
		{ "nr_fds", EINVAL, { .nr_fds = 1 } },
		{ "exit_signal", EINVAL, { .exit_signal = SIGCHLD } },
		{ "cgroup_fd", EINVAL, { .cgroup_fd = 1 } },
		{ "reserved", EINVAL, { .reserved = 1 } },
		{ "no cgroup", EBADF, { .flags = AVFORK_INTO_CGROUP,
					.cgroup_fd = -1 } },
	};
	unsigned int cmd = AVFORK_IOC_PREPARE & ~IOCSIZE_MASK;
	struct {
		struct avfork_args args;
		__u64 more;
	} larger = { .more = 1 };
	const struct bad_args *one;
	int prepared;

	for (one = bad; one < bad + ARRAY_SIZE(bad); one++)
		EXPECT_EQ(-one->error, child_prepare(self->device,
						     &one->args)) {
			TH_LOG("%s", one->name);
		}
	EXPECT_EQ(-EFAULT, child_prepare(self->device, (void *)16));
	EXPECT_EQ(-EINVAL, sys(SYS_ioctl, self->device,
			       cmd | 88 << _IOC_SIZESHIFT, &self->none));
	EXPECT_EQ(-E2BIG, sys(SYS_ioctl, self->device,
			      cmd | sizeof(larger) << _IOC_SIZESHIFT, &larger));
	larger.more = 0;
	prepared = sys(SYS_ioctl, self->device,
		       cmd | sizeof(larger) << _IOC_SIZESHIFT, &larger);
	EXPECT_LE(0, prepared);
	EXPECT_EQ(0, close(prepared));
}

TEST_F(prepared, no_number_left)
{
	const struct rlimit few = { self->descriptors + 1, 4096 };
	int fd;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	while ((fd = dup(self->device)) >= 0)
		;
	EXPECT_EQ(-EMFILE, child_prepare(self->device, &self->none));
	EXPECT_TRUE(no_child_left());
	for (fd = few.rlim_cur - 1; fd > self->device; fd--)
		close(fd);
	self->descriptors = count_descriptors();
}

/* A start that fails costs nothing: the next one succeeds. */
TEST_F(prepared, bad_starts)
{
	struct child *child = &self->child;
	struct avfork_fd twice[] = { { .parent_fd = 0 }, { .parent_fd = 0 } };
	struct avfork_fd closed = { .parent_fd = 4000 };
	struct avfork_fd negative = { .child_fd = -1 };
	struct avfork_fd beyond = { .child_fd = AVFORK_FD_LIMIT };
	int prepared = PREPARE(&self->none), pidfd = -1;
	unsigned int cmd = AVFORK_IOC_START & ~IOCSIZE_MASK;
	struct {
		struct avfork_args args;
		__u64 more;
	} larger;
	const struct bad_args *one;
	struct avfork_args good;

	child_init(child, child_returns, (void *)3);
	good = child->args;
#define BAD(member, value, errno) { #member " = " #value, errno, ({	\
	struct avfork_args __args = good;				\
									\
	__args.member = (value);					\
	__args; }) }
#define GRANT(list, nr, errno) { #list, errno, ({			\
	struct avfork_args __args = good;				\
									\
	__args.fds = (uintptr_t)(list);					\
	__args.nr_fds = (nr);						\
	__args; }) }
	const struct bad_args bad[] = {
		BAD(flags, 1ULL << 63, EINVAL),
		BAD(flags, AVFORK_SYNC, EINVAL),
		BAD(flags, AVFORK_SHARE_FDS, EINVAL),
		BAD(flags, AVFORK_INTO_CGROUP, EINVAL),
		BAD(flags, AVFORK_AUTOKILL, EINVAL),
		BAD(flags, AVFORK_NNP, EINVAL),
		BAD(flags, AVFORK_INHERIT_SIGNALS, EINVAL),
		BAD(namespaces, CLONE_NEWUTS, EINVAL),
		BAD(cgroup_fd, 1, EINVAL),
		BAD(reserved, 1, EINVAL),
		BAD(exit_signal, 65, EINVAL),
		BAD(entry, 0, EINVAL),
		BAD(stack, 0, EINVAL),
		BAD(stack, good.stack + 8, EINVAL),
		BAD(stack_size, AVFORK_STACK_MIN - 16, EINVAL),
		BAD(release, good.release + 1, EINVAL),
		BAD(entry, MAX_U64, EFAULT),
		BAD(tls, MAX_U64, EFAULT),
		BAD(stack, MAX_U64 - 15, EFAULT),
		BAD(release, MAX_U64 - 3, EFAULT),
		BAD(pidfd, 16, EFAULT),
		GRANT(twice, 2, EINVAL),
		GRANT(&closed, 1, EBADF),
		GRANT(&negative, 1, EINVAL),
		GRANT(&beyond, 1, EMFILE),
		GRANT(16, 1, EFAULT),
		GRANT(twice, 1U << 31, EMFILE),
	};

	for (one = bad; one < bad + ARRAY_SIZE(bad); one++)
		EXPECT_EQ(-one->error, sys(SYS_ioctl, prepared,
					   AVFORK_IOC_START, &one->args)) {
			TH_LOG("%s", one->name);
		}
	EXPECT_EQ(-EFAULT, sys(SYS_ioctl, prepared, AVFORK_IOC_START, 16));
	EXPECT_EQ(-EINVAL, sys(SYS_ioctl, prepared,
			       cmd | 88 << _IOC_SIZESHIFT, &good));
	larger.args = good;
	larger.more = 1;
	EXPECT_EQ(-E2BIG, sys(SYS_ioctl, prepared,
			      cmd | sizeof(larger) << _IOC_SIZESHIFT, &larger));
	/* Each call is for one kind of descriptor. */
	EXPECT_EQ(-ENOTTY, sys(SYS_ioctl, prepared, AVFORK_IOC_SPAWN, &good));
	EXPECT_EQ(-ENOTTY, sys(SYS_ioctl, self->device, AVFORK_IOC_START,
			       &good));
	EXPECT_EQ(self->descriptors + 1, count_descriptors());
	EXPECT_EQ(1, word_get(&child->in_memory));

	child->args.pidfd = (uintptr_t)&pidfd;
	START(prepared, child);
	EXPECT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
	EXPECT_EQ(0, sys(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(pidfd);
	close(prepared);
}

/* What another process of ours returned: an exit status, or -1. */
static int status_of(pid_t pid)
{
	int status;

	if (sys(SYS_wait4, pid, &status, 0, NULL) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(prepared, another_process_starts_nothing)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none);
	pid_t copy;

	child_init(child, child_returns, (void *)3);
	copy = fork();
	if (!copy)
		_exit(-sys(SYS_ioctl, prepared, AVFORK_IOC_START,
			   &child->args));
	EXPECT_EQ(EPERM, status_of(copy));
	/* The copy's end has not ended it. */
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

struct starter {
	int device;
	int prepared;
	struct child child;
};

static void *prepare_in_thread(void *arg)
{
	const struct avfork_args none = { 0 };
	struct starter *starter = arg;

	starter->prepared = child_prepare(starter->device, &none);
	return NULL;
}

static void *start_in_thread(void *arg)
{
	struct starter *starter = arg;

	prepared_start(starter->prepared, &starter->child);
	return NULL;
}

/* Each thread may start it, and the one that made it may be gone. */
TEST_F(prepared, threads)
{
	struct starter starter = { .device = self->device };
	pthread_t thread;

	child_init(&starter.child, child_returns, (void *)3);
	ASSERT_EQ(0, pthread_create(&thread, NULL, prepare_in_thread,
				    &starter));
	pthread_join(thread, NULL);
	ASSERT_LE(0, starter.prepared);
	ASSERT_EQ(0, pthread_create(&thread, NULL, start_in_thread, &starter));
	pthread_join(thread, NULL);
	EXPECT_LT(0, starter.child.pid);
	EXPECT_EQ(EXITED(3), child_reap(&starter.child));
	close(starter.prepared);
}

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
	/* Not before it sleeps: those are as of any child that is made. */
	await_state(pid, 'S');
	for (sig = 1; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			EXPECT_EQ(0, kill(pid, sig));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
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

/* The end of what is not started */

TEST_F(prepared, closed)
{
	int i, prepared;
	pid_t pid;

	for (i = 0; i < 100; i++) {
		prepared = PREPARE(&self->none);
		pid = only_child();
		ASSERT_LT(0, pid);
		close(prepared);
		/* Nothing is left, not even a zombie, when close() returns. */
		ASSERT_EQ(0, state_of(pid));
		ASSERT_TRUE(no_child_left());
	}
}

/* Two numbers of one descriptor. */
TEST_F(prepared, closed_once_of_two)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), second = dup(prepared);

	close(prepared);
	child_init(child, child_returns, (void *)3);
	START(second, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(second);
}

TEST_F(prepared, closed_by_a_copy)
{
	int prepared = PREPARE(&self->none), go[2];
	pid_t pid = only_child(), copy;
	char byte;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	copy = fork();
	if (!copy) {
		sys(SYS_read, go[0], &byte, 1);
		_exit(0);
	}
	close(prepared);
	EXPECT_NE(0, state_of(pid));
	ASSERT_EQ(1, write(go[1], "", 1));
	EXPECT_EQ(0, status_of(copy));
	await_gone(pid);
	close_pipe(go);
}

/*
 * A maker, which tells the pid of what it has prepared and then waits for its end
 * of @control. A copy of it keeps the descriptor open meanwhile.
 */
static pid_t make_maker(int device, int control[2], pid_t *keeper)
{
	const struct avfork_args none = { 0 };
	pid_t maker = fork(), pids[2];
	int prepared;
	char byte;

	if (maker) {
		if (read(control[0], pids, sizeof(pids)) != sizeof(pids))
			abort();
		*keeper = pids[1];
		return pids[0];
	}
	prepared = child_prepare(device, &none);
	fcntl(prepared, F_SETFD, 0);
	pids[0] = only_child();
	pids[1] = fork();
	if (!pids[1])
		while (1)
			pause();
	sys(SYS_write, control[1], pids, sizeof(pids));
	sys(SYS_read, control[1], &byte, 1);
	if (byte == 'e')
		_exit(0);
	/* Not even the descriptor's number is lost by this exec. */
	dup2(control[1], 0);
	child_execs(NULL);
	_exit(1);
}

TEST_F(prepared, maker_execs)
{
	pid_t pid, keeper;
	int control[2], status;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	pid = make_maker(self->device, control, &keeper);
	EXPECT_NE(0, state_of(pid));
	close(control[1]);
	ASSERT_EQ(1, write(control[0], "x", 1));
	ASSERT_TRUE(child_has_execed(control[0]));
	await_gone(pid);
	kill(keeper, SIGKILL);
	/* It has no other child than the keeper: see execed(). */
	EXPECT_TRUE(child_shall_exit(control[0], 0));
	EXPECT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	close(control[0]);
}

TEST_F(prepared, maker_exits)
{
	pid_t pid, keeper;
	int control[2], status;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	pid = make_maker(self->device, control, &keeper);
	EXPECT_NE(0, state_of(pid));
	ASSERT_EQ(1, write(control[0], "e", 1));
	EXPECT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	await_gone(pid);
	EXPECT_NE(0, state_of(keeper));
	kill(keeper, SIGKILL);
	close_pipe(control);
}

TEST_F(prepared, maker_is_killed)
{
	pid_t pid, keeper, maker;
	int control[2], status;
	char path[64], text[512];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	pid = make_maker(self->device, control, &keeper);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	maker = strtol(strrchr(text, ')') + 3, NULL, 10);
	ASSERT_EQ(0, kill(maker, SIGKILL));
	EXPECT_EQ(maker, waitpid(-1, &status, 0));
	await_gone(pid);
	kill(keeper, SIGKILL);
	close_pipe(control);
}

/* Limits, and other attributes of a child */

TEST_F(prepared, counts_against_limits)
{
	struct child *child = &self->child;
	const struct rlimit none = { 0, 0 };
	int prepared, copy;

	if (geteuid())
		SKIP(return, "only root becomes somebody else");
	copy = fork();
	if (!copy) {
		if (become_nobody() || setrlimit(RLIMIT_NPROC, &none))
			_exit(1);
		_exit(-child_prepare(self->device, &self->none));
	}
	EXPECT_EQ(EAGAIN, status_of(copy));

	/* One that is there already can be started. */
	prepared = PREPARE(&self->none);
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &none));
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

/* Its memory is its maker's, and another process's to give back. */
TEST_F(prepared, is_not_chosen_for_memory)
{
	struct avfork_args args = { .flags = AVFORK_INTO_CGROUP };
	struct child *child = &self->child;
	int prepared, status;
	char path[64];
	pid_t hog;

	args.cgroup_fd = cgroup_make(path, sizeof(path));
	if (args.cgroup_fd < 0)
		SKIP(return, "no cgroup v2 that can be written");
	if (cgroup_write(path, "memory.max", "4M")) {
		rmdir(path);
		SKIP(return, "no cgroups for memory");
	}
	cgroup_write(path, "memory.swap.max", "0");
	prepared = PREPARE(&args);
	hog = fork();
	if (!hog)
		_exit(cgroup_write(path, "cgroup.procs", "0") ?:
		      hog_memory(NULL));
	ASSERT_EQ(hog, waitpid(hog, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
	EXPECT_EQ(0, cgroup_remove(path));
	close(args.cgroup_fd);
}

/* An exit signal of its own outlives an exec, as any child's does. */
TEST_F(prepared, exit_signal)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), control;

	child_init(child, child_execs, NULL);
	child->args.exit_signal = 0;
	control = start_and_exec(prepared, child);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(-ECHILD, sys(SYS_wait4, child->pid, NULL, WNOHANG, NULL));
	close(control);
	EXPECT_EQ(0, child_reap(child));
	close(prepared);
}

TEST_F(prepared, autokill)
{
	const struct avfork_args args = {
		.flags = AVFORK_AUTOKILL | AVFORK_NNP,
	};
	struct child *child = &self->child;
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	int waiting = child_prepare(device, &args), started = child_prepare(device, &args);

	ASSERT_LE(0, waiting);
	ASSERT_LE(0, started);
	child_init(child, child_blocks, child);
	START(started, child);
	close(device);
	EXPECT_TRUE(has_left(waiting, FOREVER));
	EXPECT_TRUE(has_left(started, FOREVER));
	EXPECT_EQ(SIGKILL, child_reap(child));
	EXPECT_EQ(-ESRCH, prepared_start(waiting, child));
	close(waiting);
	close(started);
}

TEST_F(prepared, autoreap)
{
	const struct avfork_args args = { .flags = AVFORK_AUTOREAP };
	struct child *child = &self->child;
	int prepared = child_prepare(self->device, &args);

	if (prepared == -EOPNOTSUPP)
		SKIP(return, "the kernel has no CLONE_AUTOREAP");
	ASSERT_LE(0, prepared);
	child_init(child, child_returns, (void *)3);
	EXPECT_EQ(-EINVAL, prepared_start(prepared, child));
	child->args.exit_signal = 0;
	START(prepared, child);
	EXPECT_TRUE(has_left(prepared, FOREVER));
	while (!no_child_left())
		sched_yield();
	child_free(child);
	close(prepared);
}

TEST_F(prepared, init_of_a_namespace)
{
	const struct avfork_args args = { .namespaces = CLONE_NEWPID };
	struct child *child = &self->child;
	int prepared;

	if (geteuid())
		SKIP(return, "only root makes a pid namespace");
	prepared = PREPARE(&args);
	close(prepared);
	EXPECT_TRUE(no_child_left());
	prepared = PREPARE(&args);
	child_init(child, child_returns, (void *)3);
	START(prepared, child);
	EXPECT_EQ(EXITED(3), child_reap(child));
	close(prepared);
}

/* Races, and what is left of thousands */

struct race {
	int prepared;
	pthread_barrier_t barrier;
	struct child child[2];
};

static void *race_to_start(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->barrier);
	prepared_start(race->prepared, &race->child[1]);
	return NULL;
}

/* One of two threads starts it, and the other is told so. */
TEST_F(prepared, started_by_two)
{
	struct race race;
	pthread_t thread;
	int i, first;

	ASSERT_EQ(0, pthread_barrier_init(&race.barrier, NULL, 2));
	for (i = 0; i < 200; i++) {
		race.prepared = PREPARE(&self->none);
		child_init(&race.child[0], child_returns, (void *)3);
		child_init(&race.child[1], child_returns, (void *)3);
		ASSERT_EQ(0, pthread_create(&thread, NULL, race_to_start,
					    &race));
		pthread_barrier_wait(&race.barrier);
		prepared_start(race.prepared, &race.child[0]);
		pthread_join(thread, NULL);
		first = race.child[0].pid > 0 ? 0 : 1;
		ASSERT_LT(0, race.child[first].pid);
		ASSERT_TRUE(race.child[!first].pid == -EALREADY ||
			    race.child[!first].pid == -EBUSY);
		ASSERT_EQ(EXITED(3), child_reap(&race.child[first]));
		child_free(&race.child[!first]);
		close(race.prepared);
	}
}

static void *race_to_kill(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->barrier);
	sys(SYS_kill, race->child[1].pid, SIGKILL);
	return NULL;
}

/* Either it is started, and its death is as any child's, or there was none. */
TEST_F(prepared, killed_while_it_starts)
{
	struct child *child;
	struct race race;
	pthread_t thread;
	int i, status;

	child = &race.child[0];
	ASSERT_EQ(0, pthread_barrier_init(&race.barrier, NULL, 2));
	for (i = 0; i < 200; i++) {
		race.prepared = PREPARE(&self->none);
		race.child[1].pid = only_child();
		child_init(child, child_returns, (void *)3);
		ASSERT_EQ(0, pthread_create(&thread, NULL, race_to_kill,
					    &race));
		pthread_barrier_wait(&race.barrier);
		prepared_start(race.prepared, child);
		pthread_join(thread, NULL);
		ASSERT_TRUE(has_left(race.prepared, FOREVER));
		if (child->pid > 0) {
			word_wait(&child->in_memory, 1);
			status = child_reap(child);
			ASSERT_TRUE(status == SIGKILL || status == EXITED(3));
		} else {
			ASSERT_EQ(-ESRCH, child->pid);
			ASSERT_EQ(1, word_get(&child->in_memory));
			child_free(child);
		}
		close(race.prepared);
		ASSERT_TRUE(no_child_left());
	}
}

#define CHURNERS	3

struct churn {
	int device;
	__u32 done;
};

/* Prepare children, and start two of three, for as long as the process is there. */
static void *churn(void *arg)
{
	const struct avfork_args none = { 0 };
	struct churn *churn = arg;
	struct child child;
	int prepared, i;

	for (i = 0;; i++) {
		prepared = child_prepare(churn->device, &none);
		if (i % 3) {
			child_init(&child, child_returns, NULL);
			prepared_start(prepared, &child);
			child_reap(&child);
		}
		close(prepared);
		word_increment(&churn->done);
	}
	return NULL;
}

static void churn_until_exec(struct churn *churn_, bool execs)
{
	pthread_t thread;
	int i;

	for (i = 0; i < CHURNERS; i++)
		pthread_create(&thread, NULL, churn, churn_);
	while (!execs || word_get(&churn_->done) < 10)
		usleep(1000);
	child_execs(NULL);
}

/*
 * Whatever stage its children are at when a maker is gone, all end: the last wait
 * would not return.
 */
TEST_F(prepared, makers_leave_at_any_point)
{
	struct churn *churn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int round, ret;
	pid_t maker;

	ASSERT_NE(MAP_FAILED, (void *)churn);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (round = 0; round < 12; round++) {
		*churn = (struct churn) { .device = self->device };
		maker = fork();
		if (!maker)
			churn_until_exec(churn, round % 2);
		while (word_get(&churn->done) < 1 + round / 2)
			usleep(1000);
		if (round % 2 == 0)
			kill(maker, SIGKILL);
		do {
			ret = sys(SYS_wait4, -1, NULL, __WALL, NULL);
		} while (ret > 0 || ret == -EINTR);
		ASSERT_EQ(-ECHILD, ret);
	}
	munmap(churn, PAGE);
}

#define AT_ONCE	64

/* Some are started, some are not. */
static void use_many(struct __test_metadata *_metadata, int device,
		     unsigned long nr)
{
	const struct avfork_args none = { 0 };
	static struct child child[AT_ONCE];
	int prepared[AT_ONCE], i;

	while (nr > 0) {
		int batch = nr < AT_ONCE ? nr : AT_ONCE;

		for (i = 0; i < batch; i++) {
			prepared[i] = child_prepare(device, &none);
			ASSERT_LE(0, prepared[i]);
		}
		for (i = 0; i < batch; i++) {
			if (i % 4) {
				child_init(&child[i], child_returns, NULL);
				START(prepared[i], &child[i]);
			}
			close(prepared[i]);
		}
		for (i = 0; i < batch; i++)
			if (i % 4)
				ASSERT_EQ(0, child_reap(&child[i]));
		nr -= batch;
	}
}

/* AVFORK_PREPARED makes it longer, to a million for instance. */
TEST_F_TIMEOUT(prepared, nothing_is_left_of_thousands, 24 * 60 * 60)
{
	const char *wanted = getenv("AVFORK_PREPARED");
	static struct slabs before, after;
	const char *grown;

	use_many(_metadata, self->device, 2 * AT_ONCE);
	slabs_read(&before);
	use_many(_metadata, self->device,
		 wanted ? strtoul(wanted, NULL, 0) : LEAK_ROUNDS);
	grown = slabs_grown(&before, &after);
	EXPECT_EQ(NULL, grown) {
		TH_LOG("%s has grown", grown);
	}
}

TEST_HARNESS_MAIN

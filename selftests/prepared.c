// SPDX-License-Identifier: GPL-2.0
/*
 * Prepared children: AVFORK_IOC_PREPARE and AVFORK_IOC_START. What a start grants,
 * and what it refuses.
 */
#include "../kselftest_harness.h"
#include "prepared.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/epoll.h>

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

/* Once for each child, as event loops ask for it. */
TEST_F(prepared, epoll_tells_of_an_end)
{
	struct child *child = &self->child;
	int prepared = PREPARE(&self->none), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.fd = prepared };

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, prepared, &event));
	child_init(child, child_blocks, child);
	START(prepared, child);
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	word_set(&child->go, 1);
	ASSERT_EQ(1, epoll_wait(epoll, &event, 1, FOREVER));
	EXPECT_EQ(EPOLLIN, event.events);
	EXPECT_EQ(prepared, event.data.fd);
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	EXPECT_EQ(0, child_reap(child));
	close(epoll);
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

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_IOC_GRANT: a descriptor table for the calling task itself. Each test
 * runs in a copy of the program, which may lose its descriptors.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "seccomp.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REFCNT		"/sys/module/avfork/refcnt"

/*
 * What a copy finds out, shared with the test: the line of what is wrong, or 0.
 */
static int *failed_line;

#define REQUIRE(condition) do {						\
	if (!(condition)) {						\
		*failed_line = __LINE__;				\
		return 1;						\
	}								\
} while (0)

FIXTURE(grant) {
	int device;
};

FIXTURE_SETUP(grant)
{
	failed_line = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)failed_line);
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
}

FIXTURE_TEARDOWN(grant)
{
	EXPECT_TRUE(no_child_left());
}

static int in_copy(int (*run)(int device), int device)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(run(device));
	waitpid(pid, &status, 0);
	return status;
}

#define PASSES(run)							\
	EXPECT_EQ(0, in_copy(run, self->device)) {			\
		TH_LOG("failed at line %d", *failed_line);		\
	}

/* Return: 0, or an errno as a negative number. */
static long grant(int device, __u64 flags, const struct avfork_fd *fds,
		  __u32 nr)
{
	const struct avfork_grants grants = {
		.flags = flags, .fds = (uintptr_t)fds, .nr_fds = nr,
	};

	return sys(SYS_ioctl, device, AVFORK_IOC_GRANT, &grants);
}

static int flags_of(int fd)
{
	return sys(SYS_fcntl, fd, F_GETFD);
}

/* Whether just the descriptors of @fds are open, with their flags. */
static int table_is(const struct avfork_fd *fds, int nr)
{
	int fd, i;

	for (fd = 0; fd < 2048; fd++) {
		int expected = -EBADF;

		for (i = 0; i < nr; i++)
			if (fds[i].child_fd == fd)
				expected = fds[i].flags;
		if (flags_of(fd) != expected)
			return 0;
	}
	return 1;
}

static int table_has_what_is_granted(int device)
{
	int fds[2];
	char byte;

	REQUIRE(!pipe(fds));
	const struct avfork_fd grants[] = {
		{ fds[0], 77, FD_CLOEXEC, 0 },
		{ device, 900, 0, 0 },
		{ fds[0], 3, 0, 0 },
	};
	struct stat before, after;

	REQUIRE(!fstat(fds[0], &before));
	REQUIRE(!grant(device, 0, grants, ARRAY_SIZE(grants)));
	REQUIRE(table_is(grants, ARRAY_SIZE(grants)));
	REQUIRE(!fstat(77, &after) && before.st_ino == after.st_ino);
	/* What was not granted has been closed: nobody has the other end. */
	REQUIRE(read(3, &byte, 1) == 0);

	/* By the descriptor that has been granted, and no list. */
	REQUIRE(!grant(900, 0, NULL, 0));
	REQUIRE(table_is(NULL, 0));
	return 0;
}

TEST_F(grant, table_has_what_is_granted)
{
	long refcnt = read_number(REFCNT);

	PASSES(table_has_what_is_granted);
	EXPECT_EQ(refcnt, read_number(REFCNT));
}

static int flags_grant(int device)
{
	const struct avfork_fd standard[] = {
		{ 0, 0, 0, 0 }, { 1, 1, 0, 0 }, { 2, 2, 0, 0 },
	};
	const struct avfork_fd inherited[] = {
		{ 0, 0, 0, 0 }, { 2, 2, 0, 0 }, { 900, 900, 0, 0 },
	};

	REQUIRE(dup2(device, 900) == 900);
	REQUIRE(!fcntl(1, F_SETFD, FD_CLOEXEC));
	REQUIRE(fcntl(device, F_GETFD) == FD_CLOEXEC);
	REQUIRE(!grant(device, AVFORK_INHERIT_FDS, NULL, 0));
	REQUIRE(table_is(inherited, ARRAY_SIZE(inherited)));
	REQUIRE(dup2(900, 1) == 1 && !fcntl(1, F_SETFD, FD_CLOEXEC));
	REQUIRE(!grant(900, AVFORK_STDIO, NULL, 0));
	REQUIRE(table_is(standard, ARRAY_SIZE(standard)));
	return 0;
}

TEST_F(grant, flags_grant)
{
	int fd;

	/* The test's own standard descriptors, and no others to be inherited. */
	for (fd = 0; fd < 3; fd++)
		ASSERT_LE(0, fcntl(fd, F_GETFD));
	for (fd = 3; fd < 2048; fd++)
		if (fcntl(fd, F_GETFD) == 0)
			ASSERT_EQ(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
	PASSES(flags_grant);
}

/* The calling task alone: threads that shared its table go on with that. */
static void *grant_in_thread(void *device)
{
	long ret = grant((long)device, 0, NULL, 0);

	if (!ret && flags_of(0) != -EBADF)
		ret = 1;
	return (void *)ret;
}

static int other_threads_keep_their_table(int device)
{
	pthread_t thread;
	void *ret;

	REQUIRE(!pthread_create(&thread, NULL, grant_in_thread,
				(void *)(long)device));
	REQUIRE(!pthread_join(thread, &ret) && !ret);
	REQUIRE(flags_of(0) == 0 && flags_of(device) == FD_CLOEXEC);
	return 0;
}

TEST_F(grant, other_threads_keep_their_table)
{
	PASSES(other_threads_keep_their_table);
}

/* The file that the call is made on is closed by it: the last of its module's. */
static int device_is_closed_by_the_call(int device)
{
	long refcnt = read_number(REFCNT);
	int fd = open(AVFORK_DEVICE, O_RDWR);

	REQUIRE(fd >= 0 && read_number(REFCNT) > refcnt);
	REQUIRE(!grant(fd, 0, (struct avfork_fd[]){ { device, device, 0, 0 } },
		       1));
	REQUIRE(flags_of(fd) == -EBADF);
	REQUIRE(read_number(REFCNT) == refcnt);
	return 0;
}

TEST_F(grant, device_is_closed_by_the_call)
{
	PASSES(device_is_closed_by_the_call);
}

/* A child by clone(CLONE_FILES) is rid of its parent's table in one call. */
static int leaves_parents_table(void *arg)
{
	int *device = arg;
	const struct avfork_fd kept = { 1, 1, 0, 0 };

	return grant(*device, 0, &kept, 1) || !table_is(&kept, 1) ||
	       sys(SYS_close, 1);
}

TEST_F(grant, child_leaves_its_parents_table)
{
	static char stack[CHILD_MEMORY] __attribute__((aligned(16)));
	const int descriptors = count_descriptors();
	int status;
	pid_t pid;

	pid = clone(leaves_parents_table, stack + sizeof(stack),
		    CLONE_VM | CLONE_FILES | SIGCHLD, &self->device);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(descriptors, count_descriptors());
}

/* A call that fails has changed nothing. */
static int refused(int device)
{
	const struct avfork_fd good = { device, 5, 0, 0 };
	struct {
		struct avfork_grants grants;
		__u64 tail;
	} longer = { .grants = { .fds = (uintptr_t)&good, .nr_fds = 1 } };
	const struct avfork_fd twice[] = { good, { 0, 5, 0, 0 } };
	const struct avfork_fd closed[] = { good, { 2000, 6, 0, 0 } };
	const struct avfork_fd flag = { device, 5, 2, 0 };
	const struct avfork_fd reserved = { device, 5, 0, 1 };
	const struct avfork_fd negative = { device, -1, 0, 0 };
	const struct avfork_fd beyond = { device, AVFORK_FD_LIMIT, 0, 0 };
	const int descriptors = count_descriptors();

#define SIZED(size) \
	_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC, _IOC_NR(AVFORK_IOC_GRANT), size)
#define CALL(cmd, arg) sys(SYS_ioctl, device, cmd, arg)

	REQUIRE(CALL(SIZED(0), &longer) == -EINVAL);
	REQUIRE(CALL(SIZED(AVFORK_GRANTS_SIZE_VER0 - 1), &longer) == -EINVAL);
	REQUIRE(CALL(AVFORK_IOC_GRANT, NULL) == -EFAULT);
	longer.tail = 1;
	REQUIRE(CALL(SIZED(sizeof(longer)), &longer) == -E2BIG);
	longer.grants.reserved = 1;
	REQUIRE(CALL(AVFORK_IOC_GRANT, &longer) == -EINVAL);
	REQUIRE(CALL(_IOC(_IOC_READ, AVFORK_IOC_MAGIC,
			  _IOC_NR(AVFORK_IOC_GRANT), sizeof(longer.grants)),
		     &longer) == -ENOTTY);
	REQUIRE(grant(device, AVFORK_SYNC, &good, 1) == -EINVAL);
	REQUIRE(grant(device, AVFORK_SHARE_FDS, NULL, 0) == -EINVAL);
	REQUIRE(grant(device, 1ULL << 63, &good, 1) == -EINVAL);
	REQUIRE(grant(device, 0, NULL, 1) == -EFAULT);
	REQUIRE(grant(device, 0, twice, 2) == -EINVAL);
	REQUIRE(grant(device, 0, closed, 2) == -EBADF);
	REQUIRE(grant(device, 0, &flag, 1) == -EINVAL);
	REQUIRE(grant(device, 0, &reserved, 1) == -EINVAL);
	REQUIRE(grant(device, 0, &negative, 1) == -EINVAL);
	REQUIRE(grant(device, 0, &beyond, 1) == -EMFILE);
	REQUIRE(grant(device, 0, &good, ~0U) == -EMFILE);
	REQUIRE(count_descriptors() == descriptors);
	return 0;
}

TEST_F(grant, refused)
{
	long refcnt = read_number(REFCNT);

	PASSES(refused);
	EXPECT_EQ(refcnt, read_number(REFCNT));
}

/*
 * What dup2(2) and fcntl(2) do is for the filter to judge: numbers stay, and so
 * does FD_CLOEXEC. The control is the same before there is a filter.
 */
static int under_a_filter(int device)
{
	const struct avfork_fd moved = { 0, 9, 0, 0 };
	const struct avfork_fd opened[] = {
		{ device, device, 0, 0 }, { 0, 0, 0, 0 }, { 1, 1, 0, 0 },
	};
	const struct avfork_fd same[] = {
		{ device, device, FD_CLOEXEC, 0 },
		{ 0, 0, FD_CLOEXEC, 0 }, { 1, 1, FD_CLOEXEC, 0 },
	};
	const struct avfork_fd kept[] = {
		{ device, device, 0, 0 }, { 0, 0, 0, 0 }, { 1, 1, FD_CLOEXEC, 0 },
		{ 9, 9, 0, 0 },
	};

	REQUIRE(!grant(device, AVFORK_INHERIT_FDS,
		       (struct avfork_fd[]){ moved, opened[0] }, 2));
	REQUIRE(flags_of(9) == 0 && flags_of(device) == 0);
	REQUIRE(!fcntl(device, F_SETFD, FD_CLOEXEC));
	REQUIRE(!fcntl(1, F_SETFD, FD_CLOEXEC));

	REQUIRE(!seccomp_allow());
	REQUIRE(grant(device, 0, (struct avfork_fd[]){ { 0, 8, 0, 0 } }, 1) ==
		-EPERM);
	REQUIRE(grant(device, 0, opened, 1) == -EPERM);
	REQUIRE(grant(device, AVFORK_STDIO, NULL, 0) == -EPERM);
	REQUIRE(flags_of(device) == FD_CLOEXEC && flags_of(8) == -EBADF);
	REQUIRE(!fcntl(device, F_SETFD, 0));
	/* What is inherited has its number, and what is not granted goes. */
	REQUIRE(!grant(device, AVFORK_INHERIT_FDS,
		       (struct avfork_fd[]){ { 1, 1, FD_CLOEXEC, 0 } }, 1));
	REQUIRE(!sys(SYS_close, 2));
	REQUIRE(table_is(kept, ARRAY_SIZE(kept)));
	REQUIRE(!grant(device, 0, same, ARRAY_SIZE(same)));
	REQUIRE(table_is(same, ARRAY_SIZE(same)));

	/* It makes no process, which is what SPAWN is refused for. */
	REQUIRE(sys(SYS_ioctl, device, AVFORK_IOC_SPAWN, NULL) == -EPERM);
	return 0;
}

TEST_F(grant, under_a_filter)
{
	int fd;

	for (fd = 3; fd < 2048; fd++)
		if (fcntl(fd, F_GETFD) == 0)
			ASSERT_EQ(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
	PASSES(under_a_filter);
}

/* With another thread that shares, opens and closes, and with nothing left. */
static void *churn(void *stop)
{
	while (!word_get(stop))
		close(dup(0));
	return NULL;
}

static void *grants_itself(void *arg)
{
	int device = *(int *)arg;
	const struct avfork_fd kept[] = { { device, device, 0, 0 },
					  { 0, 99, 0, 0 } };
	long ret = grant(device, AVFORK_STDIO | AVFORK_INHERIT_FDS, kept, 2);

	return (void *)ret;
}

TEST_F(grant, nothing_is_left_of_thousands)
{
	struct slabs before, after;
	pthread_t churner, thread;
	__u32 stop = 0;
	void *ret;
	int i;

	slabs_read(&before);
	if (!before.nr)
		SKIP(return, "cannot read /proc/slabinfo");
	ASSERT_EQ(0, pthread_create(&churner, NULL, churn, &stop));
	for (i = 0; i < LEAK_ROUNDS; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, grants_itself,
					    &self->device));
		ASSERT_EQ(0, pthread_join(thread, &ret));
		ASSERT_EQ(NULL, ret);
	}
	word_set(&stop, 1);
	ASSERT_EQ(0, pthread_join(churner, NULL));
	EXPECT_EQ(NULL, slabs_grown(&before, &after)) {
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	}
}

TEST_HARNESS_MAIN

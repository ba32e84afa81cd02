// SPDX-License-Identifier: GPL-2.0
/*
 * AVFORK_SHARE_FDS: a child that has its caller's descriptor table itself, until
 * it execs. What each of them does to the table the other has. Next to it
 * children that share nothing, as all do that do not ask for it.
 */
#include "../kselftest_harness.h"
#include "device.h"

#include <linux/kcmp.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>

FIXTURE(sharing) {
	int device;
	int descriptors;
	struct child child;
	struct child grandchild;
};

FIXTURE_SETUP(sharing)
{
	const struct rlimit none = { 0 };

	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	/* Some children crash. */
	ASSERT_EQ(0, setrlimit(RLIMIT_CORE, &none));
	self->descriptors = count_descriptors();
}

FIXTURE_TEARDOWN(sharing)
{
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(self->descriptors, count_descriptors());
}

#define SPAWN(child) ASSERT_LT(0, child_spawn(self->device, child))

/* Ends of a child. */

static int child_kills_itself(void *unused)
{
	return sys(SYS_kill, sys(SYS_getpid), SIGKILL);
}

static int child_crashes(void *unused)
{
	*(volatile char *)NULL = 0;
	return 0;
}

static int child_pauses(void *unused)
{
	while (sys_pause() != 0)
		;
	return 0;
}

static int child_blocks_and_execs(void *child)
{
	child_blocks(child);
	return child_execs(NULL);
}

#define PASSED		150	/* the number of what the caller opens later */

/**
 * struct sharing - what caller and child do to a table that may be one
 * @closed: the caller's, closed by the child
 * @marked: the caller's, made close-on-exec by the child
 * @opened: what the child has opened
 * @pidfd:  the child's flags of its own pidfd, whose number is @number
 * @number: see @pidfd
 * @done:   the child has done all that
 * @go:     the caller has opened PASSED, and the child may look
 */
struct sharing {
	int closed;
	int marked;
	int opened;
	int pidfd;
	int number;
	__u32 done;
	__u32 go;
};

/* Return: whether there is PASSED. */
static int child_changes_table(void *arg)
{
	struct sharing *sharing = arg;

	sharing->pidfd = sys(SYS_fcntl, sharing->number, F_GETFD);
	sharing->opened = sys(SYS_openat, AT_FDCWD, "/", O_PATH);
	sys(SYS_close, sharing->closed);
	sys(SYS_fcntl, sharing->marked, F_SETFD, FD_CLOEXEC);
	word_set(&sharing->done, 1);
	word_wait(&sharing->go, 0);
	return sys(SYS_fcntl, PASSED, F_GETFD) == 0;
}

static int one_table(pid_t pid)
{
	return syscall(SYS_kcmp, getpid(), pid, KCMP_FILES, 0, 0) == 0;
}

/* @shared: whether it is to be one. */
static void table_is_one(struct __test_metadata *_metadata,
			 FIXTURE_DATA(sharing) *self, __u64 flags, int shared)
{
	struct child *child = &self->child;
	struct sharing sharing = {
		.closed = dup(self->device),
		.marked = dup(self->device),
		.number = -1,
	};

	child_init(child, child_changes_table, &sharing);
	child->args.flags = flags;
	child->args.pidfd = (uintptr_t)&sharing.number;
	/* With that the call returns when all is over. */
	if (flags & AVFORK_SYNC) {
		ASSERT_EQ(PASSED, dup2(self->device, PASSED));
		word_set(&sharing.go, 1);
	}
	SPAWN(child);
	word_wait(&sharing.done, 0);
	if (!(flags & AVFORK_SYNC)) {
		EXPECT_EQ(shared, one_table(child->pid));
		ASSERT_EQ(PASSED, dup2(self->device, PASSED));
		word_set(&sharing.go, 1);
	}
	/* An isolated child inherits what was there before it. */
	EXPECT_EQ(EXITED(shared || flags == (AVFORK_SYNC | AVFORK_INHERIT_FDS)),
		  child_reap(child));

	EXPECT_EQ(shared ? FD_CLOEXEC : -EBADF, sharing.pidfd);
	EXPECT_LE(0, sharing.opened);
	if (shared) {
		/* The number that was free, and nothing is closed at an exit. */
		EXPECT_EQ(0, fcntl(sharing.opened, F_GETFD));
		EXPECT_EQ(0, close(sharing.opened));
		EXPECT_EQ(-1, close(sharing.closed));
	} else {
		EXPECT_EQ(0, close(sharing.closed));
	}
	EXPECT_EQ(shared ? FD_CLOEXEC : 0, fcntl(sharing.marked, F_GETFD));
	close(sharing.marked);
	close(sharing.number);
	close(PASSED);
}

TEST_F(sharing, table_is_shared)
{
	table_is_one(_metadata, self, AVFORK_SHARE_FDS, 1);
	table_is_one(_metadata, self, AVFORK_SHARE_FDS | AVFORK_SYNC, 1);
	table_is_one(_metadata, self, AVFORK_SHARE_FDS | AVFORK_NNP |
		     AVFORK_AUTOKILL | AVFORK_INHERIT_SIGNALS, 1);
	/* One that is asked for descriptors has copies of them. */
	table_is_one(_metadata, self, AVFORK_INHERIT_FDS, 0);
	table_is_one(_metadata, self, AVFORK_INHERIT_FDS | AVFORK_SYNC, 0);
}

static void *table_grows(void *stop)
{
	int fd;

	while (!word_get(stop)) {
		fd = fcntl(0, F_DUPFD, 300);
		close(fcntl(0, F_DUPFD, 600));
		close(fd);
	}
	return NULL;
}

static int child_opens_and_closes(void *arg)
{
	int i;

	for (i = 0; i < 100; i++)
		if (sys(SYS_close, sys(SYS_openat, AT_FDCWD, "/", O_PATH)))
			return 1;
	return 0;
}

/* By the caller's threads, too, while it grows. */
TEST_F(sharing, table_is_shared_by_many)
{
	struct child children[20];
	pthread_t thread;
	__u32 stop = 0;
	int i, rounds;

	ASSERT_EQ(0, pthread_create(&thread, NULL, table_grows, &stop));
	for (rounds = 0; rounds < 50; rounds++) {
		for (i = 0; i < (int)ARRAY_SIZE(children); i++) {
			child_init(&children[i], child_opens_and_closes, NULL);
			/* And now and then one that shares nothing. */
			if (i % 4)
				children[i].args.flags = AVFORK_SHARE_FDS;
			SPAWN(&children[i]);
		}
		for (i = 0; i < (int)ARRAY_SIZE(children); i++)
			ASSERT_EQ(EXITED(0), child_reap(&children[i]));
	}
	word_set(&stop, 1);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* Whether @pid has a descriptor @fd. */
static int proc_has_fd(pid_t pid, int fd)
{
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return !lstat(path, &status);
}

static int nobody_has_the_other_end(int pipe)
{
	char byte;

	return read(pipe, &byte, 1) == 0;
}

/* From then on it has a copy without what is close-on-exec. */
TEST_F(sharing, table_is_shared_until_exec)
{
	int stdin_saved = fcntl(0, F_DUPFD_CLOEXEC, 200);
	int gone[2], kept[2], control[2], late;
	struct child *child = &self->child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				control));
	ASSERT_EQ(0, pipe2(gone, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(0, pipe2(kept, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(0, fcntl(kept[1], F_SETFD, 0));
	child_init(child, child_blocks_and_execs, child);
	child->args.flags = AVFORK_SHARE_FDS;
	SPAWN(child);
	EXPECT_TRUE(one_table(child->pid));
	/* The child's descriptor 0, put there when there is a child. */
	ASSERT_EQ(0, dup2(control[1], 0));
	word_set(&child->go, 1);
	ASSERT_TRUE(child_has_execed(control[0]));
	ASSERT_EQ(0, dup2(stdin_saved, 0));
	close(control[1]);
	close(stdin_saved);

	EXPECT_FALSE(one_table(child->pid));
	/* Closed in the child, and not in the caller. */
	EXPECT_FALSE(proc_has_fd(child->pid, gone[1]));
	EXPECT_FALSE(proc_has_fd(child->pid, self->device));
	EXPECT_EQ(FD_CLOEXEC, fcntl(gone[1], F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->device, F_GETFD));
	EXPECT_TRUE(proc_has_fd(child->pid, kept[1]));
	/* Closed in the caller, and not in the child. */
	EXPECT_EQ(0, close(gone[1]));
	EXPECT_TRUE(nobody_has_the_other_end(gone[0]));
	EXPECT_EQ(0, close(kept[1]));
	EXPECT_FALSE(nobody_has_the_other_end(kept[0]));
	EXPECT_TRUE(proc_has_fd(child->pid, kept[1]));
	/* Opened in the caller, and not in the child. */
	late = fcntl(0, F_DUPFD, 300);
	EXPECT_LE(300, late);
	EXPECT_FALSE(proc_has_fd(child->pid, late));

	EXPECT_TRUE(child_shall_exit(control[0], 8));
	EXPECT_EQ(EXITED(8), child_reap(child));
	EXPECT_TRUE(nobody_has_the_other_end(kept[0]));
	EXPECT_EQ(0, fcntl(late, F_GETFD));
	close(late);
	close(control[0]);
	close(kept[0]);
	close(gone[0]);
}

static int child_fails_to_exec_and_opens(void *arg)
{
	static char *const none[] = { NULL };

	sys(SYS_execve, "/nonexistent", none, none);
	*(int *)arg = sys(SYS_openat, AT_FDCWD, "/", O_PATH);
	return 0;
}

TEST_F(sharing, table_is_shared_after_an_exec_that_fails)
{
	struct child *child = &self->child;
	int opened = -1;

	child_init(child, child_fails_to_exec_and_opens, &opened);
	child->args.flags = AVFORK_SHARE_FDS;
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_LE(0, opened);
	EXPECT_EQ(0, close(opened));
}

static int child_closes(void *fd)
{
	return -sys(SYS_close, *(int *)fd);
}

static const struct sigevent nobody = { .sigev_notify = SIGEV_NONE };

static int has_notification(mqd_t queue)
{
	return mq_notify(queue, &nobody) == -1 && errno == EBUSY;
}

/* @other: open anew: to its own lock one of the process is another's. */
static int is_locked(int other)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	return fcntl(other, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

/*
 * What the table owns: record locks, and a queue's notification, which is the
 * process's. No end of a child takes them, nor its exec; that it closes a file
 * does, as it does in a thread.
 */
TEST_F(sharing, locks_of_a_shared_table)
{
	static int (*const ends[])(void *) = {
		child_returns, child_kills_itself, child_crashes, child_execs,
		child_fails_to_exec_and_opens,
	};
	int file = memfd_create("avfork", MFD_CLOEXEC), other, copy;
	int unused = -1;
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	struct child *child = &self->child;
	char name[64];
	mqd_t queue;
	size_t i;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	other = open(name, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, other);
	snprintf(name, sizeof(name), "/avfork-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	ASSERT_LE(0, queue);
	ASSERT_EQ(0, mq_unlink(name));
	ASSERT_EQ(0, mq_notify(queue, &nobody));
	ASSERT_EQ(0, fcntl(file, F_SETLK, &lock));
	/* The program that a child becomes has no descriptor 0 to wait on. */
	ASSERT_EQ(0, fcntl(0, F_SETFD, FD_CLOEXEC));

	EXPECT_TRUE(is_locked(other));
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		child_init(child, ends[i], &unused);
		child->args.flags = AVFORK_SHARE_FDS;
		SPAWN(child);
		EXPECT_LE(0, child_reap(child));
		EXPECT_TRUE(is_locked(other)) {
			TH_LOG("with end %zu", i);
		}
		EXPECT_TRUE(has_notification(queue));
	}
	EXPECT_EQ(0, close(unused));

	/* The controls: one that has its own cannot, one that shares can. */
	copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
	child_init(child, child_closes, &copy);
	child_grant(child, &(struct avfork_fd){ copy, copy, 0, 0 }, 1);
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_TRUE(is_locked(other));
	child_init(child, child_closes, &copy);
	child->args.flags = AVFORK_SHARE_FDS;
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_FALSE(is_locked(other));
	EXPECT_EQ(-1, close(copy));

	ASSERT_EQ(0, fcntl(0, F_SETFD, 0));
	EXPECT_EQ(0, mq_notify(queue, NULL));
	EXPECT_TRUE(mq_notify(queue, &nobody) == 0);
	mq_close(queue);
	close(other);
	close(file);
}

static int child_grants_itself(void *device)
{
	const struct avfork_grants grants = { .flags = AVFORK_STDIO };
	const struct avfork_grants sharing = { .flags = AVFORK_SHARE_FDS };
	int device_fd = *(int *)device;

	/* To share is what it does: that is no grant. */
	if (sys(SYS_ioctl, device_fd, AVFORK_IOC_GRANT, &sharing) != -EINVAL)
		return 1;
	if (sys(SYS_ioctl, device_fd, AVFORK_IOC_GRANT, &grants))
		return 2;
	if (sys(SYS_fcntl, device_fd, F_GETFD) != -EBADF)
		return 3;
	/* The caller's stay open. */
	return sys(SYS_close, 1) ? 4 : 0;
}

TEST_F(sharing, table_of_its_own_after_a_shared_one)
{
	struct child *child = &self->child;

	child_init(child, child_grants_itself, &self->device);
	child->args.flags = AVFORK_SHARE_FDS;
	SPAWN(child);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_LE(0, fcntl(1, F_GETFD));
	EXPECT_LE(0, fcntl(self->device, F_GETFD));
}

/* With its parent's descriptor of the device. */
static int child_spawns(void *arg)
{
	FIXTURE_DATA(sharing) *self = arg;

	if (child_spawn(self->device, &self->grandchild) < 0)
		return 100;
	return child_reap(&self->grandchild) >> 8;
}

/* As far down as it is asked for, and no further. */
TEST_F(sharing, table_of_grandchildren)
{
	struct child *child = &self->child, *grandchild = &self->grandchild;
	int shares, opened;

	for (shares = 0; shares < 2; shares++) {
		opened = -1;
		child_init(grandchild, child_fails_to_exec_and_opens, &opened);
		grandchild->args.flags = shares ? AVFORK_SHARE_FDS : 0;
		child_init(child, child_spawns, self);
		child->args.flags = AVFORK_SHARE_FDS;
		SPAWN(child);
		EXPECT_EQ(EXITED(0), child_reap(child));
		EXPECT_LE(0, opened);
		/* 0 is what an empty table begins with. */
		if (shares) {
			EXPECT_EQ(0, close(opened));
		} else {
			EXPECT_EQ(0, opened);
		}
	}
}

#define REFCNT "/sys/module/avfork/refcnt"

/**
 * struct closing - a child that closes the device which the call was made on
 * @device: it
 * @refcnt: what the module's file has then
 */
struct closing {
	int device;
	char refcnt[32];
};

static int child_closes_device(void *arg)
{
	struct closing *closing = arg;
	int fd;

	if (sys(SYS_close, closing->device))
		return 1;
	fd = sys(SYS_openat, AT_FDCWD, REFCNT, O_RDONLY | O_CLOEXEC);
	sys(SYS_read, fd, closing->refcnt, sizeof(closing->refcnt) - 1);
	return sys(SYS_close, fd) ? 2 : 0;
}

/*
 * The call goes on in the module's code, which must not be gone: it holds the
 * file that its descriptor no longer does.
 */
TEST_F(sharing, device_is_closed_in_the_call)
{
	struct child *child = &self->child;
	long before = read_number(REFCNT);
	struct closing closing = { 0 };

	closing.device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, closing.device);
	EXPECT_LT(before, read_number(REFCNT));
	child_init(child, child_closes_device, &closing);
	child->args.flags = AVFORK_SHARE_FDS | AVFORK_SYNC;
	ASSERT_LT(0, child_spawn(closing.device, child));
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_LT(before, strtol(closing.refcnt, NULL, 10));
	EXPECT_EQ(before, read_number(REFCNT));
	EXPECT_EQ(-1, close(closing.device));
}

/* Return: a pid that the process @pid has written to @pipe, when that is dead. */
static pid_t pid_left_by(pid_t pid, int pipe)
{
	pid_t left = -1;

	if (waitpid(pid, NULL, 0) != pid ||
	    read(pipe, &left, sizeof(left)) != sizeof(left))
		return -1;
	return left;
}

/*
 * The table is closed when the last who has it is gone: the caller, whatever
 * became of its children, or a child that the caller has left behind.
 */
TEST_F(sharing, table_ends_with_the_last_that_shares_it)
{
	struct child *child = &self->child;
	int pipe[2], leaves, i;
	pid_t pid;

	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (leaves = 0; leaves < 2; leaves++) {
		ASSERT_EQ(0, pipe2(pipe, O_CLOEXEC | O_NONBLOCK));
		pid = fork();
		if (!pid) {
			static int (*const ends[])(void *) = {
				child_returns, child_kills_itself, child_execs,
				child_crashes,
			};

			fcntl(0, F_SETFD, FD_CLOEXEC);
			for (i = 0; i < 40; i++) {
				child_init(child, ends[i % 4], NULL);
				child->args.flags = AVFORK_SHARE_FDS;
				if (i % 8 > 3)
					child->args.flags |= AVFORK_SYNC;
				child_spawn(self->device, child);
				child_reap(child);
				/* One that fails when there is a child. */
				child_init(child, child_returns, NULL);
				child->args.flags = AVFORK_SHARE_FDS;
				child->args.pidfd = 4096;
				child_spawn(self->device, child);
			}
			child_init(child, child_pauses, NULL);
			child->args.flags = AVFORK_SHARE_FDS;
			pid = leaves ? child_spawn(self->device, child) : 0;
			_exit(write(pipe[1], &pid, sizeof(pid)) < 0);
		}
		close(pipe[1]);
		pid = pid_left_by(pid, pipe[0]);
		EXPECT_EQ(leaves, pid > 0);
		EXPECT_EQ(!leaves, nobody_has_the_other_end(pipe[0]));
		if (pid > 0) {
			EXPECT_EQ(0, kill(pid, SIGKILL));
			EXPECT_EQ(pid, waitpid(pid, NULL, 0));
			EXPECT_TRUE(nobody_has_the_other_end(pipe[0]));
		}
		close(pipe[0]);
	}
}

/**
 * struct orphan - a child that is left behind, in shared memory
 * @child:  it
 * @answer: it is alive
 */
struct orphan {
	struct child child;
	__u32 answer;
};

static int child_answers_and_execs(void *arg)
{
	struct orphan *orphan = arg;

	child_blocks(&orphan->child);
	word_set(&orphan->answer, 1);
	return child_execs(NULL);
}

/* How it ends when its parent, who had the device to itself, has died. */
static int orphan_ends(__u64 flags)
{
	struct orphan *orphan = mmap(NULL, sizeof(*orphan),
				     PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		fcntl(0, F_SETFD, FD_CLOEXEC);
		child_init(&orphan->child, child_answers_and_execs, orphan);
		orphan->child.args.flags = flags;
		_exit(child_spawn(open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC),
				  &orphan->child) < 0);
	}
	if (waitpid(pid, &status, 0) == pid && !status) {
		word_set(&orphan->child.go, 1);
		if (flags & AVFORK_SHARE_FDS)
			word_wait(&orphan->answer, 0);
		waitpid(orphan->child.pid, &status, 0);
	}
	munmap(orphan, sizeof(*orphan));
	return status;
}

/* It has the device open itself, until its exec. */
TEST_F(sharing, autokill)
{
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	EXPECT_EQ(SIGKILL, orphan_ends(AVFORK_AUTOKILL | AVFORK_NNP));
	EXPECT_EQ(SIGKILL, orphan_ends(AVFORK_AUTOKILL | AVFORK_NNP |
				       AVFORK_SHARE_FDS));
	EXPECT_EQ(EXITED(EXECED), orphan_ends(AVFORK_SHARE_FDS));
}

TEST_F(sharing, nothing_is_left_of_thousands)
{
	static int (*const ends[])(void *) = {
		child_returns, child_kills_itself, child_returns, child_execs,
	};
	struct child *child = &self->child;
	struct slabs before, after;
	int i, pidfd;

	/* For those that exec. */
	ASSERT_EQ(0, fcntl(0, F_SETFD, FD_CLOEXEC));
	slabs_read(&before);
	if (!before.nr)
		SKIP(return, "cannot read /proc/slabinfo");
	for (i = 0; i < LEAK_ROUNDS; i++) {
		/* The kernel has a child already when that fails. */
		child_init(child, child_returns, NULL);
		child->args.flags = AVFORK_SHARE_FDS;
		child->args.exit_signal = 0;
		child->args.pidfd = 4096;
		ASSERT_EQ(-EFAULT, child_spawn(self->device, child));
		child->args.pidfd = 0;
		child->args.nr_fds = 1;
		ASSERT_EQ(-EINVAL, child_spawn(self->device, child));
		child_free(child);

		child_init(child, ends[i % 4], NULL);
		/* Births for both kinds are kept in one place. */
		child->args.flags = i % 3 ? AVFORK_SHARE_FDS : 0;
		child->args.exit_signal = i % 2 ? 0 : SIGCHLD;
		child->args.pidfd = (uintptr_t)&pidfd;
		SPAWN(child);
		ASSERT_LE(0, child_reap(child));
		close(pidfd);
	}
	EXPECT_EQ(NULL, slabs_grown(&before, &after)) {
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	}
	ASSERT_EQ(0, fcntl(0, F_SETFD, 0));
}

TEST_HARNESS_MAIN

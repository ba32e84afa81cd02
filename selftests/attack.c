// SPDX-License-Identifier: GPL-2.0
/*
 * A child that is less than its parent, whose memory it shares, and programs that give
 * privileges.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "security.h"

#include <linux/capability.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SUID_DUMPABLE	"/proc/sys/fs/suid_dumpable"
#define YAMA		"/proc/sys/kernel/yama/ptrace_scope"

/* A child that is less than its parent, whose memory it shares. */

/**
 * struct target - whom others try to get at
 * @dumpable: whether it makes its memory dumpable
 * @ready:    it is what it is to be
 * @go:       it may end
 * @secret:   the parent's
 */
static struct target {
	int dumpable;
	__u32 ready;
	__u32 go;
	char secret;
} target = { .secret = 's' };

static int child_becomes_nobody(void *arg)
{
	int ret = sys(SYS_setresgid, NOBODY, NOBODY, NOBODY) |
		  sys(SYS_setresuid, NOBODY, NOBODY, NOBODY);

	if (target.dumpable)
		ret |= sys(SYS_prctl, PR_SET_DUMPABLE, 1);
	word_set(&target.ready, 1);
	word_wait(&target.go, 0);
	return ret != 0;
}

static int attack_by_ptrace(pid_t pid)
{
	int ret = sys(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0);

	if (ret)
		return ret;
	waitpid(pid, NULL, __WALL);
	return ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static int attack_by_proc(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int attack_by_vm(pid_t pid)
{
	char secret;
	const struct iovec ours = { &secret, 1 };
	const struct iovec theirs = { &target.secret, 1 };
	int ret = sys(SYS_process_vm_readv, pid, &ours, 1, &theirs, 1, 0);

	/* Another program has nothing there, but one was let in to see that. */
	return ret == 1 || ret == -EFAULT ? 0 : ret;
}

static int attack_by_pidfd(pid_t pid)
{
	int pidfd = sys(SYS_pidfd_open, pid, 0);
	int fd = sys(SYS_pidfd_getfd, pidfd, 0, 0);

	close(pidfd);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* Return: 0 when all of them @succeed, or none, else the number of one. */
static int attack(pid_t pid, bool succeed)
{
	static const struct {
		int (*attack)(pid_t pid);
		int error;
	} attacks[] = {
		{ attack_by_ptrace, -EPERM },
		{ attack_by_proc, -EACCES },
		{ attack_by_vm, -EPERM },
		{ attack_by_pidfd, -EPERM },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		int error = attacks[i].attack(pid);

		/* Not all kernels have all of these calls. */
		if (error == -ENOSYS)
			continue;
		if (error != (succeed ? 0 : attacks[i].error))
			return i + 1;
	}
	return 0;
}

static int attack_as_nobody(void *arg)
{
	return become_nobody() ? NOT_ENTERED : attack(*(pid_t *)arg, false);
}

static int attack_as_nobody_succeeds(void *arg)
{
	return become_nobody() ? NOT_ENTERED : attack(*(pid_t *)arg, true);
}

static void target_start(struct __test_metadata *_metadata,
			 FIXTURE_DATA(security) *self, enum way way,
			 int (*run)(void *))
{
	static struct avfork_fd grant;

	grant = (struct avfork_fd){ self->device, 0, 0, 0 };
	target.ready = 0;
	target.go = 0;
	child_init(&self->child, run, NULL);
	child_grant(&self->child, &grant, 1);
	ASSERT_LT(0, child_make(way, self->device, &self->child));
	word_wait(&target.ready, 0);
}

static void target_end(struct __test_metadata *_metadata,
		       FIXTURE_DATA(security) *self)
{
	word_set(&target.go, 1);
	EXPECT_EQ(EXITED(0), child_reap(&self->child));
}

#define NEEDS_NO_YAMA() do {						\
	if (read_number(YAMA) > 0)					\
		SKIP(return, "Yama refuses it all");			\
} while (0)

TEST_F(security, ptrace_of_child_without_privileges)
{
	NEEDS_ROOT();
	NEEDS_NO_YAMA();
	if (read_number(SUID_DUMPABLE) == 1)
		SKIP(return, SUID_DUMPABLE " allows it all");
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
	target_start(_metadata, self, BY_DEVICE, child_becomes_nobody);
	EXPECT_EQ(EXITED(0), in_copy(attack_as_nobody, &self->child.pid));
	target_end(_metadata, self);
	/* It was the memory that became so, and that is ours. */
	EXPECT_EQ(read_number(SUID_DUMPABLE), prctl(PR_GET_DUMPABLE));

	/* What a child must never do. */
	target.dumpable = 1;
	target_start(_metadata, self, BY_DEVICE, child_becomes_nobody);
	EXPECT_EQ(EXITED(0),
		  in_copy(attack_as_nobody_succeeds, &self->child.pid));
	target_end(_metadata, self);
}

/* For one capability, or none. */
static int limit_capabilities(__u32 capabilities)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const struct __user_cap_data_struct data[2] = {
		{ .effective = capabilities, .permitted = capabilities },
	};

	return sys(SYS_capset, &header, data);
}

static int child_drops_capabilities(void *unused)
{
	int ret = limit_capabilities(0);

	word_set(&target.ready, 1);
	word_wait(&target.go, 0);
	return ret != 0;
}

static int attack_without_capabilities(void *arg)
{
	return limit_capabilities(0) ? NOT_ENTERED :
				       attack(*(pid_t *)arg, false);
}

static int attack_without_capabilities_succeeds(void *arg)
{
	return limit_capabilities(0) ? NOT_ENTERED :
				       attack(*(pid_t *)arg, true);
}

/*
 * What no kernel stops, however the child was made: capabilities are all that
 * keeps the user's other processes from such a parent, and the child has none.
 * Memory that is not dumpable is safe.
 */
TEST_F(security, ptrace_of_child_without_capabilities)
{
	pid_t pid = getpid();
	enum way way;

	NEEDS_ROOT();
	NEEDS_NO_YAMA();
	ASSERT_EQ(0, prctl(PR_SET_KEEPCAPS, 1));
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, limit_capabilities(1 << CAP_NET_ADMIN));
	for (way = BY_DEVICE; way <= BY_CLONE; way++) {
		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
		EXPECT_EQ(EXITED(0),
			  in_copy(attack_without_capabilities, &pid));
		target_start(_metadata, self, way, child_drops_capabilities);
		EXPECT_EQ(EXITED(0),
			  in_copy(attack_without_capabilities_succeeds,
				  &self->child.pid));
		target_end(_metadata, self);

		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 0));
		target_start(_metadata, self, way, child_drops_capabilities);
		EXPECT_EQ(EXITED(0), in_copy(attack_without_capabilities,
					     &self->child.pid));
		target_end(_metadata, self);
	}
}

/* Programs that give privileges. */

#define PRIVILEGED	100
#define UNPRIVILEGED	101

/* What such a program does, when asked for. */
static void __attribute__((constructor)) program(int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "avfork-privileged"))
		_exit(geteuid() ? UNPRIVILEGED : PRIVILEGED);
}

FIXTURE(setuid) {
	int device;
	char folder[32];
	char plain[64];
	char setuid[64];
	int control[2];
};

static void program_make(struct __test_metadata *_metadata, const char *path,
			 mode_t mode)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	struct stat stat;

	ASSERT_LE(0, from);
	ASSERT_LE(0, to);
	ASSERT_EQ(0, fstat(from, &stat));
	while (sendfile(to, from, NULL, stat.st_size) > 0)
		;
	ASSERT_EQ(0, fchmod(to, mode));
	close(from);
	close(to);
}

static void programs_remove(FIXTURE_DATA(setuid) *self)
{
	unlink(self->plain);
	unlink(self->setuid);
	rmdir(self->folder);
}

/**
 * struct privileging - how a user runs a setuid program
 * @setuid:  the fixture
 * @prepare: of the user
 * @run:     the child
 * @flags:   for clone(2), or 0 to have it made by the device
 * @shares:  whether the device is to have it share the user's table
 */
struct privileging {
	FIXTURE_DATA(setuid) *setuid;
	int (*prepare)(void);
	int (*run)(void *arg);
	int flags;
	bool shares;
};

static int child_execs_setuid(void *path)
{
	static char *const argv[] = { "avfork-privileged", NULL };
	static char *const envp[] = { NULL };

	return -sys(SYS_execve, path, argv, envp);
}

static int child_is_traced_and_execs_setuid(void *path)
{
	sys(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
	return child_execs_setuid(path);
}

static int seek_privileges(void *arg)
{
	struct privileging *how = arg;
	struct child child;
	int status;

	if (become_nobody() || (how->prepare && how->prepare()))
		return NOT_ENTERED;
	child_init(&child, how->run, how->setuid->setuid);
	if (how->shares)
		child.args.flags = AVFORK_SHARE_FDS;
	if (how->flags)
		child_clone(&child, how->flags);
	else
		child_spawn(how->setuid->device, &child);
	while (waitpid(child.pid, &status, __WALL) == child.pid &&
	       WIFSTOPPED(status))
		ptrace(PTRACE_CONT, child.pid, NULL, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_ENTERED;
}

FIXTURE_SETUP(setuid)
{
	struct privileging clone = {
		.setuid = self,
		.run = child_execs_setuid,
		.flags = CLONE_FILES,
	};
	int status;

	if (geteuid())
		SKIP(return, "needs root, to make a setuid program");
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
	strcpy(self->folder, "/tmp/avfork-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->folder));
	ASSERT_EQ(0, chmod(self->folder, 0755));
	snprintf(self->plain, sizeof(self->plain), "%s/plain", self->folder);
	snprintf(self->setuid, sizeof(self->setuid), "%s/setuid", self->folder);
	program_make(_metadata, self->plain, 0755);
	program_make(_metadata, self->setuid, 04755);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				self->control));
	status = in_copy(seek_privileges, &clone);
	if (status == EXITED(UNPRIVILEGED)) {
		programs_remove(self);
		SKIP(return, "/tmp has no setuid programs");
	}
	ASSERT_EQ(EXITED(PRIVILEGED), status);
}

FIXTURE_TEARDOWN(setuid)
{
	EXPECT_TRUE(no_child_left());
	programs_remove(self);
}

/* As of a child of fork(2). */
TEST_F(setuid, program_of_a_child)
{
	struct privileging how = { .setuid = self, .run = child_execs_setuid };

	EXPECT_EQ(EXITED(PRIVILEGED), in_copy(seek_privileges, &how));
	/* A table that it has shared with the user is its own by then. */
	how.shares = true;
	EXPECT_EQ(EXITED(PRIVILEGED), in_copy(seek_privileges, &how));
	/* That is because the child's root and working folder are its own. */
	how.flags = CLONE_FS;
	EXPECT_EQ(EXITED(UNPRIVILEGED), in_copy(seek_privileges, &how));
}

TEST_F(setuid, program_of_a_traced_child)
{
	struct privileging how = {
		.setuid = self,
		.run = child_is_traced_and_execs_setuid,
	};

	EXPECT_EQ(EXITED(UNPRIVILEGED), in_copy(seek_privileges, &how));
}

static int set_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

TEST_F(setuid, program_with_no_new_privs)
{
	struct privileging how = {
		.setuid = self,
		.prepare = set_no_new_privs,
		.run = child_execs_setuid,
	};

	EXPECT_EQ(EXITED(UNPRIVILEGED), in_copy(seek_privileges, &how));
}

/* A copy of ours that leaves 0 as the status when it was as expected. */
static int attack_own_child(FIXTURE_DATA(setuid) *self, const char *path,
			    bool succeed)
{
	struct avfork_fd grant = { self->control[1], 0, 0, 0 };
	struct child child;
	int ret;

	if (become_nobody())
		return NOT_ENTERED;
	strcpy(own_path, path);
	child_init(&child, child_execs, NULL);
	child_grant(&child, &grant, 1);
	if (child_spawn(self->device, &child) < 0 ||
	    !child_has_execed(self->control[0]))
		return NOT_ENTERED;
	ret = attack(child.pid, succeed);
	child_shall_exit(self->control[0], 0);
	return child_reap(&child) ? NOT_ENTERED : ret;
}

static int attack_privileged_child(void *setuid)
{
	FIXTURE_DATA(setuid) *self = setuid;

	return attack_own_child(self, self->setuid, false);
}

static int attack_plain_child(void *setuid)
{
	FIXTURE_DATA(setuid) *self = setuid;

	return attack_own_child(self, self->plain, true);
}

TEST_F(setuid, ptrace_of_privileged_child)
{
	NEEDS_NO_YAMA();
	EXPECT_EQ(EXITED(0), in_copy(attack_privileged_child, self));
	EXPECT_EQ(EXITED(0), in_copy(attack_plain_child, self));
}

/*
 * A child's exit signal must not reach a program with more privileges that its
 * parent has become. This copy of ours makes a child with SIGUSR1, which that
 * keeps when it execs.
 */
static void become_privileged(FIXTURE_DATA(setuid) *self, struct child *child,
			      bool privileged)
{
	struct avfork_fd grant = { self->control[1], 0, 0, 0 };

	if (become_nobody())
		_exit(NOT_ENTERED);
	strcpy(own_path, self->plain);
	child_init(child, child_execs, NULL);
	child_grant(child, &grant, 1);
	child->args.exit_signal = SIGUSR1;
	if (child_spawn(self->device, child) < 0)
		_exit(NOT_ENTERED);
	word_wait(&child->in_memory, 1);
	if (!privileged) {
		word_set(&child->go, 1);
		for (;;)
			pause();
	}
	strcpy(own_path, self->setuid);
	_exit(child_execs(NULL));
}

static int status_of_parent(struct __test_metadata *_metadata,
			    FIXTURE_DATA(setuid) *self, bool privileged)
{
	struct child *child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pollfd poller = { .events = POLLIN };
	int control[2], status = -1;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)child);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, control));
	pid = fork();
	if (!pid) {
		dup2(control[1], 0);
		become_privileged(self, child, privileged);
	}
	ASSERT_TRUE(child_has_execed(self->control[0]));
	if (privileged) {
		ASSERT_TRUE(child_has_execed(control[0]));
	} else {
		word_wait(&child->go, 0);
	}
	poller.fd = sys(SYS_pidfd_open, child->pid, 0);
	ASSERT_LE(0, poller.fd);
	EXPECT_TRUE(child_shall_exit(self->control[0], 0));
	EXPECT_EQ(1, poll(&poller, 1, -1));
	if (privileged)
		EXPECT_TRUE(child_shall_exit(control[0], 9));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	close(poller.fd);
	close(control[0]);
	close(control[1]);
	return status;
}

TEST_F(setuid, exit_signal_to_privileged_parent)
{
	EXPECT_EQ(SIGUSR1, status_of_parent(_metadata, self, false));
	EXPECT_EQ(EXITED(9), status_of_parent(_metadata, self, true));
}

TEST_HARNESS_MAIN

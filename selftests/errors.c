// SPDX-License-Identifier: GPL-2.0
/*
 * The errors of /dev/avfork, one test each: the exact errno, nothing left over
 * of the failed call, and a caller that can spawn as before.
 *
 * Most are one mistake in a call that is otherwise good, listed with REFUSED().
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "seccomp.h"

#include <linux/sched.h>
#include <sys/prctl.h>

#define UNTOUCHED	0x5eed5eed
#define REFCNT		"/sys/module/avfork/refcnt"

/* Outside user space however many levels of page tables there are. */
#define KERNEL_SPACE	0xffffffff81000000
/* Whatever the CPU ignores of it. */
#define NOT_CANONICAL	(1UL << 62 | 1UL << 54)

/**
 * struct call - a spawn in which something is to go wrong
 * @device:      /dev/avfork
 * @descriptors: how many the caller has
 * @refcnt:      the module's
 * @pipe:        whose write end is granted twice: there is a table to undo
 * @pidfd:       for the call
 * @fds:         the grants
 * @child:       what would be spawned
 * @cmd:         the ioctl's number
 * @args:        its argument
 */
struct call {
	int device;
	int descriptors;
	long refcnt;
	int pipe[2];
	int pidfd;
	struct avfork_fd fds[2];
	struct child child;
	unsigned int cmd;
	void *args;
};

static void call_setup(struct __test_metadata *_metadata, struct call *call)
{
	struct child *child = &call->child;

	call->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, call->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	ASSERT_EQ(0, pipe2(call->pipe, O_CLOEXEC | O_NONBLOCK));
	call->descriptors = count_descriptors();
	call->refcnt = read_number(REFCNT);

	call->fds[0] = (struct avfork_fd){ call->pipe[1], 5, 0, 0 };
	call->fds[1] = (struct avfork_fd){ call->pipe[1], 99, FD_CLOEXEC, 0 };
	child_init(child, child_returns, NULL);
	child->in_memory = UNTOUCHED;
	child->args.flags = AVFORK_STDIO;
	child->args.pidfd = (uintptr_t)&call->pidfd;
	/* One that has to be kept, which is one more thing to undo. */
	child->args.exit_signal = 0;
	child_grant(child, call->fds, ARRAY_SIZE(call->fds));
	call->cmd = AVFORK_IOC_SPAWN;
	call->args = &child->args;
}

static long call_make(struct call *call)
{
	return sys(SYS_ioctl, call->device, call->cmd, call->args);
}

/* A call that has failed left nothing, and the caller goes on as before. */
static void call_teardown(struct __test_metadata *_metadata, struct call *call)
{
	struct child good;
	char byte;

	limit_descriptors(RLIM_INFINITY);
	EXPECT_TRUE(no_child_left());
	EXPECT_EQ(UNTOUCHED, call->child.in_memory);
	EXPECT_EQ(call->descriptors, count_descriptors());
	EXPECT_EQ(call->refcnt, read_number(REFCNT));
	/* Nobody else has the write end: not EAGAIN, but the end of it. */
	EXPECT_EQ(0, close(call->pipe[1]));
	EXPECT_EQ(0, read(call->pipe[0], &byte, 1));

	child_init(&good, child_returns, (void *)7);
	EXPECT_LT(0, child_spawn(call->device, &good)) {
		TH_LOG("no child after the failed one");
	}
	EXPECT_EQ(EXITED(7), child_reap(&good));
	EXPECT_EQ(0, good.in_memory);
	child_free(&call->child);
}

FIXTURE(refused) {
	struct call call;
};

FIXTURE_VARIANT(refused) {
	int error;
	void (*spoil)(struct call *call);
};

FIXTURE_SETUP(refused)
{
	call_setup(_metadata, &self->call);
}

FIXTURE_TEARDOWN(refused)
{
	call_teardown(_metadata, &self->call);
}

TEST_F(refused, as_documented)
{
	variant->spoil(&self->call);
	EXPECT_EQ(-variant->error, call_make(&self->call));
}

#define REFUSED(name, errno_, ...)					\
	static void spoil_##name(struct call *call)			\
	{								\
		struct avfork_args *args __attribute__((unused)) =	\
			&call->child.args;				\
									\
		__VA_ARGS__;						\
	}								\
	FIXTURE_VARIANT_ADD(refused, name) {				\
		.error = errno_,					\
		.spoil = spoil_##name,					\
	}

/* A page with nothing mapped behind it. */
static char *page_before_hole(int protection)
{
	char *pages = mmap(NULL, 2 * PAGE, protection,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || munmap(pages + PAGE, PAGE))
		abort();
	return pages;
}

static char *hole(void)
{
	return page_before_hole(PROT_READ) + PAGE;
}

/* The call itself. */
#define SPAWN_SIZED(size) \
	_IOC(_IOC_WRITE, AVFORK_IOC_MAGIC, _IOC_NR(AVFORK_IOC_SPAWN), size)

#define MUCH_LONGER	4096

/* As a newer caller would pass them, with byte @nonzero of its tail set. */
static void *args_with_tail(const struct avfork_args *args, size_t nonzero)
{
	static char longer[MUCH_LONGER];

	memcpy(longer, args, sizeof(*args));
	longer[sizeof(*args) + nonzero] = 1;
	return longer;
}

REFUSED(ioctl_unknown, ENOTTY, call->cmd = _IOW(AVFORK_IOC_MAGIC, 0x4f,
						struct avfork_args));
REFUSED(ioctl_of_other_device, ENOTTY,
	call->cmd = _IOW(AVFORK_IOC_MAGIC + 1, 0x40, struct avfork_args));
REFUSED(ioctl_of_terminals, ENOTTY, call->cmd = 0x5401);
REFUSED(args_null, EFAULT, call->args = NULL);
REFUSED(args_unmapped, EFAULT, call->args = hole());
REFUSED(args_half_unmapped, EFAULT, call->args = hole() - 48);
REFUSED(args_of_kernel, EFAULT, call->args = (void *)KERNEL_SPACE);
REFUSED(args_without_size, EINVAL, call->cmd = SPAWN_SIZED(0));
REFUSED(args_too_short, EINVAL,
	call->cmd = SPAWN_SIZED(AVFORK_ARGS_SIZE_VER0 - 1));
REFUSED(args_longer, E2BIG,
	call->cmd = SPAWN_SIZED(AVFORK_ARGS_SIZE_VER0 + 8),
	call->args = args_with_tail(args, 0));
REFUSED(args_much_longer, E2BIG,
	call->cmd = SPAWN_SIZED(MUCH_LONGER),
	call->args = args_with_tail(args, MUCH_LONGER - 1 -
				    AVFORK_ARGS_SIZE_VER0));
REFUSED(args_longer_unmapped, EFAULT,
	call->cmd = SPAWN_SIZED(AVFORK_ARGS_SIZE_VER0 + 8),
	call->args = memcpy(page_before_hole(PROT_READ | PROT_WRITE) + PAGE -
			    sizeof(*args), args, sizeof(*args)));

/* Its fields. */
REFUSED(flag_unknown, EINVAL, args->flags |= 0x400);
REFUSED(flag_unknown_high, EINVAL, args->flags |= 1UL << 63);
REFUSED(share_fds_and_stdio, EINVAL, args->flags |= AVFORK_SHARE_FDS,
	child_grant(&call->child, NULL, 0));
REFUSED(share_fds_and_inherited, EINVAL, child_grant(&call->child, NULL, 0),
	args->flags = AVFORK_SHARE_FDS | AVFORK_INHERIT_FDS);
REFUSED(share_fds_and_grants, EINVAL, args->flags = AVFORK_SHARE_FDS);
REFUSED(share_fds_and_unread_grants, EINVAL, args->flags = AVFORK_SHARE_FDS,
	child_grant(&call->child, (void *)hole(), 1));
REFUSED(share_fds_and_empty_list, EINVAL, args->flags = AVFORK_SHARE_FDS,
	args->nr_fds = 0);
/* Alone it is good, and something else is wrong. */
REFUSED(share_fds_and_pidfd_unmapped, EFAULT, args->flags = AVFORK_SHARE_FDS,
	child_grant(&call->child, NULL, 0), args->pidfd = (uintptr_t)hole());
REFUSED(namespace_is_no_namespace, EINVAL, args->namespaces = CLONE_FILES);
REFUSED(namespace_thread, EINVAL,
	args->namespaces = CLONE_NEWUTS | CLONE_THREAD | CLONE_SIGHAND);
REFUSED(namespace_unknown_high, EINVAL, args->namespaces = 1UL << 40);
REFUSED(reserved, EINVAL, args->reserved = 1);
REFUSED(exit_signal_65, EINVAL, args->exit_signal = 65);
REFUSED(exit_signal_negative, EINVAL, args->exit_signal = -1);
REFUSED(entry_null, EINVAL, args->entry = 0);
REFUSED(entry_of_kernel, EFAULT, args->entry = KERNEL_SPACE);
REFUSED(entry_not_canonical, EFAULT, args->entry = NOT_CANONICAL);
REFUSED(stack_null, EINVAL, args->stack = 0);
REFUSED(stack_empty, EINVAL, args->stack_size = 0);
REFUSED(stack_too_small, EINVAL, args->stack_size = AVFORK_STACK_MIN - 16);
REFUSED(stack_misaligned, EINVAL, args->stack += 8);
REFUSED(stack_size_misaligned, EINVAL, args->stack_size -= 8);
REFUSED(stack_of_kernel, EFAULT, args->stack = KERNEL_SPACE);
REFUSED(stack_not_canonical, EFAULT, args->stack = NOT_CANONICAL);
REFUSED(stack_into_kernel, EFAULT, args->stack_size = -1UL << 60);
REFUSED(stack_wraps, EFAULT, args->stack_size = -args->stack);
REFUSED(stack_wraps_to_user, EFAULT, args->stack_size = -8192UL);
REFUSED(tls_of_kernel, EFAULT, args->tls = KERNEL_SPACE);
REFUSED(tls_not_canonical, EFAULT, args->tls = NOT_CANONICAL);
REFUSED(release_misaligned, EINVAL, args->release += 2);
REFUSED(release_of_kernel, EFAULT, args->release = KERNEL_SPACE);
REFUSED(release_not_canonical, EFAULT, args->release = NOT_CANONICAL);
REFUSED(pidfd_unmapped, EFAULT, args->pidfd = (uintptr_t)hole());
REFUSED(pidfd_read_only, EFAULT, args->pidfd = (uintptr_t)page_before_hole(PROT_READ));
REFUSED(pidfd_of_kernel, EFAULT, args->pidfd = KERNEL_SPACE);

/* Its grants. */
/* The lowest free number becomes the limit. */
static void limit_descriptors_to_open(void)
{
	int lowest = open("/", O_PATH | O_CLOEXEC);

	close(lowest);
	limit_descriptors(lowest);
}

REFUSED(fds_null, EFAULT, args->fds = 0);
REFUSED(fds_unmapped, EFAULT, args->fds = (uintptr_t)hole());
REFUSED(fds_half_unmapped, EFAULT,
	args->fds = (uintptr_t)hole() - sizeof(struct avfork_fd));
REFUSED(fds_of_kernel, EFAULT, args->fds = KERNEL_SPACE);
REFUSED(fds_beyond_limit, EMFILE, limit_descriptors(100), args->nr_fds = 101);
REFUSED(fds_beyond_reason, EMFILE, args->nr_fds = ~0U);
REFUSED(grant_flag_unknown, EINVAL, call->fds[1].flags = 2);
REFUSED(grant_reserved, EINVAL, call->fds[1].reserved = 1);
REFUSED(grant_number_negative, EINVAL, call->fds[1].child_fd = -1);
REFUSED(grant_number_lowest, EINVAL, call->fds[1].child_fd = INT32_MIN);
REFUSED(grant_number_twice, EINVAL, call->fds[1].child_fd = 5);
REFUSED(grant_number_at_limit, EMFILE, limit_descriptors(99));
REFUSED(grant_number_highest, EMFILE, call->fds[1].child_fd = INT32_MAX);
REFUSED(grant_of_closed, EBADF, call->fds[1].parent_fd = 2047);
REFUSED(grant_of_negative, EBADF, call->fds[1].parent_fd = -1);
REFUSED(grant_of_cwd, EBADF, call->fds[1].parent_fd = AT_FDCWD);
REFUSED(pidfd_without_number, EMFILE, limit_descriptors_to_open(),
	call->fds[1].child_fd = 1);

/* Its cgroup. */
REFUSED(cgroup_without_flag, EINVAL, args->cgroup_fd = call->pipe[0]);
REFUSED(cgroup_closed, EBADF, args->flags |= AVFORK_INTO_CGROUP,
	args->cgroup_fd = 2047);
REFUSED(cgroup_negative, EBADF, args->flags |= AVFORK_INTO_CGROUP,
	args->cgroup_fd = -1);
REFUSED(cgroup_is_pipe, EBADF, args->flags |= AVFORK_INTO_CGROUP,
	args->cgroup_fd = call->pipe[0]);

/* What is not a matter of one field. */
FIXTURE(caller) {
	struct call call;
};

FIXTURE_SETUP(caller)
{
	call_setup(_metadata, &self->call);
}

FIXTURE_TEARDOWN(caller)
{
	call_teardown(_metadata, &self->call);
}

/* Spawn into the cgroup behind @cgroup and close that. */
static long call_into_cgroup(struct call *call, int cgroup)
{
	long ret;

	call->child.args.flags |= AVFORK_INTO_CGROUP;
	call->child.args.cgroup_fd = cgroup;
	ret = call_make(call);
	close(cgroup);
	return ret;
}

TEST_F(caller, cgroup_removed)
{
	char path[64];
	int cgroup = cgroup_make(path, sizeof(path));

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	ASSERT_EQ(0, rmdir(path));
	EXPECT_EQ(-ENOENT, call_into_cgroup(&self->call, cgroup));
}

/* The limit is checked last of all, when the kernel has a whole child. */
TEST_F(caller, cgroup_full)
{
	char path[64], limit[96];
	int cgroup = cgroup_make(path, sizeof(path));

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	snprintf(limit, sizeof(limit), "%s/pids.max", path);
	if (write_file(limit, "0")) {
		close(cgroup);
		rmdir(path);
		SKIP(return, "the pids controller is not enabled there");
	}
	EXPECT_EQ(-EAGAIN, call_into_cgroup(&self->call, cgroup));
	EXPECT_EQ(0, rmdir(path));
}

TEST_F(caller, cgroup_has_inner_controllers)
{
	char path[64], control[96];
	int cgroup = cgroup_make(path, sizeof(path));

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path);
	if (write_file(control, "+memory")) {
		close(cgroup);
		rmdir(path);
		SKIP(return, "the memory controller is not enabled there");
	}
	EXPECT_EQ(-EBUSY, call_into_cgroup(&self->call, cgroup));
	EXPECT_EQ(0, rmdir(path));
}

TEST_F(caller, cgroup_of_somebody_else)
{
	char path[64];
	int cgroup = cgroup_make(path, sizeof(path));
	int status;
	pid_t pid;

	if (cgroup < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	/* In a process of its own: the cgroup is to be removed after it. */
	pid = fork();
	if (!pid) {
		if (become_nobody())
			_exit(1);
		_exit(-call_into_cgroup(&self->call, cgroup));
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(EXITED(EACCES), status);
	close(cgroup);
	EXPECT_EQ(0, rmdir(path));
}

TEST_F(caller, over_rlimit_nproc)
{
	struct rlimit limit, one;

	if (geteuid())
		SKIP(return, "only root can become a user without processes");
	ASSERT_EQ(0, getrlimit(RLIMIT_NPROC, &limit));
	one = limit;
	one.rlim_cur = 1;
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &one));
	EXPECT_EQ(-EAGAIN, call_make(&self->call));
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &limit));
}

TEST_F(caller, namespace_without_privilege)
{
	static const __u64 namespaces[] = {
		CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWTIME,
	};
	size_t i;

	if (!geteuid())
		ASSERT_EQ(0, become_nobody());
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		self->call.child.args.namespaces = namespaces[i];
		EXPECT_EQ(-EPERM, call_make(&self->call)) {
			TH_LOG("namespace %#llx", namespaces[i]);
		}
	}
}

static int child_is_confined(void *arg)
{
	(void)arg;
	return sys(SYS_prctl, PR_GET_SECCOMP);
}

TEST_F(caller, under_seccomp)
{
	struct child child;
	pid_t pid;
	int status;

	/* In a process of its own: there is no way back. */
	pid = fork();
	if (!pid) {
		ASSERT_EQ(0, seccomp_allow());
		_exit(-call_make(&self->call));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(EXITED(EPERM), status);

	if (write_file(AVFORK_ALLOW_SECCOMP, "Y"))
		SKIP(return, "cannot write " AVFORK_ALLOW_SECCOMP);
	pid = fork();
	if (!pid) {
		ASSERT_EQ(0, seccomp_allow());
		child_init(&child, child_is_confined, NULL);
		child_spawn(self->call.device, &child);
		status = child_reap(&child);
		_exit(status < 0 ? -status : WEXITSTATUS(status));
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, write_file(AVFORK_ALLOW_SECCOMP, "N"));
	EXPECT_EQ(EXITED(SECCOMP_MODE_FILTER), status);
}

/* The numbers of 32-bit programs, the same on all architectures here. */
#define COMPAT_ioctl	54
#define COMPAT_getuid	199

TEST_F(caller, of_32_bits)
{
	struct call *call = &self->call;
	struct avfork_args *args;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(compat_sys(COMPAT_getuid, 0, 0, 0) != getuid());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (status)
		SKIP(return, "no system calls of 32-bit programs here");

	args = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_COMPAT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)args);
	*args = call->child.args;
	EXPECT_EQ(-ENOTTY, compat_sys(COMPAT_ioctl, call->device,
				      AVFORK_IOC_SPAWN, (long)args));
	EXPECT_EQ(-ENOTTY, compat_sys(COMPAT_ioctl, call->device,
				      AVFORK_IOC_INFO, (long)args));
}

TEST_F(caller, info)
{
	struct call *call = &self->call;
	struct avfork_info info;
	const unsigned int too_short =
		_IOC(_IOC_READ, AVFORK_IOC_MAGIC, _IOC_NR(AVFORK_IOC_INFO),
		     AVFORK_INFO_SIZE_VER0 - 1);

	memset(&info, 0x5a, sizeof(info));
	call->cmd = too_short;
	call->args = &info;
	EXPECT_EQ(-EINVAL, call_make(call));
	EXPECT_EQ(0x5a5a5a5a, info.abi_version);

	call->cmd = AVFORK_IOC_INFO;
	call->args = NULL;
	EXPECT_EQ(-EFAULT, call_make(call));
	call->args = page_before_hole(PROT_READ);
	EXPECT_EQ(-EFAULT, call_make(call));
	call->args = hole() - 8;
	EXPECT_EQ(-EFAULT, call_make(call));
}

/*
 * What is too little to see after one failure. Once where the module undoes it
 * all by itself, once where kernel_clone() fails late.
 */
TEST_F(caller, thousandfold)
{
	struct call *call = &self->call;
	struct slabs before, after;
	int i;

	slabs_read(&before);
	if (!before.nr)
		SKIP(return, "cannot read /proc/slabinfo");
	for (i = 0; i < LEAK_ROUNDS; i++) {
		call->fds[1].parent_fd = -1;
		ASSERT_EQ(-EBADF, call_make(call));
		call->fds[1].parent_fd = call->pipe[1];
		call->child.args.pidfd = KERNEL_SPACE;
		ASSERT_EQ(-EFAULT, call_make(call));
	}
	EXPECT_EQ(NULL, slabs_grown(&before, &after)) {
		TH_LOG("%s has grown", slabs_grown(&before, &after));
	}
}

TEST_HARNESS_MAIN

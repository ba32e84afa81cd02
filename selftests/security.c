// SPDX-License-Identifier: GPL-2.0
/*
 * What the device must not give anybody, attempt by attempt: the rules that
 * Documentation/security.rst has for limits, namespaces, cgroups, addresses and what is
 * left in a child.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "security.h"

#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sys/prctl.h>

/*
 * What is decided where a process is made: that the device is refused what
 * clone(2) is, with the same error.
 */

/**
 * struct situation - in which a child is to be made
 * @enter:      get into it; 0 if that worked
 * @namespaces: for the child
 * @way:        how
 * @device:     /dev/avfork
 */
struct situation {
	int (*enter)(void);
	__u64 namespaces;
	enum way way;
	int device;
};

static int make_in_situation(void *arg)
{
	const struct situation *situation = arg;
	struct child child;

	if (situation->enter && situation->enter())
		return NOT_ENTERED;
	child_init(&child, child_returns, NULL);
	child.args.namespaces = situation->namespaces;
	if (child_make(situation->way, situation->device, &child) < 0)
		return -child.pid;
	return child_reap(&child) ? NOT_ENTERED : 0;
}

#define BOTH_SAY(error, enter_, namespaces_) do {			\
	struct situation __situation = {				\
		.enter = enter_,					\
		.namespaces = namespaces_,				\
		.device = self->device,					\
	};								\
									\
	__situation.way = BY_CLONE;					\
	EXPECT_EQ(EXITED(error),					\
		  in_copy(make_in_situation, &__situation));		\
	__situation.way = BY_DEVICE;					\
	EXPECT_EQ(EXITED(error),					\
		  in_copy(make_in_situation, &__situation));		\
} while (0)

/* Write @text to @path, unless there is nothing to put back there later. */
static long sysctl_change(const char *path, const char *text)
{
	long old = read_number(path);

	return old < 0 || write_file(path, text) ? -1 : old;
}

static void sysctl_restore(const char *path, long old)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", old);
	write_file(path, text);
}

static int with_one_process(void)
{
	const struct rlimit one = { 1, 1 };

	return become_nobody() || setrlimit(RLIMIT_NPROC, &one);
}

static int with_one_process_as_root_of_a_namespace(void)
{
	const struct rlimit more = { 100, 100 };

	if (with_one_process() || unshare(CLONE_NEWUSER))
		return -1;
	/* Its capabilities do not reach as far as that. */
	return setrlimit(RLIMIT_NPROC, &more) && errno == EPERM ? 0 : -1;
}

static int as_root_of_a_namespace(void)
{
	return become_nobody() || unshare(CLONE_NEWUSER);
}

TEST_F(security, rlimit_nproc_in_user_namespace)
{
	NEEDS_ROOT();
	BOTH_SAY(0, as_root_of_a_namespace, 0);
	BOTH_SAY(0, become_nobody, CLONE_NEWUSER);
	BOTH_SAY(EAGAIN, with_one_process, 0);
	BOTH_SAY(EAGAIN, with_one_process, CLONE_NEWUSER);
	BOTH_SAY(EAGAIN, with_one_process_as_root_of_a_namespace, 0);
}

TEST_F(security, user_namespaces_at_their_limit)
{
	static const char limit[] = "/proc/sys/user/max_user_namespaces";
	long old;

	NEEDS_ROOT();
	BOTH_SAY(0, become_nobody, CLONE_NEWUSER | CLONE_NEWNET);
	old = sysctl_change(limit, "0");
	if (old < 0)
		SKIP(return, "cannot change the limit");
	BOTH_SAY(ENOSPC, become_nobody, CLONE_NEWUSER);
	BOTH_SAY(ENOSPC, become_nobody, CLONE_NEWUSER | CLONE_NEWNET);
	sysctl_restore(limit, old);
}

TEST_F(security, user_namespaces_for_root_only)
{
	static const char allowed[] = "/proc/sys/kernel/unprivileged_userns_clone";
	long old;

	NEEDS_ROOT();
	old = sysctl_change(allowed, "0");
	if (old < 0)
		SKIP(return, "this kernel has no such switch");
	BOTH_SAY(EPERM, become_nobody, CLONE_NEWUSER);
	BOTH_SAY(0, NULL, CLONE_NEWUSER);
	sysctl_restore(allowed, old);
}

static int in_chroot(void)
{
	return chroot("/proc");
}

TEST_F(security, user_namespace_in_chroot)
{
	NEEDS_ROOT();
	BOTH_SAY(0, NULL, CLONE_NEWUSER);
	BOTH_SAY(EPERM, in_chroot, CLONE_NEWUSER);
}

static int child_names_host(void *unused)
{
	return -sys(SYS_sethostname, "avfork", 6);
}

static int name_host_in_user_namespace(void *arg)
{
	int status;
	struct child child;
	struct situation *situation = arg;

	if (become_nobody())
		return NOT_ENTERED;
	child_init(&child, child_names_host, NULL);
	child.args.namespaces = situation->namespaces;
	child_make(situation->way, situation->device, &child);
	status = child_reap(&child);
	return status < 0 ? -status : WEXITSTATUS(status);
}

/* The child has every capability, but only over what is its namespace's. */
TEST_F(security, user_namespace_gives_nothing_outside)
{
	struct situation situation = { .device = self->device };
	char before[65] = "", after[65] = "";

	NEEDS_ROOT();
	gethostname(before, sizeof(before) - 1);
	situation.namespaces = CLONE_NEWUSER | CLONE_NEWUTS;
	EXPECT_EQ(EXITED(0), in_copy(name_host_in_user_namespace, &situation));
	situation.namespaces = CLONE_NEWUSER;
	EXPECT_EQ(EXITED(EPERM),
		  in_copy(name_host_in_user_namespace, &situation));
	gethostname(after, sizeof(after) - 1);
	EXPECT_STREQ(before, after);
}

static int make_in_cgroup(void *arg)
{
	const int *fds = arg;
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = fds[1],
	};
	struct child child;
	long by_clone;

	if (become_nobody())
		return NOT_ENTERED;
	by_clone = sys(SYS_clone3, &args, sizeof(args));
	if (!by_clone)
		_exit(0);
	if (by_clone > 0)
		waitpid(by_clone, NULL, 0);

	child_init(&child, child_returns, NULL);
	child.args.flags = AVFORK_INTO_CGROUP;
	child.args.cgroup_fd = fds[1];
	if (child_spawn(fds[0], &child) >= 0)
		child.pid = child_reap(&child);
	if (child.pid != (by_clone > 0 ? 0 : by_clone))
		return NOT_ENTERED;
	return -child.pid;
}

/*
 * A cgroup that a user may write does not make processes of others' cgroups its
 * own: the lowest cgroup above both must be writable as well.
 */
TEST_F(security, cgroup_outside_of_what_is_delegated)
{
	char outer[64], inner[80], procs[96], pid[16];
	int fds[2] = { self->device };

	NEEDS_ROOT();
	fds[1] = cgroup_make(outer, sizeof(outer));
	if (fds[1] < 0)
		SKIP(return, "no cgroup v2 in " CGROUP_ROOT);
	close(fds[1]);
	snprintf(inner, sizeof(inner), "%s/inner", outer);
	ASSERT_EQ(0, mkdir(inner, 0755));
	fds[1] = open(inner, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fds[1]);
	EXPECT_EQ(EXITED(EACCES), in_copy(make_in_cgroup, fds));
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", inner);
	ASSERT_EQ(0, chown(procs, NOBODY, NOBODY));
	EXPECT_EQ(EXITED(EACCES), in_copy(make_in_cgroup, fds));

	/* With the caller there, too, it is all within what is delegated. */
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", outer);
	ASSERT_EQ(0, chown(procs, NOBODY, NOBODY));
	EXPECT_EQ(EXITED(EACCES), in_copy(make_in_cgroup, fds));
	snprintf(pid, sizeof(pid), "%d", getpid());
	ASSERT_EQ(0, write_file(procs, pid));
	EXPECT_EQ(EXITED(0), in_copy(make_in_cgroup, fds));

	EXPECT_EQ(0, write_file(CGROUP_ROOT "/cgroup.procs", pid));
	EXPECT_EQ(0, cgroup_remove(inner));
	EXPECT_EQ(0, cgroup_remove(outer));
}

/* Whose device it is. */

static int child_reports_uid(void *arg)
{
	*(unsigned int *)arg = sys(SYS_getuid);
	return sys(SYS_fcntl, 5, F_GETFD);
}

static int use_device_of_root(void *arg)
{
	const int *fds = arg;
	struct avfork_fd grant = { fds[1], 5, 0, 0 };
	struct child child;
	unsigned int uid = 0;

	if (become_nobody())
		return NOT_ENTERED;
	/* The opener goes on to have it. */
	close(fds[1]);
	child_init(&child, child_reports_uid, &uid);
	child_grant(&child, &grant, 1);
	if (child_spawn(fds[0], &child) != -EBADF)
		return NOT_ENTERED;
	child_grant(&child, NULL, 0);
	if (child_spawn(fds[0], &child) < 0 ||
	    child_reap(&child) != EXITED(-EBADF & 0xff))
		return NOT_ENTERED;
	return uid == NOBODY ? 0 : 1;
}

TEST_F(security, device_opened_by_root)
{
	int fds[2] = { self->device };

	NEEDS_ROOT();
	fds[1] = open("/", O_PATH | O_CLOEXEC);
	EXPECT_EQ(EXITED(0), in_copy(use_device_of_root, fds));
	EXPECT_EQ(0, close(fds[1]));
}

/* Its addresses. */

/* All that is_user_address() does not take; what it takes is good. */
TEST_F(security, addresses_outside_user_space)
{
	struct child *child = &self->child;
	int bit, nth, refused = 0;

	for (bit = 12; bit < 64; bit++) {
		const __u64 power = 1UL << bit;
		const __u64 addresses[] = {
			power, power - PAGE, power | PAGE, -power, ~power & -PAGE,
		};

		for (nth = 0; nth < (int)ARRAY_SIZE(addresses); nth++) {
			__u64 address = addresses[nth];

			child_init(child, child_returns, NULL);
			child->args.tls = address;
			if (is_user_address(address)) {
				EXPECT_LT(0, child_spawn(self->device, child)) {
					TH_LOG("%#llx", address);
				}
				EXPECT_EQ(EXITED(0), child_reap(child));
				continue;
			}
			refused++;
			EXPECT_EQ(-EFAULT, child_spawn(self->device, child)) {
				TH_LOG("%#llx", address);
			}
			child->args.tls = 0;
			child->args.release = address;
			EXPECT_EQ(-EFAULT, child_spawn(self->device, child));
			child->args.release = 0;
			child->args.stack = address;
			EXPECT_EQ(-EFAULT, child_spawn(self->device, child));
			child->args.stack = (uintptr_t)child->memory;
			child->args.entry = address;
			EXPECT_EQ(-EFAULT, child_spawn(self->device, child));
			child_free(child);
		}
	}
	/* All but what user space has bits for, and those were good. */
	EXPECT_LT(10, refused);
	EXPECT_GT(52 * 5 - 35 * 2, refused);
}

#ifdef TAG
/* The CPU ignores the highest byte, and so does clone(2). */
TEST_F(security, tagged_addresses)
{
	struct child *child = &self->child;

	ASSERT_EQ(0, prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0,
			   0));
	child_init(child, child_returns, (void *)9);
	child->args.entry |= TAG;
	child->args.stack |= TAG;
	child->args.tls |= TAG;
	child->args.release |= TAG;
	ASSERT_LT(0, child_spawn(self->device, child));
	EXPECT_EQ(EXITED(9), child_reap(child));
	EXPECT_EQ(0, child->in_memory);
}
#endif

/* What is left behind. */

long spawn_with_flags(long nr, long a, long b, long c, unsigned long flags,
		      unsigned long *flags_of_child);
void store_flags(unsigned long *flags_of_child);
asm(SPAWN_WITH_FLAGS);

TEST_F(security, flags_of_the_caller)
{
	struct child *child = &self->child;
	unsigned long flags = 0;

	child_init(child, NULL, NULL);
	child->pid = spawn_with_flags(SYS_clone, CLONE_VM | SIGCHLD,
				      child->args.stack + child->args.stack_size,
				      0, FLAGS_AT_START | FLAGS_ODD, &flags);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(FLAGS_AT_START | FLAGS_ODD, flags & ~FLAGS_OF_ARITHMETIC);

	child_init(child, NULL, NULL);
	child->args.entry = (uintptr_t)store_flags;
	child->args.arg = (uintptr_t)&flags;
	child->pid = spawn_with_flags(SYS_ioctl, self->device, AVFORK_IOC_SPAWN,
				      (long)&child->args,
				      FLAGS_AT_START | FLAGS_ODD, NULL);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(FLAGS_AT_START, flags);
}

#ifdef __x86_64__
/* Something that listens nowhere and does nothing when read. */
#define PORT 0x80

static int child_reads_port(void *unused)
{
	inb(PORT);
	return 0;
}

static int child_asks_for_ports(void *unused)
{
	long ret = sys(SYS_iopl, 3);

	if (ret)
		return -ret;
	inb(PORT);
	return 0;
}

static int status_of(struct child *child, enum way way, int device,
		     int (*run)(void *))
{
	child_init(child, run, NULL);
	child_make(way, device, child);
	return child_reap(child);
}

/* A child has none, however its parent came by them, and may ask for its own. */
TEST_F(security, io_ports)
{
	const struct rlimit no_core = { 0 };
	struct child *child = &self->child;

	setrlimit(RLIMIT_CORE, &no_core);
	if (ioperm(PORT, 1, 1))
		SKIP(return, "no I/O ports for us");
	EXPECT_EQ(EXITED(0), status_of(child, BY_CLONE, 0, child_reads_port));
	EXPECT_EQ(SIGSEGV, status_of(child, BY_DEVICE, self->device,
				     child_reads_port));
	EXPECT_EQ(EXITED(0), status_of(child, BY_DEVICE, self->device,
				       child_asks_for_ports));
	ASSERT_EQ(0, ioperm(PORT, 1, 0));
	ASSERT_EQ(0, iopl(3));
	EXPECT_EQ(EXITED(0), status_of(child, BY_CLONE, 0, child_reads_port));
	EXPECT_EQ(SIGSEGV, status_of(child, BY_DEVICE, self->device,
				     child_reads_port));
	EXPECT_EQ(EXITED(0), status_of(child, BY_DEVICE, self->device,
				       child_asks_for_ports));
	/* Nor has any of this changed what we have. */
	inb(PORT);
}
#endif

/**
 * struct leftovers - by which the kernel would write to the parent's memory on
 *                    the child's behalf, or give the child the parent's
 * @robust:  the robust futex list
 * @rseq:    what comes of registering an area
 * @pdeath:  the signal at the parent's death
 * @keyring: the thread's keyring, or an errno
 */
struct leftovers {
	void *robust;
	long rseq;
	int pdeath;
	long keyring;
};

static int leftovers_read(void *arg)
{
	static char area[32] __attribute__((aligned(32)));
	struct leftovers *leftovers = arg;
	size_t len;

	leftovers->robust = NULL;
	sys(SYS_get_robust_list, 0, &leftovers->robust, &len);
	leftovers->rseq = sys(SYS_rseq, area, sizeof(area), 0, 0x53053053);
	sys(SYS_prctl, PR_GET_PDEATHSIG, &leftovers->pdeath);
	leftovers->keyring = sys(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
				 KEY_SPEC_THREAD_KEYRING, 0);
	return 0;
}

TEST_F(security, what_the_kernel_knows_of_the_caller)
{
	struct leftovers ours, of_child;
	struct child *child = &self->child;

	sys(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 1);
	ASSERT_EQ(0, prctl(PR_SET_PDEATHSIG, SIGUSR1));
	leftovers_read(&ours);
	EXPECT_NE(NULL, ours.robust);
	EXPECT_EQ(SIGUSR1, ours.pdeath);
	EXPECT_GT(0, ours.rseq);

	child_init(child, leftovers_read, &of_child);
	EXPECT_LT(0, child_spawn(self->device, child));
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(NULL, of_child.robust);
	EXPECT_EQ(0, of_child.pdeath);
	EXPECT_EQ(ours.rseq == -ENOSYS ? -ENOSYS : 0, of_child.rseq);
	if (ours.keyring == -ENOSYS)
		TH_LOG("no keyrings here");
	else
		EXPECT_LT(0, ours.keyring);
	EXPECT_EQ(ours.keyring == -ENOSYS ? -ENOSYS : -ENOKEY,
		  of_child.keyring);
}

/* The call writes nothing: its argument and the grants may lie anywhere. */
TEST_F(security, argument_is_read_only)
{
	struct {
		struct avfork_args args;
		struct avfork_fd fd;
	} *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct child *child = &self->child;

	ASSERT_NE(MAP_FAILED, (void *)page);
	child_init(child, child_returns, (void *)3);
	page->fd = (struct avfork_fd){ self->device, 0, 0, 0 };
	child_grant(child, &page->fd, 1);
	page->args = child->args;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	child->pid = sys(SYS_ioctl, self->device, AVFORK_IOC_SPAWN,
			 &page->args);
	ASSERT_LT(0, child->pid);
	EXPECT_EQ(EXITED(3), child_reap(child));
	/* Neither does one that fails late. */
	EXPECT_EQ(0, mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	page->args.pidfd = (uintptr_t)&page->fd;
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, sys(SYS_ioctl, self->device, AVFORK_IOC_SPAWN,
			       &page->args));
}

TEST_HARNESS_MAIN

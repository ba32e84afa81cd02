// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile user could try with /dev/avfork, one test each, in the order
 * of Documentation/security.rst. Each shows as well that the attempt could have
 * been seen to succeed: where what refuses it is not there, or with clone(2).
 */
#include "../kselftest_harness.h"
#include "device.h"

#include "injection.h"
#include "seccomp.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SUID_DUMPABLE	"/proc/sys/fs/suid_dumpable"
#define YAMA		"/proc/sys/kernel/yama/ptrace_scope"

FIXTURE(security) {
	int device;
	struct child child;
};

FIXTURE_SETUP(security)
{
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
}

FIXTURE_TEARDOWN(security)
{
	EXPECT_TRUE(no_child_left());
}

/* The same child by clone(2), with more of clone's flags. */
static int child_clone(struct child *child, int flags)
{
	const struct avfork_args *args = &child->args;
	void *top = (void *)(uintptr_t)(args->stack + args->stack_size);

	child->pid = clone(child->run, top, CLONE_VM | flags |
			   args->namespaces | args->exit_signal, child->arg);
	if (child->pid < 0)
		child->pid = -errno;
	return child->pid;
}

enum way { BY_DEVICE, BY_CLONE };

static int child_make(enum way way, int device, struct child *child)
{
	return way == BY_DEVICE ? child_spawn(device, child) :
				  child_clone(child, 0);
}

/* How @run ends, in a copy of this process that may lose its privileges. */
static int in_copy(int (*run)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(run(arg));
	waitpid(pid, &status, 0);
	return status;
}

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

#define NOT_ENTERED	255

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

#define NEEDS_ROOT() do {						\
	if (geteuid())							\
		SKIP(return, "needs root, to become somebody else");	\
} while (0)

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

/* What confines the caller confines the child. */

/* What makes processes, refused with an errno that nothing else has here. */
#define FILTERED EXDEV

static int confine(unsigned int flags)
{
	struct sock_filter no_clone[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		ALLOW,
		REFUSE(FILTERED),
	};
	struct sock_fprog filter = { ARRAY_SIZE(no_clone), no_clone };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

static void *confine_all_threads(void *unused)
{
	return (void *)(long)confine(SECCOMP_FILTER_FLAG_TSYNC);
}

static int child_forks(void *unused)
{
	long pid = sys_fork();

	if (!pid)
		sys(SYS_exit_group, 0);
	return pid < 0 ? -pid : 0;
}

static int fork_in_child(int device)
{
	struct child child;
	int status;

	child_init(&child, child_forks, NULL);
	if (child_spawn(device, &child) < 0)
		return -child.pid;
	status = child_reap(&child);
	return status < 0 ? NOT_ENTERED : WEXITSTATUS(status);
}

static int confined_by_another_thread(void *arg)
{
	int device = *(int *)arg;
	pthread_t thread;
	void *ret;

	if (fork_in_child(device))
		return NOT_ENTERED;
	if (pthread_create(&thread, NULL, confine_all_threads, NULL) ||
	    pthread_join(thread, &ret) || ret)
		return NOT_ENTERED;
	if (sys_fork() != -FILTERED)
		return NOT_ENTERED;
	return fork_in_child(device);
}

TEST_F(security, seccomp_filter_that_forbids_clone)
{
	EXPECT_EQ(EXITED(EPERM),
		  in_copy(confined_by_another_thread, &self->device));
	if (write_file(AVFORK_ALLOW_SECCOMP, "Y"))
		SKIP(return, "cannot write " AVFORK_ALLOW_SECCOMP);
	/* This one has made a child, which the filter refuses another. */
	EXPECT_EQ(EXITED(FILTERED),
		  in_copy(confined_by_another_thread, &self->device));
	EXPECT_EQ(0, write_file(AVFORK_ALLOW_SECCOMP, "N"));
}

static int spawn_under_strict_seccomp(void *arg)
{
	struct child child;

	child_init(&child, child_returns, NULL);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		return NOT_ENTERED;
	child_spawn(*(int *)arg, &child);
	sys(SYS_exit, NOT_ENTERED);
	return 0;
}

TEST_F(security, seccomp_strict)
{
	EXPECT_EQ(SIGKILL, in_copy(spawn_under_strict_seccomp, &self->device));
}

/*
 * No CPU that QEMU emulates has shadow stacks: the function that looks for one is
 * made to find it.
 */
TEST_F(security, shadow_stack_is_refused)
{
	const int no_struct = _IOC(_IOC_WRITE, AVFORK_IOC_MAGIC,
				   _IOC_NR(AVFORK_IOC_SPAWN), 0);
	const struct avfork_grants grants = {
		.flags = AVFORK_STDIO | AVFORK_INHERIT_FDS,
	};
	struct child child;
	int nth = nth_open();

	child_init(&child, child_returns, NULL);
	if (nth < 0 || function_fails("avfork_arch_check", ENOPROTOOPT))
		SKIP(return, NO_INJECTION);
	/* It is the first that fails: before anything is read or allocated. */
	nth_set(nth, 1);
	EXPECT_EQ(-ENOPROTOOPT, child_spawn(self->device, &child));
	EXPECT_EQ(0, nth_end(nth));
	nth_set(nth, 1);
	EXPECT_EQ(-ENOPROTOOPT, sys(SYS_ioctl, self->device, no_struct, NULL));
	EXPECT_EQ(0, nth_end(nth));
	/* What makes no child has nothing to turn off, and does not ask. */
	EXPECT_EQ(0, sys(SYS_ioctl, self->device, AVFORK_IOC_GRANT, &grants));

	/* The control; the device was close-on-exec, and so has gone. */
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	function_works();
	EXPECT_EQ(-EINVAL, sys(SYS_ioctl, self->device, no_struct, NULL));
	EXPECT_LT(0, child_spawn(self->device, &child));
	EXPECT_EQ(EXITED(0), child_reap(&child));
}

/* Audit, by the multicast group that everybody with the capability may join. */

struct audit_request {
	struct nlmsghdr header;
	struct audit_status status;
};

/* Return: the errno of the answer, or -1. */
static int audit_set_enabled(int netlink, int enabled)
{
	struct audit_request request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = AUDIT_SET,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		},
		.status = { .mask = AUDIT_STATUS_ENABLED, .enabled = enabled },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} answer;

	if (send(netlink, &request, sizeof(request), 0) < 0 ||
	    recv(netlink, &answer, sizeof(answer), 0) < 0 ||
	    answer.header.nlmsg_type != NLMSG_ERROR)
		return -1;
	return -answer.error.error;
}

/* Whether a record comes in that has @text. */
static bool audit_tells(int netlink, const char *text)
{
	struct pollfd poller = { .fd = netlink, .events = POLLIN };
	char buf[8192];

	while (poll(&poller, 1, 5000) > 0) {
		const struct nlmsghdr *header = (void *)buf;
		ssize_t len = recv(netlink, buf, sizeof(buf) - 1, 0);

		if (len <= 0)
			return false;
		buf[len] = '\0';
		if (header->nlmsg_type == AUDIT_KERNEL_OTHER &&
		    strstr(NLMSG_DATA(header), text))
			return true;
	}
	return false;
}

TEST_F(security, audit_record)
{
	struct sockaddr_nl reader = {
		.nl_family = AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1),
	};
	int records = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	int control = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	struct child child;
	char text[128];

	if (records < 0 || control < 0 ||
	    bind(records, (void *)&reader, sizeof(reader)))
		SKIP(return, "no audit here, or not for us");
	ASSERT_EQ(0, audit_set_enabled(control, 1));
	child_init(&child, child_returns, NULL);
	child.args.namespaces = CLONE_NEWUTS;
	EXPECT_LT(0, child_spawn(self->device, &child));
	snprintf(text, sizeof(text), "op=avfork pid=%d uid=0 child=%d namespaces=%#x",
		 getpid(), child.pid, CLONE_NEWUTS);
	EXPECT_TRUE(audit_tells(records, text)) {
		TH_LOG("no record with: %s", text);
	}
	EXPECT_EQ(EXITED(0), child_reap(&child));

	/* The control: not where audit is off. */
	ASSERT_EQ(0, audit_set_enabled(control, 0));
	child_init(&child, child_returns, NULL);
	EXPECT_LT(0, child_spawn(self->device, &child));
	snprintf(text, sizeof(text), "child=%d ", child.pid);
	EXPECT_FALSE(audit_tells(records, text));
	EXPECT_EQ(EXITED(0), child_reap(&child));
	close(records);
	close(control);
}

/*
 * io_uring makes system calls that no filter sees. Return: what the request
 * @opcode with @device results in.
 */
static int uring_result(struct __test_metadata *_metadata, int device,
			int opcode, void *args)
{
	struct io_uring_params params = { 0 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int ring = sys(SYS_io_uring_setup, 1, &params);
	char *queues;

	if (ring < 0)
		return ring;
	ASSERT_NE(0, params.features & IORING_FEAT_SINGLE_MMAP);
	queues = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		      IORING_OFF_SQ_RING);
	ASSERT_NE(MAP_FAILED, (void *)queues);
	sqe = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		   IORING_OFF_SQES);
	ASSERT_NE(MAP_FAILED, (void *)sqe);
	sqe->opcode = opcode;
	if (opcode == IORING_OP_URING_CMD) {
		sqe->fd = device;
		sqe->cmd_op = AVFORK_IOC_SPAWN;
		sqe->addr = (uintptr_t)args;
	}
	++*(__u32 *)(queues + params.sq_off.tail);
	ASSERT_EQ(1, sys(SYS_io_uring_enter, ring, 1, 1,
			 IORING_ENTER_GETEVENTS));
	cqe = (void *)(queues + params.cq_off.cqes);
	close(ring);
	return cqe->res;
}

TEST_F(security, io_uring)
{
	int result = uring_result(_metadata, self->device, IORING_OP_NOP, NULL);

	if (result == -ENOSYS || result == -EPERM)
		SKIP(return, "no io_uring here");
	ASSERT_EQ(0, result);
	child_init(&self->child, child_returns, NULL);
	EXPECT_EQ(-EOPNOTSUPP,
		  uring_result(_metadata, self->device, IORING_OP_URING_CMD,
			       &self->child.args));
}

/**
 * struct confinement - what a process has that it cannot get rid of
 */
struct confinement {
	long no_new_privs;
	long securebits;
	long bounded;
	long tsc;
	long open;
};

static int confinement_read(void *arg)
{
	struct confinement *confinement = arg;
	long fd = sys_open("/proc/version", O_RDONLY);
	int tsc = 0;

	confinement->no_new_privs = sys(SYS_prctl, PR_GET_NO_NEW_PRIVS);
	confinement->securebits = sys(SYS_prctl, PR_GET_SECUREBITS);
	confinement->bounded = sys(SYS_prctl, PR_CAPBSET_READ, CAP_SYS_BOOT);
	sys(SYS_prctl, PR_GET_TSC, &tsc);
	confinement->tsc = tsc;
	confinement->open = fd;
	if (fd >= 0) {
		confinement->open = 0;
		sys(SYS_close, fd);
	}
	return 0;
}

TEST_F(security, confinement_is_inherited)
{
	const struct landlock_ruleset_attr nothing_read = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE,
	};
	struct confinement before, after, of_child, of_clone;
	struct child *child = &self->child;
	int rules, no_tsc;

	NEEDS_ROOT();
	confinement_read(&before);
	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, SECBIT_NOROOT |
			   SECBIT_NOROOT_LOCKED));
	ASSERT_EQ(0, prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	no_tsc = prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	rules = sys(SYS_landlock_create_ruleset, &nothing_read,
		    sizeof(nothing_read), 0);
	if (rules < 0)
		TH_LOG("no landlock here");
	else
		ASSERT_EQ(0, sys(SYS_landlock_restrict_self, rules, 0));
	confinement_read(&after);
	EXPECT_NE(before.no_new_privs, after.no_new_privs);
	EXPECT_NE(before.securebits, after.securebits);
	EXPECT_NE(before.bounded, after.bounded);
	if (no_tsc)
		TH_LOG("no clock that can be forbidden here");
	else
		EXPECT_NE(before.tsc, after.tsc);
	EXPECT_EQ(0, before.open);
	EXPECT_EQ(rules < 0 ? 0 : -EACCES, after.open);

	child_init(child, confinement_read, &of_child);
	EXPECT_LT(0, child_spawn(self->device, child));
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(0, memcmp(&after, &of_child, sizeof(after)));
	child_init(child, confinement_read, &of_clone);
	EXPECT_LT(0, child_clone(child, 0));
	EXPECT_EQ(EXITED(0), child_reap(child));
	EXPECT_EQ(0, memcmp(&after, &of_clone, sizeof(after)));
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

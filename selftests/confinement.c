// SPDX-License-Identifier: GPL-2.0
/*
 * What confines the caller of the device confines the child, and is told of it.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "security.h"
#include "injection.h"
#include "seccomp.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/securebits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

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

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One child by each of avfork, fork(2), vfork(2) and posix_spawn(3). Include it after the
 * harness.
 */
#ifndef AVFORK_SELFTEST_MAKER_H
#define AVFORK_SELFTEST_MAKER_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "device.h"

enum way { BY_AVFORK, BY_FORK, BY_VFORK, BY_POSIX_SPAWN, NR_WAYS };

static const char *const names[] = { "avfork", "fork", "vfork", "posix_spawn" };

/**
 * struct maker - what children are made with
 * @device:  /dev/avfork
 * @control: see child_execs(); the second one is the child's descriptor 0
 * @actions: which posix_spawn(3) puts there
 * @grants:  of the device's children
 * @exec:    whether the child execs
 * @child:   the child, however it is made
 */
struct maker {
	int device;
	int control[2];
	posix_spawn_file_actions_t actions;
	struct avfork_fd grants[2];
	bool exec;
	struct child child;
};

FIXTURE(untouched) {
	struct maker maker;
};

FIXTURE_SETUP(untouched)
{
	struct maker *maker = &self->maker;

	if (geteuid())
		SKIP(return, "needs root, for what it counts by");
	maker->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, maker->device) {
		TH_LOG("no " AVFORK_DEVICE);
	}
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				maker->control));
	posix_spawn_file_actions_init(&maker->actions);
	posix_spawn_file_actions_adddup2(&maker->actions, maker->control[1], 0);
}

FIXTURE_TEARDOWN(untouched)
{
	EXPECT_TRUE(no_child_left());
}

/* All that make() needs: that is then the call and nothing else. */
static inline void prepare(struct maker *maker, bool exec, __u64 flags)
{
	maker->exec = exec;
	child_init(&maker->child, exec ? child_execs : child_returns, NULL);
	maker->child.args.flags = flags;
	maker->grants[0] = (struct avfork_fd){ maker->control[1], 0, 0, 0 };
	child_grant(&maker->child, maker->grants, exec);
}

/* What the child of a vfork does, too, on the stack of its parent. */
static inline void end_copy(struct maker *maker)
{
	if (maker->exec) {
		sys(SYS_dup3, maker->control[1], 0, 0);
		child_execs(NULL);
	}
	sys(SYS_exit_group, maker->exec);
}

/* Make a child that exits or execs at once. Return: its pid, or less than 0. */
static inline pid_t make(struct maker *maker, enum way way)
{
	static char *const argv[] = { "avfork-child", NULL };
	static char *const envp[] = { NULL };
	pid_t pid = -1;

	switch (way) {
	case BY_FORK:
		pid = fork();
		if (!pid)
			end_copy(maker);
		break;
	case BY_VFORK:
		pid = vfork();
		if (!pid)
			end_copy(maker);
		break;
	case BY_POSIX_SPAWN:
		posix_spawn(&pid, own_path, &maker->actions, NULL, argv, envp);
		break;
	default:
		pid = child_spawn(maker->device, &maker->child);
	}
	maker->child.pid = pid;
	return pid;
}

/* The end of a child that has exec'd, but for its reaping. */
static inline bool ends(struct maker *maker)
{
	siginfo_t info;

	if (maker->exec && !child_shall_exit(maker->control[0], 0))
		return false;
	return !waitid(P_PID, maker->child.pid, &info, WEXITED | WNOWAIT);
}

#endif

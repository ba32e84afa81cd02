// SPDX-License-Identifier: GPL-2.0
/*
 * Children that do not outlive their owner, do not gain privileges, and wait for nobody
 * to reap them: AVFORK_AUTOKILL, AVFORK_NNP, AVFORK_AUTOREAP.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "scene.h"

/* One that answers. */
static int echo_begins(__u64 flags, bool execs)
{
	child_runs(ECHO, execs);
	child.args.flags = flags;
	return child_begins(BY_DEVICE);
}

/* AVFORK_AUTOKILL: it lives as long as what it was made through. */

/* How one of echo_begins() ends, which is dead, or was left alone. */
static int echo_ends(int wire, bool dead)
{
	if (dead ? !is_closed(wire, PATIENCE) : !answers(wire))
		return -1;
	close(wire);
	return child_reap(&child);
}

TEST_F(harmless, autokill_by_close)
{
	int others = device, execs, copy, wire;
	pid_t holder;

	for (execs = 0; execs < 2; execs++) {
		device_reopen();
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		copy = dup(device);
		EXPECT_TRUE(answers(wire));
		close(device);
		EXPECT_TRUE(answers(wire));
		holder = fork();
		if (!holder)
			sleep_for_good(NULL);
		close(copy);
		EXPECT_TRUE(answers(wire));
		kill(holder, SIGKILL);
		EXPECT_EQ(holder, waitpid(holder, NULL, 0));
		EXPECT_EQ(SIGKILL, echo_ends(wire, true));

		device_reopen();
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		close(device);
		EXPECT_EQ(SIGKILL, echo_ends(wire, true));
	}
	device = others;
}

TEST_F(harmless, autokill_of_no_other)
{
	int ours = device, execs, wire;

	for (execs = 0; execs < 2; execs++) {
		device_reopen();
		wire = echo_begins(0, execs);
		close(device);
		EXPECT_EQ(EXITED(ANSWERED), echo_ends(wire, false));

		device = ours;
		wire = echo_begins(AVFORK_AUTOKILL, execs);
		device_reopen();
		close(device);
		device = ours;
		EXPECT_EQ(EXITED(ANSWERED), echo_ends(wire, false));
	}
}

/*
 * How a child ends when its parent leaves, or execs, or is killed where it would
 * wait.
 */
static int without_owner(enum act act, __u64 flags, bool execs)
{
	scene.act = act;
	scene.flags = flags;
	scene.echoes = true;
	scene.execs = execs;
	scene_begin();
	NEED(answers(scene.wire));
	kill(scene.parent, act == WAIT ? SIGKILL : SIGUSR1);
	if (flags & AVFORK_AUTOKILL) {
		NEED(is_closed(scene.wire, PATIENCE));
	} else {
		NEED(act == EXEC || is_dead(scene.parent));
		NEED(answers(scene.wire));
	}
	scene_end();
	return act == EXEC ? scene.ended : scene.orphan;
}

TEST_F(harmless, autokill_by_end_of_owner)
{
	int execs;

	for (execs = 0; execs < 2; execs++) {
		EXPECT_EQ(SIGKILL,
			  without_owner(LEAVE, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(LEAVE, 0, execs));
		EXPECT_EQ(SIGKILL, without_owner(WAIT, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(WAIT, 0, execs));
		/* The program that it has become tells. */
		EXPECT_EQ(EXITED(128 + SIGKILL),
			  without_owner(EXEC, AVFORK_AUTOKILL, execs));
		EXPECT_EQ(EXITED(ANSWERED), without_owner(EXEC, 0, execs));
	}
}

/* Whether the child dies when it may run, and its owner has died. */
static int see_death(void)
{
	struct pollfd poller = { .events = POLLIN };
	int ret = AGAIN;

	poller.fd = sys(SYS_pidfd_open, scene.child, 0);
	NEED(poller.fd >= 0);
	NEED(is_dead(scene.parent));
	if (!has_run()) {
		scene_release();
		ret = poll(&poller, 1, scene.flags & AVFORK_AUTOKILL ?
			   PATIENCE : LITTLE_PATIENCE);
	}
	close(poller.fd);
	return ret;
}

TEST_F(harmless, autokill_before_it_runs)
{
	scene.flags = AVFORK_AUTOKILL;
	EXPECT_EQ(1, before_it_runs(BY_DEVICE, LEAVE, see_death));
	scene.flags = 0;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, LEAVE, see_death));
}

static int spawn(__u64 flags)
{
	child_init(&child, child_returns, NULL);
	child.args.flags = flags;
	return child_spawn(device, &child) < 0 ? child.pid : child_reap(&child);
}

TEST(autokill_without_privileges)
{
	device_reopen();
	if (become_nobody())
		SKIP(return, "needs root, to become somebody else");
	EXPECT_EQ(-EPERM, spawn(AVFORK_AUTOKILL));
	EXPECT_EQ(0, spawn(AVFORK_AUTOKILL | AVFORK_NNP));
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	EXPECT_EQ(0, spawn(AVFORK_AUTOKILL));
}

/* AVFORK_NNP: it has no_new_privs from the start, and for good. */

static int tell_no_new_privs(void *unused)
{
	return sys(SYS_prctl, PR_GET_NO_NEW_PRIVS);
}

TEST_F(harmless, no_new_privs)
{
	int set, execs, wire;

	for (set = 0; set < 2; set++) {
		child_init(&child, tell_no_new_privs, NULL);
		child.args.flags = set ? AVFORK_NNP : 0;
		ASSERT_LT(0, child_spawn(device, &child));
		EXPECT_EQ(EXITED(set), child_reap(&child));
		for (execs = 0; execs < 2; execs++) {
			wire = echo_begins(set ? AVFORK_NNP : 0, execs);
			EXPECT_TRUE(answers(wire));
			EXPECT_EQ(set, status_number(child.pid, "NoNewPrivs"));
			EXPECT_EQ(EXITED(ANSWERED),
				  echo_ends(wire, false));
		}
		EXPECT_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	}
}

/* AVFORK_AUTOREAP: nobody is told of its death, nor can ask. */

/* What a wait says for a child with exit signal 0, dead. */
static int wait_for_quiet(__u64 flags, bool execs)
{
	struct pollfd poller = { .events = POLLIN };
	int wire;

	child_runs(ECHO, execs);
	child.args.flags = flags;
	child.args.exit_signal = 0;
	child.args.pidfd = (uintptr_t)&poller.fd;
	wire = child_begins(BY_DEVICE);
	NEED(answers(wire));
	NEED(poll(&poller, 1, 0) == 0);
	NEED(sys(SYS_wait4, child.pid, NULL, WNOHANG | __WALL) == 0);
	close(wire);
	NEED(poll(&poller, 1, PATIENCE) == 1);
	close(poller.fd);
	NEED(!told_of(SIGCHLD));
	return child_reap(&child);
}

TEST_F(harmless, autoreap)
{
	int execs, pidfd = -1;
	struct avfork_info info;

	block_signals();
	child_init(&child, child_returns, NULL);
	child.args.flags = AVFORK_AUTOREAP;
	child.args.pidfd = (uintptr_t)&pidfd;
	EXPECT_EQ(-EINVAL, child_spawn(device, &child));
	ASSERT_EQ(0, ioctl(device, AVFORK_IOC_INFO, &info));
	if (!(info.flags & AVFORK_AUTOREAP)) {
		TH_LOG("not with this kernel");
		child.args.exit_signal = 0;
		EXPECT_EQ(-EOPNOTSUPP, child_spawn(device, &child));
		EXPECT_EQ(-1, pidfd);
		return;
	}
	for (execs = 0; execs < 2; execs++) {
		EXPECT_EQ(-ECHILD, wait_for_quiet(AVFORK_AUTOREAP, execs));
		EXPECT_EQ(EXITED(ANSWERED), wait_for_quiet(0, execs));
	}
}

TEST_HARNESS_MAIN

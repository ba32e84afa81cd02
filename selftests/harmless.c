// SPDX-License-Identifier: GPL-2.0
/*
 * What a child of /dev/avfork does not do: take its parent along when memory is
 * short where the child is, hold what its parent has let go of, make siblings that
 * nobody can wait for. Next to it children of clone3(2), with which that happens.
 */
#include "../kselftest_harness.h"
#include "device.h"
#include "scene.h"

/* Much enough to be killed for. */
#define PARENT_MEMORY	(16 << 20)

/* Its parent's memory: not to be lost because there is none where the child is. */

/* Use up the memory of the scene's cgroup. Return: the wait status of who did. */
static int use_up(void)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = scene.cgroup,
	};
	int status = -1;
	pid_t pid = sys(SYS_clone3, &args, sizeof(args));

	if (!pid)
		_exit(hog_memory(NULL));
	waitpid(pid, &status, 0);
	return status;
}

/* How a parent ends while that happens, @rounds times if it lives so long. */
static int without_memory(enum way way, __u64 flags, int rounds)
{
	scene.way = way;
	scene.flags = flags | AVFORK_INTO_CGROUP;
	scene.memory = PARENT_MEMORY;
	scene.echoes = true;
	scene_begin();
	for (; rounds && answers(scene.wire); rounds--)
		NEED(use_up() == SIGKILL);
	scene_end();
	return scene.ended;
}

TEST_F(harmless, out_of_memory)
{
	/* A kernel that checks all it does is slow. */
	bool slow = !access("/sys/kernel/debug/kmemleak", F_OK);

	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, 0, slow ? 20 : 100));
	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, AVFORK_SHARE_FDS, slow ? 5 : 20));
}

TEST_F(harmless, out_of_memory_while_parent_waits)
{
	EXPECT_EQ(EXITED(ANSWERED),
		  without_memory(BY_DEVICE, AVFORK_SYNC, 3));
}

TEST_F(harmless, out_of_memory_by_clone)
{
	int tries, killed = 0;

	for (tries = 0; tries < 3 && !killed; tries++)
		killed += without_memory(BY_CLONE_VM, 0, 1) == SIGKILL;
	EXPECT_LT(0, killed);
}

static int see_memory_used_up(void)
{
	NEED(use_up() == SIGKILL);
	return has_run() ? AGAIN : 0;
}

TEST_F(harmless, out_of_memory_before_it_runs)
{
	scene.memory = PARENT_MEMORY;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, ANSWER, see_memory_used_up));
	EXPECT_EQ(EXITED(ANSWERED), scene.ended);
	scene.flags = AVFORK_SHARE_FDS;
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, ANSWER, see_memory_used_up));
	EXPECT_EQ(EXITED(ANSWERED), scene.ended);
	scene.flags = 0;
	EXPECT_EQ(0, before_it_runs(BY_CLONE_VM, ANSWER, see_memory_used_up));
	EXPECT_EQ(SIGKILL, scene.ended);
}

TEST_F(harmless, out_of_memory_after_exec)
{
	child_runs(HOG, true);
	child.args.flags = AVFORK_INTO_CGROUP;
	child.args.cgroup_fd = scene.cgroup;
	ASSERT_LT(0, child_spawn(device, &child));
	EXPECT_EQ(SIGKILL, child_reap(&child));
}

#define SCORE_ADJ "/proc/self/oom_score_adj"

static int write_score(void *unused)
{
	long fd = sys_open(SCORE_ADJ, O_WRONLY);

	sys(SYS_write, fd, "500", 3);
	sys(SYS_close, fd);
	return echo(NULL);
}

TEST_F(harmless, oom_score)
{
	long before = read_number(SCORE_ADJ);
	char path[64];
	enum way way;
	bool ours;
	int wire;

	for (way = BY_DEVICE; way <= BY_CLONE_VM; way++) {
		ours = way == BY_DEVICE;
		child_init(&child, write_score, NULL);
		wire = child_begins(way);
		EXPECT_TRUE(answers(wire));
		snprintf(path, sizeof(path), "/proc/%d/oom_score_adj",
			 child.pid);
		EXPECT_EQ(500, read_number(path));
		EXPECT_EQ(ours ? before : 500, read_number(SCORE_ADJ));
		EXPECT_EQ(0, write_file(path, "600"));
		EXPECT_EQ(ours ? before : 600, read_number(SCORE_ADJ));
		EXPECT_EQ(0, write_file(SCORE_ADJ, "700"));
		EXPECT_EQ(ours ? 600 : 700, read_number(path));
		kill(child.pid, SIGKILL);
		EXPECT_EQ(SIGKILL, child_reap(&child));
		close(wire);
	}
}

/*
 * Its parent's descriptors: it has none that it was not granted, ever, unless all
 * of them are asked for.
 */

static int see_end_of_pipe(void)
{
	bool closed = is_closed(scene.pipe, scene.way == BY_DEVICE ?
				PATIENCE : LITTLE_PATIENCE);

	return has_run() ? AGAIN : closed;
}

TEST_F(harmless, pipe_of_dead_parent)
{
	EXPECT_EQ(1, before_it_runs(BY_DEVICE, LEAVE, see_end_of_pipe));
	EXPECT_EQ(0, before_it_runs(BY_CLONE_FILES, LEAVE, see_end_of_pipe));
	EXPECT_EQ(0, before_it_runs(BY_FORK, LEAVE, see_end_of_pipe));
}

static int be_notified(void)
{
	int err = 0;

	NEED(is_dead(scene.parent));
	if (mq_notify(scene.queue, &notify_nobody))
		err = errno;
	return has_run() ? AGAIN : err;
}

TEST_F(harmless, notification_of_dead_parent)
{
	EXPECT_EQ(0, before_it_runs(BY_DEVICE, LEAVE, be_notified));
	EXPECT_EQ(EBUSY, before_it_runs(BY_CLONE_FILES, LEAVE, be_notified));
}

/* As bits; there are no more of them. */
static int list_descriptors(void)
{
	int fd, found = 0;
	struct stat status;
	char path[48];

	for (fd = 0; fd < 31; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", scene.child, fd);
		if (!lstat(path, &status))
			found |= 1 << fd;
	}
	return has_run() ? AGAIN : found;
}

TEST_F(harmless, descriptors_before_it_runs)
{
	const int granted = 1 << STDIN_FILENO | 1 << GRANTED;

	EXPECT_EQ(granted, before_it_runs(BY_DEVICE, ANSWER, list_descriptors));
	EXPECT_NE(granted,
		  before_it_runs(BY_CLONE_FILES, ANSWER, list_descriptors));
	scene.flags = AVFORK_SHARE_FDS;
	EXPECT_NE(granted,
		  before_it_runs(BY_DEVICE, ANSWER, list_descriptors));
}

/* Whether the parent's lock is gone when it has acted and the child has died. */
static int see_lock_lost(void)
{
	struct pollfd poller = { .events = POLLIN };
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	NEED(answers(scene.wire));
	if (has_run())
		return AGAIN;
	poller.fd = sys(SYS_pidfd_open, scene.child, 0);
	scene_release();
	kill(scene.child, SIGKILL);
	NEED(poll(&poller, 1, PATIENCE) == 1);
	close(poller.fd);
	NEED(!fcntl(scene.lock, F_GETLK, &lock));
	return lock.l_type == F_UNLCK;
}

TEST_F(harmless, locks)
{
	int rounds, lost = 0;
	enum act act;

	for (act = UNSHARE; act <= EXEC; act++) {
		scene.way = BY_DEVICE;
		scene.act = act;
		for (rounds = 0; rounds < 40; rounds++) {
			scene_begin();
			lost += see_lock_lost();
			scene_end();
		}
		EXPECT_EQ(0, lost);
		EXPECT_EQ(0, before_it_runs(BY_DEVICE, act, see_lock_lost));
		EXPECT_EQ(1,
			  before_it_runs(BY_CLONE_FILES, act, see_lock_lost));
	}
}

/*
 * Have the child make one, and reap both. Return: 0, or why a plain waitpid(2)
 * did not find it. @told: whether SIGCHLD told of its death.
 */
static int reap_sibling(enum way way, int exit_signal, bool execs, bool *told)
{
	int wire, status, err = 0;
	pid_t pid;

	child_runs(MAKE_SIBLING, execs);
	child.args.exit_signal = exit_signal;
	wire = child_begins(way);
	NEED(read(wire, &pid, sizeof(pid)) > 0);
	close(wire);
	if (waitpid(pid, &status, 0) != pid) {
		err = errno;
		NEED(waitpid(pid, &status, __WALL) == pid);
	}
	NEED(status == EXITED(SIBLING));
	*told = told_of(SIGCHLD) == pid;
	NEED(child_reap(&child) == 0);
	return err;
}

TEST_F(harmless, siblings)
{
	int signal, way;
	bool told;

	block_signals();
	for (signal = 0; signal <= SIGUSR1; signal += SIGUSR1) {
		EXPECT_EQ(0, reap_sibling(BY_DEVICE, signal, true, &told));
		EXPECT_TRUE(told);
		EXPECT_EQ(0, told_of(SIGCHLD));
		EXPECT_EQ(signal ? child.pid : 0, told_of(SIGUSR1));
	}
	/* Its SIGCHLD may be one with the child's, which has that by then. */
	EXPECT_EQ(0, reap_sibling(BY_CLONE_VM, 0, true, &told));
	told_of(SIGCHLD);
	/* Before an exec it has the child's signal, as clone(2) has it. */
	for (way = BY_DEVICE; way <= BY_CLONE_VM; way++) {
		EXPECT_EQ(ECHILD, reap_sibling(way, 0, false, &told));
		EXPECT_FALSE(told);
	}
}

TEST_HARNESS_MAIN

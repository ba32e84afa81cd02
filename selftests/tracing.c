// SPDX-License-Identifier: GPL-2.0
/*
 * The module's tracepoints, as tracefs shows them, and its counters.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <sys/socket.h>

#include "../kselftest_harness.h"
#include "device.h"

#define TRACEFS "/sys/kernel/tracing"

/* A buffer of our own, which only this process and its children write to. */
FIXTURE(trace)
{
	int device;
	struct child child;
	char dir[64];
};

static void set(const char *dir, const char *file, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (write_file(path, value))
		abort();
}

FIXTURE_SETUP(trace)
{
	char pid[16];

	if (geteuid())
		SKIP(_exit(255), "needs root");
	if (access(TRACEFS "/events", F_OK))
		SKIP(_exit(255), "this kernel has no tracefs");
	self->device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, access(TRACEFS "/events/avfork/avfork_spawn", F_OK));

	snprintf(self->dir, sizeof(self->dir),
		 TRACEFS "/instances/avfork-%d", getpid());
	ASSERT_EQ(0, mkdir(self->dir, 0700));
	snprintf(pid, sizeof(pid), "%d", getpid());
	set(self->dir, "options/event-fork", "1");
	set(self->dir, "set_event_pid", pid);
}

FIXTURE_TEARDOWN(trace)
{
	set(self->dir, "events/enable", "0");
	rmdir(self->dir);
	close(self->device);
}

/* Whether the buffer has @event of @pid, with @text in it. */
static bool traced(const char *dir, pid_t pid, const char *event,
		   const char *text)
{
	char path[PATH_MAX], line[512], task[32];
	bool found = false;
	FILE *trace;

	snprintf(path, sizeof(path), "%s/trace", dir);
	snprintf(task, sizeof(task), "-%d ", pid);
	trace = fopen(path, "r");
	if (!trace)
		return false;
	while (!found && fgets(line, sizeof(line), trace))
		found = strstr(line, task) && strstr(line, event) &&
			strstr(line, text);
	fclose(trace);
	return found;
}

/* A child from start to end. */
static pid_t run_child(int device, struct child *child, int (*run)(void *),
		       struct avfork_fd *fds, unsigned int nr)
{
	child_init(child, run, NULL);
	child_grant(child, fds, nr);
	if (child_spawn(device, child) > 0)
		child_reap(child);
	return child->pid;
}

TEST_F(trace, of_a_child_that_returns)
{
	char spawned[64], started[64];
	pid_t pid;

	set(self->dir, "events/avfork/enable", "1");
	pid = run_child(self->device, &self->child, child_returns, NULL, 0);
	ASSERT_LT(0, pid);
	snprintf(spawned, sizeof(spawned), "ret=%d ns=", pid);
	snprintf(started, sizeof(started), "parent=%d ip=%#lx", getpid(),
		 (unsigned long)child_start);
	EXPECT_TRUE(traced(self->dir, getpid(), "avfork_spawn:", spawned));
	/* The clock ran. */
	EXPECT_FALSE(traced(self->dir, getpid(), "avfork_spawn:", " ns=0 "));
	EXPECT_TRUE(traced(self->dir, pid, "avfork_start:", started));
	EXPECT_TRUE(traced(self->dir, pid, "avfork_release:", "by=exit"));
	EXPECT_FALSE(traced(self->dir, pid, "avfork_release:", "by=exec"));
}

TEST_F(trace, of_a_child_that_execs)
{
	static const int signals[] = { SIGCHLD, 0 };
	unsigned int i;

	/* The second is one that is remembered in any case. */
	for (i = 0; i < 2; i++) {
		struct avfork_fd fd = { .child_fd = 0 };
		struct child *child = &self->child;
		int control[2];

		set(self->dir, "events/avfork/enable", "1");
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, control));
		fd.parent_fd = control[1];
		child_init(child, child_execs, NULL);
		child_grant(child, &fd, 1);
		child->args.exit_signal = signals[i];
		ASSERT_LT(0, child_spawn(self->device, child));
		ASSERT_TRUE(child_has_execed(control[0]));
		EXPECT_TRUE(traced(self->dir, child->pid, "avfork_release:",
				   "by=exec"));
		ASSERT_TRUE(child_shall_exit(control[0], 0));
		ASSERT_EQ(EXITED(0), child_reap(child));
		/* Once. */
		EXPECT_FALSE(traced(self->dir, child->pid, "avfork_release:",
				    "by=exit"));
		close(control[0]);
		close(control[1]);
	}
}

TEST_F(trace, of_a_call_that_fails)
{
	struct avfork_fd fds[] = { { .parent_fd = -1 } };

	set(self->dir, "events/avfork/enable", "1");
	ASSERT_EQ(-EBADF, run_child(self->device, &self->child, child_returns,
				    fds, 1));
	EXPECT_TRUE(traced(self->dir, getpid(), "avfork_spawn:", "ret=-9 "));
	EXPECT_TRUE(traced(self->dir, getpid(), "avfork_spawn:", " nr_fds=1 "));
	child_free(&self->child);
}

TEST_F(trace, of_nothing_when_off)
{
	pid_t pid;

	pid = run_child(self->device, &self->child, child_returns, NULL, 0);
	ASSERT_LT(0, pid);
	EXPECT_FALSE(traced(self->dir, getpid(), "avfork_", ""));
	EXPECT_FALSE(traced(self->dir, pid, "avfork_", ""));
}

/* Anybody may read them. */
TEST(counters)
{
	int device = open(AVFORK_DEVICE, O_RDWR | O_CLOEXEC), i;
	long spawned, failed;
	struct child child;

	ASSERT_LE(0, device);
	if (!geteuid())
		ASSERT_EQ(0, setresuid(54321, 54321, 54321));
	spawned = read_number(AVFORK_SPAWNED);
	failed = read_number(AVFORK_FAILED);
	ASSERT_LE(0, spawned);
	ASSERT_LE(0, failed);
	for (i = 0; i < 3; i++)
		ASSERT_LT(0, run_child(device, &child, child_returns, NULL, 0));
	EXPECT_EQ(spawned + 3, read_number(AVFORK_SPAWNED));
	EXPECT_EQ(failed, read_number(AVFORK_FAILED));

	child_init(&child, child_returns, NULL);
	child.args.stack = 0;
	ASSERT_EQ(-EINVAL, child_spawn(device, &child));
	EXPECT_EQ(spawned + 3, read_number(AVFORK_SPAWNED));
	EXPECT_EQ(failed + 1, read_number(AVFORK_FAILED));
	ASSERT_EQ(-1, write_file(AVFORK_SPAWNED, "0"));
}

TEST_HARNESS_MAIN

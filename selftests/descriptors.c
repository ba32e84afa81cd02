// SPDX-License-Identifier: GPL-2.0
/*
 * What a child does with descriptors that it was never meant to have, and that
 * one of avfork() has none. As in hazards.c each test plays its scenario with
 * an older call first.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "../kselftest_harness.h"
#include "scenario.h"
#include "shell.h"

/* What read() returns from the non-blocking @fd, or its negated errno. */
static ssize_t read_now(int fd, void *buffer, size_t size)
{
	ssize_t got = read(fd, buffer, size);

	return got < 0 ? -errno : got;
}

/* What is to be read from @peer when the parent has closed @end. */
static ssize_t close_while_child_lives(struct __test_metadata *_metadata,
				       spawn_fn *spawn, int peer, int end)
{
	ssize_t got;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, fcntl(peer, F_SETFL, O_NONBLOCK));
	pid = spawn(stay_until_go, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await(&stage->ready));
	close(end);
	got = read_now(peer, &byte, 1);
	sem_post(&stage->go);
	ASSERT_EQ(0, reap(pid));
	close(peer);
	return got;
}

/*
 * Who waits for the end of a pipe or of a conversation waits for the child too,
 * which does not even know that it has a descriptor of it.
 */
TEST_F(hazard, end_of_file_never_comes)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(-EAGAIN, close_while_child_lives(_metadata, by_fork,
						   ends[0], ends[1]));
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(0, close_while_child_lives(_metadata, avfork,
					     ends[0], ends[1]));

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	ASSERT_EQ(-EAGAIN, close_while_child_lives(_metadata, by_fork,
						   ends[0], ends[1]));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	ASSERT_EQ(0, close_while_child_lives(_metadata, avfork,
					     ends[0], ends[1]));
}

/* What flock() says when the parent has closed the file that it had locked. */
static int lock_while_child_lives(struct __test_metadata *_metadata,
				  spawn_fn *spawn)
{
	FILE *file = tmpfile();
	char path[40];
	int other, error;
	pid_t pid;

	ASSERT_NE(NULL, file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
	other = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_GE(other, 0);
	ASSERT_EQ(0, flock(fileno(file), LOCK_EX));
	ASSERT_EQ(-1, flock(other, LOCK_EX | LOCK_NB));

	pid = spawn(stay_until_go, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await(&stage->ready));
	fclose(file);
	error = flock(other, LOCK_EX | LOCK_NB) ? errno : 0;
	sem_post(&stage->go);
	ASSERT_EQ(0, reap(pid));
	close(other);
	return error;
}

/*
 * A file stays locked after its owner has closed it, or has died, for as long
 * as a child lives that has the descriptor: the new daemon cannot start.
 */
TEST_F(hazard, file_lock_outlives_its_owner)
{
	ASSERT_EQ(EWOULDBLOCK, lock_while_child_lives(_metadata, by_fork));
	ASSERT_EQ(0, lock_while_child_lives(_metadata, avfork));
}

/* A database's client: it says goodbye when the program exits. */
static int session = -1;

static void session_close(void)
{
	if (write(session, "quit", 4) < 0)
		return;
	close(session);
}

static int session_close_in_child(void *unused)
{
	session_close();
	return 0;
}

/* What the database hears from a child that runs @routine. */
static ssize_t heard_from_child(struct __test_metadata *_metadata,
				spawn_fn *spawn, int (*routine)(void *))
{
	char said[16];
	ssize_t got;
	int ends[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
	session = ends[0];
	ASSERT_EQ(0, reap(spawn(routine, NULL)));
	got = read_now(ends[1], said, sizeof(said));

	/* The parent's session goes on. */
	ASSERT_EQ(5, write(session, "query", 5));
	ASSERT_EQ(5, read_now(ends[1], said, sizeof(said)));
	close(ends[0]);
	close(ends[1]);
	return got;
}

/*
 * The child's exit() ends the session that the parent is using: on the wire
 * nobody can tell the one from the other.
 */
TEST_F(hazard, conversation_is_ended_by_the_child)
{
	ASSERT_EQ(0, atexit(session_close));
	ASSERT_EQ(4, heard_from_child(_metadata, by_fork, return_arg));
	ASSERT_EQ(-EAGAIN, heard_from_child(_metadata, avfork, return_arg));

	/* Nor can a child of ours that tries to. */
	ASSERT_EQ(-EAGAIN, heard_from_child(_metadata, avfork,
					    session_close_in_child));
}

/* One bit for each open descriptor of @pid; 63 stands for all beyond 62. */
static uint64_t descriptors_of(pid_t pid)
{
	uint64_t set = 0;
	struct dirent *entry;
	char path[40];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.')
			set |= 1UL << (fd < 63 ? fd : 63);
	}
	closedir(dir);
	return set;
}

static atomic_bool stop_opening;

/* Always has at least one descriptor without FD_CLOEXEC, ever another one. */
static void *keep_opening(void *has_one)
{
	int fd = open("/dev/null", O_RDONLY);

	sem_post(has_one);
	while (!stop_opening) {
		int next = open("/dev/null", O_RDONLY);

		close(fd);
		fd = next;
		sched_yield();
	}
	close(fd);
	return NULL;
}

#define OPENERS	2

/*
 * A descriptor that another thread has just opened goes to the child with all
 * others. No discipline in one's own code helps: it may be a library's thread,
 * and before fcntl() has set FD_CLOEXEC there is always a moment without.
 */
TEST_F(hazard, descriptors_leak)
{
	pthread_t openers[OPENERS];
	struct shell shell;
	uint64_t own;
	int ends[2];
	pid_t pid;
	int i;

	ASSERT_EQ(0, pipe(ends));
	own = descriptors_of(getpid());
	for (i = 0; i < OPENERS; i++)
		ASSERT_EQ(0, pthread_create(&openers[i], NULL, keep_opening,
					    &stage->ready));
	for (i = 0; i < OPENERS; i++)
		ASSERT_TRUE(await(&stage->ready));

	pid = by_fork(stay_until_go, NULL);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(await(&stage->ready));
	EXPECT_NE(0UL, descriptors_of(pid) & ~own);
	sem_post(&stage->go);
	ASSERT_EQ(0, reap(pid));

	for (i = 0; i < 300; i++) {
		const struct avfork_fd fd = {
			.parent_fd = ends[i % 2],
			.child_fd = i % 63,
		};
		const struct avfork_opts opts = {
			.size = sizeof(opts),
			.fds = &fd,
			.nr_fds = 1,
		};

		pid = avfork_with(&opts, stay_until_go, NULL);
		ASSERT_GT(pid, 0);
		ASSERT_TRUE(await(&stage->ready));
		ASSERT_EQ(1UL << fd.child_fd, descriptors_of(pid));
		sem_post(&stage->go);
		ASSERT_EQ(0, reap(pid));
	}

	/* Exec closes none of them. */
	shell_start(_metadata, &shell, shell_by_posix_spawn);
	EXPECT_NE(0UL, descriptors_of(shell.pid) & ~own);
	shell_finish(_metadata, &shell);
	ASSERT_EQ(SHELL_STATUS, reap(shell.pid));

	for (i = 0; i < 20; i++) {
		shell_start(_metadata, &shell, shell_by_avfork);
		ASSERT_EQ(1UL << 0 | 1UL << 1, descriptors_of(shell.pid));
		shell_finish(_metadata, &shell);
		ASSERT_EQ(SHELL_STATUS, reap(shell.pid));
	}

	stop_opening = true;
	for (i = 0; i < OPENERS; i++)
		ASSERT_EQ(0, pthread_join(openers[i], NULL));
}

TEST_HARNESS_MAIN

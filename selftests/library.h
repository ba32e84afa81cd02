/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests of libavfork's calls look at in more than one program. Include it after the
 * harness.
 */
#ifndef AVFORK_SELFTEST_LIBRARY_H
#define AVFORK_SELFTEST_LIBRARY_H

#include <fcntl.h>
#include <sys/stat.h>

#include <avfork.h>

#include "helpers.h"

/* Have no child left, no thread, and no descriptor beyond those of before. */
#define ASSERT_NOTHING_LEFT(fds) do {					\
	ASSERT_EQ(-1, waitpid(-1, NULL, __WALL));			\
	ASSERT_EQ(ECHILD, errno);					\
	ASSERT_EQ(fds, count_fds());					\
	ASSERT_TRUE(threads_leave());					\
} while (0)

static inline int check_no_fds(void *arg)
{
	int fd;

	(void)arg;
	for (fd = 0; fd < 1024; fd++) {
		REQUIRE(fcntl(fd, F_GETFD) == -1);
		REQUIRE(errno == EBADF);
	}
	return 0;
}

/**
 * struct wanted_fd - one entry of the table that a child shall have
 * @fd:    its number
 * @flags: FD_CLOEXEC or 0
 * @stat:  of the file
 */
struct wanted_fd {
	int fd;
	int flags;
	struct stat stat;
};

struct wanted_table {
	unsigned int nr;
	struct wanted_fd fds[8];
};

static inline int check_table(void *arg)
{
	const struct wanted_table *table = arg;
	struct stat st;
	unsigned int i;
	int fd;

	for (fd = 0; fd < 1024; fd++) {
		for (i = 0; i < table->nr && table->fds[i].fd != fd; i++)
			;
		if (i == table->nr) {
			REQUIRE(fcntl(fd, F_GETFD) == -1);
			continue;
		}
		REQUIRE(fcntl(fd, F_GETFD) == table->fds[i].flags);
		REQUIRE(!fstat(fd, &st));
		REQUIRE(st.st_dev == table->fds[i].stat.st_dev);
		REQUIRE(st.st_ino == table->fds[i].stat.st_ino);
	}
	return 0;
}

static inline int exec_echo(void *arg)
{
	char *argv[] = { "echo", "argument", NULL };
	char *envp[] = { NULL };

	execve(arg, argv, envp);
	return 127;
}

/* Opts that grant the ends of two pipes; @ends are the other two. */
static inline int pipe_opts(struct avfork_opts *opts, int ends[2])
{
	static struct avfork_fd fds[2];
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -1;
	fds[0] = (struct avfork_fd){ .parent_fd = to[0], .child_fd = 0 };
	fds[1] = (struct avfork_fd){ .parent_fd = from[1], .child_fd = 1 };
	*opts = (struct avfork_opts){
		.size = sizeof(*opts), .fds = fds, .nr_fds = 2,
	};
	ends[0] = from[0];
	ends[1] = to[1];
	return 0;
}

static inline void close_granted(const struct avfork_opts *opts)
{
	size_t i;

	for (i = 0; i < opts->nr_fds; i++)
		close(opts->fds[i].parent_fd);
}

static inline void done_is_not_called(pid_t pid)
{
	(void)pid;
	abort();
}

#endif

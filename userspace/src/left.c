// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"
#include "left.h"
#include "spawn.h"

/* As many descriptors as a table has room for without memory of its own. */
#define SMALL_TABLE 64

int left_number(const struct avfork_opts *opts)
{
	uint64_t free = ~(uint64_t)7;
	struct rlimit limit;
	int beyond = SMALL_TABLE;
	size_t i;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < SMALL_TABLE)
		free &= ((uint64_t)1 << limit.rlim_cur) - 1;
	for (i = 0; i < opts->nr_fds; i++) {
		int fd = opts->fds[i].child_fd;

		if (fd >= 0 && fd < SMALL_TABLE)
			free &= ~((uint64_t)1 << fd);
		if (fd >= beyond && fd < INT_MAX)
			beyond = fd + 1;
	}
	return free ? 63 - __builtin_clzll(free) : beyond;
}

/* @ends[0] is for reading. None is standard input, output or error. */
static int make_pipe(const struct avfork_opts *opts, int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) || fds_above_stdio(ends))
		return -1;
	/* A copy of our table has it under the same number. */
	if (opts->flags & AVFORK_INHERIT_FDS)
		ends[1] = fd_apart(ends[1], opts->fds, opts->nr_fds);
	if (ends[1] >= 0 && !fds_check_new(opts, ends[0]) &&
	    !fds_check_new(opts, ends[1]))
		return 0;
	syscall(SYS_close, ends[0]);
	if (ends[1] >= 0)
		syscall(SYS_close, ends[1]);
	return -1;
}

pid_t left_spawn(struct child *child)
{
	const struct avfork_opts *asked = child->opts;
	struct avfork_opts opts = *asked;
	struct avfork_fd *grant;
	pid_t pid = -1;
	int ends[2];

	/* Our own table would hold the child's end open. */
	if (opts.flags & AVFORK_SHARE_FDS) {
		errno = EINVAL;
		return -1;
	}
	grant = fds_extend(&opts, 1);
	if (!grant)
		return -1;
	if (!make_pipe(asked, ends)) {
		opts.left = NULL;
		child->opts = &opts;
		*grant = (struct avfork_fd) {
			.parent_fd = ends[1],
			.child_fd = opts.flags & AVFORK_INHERIT_FDS ?
				    ends[1] : left_number(asked),
			.flags = FD_CLOEXEC,
		};
		if (child->left)
			*child->left = grant->child_fd;
		pid = spawn(child);
		child->opts = asked;
		/* Unlike close(), no cancellation point. */
		syscall(SYS_close, ends[1]);
		if (pid < 0)
			syscall(SYS_close, ends[0]);
		else
			*asked->left = ends[0];
	}
	free((void *)opts.fds);
	return pid;
}

void left_know(struct left_end *end)
{
	struct stat file = { .st_ino = 0 };

	if (end->fd < 0)
		return;
	syscall(SYS_fstat, end->fd, &file);
	end->device = file.st_dev;
	end->inode = file.st_ino;
}

void left_tell(const struct left_end *end, int error)
{
	struct stat file = { .st_ino = 0 };

	if (end->fd < 0)
		return;
	/* The program's own function may have put something else there. */
	syscall(SYS_fstat, end->fd, &file);
	if (end->inode && (file.st_ino != end->inode ||
			   file.st_dev != end->device))
		return;
	/* Nobody need read; and a pipe has room for this. */
	signals_set(SIGPIPE, SIG_IGN);
	syscall(SYS_write, end->fd, &error, sizeof(error));
}

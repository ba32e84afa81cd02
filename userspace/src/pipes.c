// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs with pipes to their standard descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <avfork.h>

#include "fds.h"
#include "spawn.h"

/**
 * struct ends - of the pipes that one call makes
 * @ours:   -1 where there is none
 * @theirs: the program's
 */
struct ends {
	int ours[3];
	int theirs[3];
};

static void close_ends(int ends[3])
{
	int saved = errno;
	int i;

	/* Unlike close(), no cancellation point. */
	for (i = 0; i < 3; i++)
		if (ends[i] >= 0)
			syscall(SYS_close, ends[i]);
	errno = saved;
}

/* A pipe for the standard descriptor @fd. */
static int make_pipe(struct ends *ends, int fd)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) || fds_above_stdio(pair))
		return -1;
	/* 0 is read by the program; the others are by us. */
	ends->ours[fd] = pair[!fd];
	ends->theirs[fd] = pair[!!fd];
	return 0;
}

pid_t avfork_exec_pipes(const struct avfork_opts *opts, const char *path,
			char *const argv[], char *const envp[],
			int *in, int *out, int *err)
{
	struct ends ends = { { -1, -1, -1 }, { -1, -1, -1 } };
	int *const wanted[3] = { in, out, err && err == out ? NULL : err };
	struct avfork_opts asked, with_pipes;
	struct avfork_fd *grant;
	pid_t pid = -1;
	int fd;

	if (in && (in == out || in == err)) {
		errno = EINVAL;
		return -1;
	}
	if (opts_copy(&asked, opts))
		return -1;
	with_pipes = asked;
	grant = fds_extend(&with_pipes, !!in + !!out + !!err);
	if (!grant)
		return -1;
	for (fd = 0; fd < 3; fd++) {
		if (wanted[fd] && make_pipe(&ends, fd))
			goto close_all;
		if (fds_check_new(&asked, ends.ours[fd]) ||
		    fds_check_new(&asked, ends.theirs[fd]))
			goto close_all;
		if (wanted[fd] || (fd == 2 && err))
			*grant++ = (struct avfork_fd) {
				.parent_fd = ends.theirs[wanted[fd] ? fd : 1],
				.child_fd = fd,
			};
	}
	pid = avfork_exec(&with_pipes, path, argv, envp);
	if (pid >= 0) {
		for (fd = 0; fd < 3; fd++) {
			if (wanted[fd])
				*wanted[fd] = ends.ours[fd];
			ends.ours[fd] = -1;
		}
	}
close_all:
	close_ends(ends.ours);
	close_ends(ends.theirs);
	free((void *)with_pipes.fds);
	return pid;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors of our own, in a program whose standard ones may be closed.
 */
#ifndef FD_H
#define FD_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Move @fd, which may be -1, above the standard three: there it would be taken
 * for one of them. The new number, close-on-exec, or -1 with errno and @fd
 * closed.
 */
static inline int fd_above_stdio(int fd)
{
	int high;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	/* Where RLIMIT_NOFILE allows no number as high as that. */
	if (high < 0 && errno == EINVAL)
		errno = EMFILE;
	close(fd);
	return high;
}

#endif

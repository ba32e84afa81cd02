// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"

static void close_bare(int fd)
{
	syscall(SYS_close, fd);
}

/*
 * As /proc lists them: by number, and its place in the list is one, so that what
 * is closed on the way makes it miss none. Whether it could be read.
 */
static bool close_listed(int first)
{
	_Alignas(struct dirent) char entries[1024];
	int list = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long size, at;

	if (list < 0)
		return false;
	while ((size = syscall(SYS_getdents64, list, entries,
			       sizeof(entries))) > 0) {
		const struct dirent *entry;	/* on 64 bits the kernel's */

		for (at = 0; at < size; at += entry->d_reclen) {
			entry = (const void *)(entries + at);
			/* "." and ".." are none. */
			if (*entry->d_name >= '0' && *entry->d_name <= '9' &&
			    atoi(entry->d_name) >= first &&
			    atoi(entry->d_name) != list)
				close_bare(atoi(entry->d_name));
		}
	}
	close_bare(list);
	return !size;
}

/* All that may be: no number is above the hard limit, unless root lowered it. */
static void close_each(int first)
{
	struct rlimit limit = { .rlim_max = 1024 };
	rlim_t fd;

	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	for (fd = (rlim_t)first; fd < limit.rlim_max; fd++)
		close_bare((int)fd);
}

void close_from(int first)
{
	/* Since Linux 5.9, where no filter is older than that. */
	if (syscall(SYS_close_range, first, ~0U, 0) && !close_listed(first))
		close_each(first);
}

static bool is_granted(const struct avfork_fd *grants, size_t nr, int fd)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (grants[i].child_fd == fd)
			return true;
	return fd <= STDERR_FILENO;
}

int fd_apart(int fd, const struct avfork_fd *grants, size_t nr)
{
	int moved = fd, next = STDERR_FILENO + 1;

	if (fd < 0)
		return fd;
	while (moved >= 0 && is_granted(grants, nr, moved)) {
		if (moved != fd)
			close_bare(moved);
		moved = fcntl(fd, F_DUPFD_CLOEXEC, next);
		next = moved + 1;
	}
	/* Where RLIMIT_NOFILE allows no number as high as that. */
	if (moved < 0 && errno == EINVAL)
		errno = EMFILE;
	if (moved != fd)
		close_bare(fd);
	return moved;
}

int fd_above_stdio(int fd)
{
	return fd_apart(fd, NULL, 0);
}

int fds_above_stdio(int fds[2])
{
	int i;

	for (i = 0; i < 2; i++)
		fds[i] = fd_above_stdio(fds[i]);
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	/* Unlike close(), no cancellation point. */
	for (i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close_bare(fds[i]);
	return -1;
}

int fds_check_new(const struct avfork_opts *opts, int fd)
{
	size_t i;

	for (i = 0; i < opts->nr_fds; i++) {
		if (opts->fds[i].parent_fd == fd) {
			errno = EBADF;
			return -1;
		}
	}
	return 0;
}

struct avfork_fd *fds_extend(struct avfork_opts *opts, size_t nr)
{
	size_t had = opts->nr_fds;
	struct avfork_fd *fds;

	if (had > AVFORK_FD_LIMIT) {
		errno = EMFILE;
		return NULL;
	}
	fds = malloc((had + nr) * sizeof(*fds));
	if (!fds)
		return NULL;
	if (had)
		memcpy(fds, opts->fds, had * sizeof(*fds));
	opts->fds = fds;
	opts->nr_fds += nr;
	return fds + had;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDS_H
#define FDS_H

#include <avfork.h>

/*
 * Close @first, which is not negative, and all above it, in a child: by bare system
 * calls, which no other library sees, without malloc() and whatever a filter or a
 * missing /proc refuses.
 */
void close_from(int first);

/*
 * Move @fd, which may be -1, above the standard three, for one of which it would be
 * taken there. The new number, close-on-exec, or -1 with errno and @fd closed.
 */
int fd_above_stdio(int fd);

/* The same for both, or neither. 0, or -1 with errno and both closed. */
int fds_above_stdio(int fds[2]);

/* The same as fd_above_stdio(), under a number that none of the @nr @grants give. */
int fd_apart(int fd, const struct avfork_fd *grants, size_t nr);

/*
 * @fd, which may be -1, has just been made: a grant of @opts that names its number is
 * of a descriptor that was not open. 0, or -1 with errno EBADF.
 */
int fds_check_new(const struct avfork_opts *opts, int fd);

/*
 * Give @opts a copy of its grants with room for @nr more, which are counted. Return:
 * where these go, for free(opts->fds) later, or NULL with errno EMFILE or ENOMEM.
 */
struct avfork_fd *fds_extend(struct avfork_opts *opts, size_t nr);

#endif

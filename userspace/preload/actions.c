// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * posix_spawn_file_actions_*(): kept in the caller's object, in our own form.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actions.h"

static_assert(sizeof(struct actions) <= sizeof(posix_spawn_file_actions_t),
	      "the caller's object is too small");

struct actions *actions_ours(const posix_spawn_file_actions_t *object)
{
	struct actions *actions = (struct actions *)object;

	return actions->magic == ACTIONS_MAGIC ? actions : NULL;
}

/* Too large is refused when the action is added, as libc does it. */
static bool valid_fd(int fd)
{
	long max = sysconf(_SC_OPEN_MAX);

	return fd >= 0 && (max < 0 || fd < max);
}

/* 0, or ENOMEM. */
static int add(struct actions *actions, struct action action)
{
	if (actions->used == actions->allocated) {
		size_t room = actions->allocated ? 2 * actions->allocated : 8;
		struct action *list;

		list = reallocarray(actions->list, room, sizeof(*list));
		if (!list)
			return ENOMEM;
		actions->list = list;
		actions->allocated = room;
	}
	actions->list[actions->used++] = action;
	return 0;
}

static int add_fd(struct actions *actions, enum action_kind kind, int fd)
{
	if (!valid_fd(fd))
		return EBADF;
	return add(actions, (struct action){ .kind = kind, .fd = fd });
}

/* With a copy of @action's path. */
static int add_path(struct actions *actions, struct action action)
{
	int error;

	action.path = strdup(action.path);
	if (!action.path)
		return ENOMEM;
	error = add(actions, action);
	if (error)
		free(action.path);
	return error;
}

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *object)
{
	memset(object, 0, sizeof(*object));
	((struct actions *)object)->magic = ACTIONS_MAGIC;
	return 0;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *object)
{
	struct actions *actions = actions_ours(object);
	size_t i;

	if (!actions)
		return REAL(posix_spawn_file_actions_destroy)(object);
	for (i = 0; i < actions->used; i++)
		free(actions->list[i].path);
	free(actions->list);
	memset(object, 0, sizeof(*object));
	return 0;
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *object,
				      int fd)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addclose)(object, fd);
	return add_fd(actions, ACTION_CLOSE, fd);
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *object,
				     int fd, const char *path, int oflag,
				     mode_t mode)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addopen)(object, fd, path,
							      oflag, mode);
	if (!valid_fd(fd))
		return EBADF;
	return add_path(actions, (struct action){
		.kind = ACTION_OPEN,
		.fd = fd,
		.path = (char *)path,
		.oflag = oflag,
		.mode = mode,
	});
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *object,
				     int fd, int newfd)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_adddup2)(object, fd,
							      newfd);
	if (!valid_fd(fd) || !valid_fd(newfd))
		return EBADF;
	return add(actions, (struct action){
		.kind = ACTION_DUP2,
		.fd = fd,
		.newfd = newfd,
	});
}

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *object,
					 const char *path)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addchdir_np)(object, path);
	return add_path(actions, (struct action){
		.kind = ACTION_CHDIR,
		.path = (char *)path,
	});
}

int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *object,
					  int fd)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addfchdir_np)(object, fd);
	/* Here libc looks at no number before the child does. */
	return add(actions, (struct action){
		.kind = ACTION_FCHDIR,
		.fd = fd,
	});
}

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *object,
					     int fd)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addclosefrom_np)(object,
								      fd);
	return add_fd(actions, ACTION_CLOSEFROM, fd);
}

int posix_spawn_file_actions_addtcsetpgrp_np(posix_spawn_file_actions_t *object,
					     int fd)
{
	struct actions *actions = actions_ours(object);

	if (!actions)
		return REAL(posix_spawn_file_actions_addtcsetpgrp_np)(object,
								      fd);
	return add_fd(actions, ACTION_TCSETPGRP, fd);
}

/* The names of POSIX.1-2024, which a newer libc's header has. */

int posix_spawn_file_actions_addchdir(posix_spawn_file_actions_t *object,
				      const char *path)
{
	return posix_spawn_file_actions_addchdir_np(object, path);
}

int posix_spawn_file_actions_addfchdir(posix_spawn_file_actions_t *object,
				       int fd)
{
	return posix_spawn_file_actions_addfchdir_np(object, fd);
}

/* The descriptor that @path leads through: /proc/self/fd/5/file; or -1. */
static int fd_in_path(const char *path)
{
	static const char *const folders[] = { "/proc/self/fd/", "/dev/fd/" };
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		size_t length = strlen(folders[i]);

		if (!strncmp(path, folders[i], length) &&
		    path[length] >= '0' && path[length] <= '9')
			return atoi(path + length);
	}
	return -1;
}

static size_t add_grant(struct avfork_fd *grants, size_t nr, int fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFD);
	size_t i;

	if (flags < 0 || !(flags & FD_CLOEXEC))
		return nr;
	for (i = 0; i < nr; i++)
		if (grants[i].child_fd == fd)
			return nr;
	grants[nr] = (struct avfork_fd){
		.parent_fd = fd,
		.child_fd = fd,
		.flags = FD_CLOEXEC,
	};
	return nr + 1;
}

size_t actions_grants(const struct actions *actions, const char *file,
		      struct avfork_fd *grants)
{
	size_t i, nr = add_grant(grants, 0, fd_in_path(file));

	for (i = 0; i < actions->used; i++) {
		const struct action *action = &actions->list[i];

		switch (action->kind) {
		case ACTION_DUP2:
		case ACTION_FCHDIR:
		case ACTION_TCSETPGRP:
			nr = add_grant(grants, nr, action->fd);
			break;
		case ACTION_OPEN:
		case ACTION_CHDIR:
			nr = add_grant(grants, nr, fd_in_path(action->path));
			break;
		case ACTION_CLOSE:
		case ACTION_CLOSEFROM:
			break;
		}
	}
	return nr;
}

/* It need not be open, but be a number that could be. */
static int perform_close(int fd)
{
	struct rlimit limit;

	if (!close(fd) || getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	errno = EBADF;
	return (rlim_t)fd < limit.rlim_cur ? 0 : -1;
}

/* Closed first, as some files can be open but once. */
static int perform_open(const struct action *action)
{
	int fd;

	close(action->fd);
	fd = open(action->path, action->oflag, action->mode);
	if (fd < 0 || fd == action->fd)
		return fd;
	if (dup2(fd, action->fd) < 0)
		return -1;
	return close(fd);
}

/* Onto itself: the descriptor shall outlive the exec, says POSIX.1-2024. */
static int perform_dup2(int fd, int newfd)
{
	int flags;

	if (fd != newfd)
		return dup2(fd, newfd);
	flags = fcntl(fd, F_GETFD);
	return flags < 0 ? -1 : fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
}

static int perform(const struct action *action)
{
	switch (action->kind) {
	case ACTION_CLOSE:
		return perform_close(action->fd);
	case ACTION_OPEN:
		return perform_open(action);
	case ACTION_DUP2:
		return perform_dup2(action->fd, action->newfd);
	case ACTION_CHDIR:
		return chdir(action->path);
	case ACTION_FCHDIR:
		return fchdir(action->fd);
	case ACTION_CLOSEFROM:
		return close_range(action->fd, ~0U, 0);
	case ACTION_TCSETPGRP:
		return tcsetpgrp(action->fd, getpgrp());
	}
	__builtin_unreachable();
}

int actions_perform(const struct actions *actions)
{
	size_t i;

	for (i = 0; i < actions->used; i++)
		if (perform(&actions->list[i]) < 0)
			return -1;
	return 0;
}

static int add_to_libc(const struct action *action,
		       posix_spawn_file_actions_t *object)
{
	switch (action->kind) {
	case ACTION_CLOSE:
		return REAL(posix_spawn_file_actions_addclose)(object,
							       action->fd);
	case ACTION_OPEN:
		return REAL(posix_spawn_file_actions_addopen)(object,
				action->fd, action->path, action->oflag,
				action->mode);
	case ACTION_DUP2:
		return REAL(posix_spawn_file_actions_adddup2)(object,
				action->fd, action->newfd);
	case ACTION_CHDIR:
		return REAL(posix_spawn_file_actions_addchdir_np)(object,
				action->path);
	case ACTION_FCHDIR:
		return REAL(posix_spawn_file_actions_addfchdir_np)(object,
				action->fd);
	case ACTION_CLOSEFROM:
		return REAL(posix_spawn_file_actions_addclosefrom_np)(object,
				action->fd);
	case ACTION_TCSETPGRP:
		return REAL(posix_spawn_file_actions_addtcsetpgrp_np)(object,
				action->fd);
	}
	__builtin_unreachable();
}

int actions_for_libc(const struct actions *actions,
		     posix_spawn_file_actions_t *object)
{
	int error = REAL(posix_spawn_file_actions_init)(object);
	size_t i;

	if (error)
		return error;
	for (i = 0; i < actions->used; i++) {
		error = add_to_libc(&actions->list[i], object);
		if (error) {
			REAL(posix_spawn_file_actions_destroy)(object);
			return error;
		}
	}
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../src/fds.h"
#include "../src/strings.h"
#include "actions.h"
#include "real.h"

_Static_assert(sizeof(posix_spawn_file_actions_t) == 80 &&
	       offsetof(posix_spawn_file_actions_t, __pad) == 16,
	       "libc's object is not what it was");
_Static_assert(sizeof(struct actions) <= 16 * sizeof(int) &&
	       16 % _Alignof(struct actions) == 0, "no room for our list");

static struct actions *beside(const posix_spawn_file_actions_t *object)
{
	return (struct actions *)object->__pad;
}

/* libc has no other way than to count one more for each. */
const struct actions *actions_of(const posix_spawn_file_actions_t *object)
{
	static const struct actions none;

	if (!object)
		return &none;
	return beside(object)->used == object->__used ? beside(object) : NULL;
}

static bool make_room(struct actions *actions)
{
	int room = actions->allocated ? 2 * actions->allocated : 8;
	struct action *list;

	if (actions->used < actions->allocated)
		return true;
	list = reallocarray(actions->list, room, sizeof(*list));
	if (!list)
		return false;
	actions->list = list;
	actions->allocated = room;
	return true;
}

/*
 * Note @action, which libc has added unless there was an @error, with a copy of its
 * path. Where that is not possible, the counts differ from then on.
 */
static int note(posix_spawn_file_actions_t *object, int error,
		struct action action)
{
	struct actions *actions = beside(object);

	if (error || actions->used != object->__used - 1 ||
	    !make_room(actions))
		return error;
	if (action.path) {
		action.path = strdup(action.path);
		if (!action.path)
			return 0;
	}
	actions->list[actions->used++] = action;
	return 0;
}

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *object)
{
	int error = REAL(posix_spawn_file_actions_init)(object);

	if (!error)
		*beside(object) = (struct actions){ 0 };
	return error;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *object)
{
	struct actions *actions = beside(object);
	int i;

	for (i = 0; i < actions->used; i++)
		free(actions->list[i].path);
	free(actions->list);
	*actions = (struct actions){ 0 };
	return REAL(posix_spawn_file_actions_destroy)(object);
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *object,
				      int fd)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addclose)(object, fd),
		    (struct action){ .kind = ACTION_CLOSE, .fd = fd });
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *object,
				     int fd, const char *path, int oflag,
				     mode_t mode)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addopen)(object, fd, path,
							   oflag, mode),
		    (struct action){
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
	return note(object,
		    REAL(posix_spawn_file_actions_adddup2)(object, fd, newfd),
		    (struct action){
			    .kind = ACTION_DUP2,
			    .fd = fd,
			    .newfd = newfd,
		    });
}

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *object,
					 const char *path)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addchdir_np)(object, path),
		    (struct action){
			    .kind = ACTION_CHDIR,
			    .path = (char *)path,
		    });
}

int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *object,
					  int fd)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addfchdir_np)(object, fd),
		    (struct action){ .kind = ACTION_FCHDIR, .fd = fd });
}

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *object,
					     int fd)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addclosefrom_np)(object, fd),
		    (struct action){ .kind = ACTION_CLOSEFROM, .fd = fd });
}

int posix_spawn_file_actions_addtcsetpgrp_np(posix_spawn_file_actions_t *object,
					     int fd)
{
	return note(object,
		    REAL(posix_spawn_file_actions_addtcsetpgrp_np)(object, fd),
		    (struct action){ .kind = ACTION_TCSETPGRP, .fd = fd });
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

/*
 * The descriptor that @path leads through, as in /proc/self/fd/5/file, or -1. There
 * are other ways to write it; see actions_perform().
 */
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

/* Whether there was room. */
static bool add_grant(struct avfork_fd *grants, int *nr, int max, int fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFD);
	int i;

	if (flags < 0 || !(flags & FD_CLOEXEC))
		return true;
	for (i = 0; i < *nr; i++)
		if (grants[i].child_fd == fd)
			return true;
	if (*nr == max)
		return false;
	grants[(*nr)++] = (struct avfork_fd){
		.parent_fd = fd,
		.child_fd = fd,
		.flags = FD_CLOEXEC,
	};
	return true;
}

static int fd_needed(const struct action *action)
{
	switch (action->kind) {
	case ACTION_DUP2:
	case ACTION_FCHDIR:
	case ACTION_TCSETPGRP:
		return action->fd;
	case ACTION_OPEN:
	case ACTION_CHDIR:
		return fd_in_path(action->path);
	case ACTION_CLOSE:
	case ACTION_CLOSEFROM:
		return -1;
	}
	__builtin_unreachable();
}

int actions_grants(const struct actions *actions, const char *file,
		   struct avfork_fd *grants, int max)
{
	int i, nr = 0;

	if (!add_grant(grants, &nr, max, fd_in_path(file)))
		return -1;
	for (i = 0; i < actions->used; i++)
		if (!add_grant(grants, &nr, max,
			       fd_needed(&actions->list[i])))
			return -1;
	return nr;
}

size_t actions_size(const struct actions *actions)
{
	size_t size = sizeof(*actions) +
		      (size_t)actions->used * sizeof(struct action);
	int i;

	for (i = 0; i < actions->used; i++)
		if (actions->list[i].path)
			size += strlen(actions->list[i].path) + 1;
	return (size + 7) & ~(size_t)7;
}

const struct actions *actions_copy(const struct actions *actions, char **to)
{
	struct actions *copy = (struct actions *)*to;
	char *next;
	int i;

	*copy = *actions;
	copy->list = (struct action *)(copy + 1);
	next = (char *)(copy->list + copy->used);
	for (i = 0; i < copy->used; i++) {
		copy->list[i] = actions->list[i];
		if (copy->list[i].path)
			copy->list[i].path = string_copy(&next,
							 copy->list[i].path);
	}
	*to += actions_size(actions);
	return copy;
}

/*
 * The child's part. It makes bare system calls, as libc's child does: in the memory
 * of the parent, another library's close() would strike a descriptor of the parent
 * off its list.
 */

/* It need not be open, but be a number that could be. */
static int perform_close(int fd)
{
	struct rlimit limit;

	if (!syscall(SYS_close, fd) ||
	    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit))
		return 0;
	errno = EBADF;
	return (rlim_t)fd < limit.rlim_cur ? 0 : -1;
}

/* Closed first, as some files can be open but once. */
static int perform_open(const struct action *action)
{
	int fd;

	syscall(SYS_close, action->fd);
	fd = (int)syscall(SYS_openat, AT_FDCWD, action->path, action->oflag,
			  action->mode);
	if (fd < 0 || fd == action->fd)
		return fd;
	if (syscall(SYS_dup3, fd, action->fd, 0) < 0)
		return -1;
	return (int)syscall(SYS_close, fd);
}

/* Onto itself: the descriptor shall outlive the exec, says POSIX.1-2024. */
static int perform_dup2(int fd, int newfd)
{
	long flags;

	if (fd != newfd)
		return (int)syscall(SYS_dup3, fd, newfd, 0);
	flags = syscall(SYS_fcntl, fd, F_GETFD);
	if (flags < 0)
		return -1;
	return (int)syscall(SYS_fcntl, fd, F_SETFD, flags & ~FD_CLOEXEC);
}

static int perform_tcsetpgrp(int fd)
{
	pid_t group = (pid_t)syscall(SYS_getpgid, 0);

	return (int)syscall(SYS_ioctl, fd, TIOCSPGRP, &group);
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
		return (int)syscall(SYS_chdir, action->path);
	case ACTION_FCHDIR:
		return (int)syscall(SYS_fchdir, action->fd);
	case ACTION_CLOSEFROM:
		close_from(action->fd);
		return 0;
	case ACTION_TCSETPGRP:
		return perform_tcsetpgrp(action->fd);
	}
	__builtin_unreachable();
}

/*
 * A file that was to be new is not so the next time, and whoever has opened the
 * other end of a FIFO may be gone.
 */
static bool can_repeat(const struct action *action)
{
	struct stat file;

	return action->kind != ACTION_OPEN ||
	       (!(action->oflag & O_EXCL) &&
		!syscall(SYS_fstat, action->fd, &file) &&
		!S_ISFIFO(file.st_mode));
}

/* In /proc/self/fd nothing can be created either, which has an errno of its own. */
static bool led_to_nothing(const struct action *action, int error)
{
	return (action->kind == ACTION_OPEN || action->kind == ACTION_CHDIR) &&
	       (error == ENOENT ||
		(error == EACCES && action->oflag & O_CREAT));
}

int actions_perform(const struct actions *actions, bool *again)
{
	int i;

	*again = true;
	for (i = 0; i < actions->used; i++) {
		const struct action *action = &actions->list[i];

		if (perform(action) < 0) {
			*again = *again && led_to_nothing(action, errno);
			return -1;
		}
		*again = *again && can_repeat(action);
	}
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * By the system calls of Linux 5.2 and 5.12 that know mounts by descriptor, so a mount
 * needs no path until it is in its place, and no folder to wait in. libc's functions
 * are not used, see prelude.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tree.h"

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define DETACH 2	/* umount2(2)'s MNT_DETACH, which linux/mount.h lacks */

static const char *const device_names[TREE_DEVICES] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
};

static const char *const device_links[][2] = {
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};

/* A copy of what is mounted at @path and below, attached nowhere. */
static int take(const char *path)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE |
			    OPEN_TREE_CLOEXEC | AT_RECURSIVE);
}

static int restrict_mount(int mount, uint64_t attributes, int recursive)
{
	struct mount_attr attr = { .attr_set = attributes };

	return (int)syscall(SYS_mount_setattr, mount, "",
			    AT_EMPTY_PATH | recursive, &attr, sizeof(attr));
}

static uint64_t read_only_unless(uint64_t flags)
{
	return flags & AVFORK_WRITABLE ? 0 : MOUNT_ATTR_RDONLY;
}

/* A new file system of @type, attached nowhere; with an @option, which has a @value. */
static int mount_new(const char *type, const char *option, const char *value,
		     uint64_t attributes)
{
	int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int mount = -1;

	if (context < 0)
		return -1;
	if (!syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, option, value,
		     0) &&
	    !syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
				     attributes);
	syscall(SYS_close, context);
	return mount;
}

/* In a tree of our own: the place that @mount is to have. Without, place() fails. */
static void make_place(int mount, const char *path)
{
	/* No more of the stack, which may be the caller's, than it takes. */
	size_t size = strnlen(path, PATH_MAX) + 1;
	char name[size], *end = name;
	struct stat file;
	int fd;

	if (size > PATH_MAX)
		return;
	memcpy(name, path, size);
	while ((end = strchr(end + 1, '/'))) {
		*end = '\0';
		syscall(SYS_mkdirat, AT_FDCWD, name, 0755);
		*end = '/';
	}
	if (syscall(SYS_fstat, mount, &file))
		return;
	if (S_ISDIR(file.st_mode)) {
		syscall(SYS_mkdirat, AT_FDCWD, name, 0755);
		return;
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		syscall(SYS_close, fd);
}

/* Attach @mount, which may be -1 with errno, at @path, and close it. 0 or an errno. */
static int place(int mount, const char *path)
{
	int error = errno, at;

	if (mount < 0)
		return error;
	at = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
	error = 0;
	if (at < 0 ||
	    syscall(SYS_move_mount, mount, "", at, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		error = errno;
	if (at >= 0)
		syscall(SYS_close, at);
	syscall(SYS_close, mount);
	return error;
}

int tree_take(struct tree *tree)
{
	const struct avfork_container *container = tree->container;
	size_t i;

	/* What the caller mounts later is not the container's, nor the reverse. */
	if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return errno;
	if (container->root) {
		tree->root = take(container->root);
		if (tree->root < 0)
			return errno;
	}
	/*
	 * It has processes alone: nothing of the kernel's that is in no namespace. The
	 * kernel makes one for whoever can see another.
	 */
	if (tree->has_proc) {
		tree->proc = mount_new("proc", "subset", "pid",
				       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				       MOUNT_ATTR_NOEXEC);
		if (tree->proc < 0)
			return errno;
	}
	for (i = 0; i < TREE_DEVICES; i++) {
		tree->devices[i] = take(device_names[i]);
		/* Read-only: the device may be written, its mode and owner may not. */
		if (tree->devices[i] < 0 ||
		    restrict_mount(tree->devices[i], MOUNT_ATTR_RDONLY |
				   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0))
			return errno;
	}
	for (i = 0; i < container->nr_binds; i++) {
		const struct avfork_bind *bind = &container->binds[i];

		tree->binds[i] = take(bind->source);
		if (tree->binds[i] < 0 ||
		    restrict_mount(tree->binds[i], MOUNT_ATTR_NOSUID |
				   MOUNT_ATTR_NODEV |
				   read_only_unless(bind->flags), AT_RECURSIVE))
			return errno;
	}
	return 0;
}

/*
 * The old root is stacked upon the new one, and taken away from there: what is left
 * has no way back, not for a process with all capabilities in here either.
 */
static int change_root(int root)
{
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/",
		    MOVE_MOUNT_F_EMPTY_PATH) ||
	    syscall(SYS_fchdir, root) ||
	    syscall(SYS_pivot_root, ".", ".") ||
	    syscall(SYS_umount2, ".", DETACH) ||
	    syscall(SYS_chdir, "/"))
		return errno;
	return 0;
}

static int add_dev(const struct tree *tree)
{
	int error = place(mount_new("tmpfs", "mode", "755",
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
			  "/dev");
	size_t i;

	for (i = 0; !error && i < TREE_DEVICES; i++) {
		make_place(tree->devices[i], device_names[i]);
		error = place(tree->devices[i], device_names[i]);
	}
	for (i = 0; !error && i < sizeof(device_links) / sizeof(*device_links); i++)
		if (syscall(SYS_symlinkat, device_links[i][0], AT_FDCWD,
			    device_links[i][1]))
			error = errno;
	return error;
}

/* All places before the first bind: within a bind one would be made in its source. */
static int add_binds(const struct tree *tree)
{
	const struct avfork_container *container = tree->container;
	int error = 0;
	size_t i;

	for (i = 0; !container->root && i < container->nr_binds; i++)
		make_place(tree->binds[i], container->binds[i].target);
	for (i = 0; !error && i < container->nr_binds; i++)
		error = place(tree->binds[i], container->binds[i].target);
	return error;
}

int tree_enter(struct tree *tree)
{
	const struct avfork_container *container = tree->container;
	uint64_t final = read_only_unless(container->flags);
	mode_t mask;
	int error;

	if (!container->root)
		tree->root = mount_new("tmpfs", "mode", "755",
				       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	else if (restrict_mount(tree->root, final | MOUNT_ATTR_NOSUID |
				MOUNT_ATTR_NODEV, AT_RECURSIVE))
		return errno;
	if (tree->root < 0)
		return errno;
	/* The mask is for files of the caller's: all ids in here are to get to the binds. */
	mask = (mode_t)syscall(SYS_umask, 0);
	error = change_root(tree->root);
	if (!error && !container->root) {
		syscall(SYS_mkdirat, AT_FDCWD, "/proc", 0755);
		syscall(SYS_mkdirat, AT_FDCWD, "/dev", 0755);
	}
	if (!error && tree->has_proc)
		error = place(tree->proc, "/proc");
	if (!error)
		error = add_dev(tree);
	if (!error)
		error = add_binds(tree);
	/* Last, for until then places are made in the empty tree. */
	if (!error && !container->root && restrict_mount(tree->root, final, 0))
		error = errno;
	syscall(SYS_umask, mask);
	syscall(SYS_close, tree->root);
	return error;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel has a link in /proc/self/ns for each kind of namespace, and tells the
 * CLONE_NEW* flag of whatever is behind the link. So the kinds of a kernel that is
 * younger than the library are known as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "namespaces.h"
#include "spawn.h"

/* The flag of the kind that is called @name in @dir, or 0. */
static uint64_t kind_of(DIR *dir, const char *name)
{
	int fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC);
	long kind;

	if (fd < 0)
		return 0;
	/* Not ioctl(), whose result is an int. */
	kind = syscall(SYS_ioctl, fd, NS_GET_NSTYPE);
	syscall(SYS_close, fd);
	return kind > 0 ? (uint64_t)kind : 0;
}

/* pid_for_children and the like: kinds that have a link of their own as well. */
static bool is_second(const char *name)
{
	return strstr(name, "_for_children");
}

/* All kinds, or 0 if one of them cannot be read: no kind is left out by mistake. */
static uint64_t kinds_read(void)
{
	DIR *dir = opendir("/proc/self/ns");
	uint64_t kinds = 0, kind = 1;
	struct dirent *entry;

	if (!dir)
		return 0;
	while (kind && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || is_second(entry->d_name))
			continue;
		kind = kind_of(dir, entry->d_name);
		kinds |= kind;
	}
	closedir(dir);
	return kind ? kinds : 0;
}

static uint64_t kinds_known(void)
{
	static _Atomic uint64_t known;
	int cancel;

	if (!known) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
		known = kinds_read();
		pthread_setcancelstate(cancel, NULL);
	}
	return known;
}

/*
 * Before Linux 6.3 a child enters a time namespace at once, and the memory that its
 * parent shares keeps a page of the namespace when that is gone. The module refuses
 * this as well (compat.h there).
 */
static bool time_begins_at_exec(void)
{
	return kernel_since(6, 3);
}

int namespaces_isolate(struct avfork_opts *opts)
{
	uint64_t shared = opts->namespaces, kinds = kinds_known();

	if (shared & ~(uint64_t)NAMESPACES & ~kinds) {
		errno = EINVAL;
		return -1;
	}
	/* What the caller lacks at the moment is no property of the kernel's. */
	if (!kinds && backend_is_short(errno))
		return -1;
	if (!kinds || (kinds & ~shared & CLONE_NEWTIME && !time_begins_at_exec())) {
		errno = EOPNOTSUPP;
		return -1;
	}
	opts->namespaces = kinds & ~shared;
	opts->flags &= ~AVFORK_ISOLATE;
	return 0;
}

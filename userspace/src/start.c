// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "futex.h"
#include "spawn.h"
#include "start.h"

#define EXIT_NO_FD	127	/* as for what cannot be exec'd */

#define NR_SIGNALS	64
#define SIGNAL(sig)	((kernel_sigset)1 << ((sig) - 1))

static void set_mask(const kernel_sigset *mask, kernel_sigset *saved)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, saved, sizeof(*mask));
}

void start_block_signals(kernel_sigset *saved)
{
	const kernel_sigset all = ~0ULL;

	set_mask(&all, saved);
}

void start_restore_signals(const kernel_sigset *saved)
{
	set_mask(saved, NULL);
}

/* memcpy() that fails with EFAULT. */
static int copy_from_caller(void *to, const void *from, size_t size)
{
	struct iovec local = { .iov_base = to, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)from, .iov_len = size };

	if (!size)
		return 0;
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
	    (ssize_t)size)
		return 0;
	/* Where there is no such call, a bad address is fatal. */
	if (errno == ENOSYS || errno == EPERM) {
		memcpy(to, from, size);
		return 0;
	}
	errno = EFAULT;
	return -1;
}

static const struct avfork_fd *grant_of(const struct start *start, int child_fd)
{
	size_t low = 0, high = start->nr_fds;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (start->fds[middle].child_fd < child_fd)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < start->nr_fds && start->fds[low].child_fd == child_fd)
		return &start->fds[low];
	return NULL;
}

static int by_child_fd(const void *a, const void *b)
{
	int fd_a = ((const struct avfork_fd *)a)->child_fd;
	int fd_b = ((const struct avfork_fd *)b)->child_fd;

	return (fd_a > fd_b) - (fd_a < fd_b);
}

static int check_grants(const struct start *start, rlim_t limit)
{
	size_t i;

	for (i = 0; i < start->nr_fds; i++) {
		const struct avfork_fd *fd = &start->fds[i];

		if (fd->flags & ~(uint32_t)FD_CLOEXEC || fd->reserved ||
		    fd->child_fd < 0 ||
		    (i && fd->child_fd == fd[-1].child_fd)) {
			errno = EINVAL;
			return -1;
		}
		if ((rlim_t)fd->child_fd >= limit) {
			errno = EMFILE;
			return -1;
		}
	}
	for (i = 0; i < start->nr_fds; i++) {
		if (fcntl(start->fds[i].parent_fd, F_GETFD) < 0)
			return -1;
	}
	return 0;
}

static void grant_stdio(struct start *start)
{
	const size_t nr_fds = start->nr_fds;
	size_t added = nr_fds;
	int fd;

	for (fd = 0; fd < 3; fd++) {
		if (grant_of(start, fd) || fcntl(fd, F_GETFD) < 0)
			continue;
		start->fds[added++] = (struct avfork_fd) {
			.parent_fd = fd, .child_fd = fd,
		};
	}
	start->nr_fds = added;
	qsort(start->fds, added, sizeof(*start->fds), by_child_fd);
}

static kernel_sigset ignored_signals(void)
{
	kernel_sigset ignored = 0;
	int sig;

	for (sig = 1; sig <= NR_SIGNALS; sig++) {
		struct sigaction action;

		/* It fails for libc's own signals, which nobody can ignore. */
		if (!sigaction(sig, NULL, &action) &&
		    action.sa_handler == SIG_IGN)
			ignored |= SIGNAL(sig);
	}
	return ignored;
}

struct start *start_new(const struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	struct rlimit limit;
	struct start *start;

	/* That many cannot all have numbers of their own below it. */
	getrlimit(RLIMIT_NOFILE, &limit);
	if (opts->nr_fds > limit.rlim_cur) {
		errno = EMFILE;
		return NULL;
	}
	start = malloc(sizeof(*start) + 2 * (opts->nr_fds + 3) *
		       sizeof(*start->fds));
	if (!start)
		return NULL;
	start->start_routine = child->start_routine;
	start->arg = child->arg;
	start->flags = opts->flags;
	start->device = -1;
	start->ready = NULL;
	start->mask = 0;
	start->ignored = 0;
	start->nr_fds = opts->nr_fds;
	if (copy_from_caller(start->fds, opts->fds,
			     opts->nr_fds * sizeof(*start->fds)))
		goto fail;
	qsort(start->fds, start->nr_fds, sizeof(*start->fds), by_child_fd);
	if (check_grants(start, limit.rlim_cur))
		goto fail;
	if (opts->flags & AVFORK_STDIO)
		grant_stdio(start);
	if (opts->flags & AVFORK_INHERIT_SIGNALS) {
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &start->mask,
			sizeof(start->mask));
		start->ignored = ignored_signals();
	}
	return start;

fail:
	free(start);
	return NULL;
}

static int by_parent_fd(const void *a, const void *b)
{
	int fd_a = ((const struct avfork_fd *)a)->parent_fd;
	int fd_b = ((const struct avfork_fd *)b)->parent_fd;

	return (fd_a > fd_b) - (fd_a < fd_b);
}

void start_tells(struct start *start, _Atomic uint32_t *word, uint32_t ticket)
{
	start->ready = word;
	start->ticket = ticket;
	atomic_store(word, ticket + 1);
}

void start_share(struct start *start, int device)
{
	struct avfork_fd *sources = start->fds + start->nr_fds;
	uint32_t nr = 0;
	size_t i;

	memcpy(sources, start->fds, start->nr_fds * sizeof(*sources));
	qsort(sources, start->nr_fds, sizeof(*sources), by_parent_fd);
	for (i = 0; i < start->nr_fds; i++) {
		int fd = sources[i].parent_fd;

		if (!nr || sources[nr - 1].parent_fd != fd)
			sources[nr++] = (struct avfork_fd) {
				.parent_fd = fd, .child_fd = fd,
				.flags = FD_CLOEXEC,
			};
	}
	start->sources = sources;
	start->nr_sources = nr;
	start->device = device;
}

/*
 * Leave the parent's table for one that has the sources of the grants, under
 * their own numbers: a seccomp filter may judge by these, and the device does not
 * change them for whoever has one. If the device has been closed meanwhile, or
 * there is no memory, for a copy of the whole table.
 */
static int leave_table(const struct start *start)
{
	const struct avfork_grants grants = {
		.fds = (uintptr_t)start->sources,
		.nr_fds = start->nr_sources,
	};

	if (!ioctl(start->device, AVFORK_IOC_GRANT, &grants))
		return 0;
	return close_range(~0U, ~0U, CLOSE_RANGE_UNSHARE);
}

/*
 * A duplicate of @fd whose number no grant has. If there is none above them all
 * there may be one between.
 */
static int move_away(const struct start *start, int fd)
{
	size_t i = start->nr_fds;

	while (i-- > 0) {
		int moved = fcntl(fd, F_DUPFD_CLOEXEC,
				  start->fds[i].child_fd + 1);

		if (moved < 0)
			continue;
		if (!grant_of(start, moved))
			return moved;
		close(moved);
	}
	return -1;
}

/*
 * Grants are made as if all at once: first the sources that others would
 * overwrite are moved away, which is noted in ->reserved.
 */
static int make_grants(struct start *start)
{
	struct avfork_fd *fd, *end = start->fds + start->nr_fds;

	for (fd = start->fds; fd < end; fd++) {
		const struct avfork_fd *other = grant_of(start, fd->parent_fd);

		if (!other || other->parent_fd == fd->parent_fd)
			continue;
		fd->parent_fd = move_away(start, fd->parent_fd);
		fd->reserved = 1;
		if (fd->parent_fd < 0)
			return -1;
	}
	for (fd = start->fds; fd < end; fd++) {
		int cloexec = fd->flags & FD_CLOEXEC;

		if (fd->parent_fd == fd->child_fd) {
			if (fcntl(fd->child_fd, F_SETFD, cloexec) < 0)
				return -1;
		} else if (dup3(fd->parent_fd, fd->child_fd,
				cloexec ? O_CLOEXEC : 0) < 0) {
			return -1;
		}
	}
	for (fd = start->fds; fd < end; fd++) {
		if (fd->reserved)
			close(fd->parent_fd);
	}
	return 0;
}

static void close_others(const struct start *start)
{
	const struct avfork_fd *fd, *end = start->fds + start->nr_fds;
	int next = 0;

	for (fd = start->fds; fd < end; fd++) {
		if (next < fd->child_fd &&
		    close_range(next, fd->child_fd - 1, 0)) {
			/* Before Linux 5.9. */
			while (next < fd->child_fd)
				close(next++);
		}
		next = fd->child_fd + 1;
	}
	closefrom(next);
}

static void set_dispositions(kernel_sigset ignored)
{
	/* Of whatever layout: all zero is SIG_DFL, no flags, no mask. */
	static const unsigned long by_default[16];
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	int sig;

	for (sig = 1; sig <= NR_SIGNALS; sig++) {
		if (ignored & SIGNAL(sig))
			sigaction(sig, &ignore, NULL);
		else
			syscall(SYS_rt_sigaction, sig, by_default, NULL,
				sizeof(kernel_sigset));
	}
}

/*
 * The kernel kills the child when the thread that made it ends. If that was before
 * the child asked for it, then the process has ended, or the thread alone, by an
 * exec of another. In a pid namespace of its own the child cannot tell, and
 * getppid() is 0.
 */
static void die_with_maker(const struct start *start)
{
	pid_t parent;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	parent = getppid();
	if (parent && (parent != start->maker ||
		       (syscall(SYS_tgkill, start->maker, start->maker_thread,
				0) && errno == ESRCH)))
		_exit(EXIT_NO_FD);
}

void start_run(struct start *start)
{
	const stack_t no_stack = { .ss_flags = SS_DISABLE };

	spawn_enter_child();
	if (start->device >= 0 && leave_table(start))
		_exit(EXIT_NO_FD);
	if (start->flags & AVFORK_NNP)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (start->flags & AVFORK_AUTOKILL)
		die_with_maker(start);
	if (start->ready) {
		atomic_store(start->ready, start->ticket);
		futex_wake(start->ready);
	}
	/* The kernel has done so, but not for a child that stops its parent. */
	sigaltstack(&no_stack, NULL);
	set_dispositions(start->ignored);
	/* Another thread may have closed a source since it was checked. */
	if (make_grants(start))
		_exit(EXIT_NO_FD);
	if (!(start->flags & AVFORK_INHERIT_FDS))
		close_others(start);
	set_mask(&start->mask, NULL);
	/* _exit: the parent's atexit handlers stay there. */
	_exit(start->start_routine(start->arg));
}

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The child's functions here make system calls by syscall(2) alone. The public
 * close(), dup2() or sigaction() may be those of another library that stands in for
 * them and keeps, in the memory that is the parent's, what it thinks is the
 * parent's state.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"
#include "prelude.h"
#include "sanitizer.h"
#include "spawn.h"

#define EXEC_STACK_SIZE	(32 * 1024)	/* for a child that does nothing else */

static size_t round_up(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

/* AVFORK_STDIO may add three, and each source is listed, too. */
static size_t grants_size(const struct child *child)
{
	return 2 * (child->opts->nr_fds + 3) * sizeof(struct avfork_fd);
}

static bool copies(const struct child *child)
{
	return child->copy && !(child->opts->flags & AVFORK_SYNC);
}

size_t prelude_size(const struct child *child)
{
	size_t size = sizeof(struct prelude) + 4 * 16;

	/* More than any table holds is refused when the grants are put there. */
	if (child->opts->nr_fds <= AVFORK_FD_LIMIT)
		size += grants_size(child);
	if (copies(child))
		size += child->copy_size;
	return round_up(size);
}

size_t prelude_stack_size(const struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	size_t size = child->execs ? EXEC_STACK_SIZE : POOL_STACK_SIZE;

	if (opts->stack)
		size = 0;
	else if (size < opts->stack_size)
		size = opts->stack_size;
	/* More than can be mapped, and no overflow. */
	if (size > PTRDIFF_MAX / 2)
		return size;
	return size + prelude_size(child);
}

static void *take(struct carrier *carrier, size_t size)
{
	carrier->stack_size -= round_up(size);
	return carrier->stack + carrier->stack_size;
}

static struct prelude *put(struct carrier *carrier, const struct child *child,
			   size_t size)
{
	void *copy = copies(child) ? take(carrier, child->copy_size) : NULL;
	struct prelude *prelude = take(carrier, sizeof(*prelude) + size);

	*prelude = (struct prelude) {
		.start_routine = child->start_routine,
		.arg = copy ? child->copy(copy, child->arg) : child->arg,
		.flags = child->opts->flags,
		.loan = carrier->loan,
		.mask = child->mask,
		.device = -1,
	};
	return prelude;
}

struct prelude *prelude_put(struct carrier *carrier, const struct child *child)
{
	return put(carrier, child, 0);
}

static const struct avfork_fd *grant_of(const struct prelude *prelude,
					int child_fd)
{
	size_t low = 0, high = prelude->nr_fds;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (prelude->fds[middle].child_fd < child_fd)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < prelude->nr_fds && prelude->fds[low].child_fd == child_fd)
		return &prelude->fds[low];
	return NULL;
}

/*
 * By ascending child_fd: Shell's sort, for qsort() may call malloc(), and a call of
 * posix_spawn() may come from a handler that has interrupted just that.
 */
static void sort(struct avfork_fd *fds, size_t nr)
{
	size_t gap = 1, i, j;

	while (gap < nr / 3)
		gap = 3 * gap + 1;
	for (; gap; gap /= 3) {
		for (i = gap; i < nr; i++) {
			struct avfork_fd fd = fds[i];

			for (j = i; j >= gap; j -= gap) {
				if (fds[j - gap].child_fd <= fd.child_fd)
					break;
				fds[j] = fds[j - gap];
			}
			fds[j] = fd;
		}
	}
}

static int check_grants(const struct prelude *prelude, rlim_t limit)
{
	size_t i;

	for (i = 0; i < prelude->nr_fds; i++) {
		const struct avfork_fd *fd = &prelude->fds[i];

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
	for (i = 0; i < prelude->nr_fds; i++) {
		if (fcntl(prelude->fds[i].parent_fd, F_GETFD) < 0)
			return -1;
	}
	return 0;
}

static void grant_stdio(struct prelude *prelude)
{
	size_t added = prelude->nr_fds;
	int fd;

	for (fd = 0; fd < 3; fd++) {
		if (grant_of(prelude, fd) || fcntl(fd, F_GETFD) < 0)
			continue;
		prelude->fds[added++] = (struct avfork_fd) {
			.parent_fd = fd, .child_fd = fd,
		};
	}
	prelude->nr_fds = added;
	sort(prelude->fds, added);
}

struct prelude *prelude_put_grants(struct carrier *carrier,
				   const struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	struct prelude *prelude;
	struct rlimit limit;

	/* So many grants cannot each have a number below the limit. */
	getrlimit(RLIMIT_NOFILE, &limit);
	if (opts->nr_fds > AVFORK_FD_LIMIT || opts->nr_fds > limit.rlim_cur) {
		errno = EMFILE;
		return NULL;
	}
	prelude = put(carrier, child, grants_size(child));
	if (opts->nr_fds)
		memcpy(prelude->fds, opts->fds,
		       opts->nr_fds * sizeof(*opts->fds));
	prelude->nr_fds = opts->nr_fds;
	sort(prelude->fds, prelude->nr_fds);
	if (check_grants(prelude, limit.rlim_cur))
		return NULL;
	if (opts->flags & AVFORK_STDIO)
		grant_stdio(prelude);
	return prelude;
}

void prelude_ties(struct prelude *prelude)
{
	prelude->maker = getpid();
	prelude->maker_thread = (pid_t)syscall(SYS_gettid);
}

void prelude_share(struct prelude *prelude, int device)
{
	struct avfork_fd *sources = prelude->fds + prelude->nr_fds;
	uint32_t nr = 0;
	size_t i;

	for (i = 0; i < prelude->nr_fds; i++) {
		int fd = prelude->fds[i].parent_fd;

		sources[i] = (struct avfork_fd) {
			.parent_fd = fd, .child_fd = fd, .flags = FD_CLOEXEC,
		};
	}
	sort(sources, prelude->nr_fds);
	for (i = 0; i < prelude->nr_fds; i++)
		if (!nr || sources[nr - 1].child_fd != sources[i].child_fd)
			sources[nr++] = sources[i];
	prelude->sources = sources;
	prelude->nr_sources = nr;
	prelude->device = device;
}

/*
 * Leave the parent's table for one that has the sources of the grants, under
 * their own numbers: a seccomp filter may judge by these, and the device does not
 * change them for whoever has one. If the device has been closed meanwhile, or
 * there is no memory, for a copy of the whole table.
 */
static int leave_table(const struct prelude *prelude)
{
	const struct avfork_grants grants = {
		.fds = (uintptr_t)prelude->sources,
		.nr_fds = prelude->nr_sources,
	};

	if (!syscall(SYS_ioctl, prelude->device, AVFORK_IOC_GRANT, &grants))
		return 0;
	return (int)syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE);
}

/*
 * A duplicate of @fd whose number no grant has. If there is none above them all
 * there may be one between.
 */
static int move_away(const struct prelude *prelude, int fd)
{
	size_t i = prelude->nr_fds;

	while (i-- > 0) {
		int moved = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC,
					 prelude->fds[i].child_fd + 1);

		if (moved < 0)
			continue;
		if (!grant_of(prelude, moved))
			return moved;
		syscall(SYS_close, moved);
	}
	return -1;
}

/*
 * Grants are made as if all at once: first the sources that others would
 * overwrite are moved away, which is noted in ->reserved.
 */
static int make_grants(struct prelude *prelude)
{
	struct avfork_fd *fd, *end = prelude->fds + prelude->nr_fds;

	for (fd = prelude->fds; fd < end; fd++) {
		const struct avfork_fd *other = grant_of(prelude, fd->parent_fd);

		if (!other || other->parent_fd == fd->parent_fd)
			continue;
		fd->parent_fd = move_away(prelude, fd->parent_fd);
		fd->reserved = 1;
		if (fd->parent_fd < 0)
			return -1;
	}
	for (fd = prelude->fds; fd < end; fd++) {
		int cloexec = fd->flags & FD_CLOEXEC;

		if (fd->parent_fd == fd->child_fd) {
			if (syscall(SYS_fcntl, fd->child_fd, F_SETFD,
				    cloexec) < 0)
				return -1;
		} else if (syscall(SYS_dup3, fd->parent_fd, fd->child_fd,
				   cloexec ? O_CLOEXEC : 0) < 0) {
			return -1;
		}
	}
	for (fd = prelude->fds; fd < end; fd++) {
		if (fd->reserved)
			syscall(SYS_close, fd->parent_fd);
	}
	return 0;
}

static void close_others(const struct prelude *prelude)
{
	const struct avfork_fd *fd, *end = prelude->fds + prelude->nr_fds;
	int next = 0;

	for (fd = prelude->fds; fd < end; fd++) {
		if (next < fd->child_fd &&
		    syscall(SYS_close_range, next, fd->child_fd - 1, 0)) {
			/* Before Linux 5.9, or where a filter forbids it. */
			while (next < fd->child_fd)
				syscall(SYS_close, next++);
		}
		next = fd->child_fd + 1;
	}
	close_from(next);
}

/* The signals with handlers have none any more; what is ignored stays ignored. */
static void drop_handlers(void)
{
	int signal;

	for (signal = 1; signal <= 64; signal++) {
		if (signals_set(signal, SIG_DFL) == SIG_IGN)
			signals_set(signal, SIG_IGN);
	}
}

static void set_dispositions(const struct prelude *prelude)
{
	if (!(prelude->flags & AVFORK_INHERIT_SIGNALS)) {
		signals_reset(ALL_SIGNALS);
		return;
	}
	if (!prelude->handlers_gone)
		drop_handlers();
	if (prelude->ignore_child)
		signals_set(SIGCHLD, SIG_IGN);
}

/*
 * The kernel kills the child when the thread that made it ends. If that was before
 * the child asked for it, then the process has ended, or the thread alone, by an
 * exec of another. In a pid namespace of its own the child cannot tell, and
 * getppid() is 0.
 */
static void die_with_maker(const struct prelude *prelude)
{
	pid_t parent;

	if (!prelude->maker)
		return;
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	parent = (pid_t)syscall(SYS_getppid);
	if (parent && (parent != prelude->maker ||
		       (syscall(SYS_tgkill, prelude->maker,
				prelude->maker_thread, 0) && errno == ESRCH)))
		syscall(SYS_exit_group, EXIT_NO_EXEC);
}

static void tell_started(const struct prelude *prelude)
{
	if (prelude->loan.word)
		loan_step(&prelude->loan, LOAN_STARTING, 0);
}

char tsan_child_ends;

/* Not _exit(): the parent's atexit handlers, and sanitizers' own, stay there. */
static TSAN_UNSEEN _Noreturn void leave(int status)
{
	tsan_before(&tsan_child_ends);
	for (;;)
		syscall(SYS_exit_group, status);
}

static TSAN_UNSEEN _Noreturn void run(struct prelude *prelude)
{
	int (*start_routine)(void *arg) = prelude->start_routine;
	void *arg = prelude->arg;

	/* What the carrier's last child has set; but a thread's own stays. */
	if (prelude->loan.word)
		uselocale(LC_GLOBAL_LOCALE);
	tsan_before(&tsan_child_ends);
	leave(start_routine(arg));
}

TSAN_UNSEEN void prelude_run_started(struct prelude *prelude)
{
	tsan_after(prelude);
	die_with_maker(prelude);
	tell_started(prelude);
	/* The module has set that of the thread that made the call: a keeper's? */
	if (prelude->flags & AVFORK_INHERIT_SIGNALS)
		signals_mask(&prelude->mask, NULL);
	run(prelude);
}

TSAN_UNSEEN void prelude_run(struct prelude *prelude)
{
	const stack_t no_stack = { .ss_flags = SS_DISABLE };

	tsan_after(prelude);
	if (prelude->device >= 0 && leave_table(prelude))
		leave(EXIT_NO_EXEC);
	if (prelude->flags & AVFORK_NNP)
		syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	die_with_maker(prelude);
	tell_started(prelude);
	/* The kernel has done so, but not for a child that stops its parent. */
	syscall(SYS_sigaltstack, &no_stack, NULL);
	set_dispositions(prelude);
	/* Another thread may have closed a source since it was checked. */
	if (make_grants(prelude))
		leave(EXIT_NO_EXEC);
	if (!(prelude->flags & (AVFORK_INHERIT_FDS | AVFORK_SHARE_FDS)))
		close_others(prelude);
	signals_mask(&prelude->mask, NULL);
	run(prelude);
}

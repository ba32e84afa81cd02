// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A container is a child with AVFORK_ISOLATE that sets itself up before it runs what
 * the caller wants. The two sides meet at a socket of which each has one end:
 *
 *	maker				child
 *	spawn()
 *	writes the id maps		waits
 *	one byte			sets up its namespaces
 *	waits				an int: 0, or the errno of what failed
 *
 * Either side's death is the other's end of file. So a maker that is killed leaves no
 * child that waits, and a child that is killed no maker that does. All that the child
 * makes is in its namespaces, and ends with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"
#include "left.h"
#include "namespaces.h"
#include "spawn.h"
#include "tree.h"

#define MAP_SIZE_MAX	4096	/* the kernel takes less than a page */
#define HOSTNAME	"container"

_Static_assert(sizeof(void *) != 8 ||
	       sizeof(struct avfork_container) == AVFORK_CONTAINER_SIZE_VER0,
	       "struct avfork_container has changed");

/**
 * struct setup - what the child sets up, on the stack of the maker, who waits
 * @container:     what the caller chose
 * @tree:          the child's files
 * @end:           the child's end of the socket
 * @other:         the maker's, where the child may have a copy of it, or -1
 * @in_cgroup:     whether the child was born in another cgroup than the maker's
 * @start_routine: what comes then, with @arg
 */
struct setup {
	const struct avfork_container *container;
	struct tree tree;
	int end;
	int other;
	bool in_cgroup;
	int (*start_routine)(void *arg);
	void *arg;
};

/* ---- in the child: bare system calls, see prelude.c ---- */

static bool is_new(const struct setup *setup, uint64_t kind)
{
	return !(setup->container->shared & kind);
}

/* Be root in here, if there is one. */
static int take_ids(const struct setup *setup)
{
	if (!is_new(setup, CLONE_NEWUSER))
		return 0;
	/* Refused where the maker may not change groups either. */
	syscall(SYS_setgroups, 0, NULL);
	if ((syscall(SYS_setresgid, 0, 0, 0) ||
	     syscall(SYS_setresuid, 0, 0, 0)) && errno != EINVAL)
		return errno;
	return 0;
}

static int raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	/* A kernel without IPv4 has no loopback that anybody would miss. */
	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : errno;
	if (syscall(SYS_ioctl, fd, SIOCSIFFLAGS, &request))
		error = errno;
	syscall(SYS_close, fd);
	return error;
}

static int set_names(const struct setup *setup)
{
	const char *name = setup->container->hostname;

	if (!is_new(setup, CLONE_NEWUTS))
		return 0;
	if (!name)
		name = HOSTNAME;
	return syscall(SYS_sethostname, name, strlen(name)) ||
	       syscall(SYS_setdomainname, "", 0) ? errno : 0;
}

/*
 * What no namespace covers: the caller's keys, its terminal, and the cgroup in which
 * the kernel roots the child's cgroup namespace, which is the maker's.
 */
static int leave_the_rest(const struct setup *setup)
{
	if (setup->in_cgroup && is_new(setup, CLONE_NEWCGROUP) &&
	    syscall(SYS_unshare, CLONE_NEWCGROUP))
		return errno;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 &&
	    errno != ENOSYS)
		return errno;
	syscall(SYS_setsid);
	return 0;
}

/* For good: not by an exec of root's either, since the bounding set has no others. */
static int drop_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct self = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	int cap, i;

	for (cap = 0; cap < 64; cap++)
		if (!(kept >> cap & 1) &&
		    syscall(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) &&
		    errno != EINVAL)
			return errno;
	syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &self, caps))
		return errno;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		caps[i].permitted &= (uint32_t)(kept >> 32 * i);
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	return syscall(SYS_capset, &self, caps) ? errno : 0;
}

static int set_up(struct setup *setup)
{
	bool files = is_new(setup, CLONE_NEWNS);
	int error = files ? tree_take(&setup->tree) : 0;

	if (!error)
		error = take_ids(setup);
	if (!error && files)
		error = tree_enter(&setup->tree);
	if (!error && is_new(setup, CLONE_NEWNET))
		error = raise_loopback();
	if (!error)
		error = set_names(setup);
	if (!error)
		error = leave_the_rest(setup);
	if (!error)
		error = drop_capabilities(setup->container->capabilities);
	return error;
}

static int contained(void *arg)
{
	struct setup *setup = arg;
	int (*start_routine)(void *) = setup->start_routine;
	void *start_arg = setup->arg;
	int end = setup->end, error, tied = 0;
	char byte;

	/* Or our own copy would keep us from seeing the end of the maker. */
	syscall(SYS_close, setup->other);
	/*
	 * A copy that another thread has fork()ed holds the maker's end open, too, but
	 * not the maker alive. A change of ids takes the signal back.
	 */
	syscall(SYS_prctl, PR_GET_PDEATHSIG, &tied);
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_read, end, &byte, 1) != 1)
		return EXIT_NO_EXEC;
	error = set_up(setup);
	syscall(SYS_prctl, PR_SET_PDEATHSIG, tied);
	/* From here on the maker goes on, and its stack is its own again. */
	if (syscall(SYS_sendto, end, &error, sizeof(error), MSG_NOSIGNAL, NULL,
		    0) != sizeof(error) || error)
		return EXIT_NO_EXEC;
	syscall(SYS_close, end);
	return start_routine(start_arg);
}

/* ---- in the maker: no cancellation points, for the child waits ---- */

/* The folder of the child's in /proc, which is no other process' later on. */
static int open_proc(pid_t pid, int pidfd)
{
	char path[32];
	int proc;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = (int)syscall(SYS_openat, AT_FDCWD, path,
			    O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* With AVFORK_AUTOREAP the number may be another's already. */
	if (proc >= 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0)) {
		syscall(SYS_close, proc);
		errno = ECHILD;
		return -1;
	}
	return proc;
}

static int write_file(int proc, const char *name, const char *text)
{
	int fd, error = 0;

	fd = (int)syscall(SYS_openat, proc, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (syscall(SYS_write, fd, text, strlen(text)) < 0)
		error = errno;
	syscall(SYS_close, fd);
	return error;
}

static int write_map(int proc, const char *name, const struct avfork_ids *ids,
		     size_t nr)
{
	char text[MAP_SIZE_MAX];
	size_t used = 0, i;

	for (i = 0; i < nr; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%u %u %u\n", ids[i].inside,
					 ids[i].outside, ids[i].count);
		if (used >= sizeof(text))
			return EINVAL;
	}
	return write_file(proc, name, text);
}

static int write_maps(int proc, const struct avfork_container *container)
{
	const struct avfork_ids self = { 0, geteuid(), 1 };
	const struct avfork_ids group = { 0, getegid(), 1 };
	const struct avfork_ids *gids = container->nr_gids ? container->gids :
							     &group;
	size_t nr_gids = container->nr_gids ? container->nr_gids : 1;
	int error;

	error = container->nr_uids ?
		write_map(proc, "uid_map", container->uids, container->nr_uids) :
		write_map(proc, "uid_map", &self, 1);
	if (error)
		return error;
	error = write_map(proc, "gid_map", gids, nr_gids);
	if (error != EPERM)
		return error;
	/* Without privilege: nobody may drop a group in there that is to refuse. */
	error = write_file(proc, "setgroups", "deny");
	return error ? error : write_map(proc, "gid_map", gids, nr_gids);
}

/* The maker's half of the protocol. 0, or why there is no container. */
static int accompany(pid_t pid, int pidfd, int end,
		     const struct avfork_container *container)
{
	int error = 0, proc;
	long size;

	if (!(container->shared & CLONE_NEWUSER)) {
		proc = open_proc(pid, pidfd);
		if (proc < 0)
			return errno;
		error = write_maps(proc, container);
		syscall(SYS_close, proc);
	}
	if (error)
		return error;
	/* A child that is not told to go on waits, and so would we. EPIPE: it is dead. */
	if (syscall(SYS_sendto, end, "", 1, MSG_NOSIGNAL, NULL, 0) != 1)
		return errno == EPIPE ? ECHILD : errno;
	do
		size = syscall(SYS_read, end, &error, sizeof(error));
	while (size < 0 && errno == EINTR);
	/* Killed, by the OOM killer for instance. */
	return size == sizeof(error) ? error : ECHILD;
}

static bool is_valid(const struct avfork_opts *opts,
		     const struct avfork_container *container)
{
	size_t i;

	if (opts->namespaces || container->flags & ~(uint64_t)AVFORK_WRITABLE ||
	    opts->flags & (AVFORK_SYNC | AVFORK_SHARE_FDS))
		return false;
	/* No change of the caller's own files, names or ids. */
	if ((container->shared & CLONE_NEWNS &&
	     (container->root || container->nr_binds)) ||
	    (container->shared & CLONE_NEWUTS && container->hostname) ||
	    (container->shared & CLONE_NEWUSER &&
	     (container->nr_uids || container->nr_gids)))
		return false;
	for (i = 0; i < container->nr_binds; i++) {
		const struct avfork_bind *bind = &container->binds[i];

		if (!bind->source || !bind->target || *bind->target != '/' ||
		    bind->flags & ~(uint64_t)AVFORK_WRITABLE)
			return false;
	}
	return true;
}

static pid_t spawn_contained(const struct avfork_opts *asked,
			     struct setup *setup)
{
	struct avfork_opts opts = *asked;
	struct child child = {
		.opts = &opts, .start_routine = contained, .arg = setup,
	};
	struct avfork_fd *grant = fds_extend(&opts, 1);
	int ends[2], error, refused = -1, saved = errno, pidfd = -1;
	pid_t pid = -1;

	if (!grant)
		return -1;
	if (!opts.pidfd)
		opts.pidfd = &pidfd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ||
	    fds_above_stdio(ends))
		goto free_fds;
	setup->end = left_number(asked);
	setup->other = -1;
	if (opts.flags & AVFORK_INHERIT_FDS) {
		setup->end = ends[1] = fd_apart(ends[1], asked->fds, asked->nr_fds);
		setup->other = ends[0] = fd_apart(ends[0], asked->fds, asked->nr_fds);
	}
	/* A grant of a number that was not open is not to be one of our ends. */
	if (ends[0] >= 0 && ends[1] >= 0 && !fds_check_new(asked, ends[0]))
		refused = fds_check_new(asked, ends[1]);
	*grant = (struct avfork_fd) {
		.parent_fd = ends[1], .child_fd = setup->end, .flags = FD_CLOEXEC,
	};
	if (!refused)
		pid = spawn(&child);
	if (ends[1] >= 0)
		syscall(SYS_close, ends[1]);
	if (pid >= 0) {
		error = accompany(pid, *opts.pidfd, ends[0], setup->container);
		if (error) {
			syscall(SYS_pidfd_send_signal, *opts.pidfd, SIGKILL, NULL, 0);
			spawn_undo(&opts, pid);
			pid = -1;
		} else if (pidfd >= 0) {
			syscall(SYS_close, pidfd);
		}
		errno = error ? error : saved;
	}
	error = errno;
	if (ends[0] >= 0)
		syscall(SYS_close, ends[0]);
	errno = error;
free_fds:
	free((void *)opts.fds);
	return pid;
}

pid_t avfork_container(const struct avfork_opts *asked,
		       const struct avfork_container *container,
		       int (*start_routine)(void *), void *arg)
{
	struct avfork_container copy;
	struct avfork_opts opts;
	struct setup setup = {
		.container = &copy, .start_routine = start_routine, .arg = arg,
		.tree.container = &copy,
	};
	pid_t pid = -1;

	if (opts_copy(&opts, asked) ||
	    sized_copy(&copy, sizeof(copy), container, AVFORK_CONTAINER_SIZE_VER0))
		return -1;
	if (!start_routine || !is_valid(&opts, &copy)) {
		errno = EINVAL;
		return -1;
	}
	opts.flags |= AVFORK_ISOLATE | AVFORK_NNP;
	opts.namespaces = copy.shared;
	setup.in_cgroup = opts.flags & AVFORK_INTO_CGROUP;
	setup.tree.has_proc = !(copy.shared & CLONE_NEWPID);
	setup.tree.binds = malloc((copy.nr_binds + 1) * sizeof(int));
	if (setup.tree.binds)
		pid = spawn_contained(&opts, &setup);
	free(setup.tree.binds);
	return pid;
}

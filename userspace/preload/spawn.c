// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * posix_spawn() and its like for programs that know nothing of avfork.
 *
 * The child gets what a forked one would have after its exec: descriptors
 * without FD_CLOEXEC, mask and ignored signals. Close-on-exec descriptors, of
 * which large programs have thousands, stay behind, but for those that a file
 * action needs. It then does, on a stack of its own while the calling thread
 * waits, what libc's child does, in libc's order.
 *
 * Where avfork makes no child, for whatever reason, libc's own function has the
 * last word: no program fails, nor sees another error, because of us. It has it,
 * too, where a path leads to nothing in our child, as that might have led through a
 * descriptor which has stayed behind (/dev/stdin, a link to /proc/self/fd/5). A
 * program that is not there is thus looked for by two children.
 *
 * A signal handler may call this: there is no malloc() and no lock on the way, unless
 * AVFORK_PRELOAD=async is asked for, whose children need a carrier.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../src/device.h"
#include "../src/signals.h"
#include "../src/spawn.h"
#include "../src/strings.h"
#include "actions.h"
#include "active.h"
#include "async.h"
#include "real.h"

#ifndef POSIX_SPAWN_SETCGROUP
#define POSIX_SPAWN_SETCGROUP 0x100
#endif

#define KNOWN_FLAGS (POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | \
		     POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | \
		     POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER | \
		     POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID | \
		     POSIX_SPAWN_SETCGROUP)

/* On the caller's stack, which may be a small one. */
#define GRANTS_MAX 128

/* Since glibc 2.39. */
int posix_spawnattr_getcgroup_np(const posix_spawnattr_t *attr, int *cgroup)
	__attribute__((weak));
int pidfd_spawn(int *pidfd, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr,
		char *const argv[], char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[]);


/**
 * struct attributes - what is to be set in the child, as the kernel is told it
 * @flags:    of posix_spawnattr_setflags(); says which of the others are used
 * @group:    process group
 * @policy:   of scheduling
 * @param:    of scheduling
 * @defaults: signals to handle by default
 * @mask:     signals to block: the attribute, or else what the caller blocks
 * @cgroup:   a descriptor
 */
struct attributes {
	short flags;
	pid_t group;
	int policy;
	struct sched_param param;
	kernel_sigset defaults;
	kernel_sigset mask;
	int cgroup;
};

/**
 * struct job - a call, as the child sees it
 * @file:       the program
 * @path:       the directories to look for it in, or NULL
 * @actions:    file actions
 * @attributes: attributes
 * @argv:       the program's
 * @envp:       the program's
 * @error:      an errno, set by a child that could not exec, ...
 * @again:      ... and whether another could: see actions_perform()
 */
struct job {
	const char *file;
	const char *path;
	const struct actions *actions;
	struct attributes attributes;
	char *const *argv;
	char *const *envp;
	int error;
	bool again;
};

/* libc's set is larger than the kernel's, which it begins with. */
static kernel_sigset kernel_set(const sigset_t *set)
{
	kernel_sigset signals;

	memcpy(&signals, set, sizeof(signals));
	return signals;
}

/* False where there is something that we do not know. */
static bool attributes_read(struct attributes *to, const posix_spawnattr_t *attr)
{
	sigset_t set;

	if (!attr)
		return true;
	posix_spawnattr_getflags(attr, &to->flags);
	if (to->flags & ~KNOWN_FLAGS)
		return false;
	posix_spawnattr_getpgroup(attr, &to->group);
	posix_spawnattr_getschedpolicy(attr, &to->policy);
	posix_spawnattr_getschedparam(attr, &to->param);
	posix_spawnattr_getsigdefault(attr, &set);
	to->defaults = kernel_set(&set);
	posix_spawnattr_getsigmask(attr, &set);
	to->mask = kernel_set(&set);
	if (!(to->flags & POSIX_SPAWN_SETCGROUP))
		return true;
	return posix_spawnattr_getcgroup_np &&
	       !posix_spawnattr_getcgroup_np(attr, &to->cgroup);
}

/*
 * The child's part, by bare system calls; see actions.c.
 */

static long set_scheduler(const struct attributes *attributes)
{
	if (!(attributes->flags & POSIX_SPAWN_SETSCHEDULER))
		return syscall(SYS_sched_setparam, 0, &attributes->param);
	return syscall(SYS_sched_setscheduler, 0, attributes->policy,
		       &attributes->param);
}

static long reset_ids(void)
{
	if (syscall(SYS_setresuid, -1, syscall(SYS_getuid), -1))
		return -1;
	return syscall(SYS_setresgid, -1, syscall(SYS_getgid), -1);
}

/* All but the mask, which comes last. */
static long attributes_set(const struct attributes *attributes)
{
	const short flags = attributes->flags;

	if (flags & POSIX_SPAWN_SETSIGDEF)
		signals_reset(attributes->defaults);
	if (flags & (POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER) &&
	    set_scheduler(attributes))
		return -1;
	if (flags & POSIX_SPAWN_SETSID && syscall(SYS_setsid) < 0)
		return -1;
	if (flags & POSIX_SPAWN_SETPGROUP &&
	    syscall(SYS_setpgid, 0, attributes->group))
		return -1;
	return flags & POSIX_SPAWN_RESETIDS ? reset_ids() : 0;
}

/* The start routine. */
static int child_main(void *arg)
{
	struct job *job = arg;

	if (attributes_set(&job->attributes))
		goto fail;
	if (actions_perform(job->actions, &job->again))
		goto fail;
	signals_mask(&job->attributes.mask, NULL);

	search_exec(job->file, job->path, job->argv, job->envp);
	job->again = job->again && errno == ENOENT;
fail:
	job->error = errno;
	return EXIT_NO_EXEC;
}

/* For a child that the caller does not wait for. */
static size_t job_size(const struct job *job)
{
	char *const names[] = { (char *)job->file, (char *)job->path, NULL };

	return sizeof(*job) + strings_size(names) + strings_size(job->argv) +
	       strings_size(job->envp) + actions_size(job->actions);
}

static void *job_copy(void *to, void *arg)
{
	const struct job *from = arg;
	char *const names[] = { (char *)from->file, (char *)from->path, NULL };
	struct job *job = to;
	char *next = (char *)(job + 1);
	char *const *copies = strings_copy(&next, names);

	*job = *from;
	job->file = copies[0];
	job->path = copies[1];
	job->argv = strings_copy(&next, from->argv);
	job->envp = strings_copy(&next, from->envp);
	job->actions = actions_copy(from->actions, &next);
	return job;
}

/*
 * Receives in @id the child's pid, or a pidfd of the child if @wants_pidfd. 0, or -1 where
 * libc shall make the child. @job->error is not 0 where there is none.
 */
static int make_child(struct job *job, int *id, bool wants_pidfd)
{
	const kernel_sigset all = ALL_SIGNALS;
	struct avfork_fd grants[GRANTS_MAX];
	int pidfd;
	struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = AVFORK_INHERIT_FDS | AVFORK_INHERIT_SIGNALS,
		.pidfd = wants_pidfd ? &pidfd : NULL,
		.fds = grants,
	};
	struct child child = {
		.opts = &opts, .start_routine = child_main, .arg = job,
		.execs = true,
	};
	kernel_sigset mask;
	pid_t pid = -1;
	const short flags = job->attributes.flags;
	int nr;

	nr = actions_grants(job->actions, job->file, grants, GRANTS_MAX);
	if (nr < 0)
		return -1;
	opts.nr_fds = (size_t)nr;
	if (flags & POSIX_SPAWN_SETCGROUP) {
		opts.cgroup_fd = job->attributes.cgroup;
		opts.flags |= AVFORK_INTO_CGROUP;
	}

	/*
	 * The child inherits this. No signal may stop or kill it before it has
	 * the mask and dispositions that it is meant to have.
	 */
	signals_mask(&all, &mask);
	if (!(flags & POSIX_SPAWN_SETSIGMASK))
		job->attributes.mask = mask;
	if (async_may(flags, job->actions, job->file, job->path)) {
		child.copy = job_copy;
		child.copy_size = job_size(job);
		pid = spawn(&child);
		/* As a shell does: the caller may signal the group at once. */
		if (pid > 0 && flags & POSIX_SPAWN_SETPGROUP)
			syscall(SYS_setpgid, pid, job->attributes.group);
	}
	/* Without a carrier: there may be a limit for just one more process. */
	if (pid < 0) {
		opts.flags |= AVFORK_SYNC;
		pid = spawn(&child);
	}
	if (pid > 0 && job->error) {
		while (syscall(SYS_wait4, pid, NULL, __WALL, NULL) < 0 &&
		       errno == EINTR)
			;
		if (wants_pidfd)
			syscall(SYS_close, pidfd);
		if (job->again)
			pid = -1;
	} else if (pid > 0 && id) {
		/* A handler of SIGCHLD may look for it. */
		*id = wants_pidfd ? pidfd : pid;
	} else if (pid < 0 && errno == EMFILE) {
		/* We may have the number that it is short of. */
		device_close(&device_common);
	}
	signals_mask(&mask, NULL);
	return pid < 0 ? -1 : 0;
}

enum { SEARCH = 1, PIDFD = 2 };

/* All four have the same prototype, pid_t being an int. */
typedef __typeof__(posix_spawn) spawn_fn;

static spawn_fn *real_spawn(unsigned int how)
{
	switch (how) {
	case 0:
		return REAL(posix_spawn);
	case SEARCH:
		return REAL(posix_spawnp);
	case PIDFD:
		return REAL(pidfd_spawn);
	default:
		return REAL(pidfd_spawnp);
	}
}

/* As posix_spawn(), or -1 where libc shall do it. */
static int try_spawn(unsigned int how, int *id, struct job *job,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr)
{
	job->actions = actions_of(actions);
	if (!job->actions || !is_active() ||
	    !attributes_read(&job->attributes, attr))
		return -1;
	if (how & SEARCH) {
		const char *path = getenv("PATH");

		job->path = path ? path : SEARCH_DEFAULT;
	}
	return make_child(job, id, how & PIDFD) ? -1 : job->error;
}

static int interposed(unsigned int how, int *id, const char *file,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attr, char *const argv[],
		      char *const envp[])
{
	struct job job = { .file = file, .argv = argv, .envp = envp };
	int cancel, error, saved = errno;
	spawn_fn *real;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	error = try_spawn(how, id, &job, actions, attr);
	pthread_setcancelstate(cancel, NULL);
	if (error < 0) {
		real = real_spawn(how);
		errno = saved;
		error = real ? real(id, file, actions, attr, argv, envp) :
			       ENOSYS;
	}
	errno = saved;
	return error;
}

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr,
		char *const argv[], char *const envp[])
{
	return interposed(0, pid, path, actions, attr, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[])
{
	return interposed(SEARCH, pid, file, actions, attr, argv, envp);
}

int pidfd_spawn(int *pidfd, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr,
		char *const argv[], char *const envp[])
{
	return interposed(PIDFD, pidfd, path, actions, attr, argv, envp);
}

int pidfd_spawnp(int *pidfd, const char *file,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr,
		 char *const argv[], char *const envp[])
{
	return interposed(PIDFD | SEARCH, pidfd, file, actions, attr, argv,
			  envp);
}

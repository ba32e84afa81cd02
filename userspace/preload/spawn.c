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
 * last word: no program fails, nor sees another error, because of us.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../src/search.h"
#include "actions.h"
#include "../src/guest.h"

#ifndef POSIX_SPAWN_SETCGROUP
#define POSIX_SPAWN_SETCGROUP 0x100
#endif

#define KNOWN_FLAGS (POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | \
		     POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | \
		     POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER | \
		     POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID | \
		     POSIX_SPAWN_SETCGROUP)

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

/* All four have the same prototype, pid_t being an int. */
typedef __typeof__(posix_spawn) spawn_fn;

static const struct actions no_actions;

/**
 * struct job - a call, as the child sees it
 * @file:    the program
 * @search:  look for @file in PATH
 * @actions: file actions
 * @attr:    attributes, not read where @flags is 0
 * @flags:   those of @attr
 * @argv:    the program's
 * @envp:    the program's
 * @mask:    the caller's signal mask, all being blocked meanwhile
 * @error:   an errno, set by a child that could not exec
 */
struct job {
	const char *file;
	bool search;
	const struct actions *actions;
	const posix_spawnattr_t *attr;
	short flags;
	char *const *argv;
	char *const *envp;
	sigset_t mask;
	int error;
};

static void set_default_signals(const posix_spawnattr_t *attr)
{
	sigset_t set;
	int signal;

	posix_spawnattr_getsigdefault(attr, &set);
	for (signal = 1; signal < NSIG; signal++) {
		/* It is no error to name SIGKILL, or a signal of libc's own. */
		if (sigismember(&set, signal) == 1)
			sigaction(signal, &(struct sigaction){
				.sa_handler = SIG_DFL }, NULL);
	}
}

static int set_scheduler(const posix_spawnattr_t *attr, short flags)
{
	struct sched_param param;
	int policy;

	posix_spawnattr_getschedparam(attr, &param);
	if (!(flags & POSIX_SPAWN_SETSCHEDULER))
		return sched_setparam(0, &param);
	posix_spawnattr_getschedpolicy(attr, &policy);
	return sched_setscheduler(0, policy, &param);
}

/* The bare calls: libc's would have all threads of our parent do the same. */
static int reset_ids(void)
{
	if (syscall(SYS_setresuid, -1, getuid(), -1))
		return -1;
	return syscall(SYS_setresgid, -1, getgid(), -1);
}

/* All but the mask, which comes last. */
static int set_attributes(const posix_spawnattr_t *attr, short flags)
{
	pid_t pgroup;

	if (flags & POSIX_SPAWN_SETSIGDEF)
		set_default_signals(attr);
	if (flags & (POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER) &&
	    set_scheduler(attr, flags))
		return -1;
	if (flags & POSIX_SPAWN_SETSID && setsid() < 0)
		return -1;
	if (flags & POSIX_SPAWN_SETPGROUP) {
		posix_spawnattr_getpgroup(attr, &pgroup);
		if (setpgid(0, pgroup))
			return -1;
	}
	return flags & POSIX_SPAWN_RESETIDS ? reset_ids() : 0;
}

/* The start routine. */
static int child(void *arg)
{
	const char *path = getenv("PATH");
	struct job *job = arg;

	if (set_attributes(job->attr, job->flags) ||
	    actions_perform(job->actions))
		goto fail;
	if (job->flags & POSIX_SPAWN_SETSIGMASK)
		posix_spawnattr_getsigmask(job->attr, &job->mask);
	pthread_sigmask(SIG_SETMASK, &job->mask, NULL);

	if (job->search)
		search_exec(job->file, path ? path : SEARCH_DEFAULT,
			    job->argv, job->envp);
	else
		execve(job->file, job->argv, job->envp);
fail:
	job->error = errno;
	return 127;
}

/* The child's pid, 0 with @job->error, or -1 where none could be made. */
static pid_t spawn(struct job *job, int *pidfd)
{
	struct avfork_opts opts = {
		.size = sizeof(opts),
		.flags = AVFORK_SYNC | AVFORK_INHERIT_FDS |
			 AVFORK_INHERIT_SIGNALS,
		.pidfd = pidfd,
	};
	struct avfork_fd *grants;
	sigset_t all, mask;
	pid_t pid;

	if (job->flags & ~KNOWN_FLAGS || is_guest())
		return -1;
	if (job->flags & POSIX_SPAWN_SETCGROUP) {
		if (!posix_spawnattr_getcgroup_np)
			return -1;
		posix_spawnattr_getcgroup_np(job->attr, &opts.cgroup_fd);
		opts.flags |= AVFORK_INTO_CGROUP;
	}
	grants = calloc(job->actions->used + 1, sizeof(*grants));
	if (!grants)
		return -1;
	opts.fds = grants;
	opts.nr_fds = actions_grants(job->actions, job->file, grants);

	/*
	 * The child inherits this. No signal may stop or kill it before it has
	 * the mask and dispositions that it is meant to have.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	job->mask = mask;
	pid = avfork_with(&opts, child, job);
	if (pid > 0 && job->error) {
		avfork_waitpid(pid, NULL, 0);
		if (pidfd)
			close(*pidfd);
		pid = 0;
	}
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	free(grants);
	return pid;
}

/* As libc's @real does it. */
static int spawn_by_libc(spawn_fn *real, int *id, const struct job *job)
{
	posix_spawn_file_actions_t actions;
	int error;

	error = actions_for_libc(job->actions, &actions);
	if (error)
		return error;
	error = real(id, job->file, &actions, job->attr, job->argv, job->envp);
	REAL(posix_spawn_file_actions_destroy)(&actions);
	return error;
}

enum { SEARCH = 1, PIDFD = 2 };

/* libc's function of the name that @how stands for. */
static spawn_fn *real_spawn(unsigned int how)
{
	static const char *const names[] = {
		[0] = "posix_spawn",
		[SEARCH] = "posix_spawnp",
		[PIDFD] = "pidfd_spawn",
		[PIDFD | SEARCH] = "pidfd_spawnp",
	};

	return dlsym(RTLD_NEXT, names[how]);
}

static int interposed(unsigned int how, int *id, const char *file,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attr, char *const argv[],
		      char *const envp[])
{
	struct job job = {
		.file = file,
		.search = how & SEARCH,
		.actions = actions ? actions_ours(actions) : &no_actions,
		.attr = attr,
		.argv = argv,
		.envp = envp,
	};
	int cancel, error, saved = errno;
	spawn_fn *real;
	pid_t pid;

	if (!job.actions) {
		real = real_spawn(how);
		return real ? real(id, file, actions, attr, argv, envp) :
			      ENOSYS;
	}
	if (attr)
		posix_spawnattr_getflags(attr, &job.flags);

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pid = spawn(&job, how & PIDFD ? id : NULL);
	error = job.error;
	if (pid < 0) {
		real = real_spawn(how);
		error = real ? spawn_by_libc(real, id, &job) : ENOSYS;
	} else if (!error && id && !(how & PIDFD)) {
		*id = pid;
	}
	pthread_setcancelstate(cancel, NULL);
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

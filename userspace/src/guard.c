// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A child is hidden from wait() by an exit signal that is not SIGCHLD, but
 * Linux sets that back when the child execs. So such a child gets a guardian:
 * a process that never execs and so stays hidden, shares our memory as any
 * child does, makes the wanted child, reaps that, notes how it ended and ends as
 * well. A wait for the child is then one for the guardian.
 *
 * A guardian is made by a keeper and killed with it, so a guardian never keeps the
 * memory of a process that has ended or exec'd.
 */
#include <avfork.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier.h"
#include "clone.h"
#include "fds.h"
#include "guard.h"
#include "memory.h"
#include "sanitizer.h"

/* Hidden children at a time, from their birth until they are reaped. */
#define GUARDS 16384

/**
 * struct guard - a guardian and its child
 * @used:     whether this is one; the rest is the maker's until @guardian is set
 * @opts:     the child's, for clone_start(), with its @carrier and @prelude
 * @pid:      the child's, 0 while there is none. By the kernel, so that the pid can
 *            be told even when the guardian is killed
 * @error:    why there is no child: EAGAIN, as if for want of processes, until the
 *            guardian says otherwise
 * @died:     set when the child has died, before it is reaped
 * @status:   how the child ended, as waitpid(2) has it: SIGKILL until the guardian
 *            says otherwise
 * @guardian: the guardian's pid, by the kernel as well: another thread may reap the
 *            guardian before we know it
 * @loan:     of the guardian: STARTING until it has tried to make the child, SEEN
 *            when the caller knows the child, which may then be reaped
 */
struct guard {
	bool used;
	struct avfork_opts opts;
	struct carrier carrier;
	struct prelude *prelude;
	_Atomic pid_t pid;
	int error;
	atomic_bool died;
	int status;
	_Atomic pid_t guardian;
	struct loan loan;
};

/**
 * struct guards - those of this process
 * @lock:   for which of @guards are used
 * @end:    none from here on ever was
 * @guards: a guard is given back by whoever has reaped its guardian; only one can
 */
struct guards {
	pthread_mutex_t lock;
	unsigned int end;
	struct guard guards[GUARDS];
};

static void *_Atomic the_guards;

/* NULL with errno EAGAIN or ENOMEM. */
static struct guard *guard_get(void)
{
	struct guards *guards = wiped_get(&the_guards, sizeof(*guards));
	struct guard *guard, *end;

	if (!guards)
		return NULL;
	pthread_mutex_lock(&guards->lock);
	end = guards->guards + GUARDS;
	for (guard = guards->guards; guard < end && guard->used; guard++)
		;
	if (guard < end) {
		*guard = (struct guard) {
			.used = true, .error = EAGAIN, .status = SIGKILL,
		};
		if (guards->end <= guard - guards->guards)
			guards->end = guard - guards->guards + 1;
	}
	pthread_mutex_unlock(&guards->lock);
	if (guard < end)
		return guard;
	errno = EAGAIN;
	return NULL;
}

static void guard_put(struct guard *guard)
{
	struct guards *guards = atomic_load(&the_guards);

	pthread_mutex_lock(&guards->lock);
	guard->used = false;
	pthread_mutex_unlock(&guards->lock);
}

/**
 * struct found - a guard and its two pids when it was found: another thread may reap
 *                the guardian since, and the guard be another child's
 */
struct found {
	struct guard *guard;
	pid_t pid;
	pid_t guardian;
};

/* The guard that @is is true of; ->guard is NULL for none. */
static struct found guard_find(bool (*is)(const struct guard *guard, pid_t pid),
			       pid_t pid)
{
	struct guards *guards = atomic_load(&the_guards);
	struct found found = { .guard = NULL };
	unsigned int i;

	if (!guards)
		return found;
	tsan_after(&the_guards);
	pthread_mutex_lock(&guards->lock);
	for (i = 0; i < guards->end && !found.guard; i++) {
		struct guard *guard = &guards->guards[i];

		if (guard->used && is(guard, pid))
			found = (struct found) {
				guard, guard->pid, guard->guardian,
			};
	}
	pthread_mutex_unlock(&guards->lock);
	return found;
}

static bool child_is(const struct guard *guard, pid_t pid)
{
	return guard->pid == pid;
}

static bool guardian_is(const struct guard *guard, pid_t pid)
{
	return guard->guardian == pid;
}

/*
 * A pidfd of the child @pid, or -1. Until a guardian says that its child has died,
 * no other process has that pid; so this is the child's if that is still so after.
 */
static int child_pidfd(const struct guard *guard, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0 && atomic_load(&guard->died)) {
		syscall(SYS_close, pidfd);
		pidfd = -1;
	}
	return pidfd;
}

/*
 * Whether the child has died, which a pidfd shows a moment before its guardian can
 * be waited for. @group: false unless that is the guardian's process group; 0: any.
 */
static bool child_died(const struct guard *guard, pid_t group)
{
	const struct timespec now = { 0 };
	struct pollfd poll = { .events = POLLIN };
	pid_t pid = guard->pid;

	if (!pid || (group && getpgid(guard->guardian) != group))
		return false;
	poll.fd = child_pidfd(guard, pid);
	if (poll.fd >= 0) {
		syscall(SYS_ppoll, &poll, 1, &now, NULL, 0);
		syscall(SYS_close, poll.fd);
	}
	return poll.revents || atomic_load(&guard->died);
}

/* The guardian's start routine. All signals are blocked. */
static int guardian(void *arg)
{
	struct guard *guard = arg;
	/* Once the child runs, its carrier may soon be another's. */
	const struct loan child = guard->carrier.loan;
	siginfo_t info;

	syscall(SYS_prctl, PR_SET_NAME, "avfork-guardian");
	/* The guardian would not be told of a child's end that it ignores. */
	guard->prelude->ignore_child = signals_set(SIGCHLD, SIG_DFL) == SIG_IGN;
	/*
	 * Where the caller has chosen another pid namespace for its children
	 * getppid() is 0, and a pid of that namespace would mean nothing to the
	 * caller.
	 */
	if (syscall(SYS_getppid)) {
		if (clone_start(&guard->opts, SIGCHLD, &guard->carrier,
				guard->prelude, &guard->pid) < 0)
			guard->error = errno;
		else
			loan_wait_while(&child, LOAN_STARTING);
	}
	/* The child has what was granted; here it would keep pipes open. */
	if (!(guard->opts.flags & AVFORK_SHARE_FDS) ||
	    !syscall(SYS_unshare, CLONE_FILES))
		close_from(0);
	loan_set(&guard->loan, 0);
	if (!guard->pid)
		return 0;

	loan_wait_while(&guard->loan, 0);
	/* A child that has itself traced is seen to stop, too. */
	while (!guard->died &&
	       !syscall(SYS_waitid, P_PID, guard->pid, &info, WEXITED | WNOWAIT,
			NULL)) {
		guard->died = info.si_code == CLD_EXITED ||
			      info.si_code == CLD_KILLED ||
			      info.si_code == CLD_DUMPED;
		syscall(SYS_wait4, guard->pid, &guard->status, 0, NULL);
	}
	return 0;
}

/* Make the guardian, which makes the child. 0 or -1 with errno. */
static int guardian_make(struct guard *guard, const struct child *child)
{
	/* What the child is granted is granted to the guardian, who passes it on. */
	const struct avfork_opts opts = {
		.flags = AVFORK_AUTOKILL | AVFORK_INHERIT_SIGNALS |
			 (child->opts->flags &
			  (AVFORK_STDIO | AVFORK_INHERIT_FDS |
			   AVFORK_SHARE_FDS | AVFORK_INTO_CGROUP)),
		.fds = child->opts->fds,
		.nr_fds = child->opts->nr_fds,
		.cgroup_fd = child->opts->cgroup_fd,
	};
	const struct child guarded = {
		.opts = &opts, .start_routine = guardian, .arg = guard,
		.execs = true, .mask = ALL_SIGNALS,
	};

	return carrier_spawn_own(&guarded, &guard->loan, &guard->guardian) < 0 ?
	       -1 : 0;
}

/* The child, on a carrier that is not lent to it yet: 0, or -1 with errno. */
static int child_prepare(struct guard *guard, struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	struct child guarded = *child;

	guard->opts = (struct avfork_opts) {
		.flags = opts->flags & AVFORK_SHARE_FDS ? AVFORK_SHARE_FDS :
							  AVFORK_INHERIT_FDS,
		.namespaces = opts->namespaces,
		.stack = opts->stack,
		.stack_size = opts->stack_size,
	};
	guard->opts.flags |= opts->flags & (AVFORK_SYNC | AVFORK_AUTOKILL |
					    AVFORK_INHERIT_SIGNALS |
					    AVFORK_NNP);
	guarded.opts = &guard->opts;
	if (pool_get(&guard->carrier, prelude_stack_size(&guarded)))
		return -1;
	guard->prelude = prelude_put_grants(&guard->carrier, &guarded);
	if (!guard->prelude) {
		pool_put(&guard->carrier.loan);
		return -1;
	}
	/* The guardian waits for a child that is to die with it, and so do we. */
	if (opts->flags & AVFORK_AUTOKILL)
		loan_set(&guard->carrier.loan, LOAN_STARTING);
	child->loan = guard->carrier.loan;
	return 0;
}

pid_t guard_spawn(struct child *child)
{
	struct guard *guard = guard_get();
	struct loan loan;
	int error = 0;
	pid_t pid;

	if (!guard)
		return -1;
	if (child_prepare(guard, child))
		goto put_guard;
	if (guardian_make(guard, child))
		goto put_child;

	/* The kernel ends it should the guardian be killed; then anyone may reap that. */
	loan = guard->loan;
	loan_wait_while(&loan, LOAN_STARTING);
	pid = guard->pid;
	if (!pid) {
		/* ECHILD: a wait for any child was faster. */
		while (syscall(SYS_wait4, guard->guardian, NULL, __WALL,
			       NULL) < 0 && errno == EINTR)
			;
		errno = guard->error;
		goto put_child;
	}

	if (child->opts->pidfd) {
		*child->opts->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (*child->opts->pidfd < 0)
			error = errno;
	}
	/* Without a pidfd, as if there had been no child. */
	if (error)
		kill(pid, SIGKILL);
	/* A guardian that was killed has not waited for this. */
	if (child->opts->flags & AVFORK_SYNC)
		loan_wait_end(&child->loan);
	loan_step(&loan, 0, LOAN_SEEN);
	if (!error)
		return pid;
	guard_reap(pid);
	errno = error;
	return -1;

put_child:
	pool_put_failed(&guard->carrier.loan);
put_guard:
	guard_put(guard);
	return -1;
}

/*
 * Wait for the guardian of @found: the child's pid with its *@status, 0 or -1.
 * ECHILD: another thread was faster.
 */
static pid_t wait_guard(const struct found *found, int *status, int options)
{
	pid_t pid = waitpid(found->guardian, status, options | __WALL);

	/* The program may have seen by a pidfd that the child has died. */
	if (!pid && child_died(found->guard, 0))
		pid = waitpid(found->guardian, status,
			      (options & ~WNOHANG) | __WALL);
	if (pid <= 0)
		return pid;
	/* Or the guardian was stopped, or continued. */
	if (WIFEXITED(*status) || WIFSIGNALED(*status)) {
		*status = found->guard->status;
		guard_put(found->guard);
	}
	return found->pid;
}

/*
 * Wait for any child, or unless @group is 0 for any of that, as waitpid(2), but reap
 * none: its pid, 0 or -1.
 */
static pid_t look(pid_t group, int options)
{
	siginfo_t info = { .si_pid = 0 };

	/* What waitid(2) takes and waitpid(2) does not. */
	if (options & (WEXITED | WNOWAIT)) {
		errno = EINVAL;
		return -1;
	}
	if (waitid(group ? P_PGID : P_ALL, (id_t)group, &info,
		   options | WEXITED | WNOWAIT | __WALL))
		return -1;
	return info.si_pid;
}

/*
 * Another thread may reap what look() has found, and the guard be gone then: what
 * is left is a wait that fails with ECHILD, and one more look.
 */
static pid_t wait_any(pid_t pid, int *status, int options)
{
	/* Without overflow; waitid(2) refuses what is no group. */
	const pid_t group = pid == -1 ? 0 : pid ? (pid_t)(0U - (id_t)pid) :
						  getpgrp();

	for (;;) {
		pid_t dead = look(group, options);
		struct found found;

		if (dead < 0)
			return dead;
		found = dead ? guard_find(guardian_is, dead) :
			       guard_find(child_died, group);
		if (!dead && !found.guard)
			return 0;
		/* A guardian without a child is its maker's. */
		if (found.guard && !found.pid)
			continue;
		dead = found.guard ?
		       wait_guard(&found, status, options | WNOHANG) :
		       waitpid(dead, status, options | __WALL | WNOHANG);
		if (dead > 0 || (dead < 0 && errno != ECHILD))
			return dead;
	}
}

pid_t guard_waitpid(pid_t pid, int *status, int options)
{
	struct found found;
	int its_status = 0;

	/* A child's own children are none of these, nor is its life ours. */
	if (!atomic_load(&the_guards) || is_child())
		return waitpid(pid, status, options | __WALL);
	if (pid <= 0) {
		pid = wait_any(pid, &its_status, options);
	} else {
		found = guard_find(child_is, pid);
		pid = found.guard ? wait_guard(&found, &its_status, options) :
				    waitpid(pid, &its_status, options | __WALL);
	}
	if (pid > 0 && status)
		*status = its_status;
	return pid;
}

pid_t avfork_waitpid(pid_t pid, int *status, int options)
{
	pid = guard_waitpid(pid, status, options);
	tsan_after(&tsan_child_ends);
	return pid;
}

void guard_watch(pid_t pid)
{
	const struct found found = guard_find(child_is, pid);
	siginfo_t info;

	if (found.guard)
		pid = found.guardian;
	/* ECHILD: somebody has reaped it. */
	while (waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL) &&
	       errno == EINTR)
		;
}

void guard_reap(pid_t pid)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	/* ECHILD: somebody's wait for any child has got it. */
	while (guard_waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	pthread_setcancelstate(cancel, NULL);
}

void guard_kill(pid_t pid)
{
	const struct found found = guard_find(child_is, pid);
	int pidfd;

	/* Before it is reaped, which is up to us, no other process has its pid. */
	if (!found.guard) {
		kill(pid, SIGKILL);
		return;
	}
	pidfd = child_pidfd(found.guard, pid);
	if (pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		syscall(SYS_close, pidfd);
	}
}

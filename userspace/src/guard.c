// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A child is hidden from wait() by an exit signal that is not SIGCHLD, but
 * Linux sets that back when the child execs. So such a child gets a guardian:
 * a process that never execs and so stays hidden, shares our memory as any
 * child does, makes the wanted child, reaps it, notes how it ended and ends as
 * well. A wait for the child is then one for the guardian.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "futex.h"
#include "guard.h"
#include "spawn.h"
#include "wiped.h"

/**
 * struct guard - a guardian and its child
 * @next:     in the list of all
 * @opts:     the child's, for clone_start()
 * @carrier:  the child's
 * @start:    the child's
 * @parent:   our pid
 * @pid:      the child's, 0 while there is none. By the kernel, so that it can
 *            be told even when the guardian is killed
 * @error:    why there is none. As if for want of processes, as long as the
 *            guardian has said nothing else
 * @status:   how it has ended, as waitpid(2) has it; in the same way, as if
 *            killed
 * @guardian: the guardian's pid, by the kernel as well: another thread may reap
 *            it before we know it
 * @lent:     the word of the guardian's carrier; a futex
 * @ticket:   what that holds until the guardian has tried; then one more
 * @seen:     set when the caller knows the child, which may then be reaped. A
 *            futex
 * @waiters:  calls that use this
 * @reaped:   the guardian is no more: the last of these frees this
 */
struct guard {
	struct guard *next;
	struct avfork_opts opts;
	struct carrier *carrier;
	struct start *start;
	pid_t parent;
	_Atomic pid_t pid;
	int error;
	int status;
	_Atomic pid_t guardian;
	_Atomic uint32_t *lent;
	uint32_t ticket;
	_Atomic uint32_t seen;
	unsigned int waiters;
	bool reaped;
};

/**
 * struct guards - those of this process
 * @lock:  protects the list, and waiters and reaped of its members
 * @first: the first
 */
struct guards {
	pthread_mutex_t lock;
	struct guard *first;
};

static void *_Atomic the_guards;

/* The guardian's start routine. All signals are blocked. */
static int guardian(void *arg)
{
	const struct timespec second = { .tv_sec = 1 };
	struct guard *guard = arg;
	/* Once the child runs, its carrier may soon be another's. */
	_Atomic uint32_t *lent = guard->carrier->lent;
	const uint32_t ticket = guard->carrier->ticket;

	/*
	 * Where the caller has chosen another pid namespace for its children
	 * getppid() is 0, and a pid of that namespace would mean nothing to the
	 * caller.
	 */
	if (getppid() == guard->parent) {
		if (clone_start(&guard->opts, SIGCHLD, guard->carrier,
				guard->start, &guard->pid) < 0)
			guard->error = errno;
		else
			futex_wait_while(lent, ticket + 1);
	}
	prctl(PR_SET_NAME, "avfork-guardian");
	/* The child has what was granted; here it would keep pipes open. */
	closefrom(0);
	atomic_store(guard->lent, guard->ticket + 1);
	futex_wake(guard->lent);
	if (!guard->pid)
		return 0;

	/* No event tells of the parent's end; it may be another thread's. */
	while (!atomic_load(&guard->seen) && getppid() == guard->parent)
		futex_wait_for(&guard->seen, 0, &second);
	waitpid(guard->pid, &guard->status, 0);
	return 0;
}

/* Make the guardian, which makes the child. 0 or -1 with errno. */
static int guardian_make(struct guard *guard, const struct child *child)
{
	struct avfork_opts opts = {
		.flags = child->opts->flags & AVFORK_INTO_CGROUP,
		.cgroup_fd = child->opts->cgroup_fd,
	};
	/* With AVFORK_AUTOKILL it ends with us, and its child with it. */
	struct avfork_opts granted = *child->opts;
	const struct child guarded = {
		.opts = &granted, .start_routine = guardian, .arg = guard,
	};
	struct carrier *carrier = pool_get(&opts);
	struct start *start;

	if (!carrier)
		return -1;
	/* Where SIGCHLD is ignored it would not be told how its child ended. */
	granted.flags &= ~AVFORK_INHERIT_SIGNALS;
	start = start_new(&guarded);
	if (!start)
		goto put_carrier;
	/* Nothing but the end of its child is to end it. */
	start->mask = ~0ULL;
	carrier->start = start;
	guard->lent = carrier->lent;
	guard->ticket = carrier->ticket;
	if (clone_start(&opts, 0, carrier, start, &guard->guardian) >= 0)
		return 0;
	free(start);
put_carrier:
	pool_put(carrier);
	return -1;
}

/* For a carrier that is not lent yet: 0, or -1 with errno. */
static int child_prepare(struct guard *guard, struct child *child)
{
	const struct avfork_opts *opts = child->opts;
	const struct child guarded = {
		.opts = &guard->opts,
		.start_routine = child->start_routine,
		.arg = child->arg,
	};

	/* What is granted is all that the guardian has. */
	guard->opts = (struct avfork_opts) {
		.flags = AVFORK_INHERIT_FDS |
			 (opts->flags & (AVFORK_SYNC | AVFORK_INHERIT_SIGNALS |
					 AVFORK_AUTOKILL | AVFORK_NNP)),
		.namespaces = opts->namespaces,
		.stack = opts->stack,
		.stack_size = opts->stack_size,
	};
	guard->carrier = pool_get(&guard->opts);
	if (!guard->carrier)
		return -1;
	guard->start = start_new(&guarded);
	if (!guard->start) {
		pool_put(guard->carrier);
		return -1;
	}
	/* The guardian waits for it, and so do we. */
	if (opts->flags & AVFORK_AUTOKILL)
		start_tells(guard->start, guard->carrier->lent,
			    guard->carrier->ticket);
	guard->carrier->start = guard->start;
	guard->carrier->owned = child->owned;
	child->lent = guard->carrier->lent;
	child->ticket = guard->carrier->ticket;
	return 0;
}

/* It stays until list_put(). */
static void list_add(struct guards *guards, struct guard *guard)
{
	guard->waiters = 1;
	pthread_mutex_lock(&guards->lock);
	guard->next = guards->first;
	guards->first = guard;
	pthread_mutex_unlock(&guards->lock);
}

/*
 * The guard whose child, or whose guardian, is @pid: it stays until list_put().
 * NULL if there is none.
 */
static struct guard *list_get(struct guards *guards, pid_t pid, bool guardian)
{
	struct guard *guard;

	pthread_mutex_lock(&guards->lock);
	for (guard = guards->first; guard; guard = guard->next) {
		if (!guard->reaped &&
		    (guardian ? guard->guardian : guard->pid) == pid) {
			guard->waiters++;
			break;
		}
	}
	pthread_mutex_unlock(&guards->lock);
	return guard;
}

static void list_put(struct guards *guards, struct guard *guard, bool reaped)
{
	struct guard **link = &guards->first;
	bool last;

	pthread_mutex_lock(&guards->lock);
	guard->reaped |= reaped;
	last = !--guard->waiters && guard->reaped;
	if (last) {
		while (*link != guard)
			link = &(*link)->next;
		*link = guard->next;
	}
	pthread_mutex_unlock(&guards->lock);
	if (last)
		free(guard);
}

pid_t guard_spawn(struct child *child)
{
	struct guards *guards = wiped_get(&the_guards, sizeof(*guards));
	struct guard *guard;
	int error = 0;
	pid_t pid;

	if (!guards)
		return -1;
	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return -1;
	guard->parent = getpid();
	guard->error = EAGAIN;
	guard->status = SIGKILL;
	if (child_prepare(guard, child)) {
		free(guard);
		return -1;
	}
	/* Another thread may wait for any child. */
	list_add(guards, guard);
	if (guardian_make(guard, child))
		goto put_child;

	/* The kernel clears it should the guardian be killed. */
	futex_wait_while(guard->lent, guard->ticket);
	pid = guard->pid;
	if (!pid) {
		/* No cancellation. ECHILD: a wait for any child was faster. */
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
		futex_wait_while(child->lent, child->ticket);
	atomic_store(&guard->seen, 1);
	futex_wake(&guard->seen);
	if (error)
		guard_reap(pid);
	list_put(guards, guard, false);
	if (!error)
		return pid;
	child->owned = NULL;
	errno = error;
	return -1;

put_child:
	free(guard->start);
	pool_put(guard->carrier);
	list_put(guards, guard, true);
	return -1;
}

/**
 * struct wait - a wait that goes on
 * @guards:  the list
 * @guard:   one of it that is held, or NULL
 * @pid:     as for waitpid(2)
 * @options: as well
 * @found:   its result
 * @status:  valid where that is a pid
 */
struct wait {
	struct guards *guards;
	struct guard *guard;
	pid_t pid;
	int options;
	pid_t found;
	int status;
};

static void wait_cancelled(void *arg)
{
	const struct wait *wait = arg;

	if (wait->guard)
		list_put(wait->guards, wait->guard, false);
}

/* Of any child or any of a group: as waitpid(2), but nothing is reaped. */
static pid_t look(const struct wait *wait)
{
	id_t group = wait->pid ? 0U - (id_t)wait->pid : (id_t)getpgrp();
	siginfo_t info = { .si_pid = 0 };

	/* What waitid(2) takes and waitpid(2) does not. */
	if (wait->options & (WEXITED | WNOWAIT)) {
		errno = EINVAL;
		return -1;
	}
	if (waitid(wait->pid == -1 ? P_ALL : P_PGID, group, &info,
		   wait->options | WEXITED | WNOWAIT | __WALL))
		return -1;
	return info.si_pid;
}

/* Have a result that is about a guardian be about its child. */
static void tell_of_child(struct wait *wait)
{
	struct guard *guard = wait->guard;
	/* Or it has been stopped, or continued. */
	bool dead = wait->found > 0 &&
		    (WIFEXITED(wait->status) || WIFSIGNALED(wait->status));
	/* Another wait with __WALL has been faster. */
	bool gone = wait->found < 0 && errno == ECHILD &&
		    !(wait->options & __WNOTHREAD);

	if (wait->found > 0)
		wait->found = guard->pid;
	if (dead)
		wait->status = guard->status;
	list_put(wait->guards, guard, dead || gone);
	wait->guard = NULL;
}

/*
 * Return: whether there is a result. Whoever reaps a guardian holds its guard
 * before that: if another thread, which finds it gone, took the guard off the
 * list first, the guardian would pass for an ordinary child here.
 */
static bool wait_once(struct wait *wait)
{
	bool any = wait->pid <= 0;
	pid_t pid = any ? look(wait) : wait->pid;

	wait->found = pid;
	if (pid <= 0)
		return true;
	wait->guard = list_get(wait->guards, pid, any);
	if (wait->guard)
		pid = wait->guard->guardian;
	wait->found = waitpid(pid, &wait->status,
			      wait->options | __WALL | (any ? WNOHANG : 0));
	if (wait->guard)
		tell_of_child(wait);
	/* Another thread was faster, or that was a guardian without a child. */
	return !any || wait->found > 0 ||
	       (wait->found < 0 && errno != ECHILD);
}

pid_t guard_waitpid(pid_t pid, int *status, int options)
{
	struct wait wait = {
		.guards = atomic_load(&the_guards), .pid = pid, .options = options,
	};

	/* A child's own children are none of these, nor is its life ours. */
	if (!wait.guards || spawn_in_child())
		return waitpid(pid, status, options | __WALL);

	pthread_cleanup_push(wait_cancelled, &wait);
	while (!wait_once(&wait))
		;
	pthread_cleanup_pop(0);
	if (wait.found > 0 && status)
		*status = wait.status;
	return wait.found;
}

void guard_watch(pid_t pid)
{
	struct guards *guards = atomic_load(&the_guards);
	struct guard *guard = guards ? list_get(guards, pid, false) : NULL;
	siginfo_t info;

	/* ECHILD: somebody has reaped it. */
	while (waitid(P_PID, guard ? guard->guardian : pid, &info,
		      WEXITED | WNOWAIT | __WALL) && errno == EINTR)
		;
	if (guard)
		list_put(guards, guard, false);
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

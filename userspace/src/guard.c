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
 * @pid:      the child's; -1 if there is none, 0 while it is not known
 * @error:    why there is none
 * @status:   how it has ended, as waitpid(2) has it. As if killed, as long as
 *            the guardian has said nothing else
 * @guardian: the guardian's pid
 * @lent:     the word of the guardian's carrier; a futex
 * @ticket:   what that holds until @pid has been set; then one more
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
	pid_t pid;
	int error;
	int status;
	pid_t guardian;
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

	/*
	 * In the pid namespace that the caller has chosen for its children: a
	 * pid would mean nothing to the caller.
	 */
	guard->pid = -1;
	guard->error = EAGAIN;
	if (getppid() == guard->parent) {
		guard->pid = clone_start(&guard->opts, SIGCHLD, guard->carrier,
					 guard->start);
		guard->error = errno;
	}
	prctl(PR_SET_NAME, "avfork-guardian");
	/* The child has what was granted; here it would keep pipes open. */
	closefrom(0);
	atomic_store(guard->lent, guard->ticket + 1);
	futex_wake(guard->lent);
	if (guard->pid < 0)
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
	const struct child guarded = {
		.opts = child->opts, .start_routine = guardian, .arg = guard,
	};
	struct carrier *carrier = pool_get(&opts);
	struct start *start;

	if (!carrier)
		return -1;
	start = start_new(&guarded);
	if (!start)
		goto put_carrier;
	/* Nothing but the end of its child is to end it. */
	start->mask = ~0ULL;
	carrier->start = start;
	guard->lent = carrier->lent;
	guard->ticket = carrier->ticket;
	guard->guardian = clone_start(&opts, 0, carrier, start);
	if (guard->guardian >= 0)
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
			 (opts->flags & (AVFORK_SYNC | AVFORK_INHERIT_SIGNALS)),
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
	guard->carrier->start = guard->start;
	guard->carrier->owned = child->owned;
	child->lent = guard->carrier->lent;
	child->ticket = guard->carrier->ticket;
	return 0;
}

static void list_add(struct guards *guards, struct guard *guard)
{
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
	guard->status = SIGKILL;
	if (child_prepare(guard, child))
		goto free_guard;
	if (guardian_make(guard, child))
		goto put_child;

	/* The kernel clears it should the guardian be killed. */
	futex_wait_while(guard->lent, guard->ticket);
	pid = guard->pid;
	if (pid <= 0) {
		guard_reap(guard->guardian);
		errno = guard->error;
		if (pid < 0)
			goto put_child;
		/*
		 * Killed, perhaps when it had just made the child: what that
		 * may be using is lost.
		 */
		child->owned = NULL;
		errno = EAGAIN;
		goto free_guard;
	}

	/* Another thread may wait for any child. */
	guard->waiters = 1;
	list_add(guards, guard);
	if (child->opts->pidfd) {
		*child->opts->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (*child->opts->pidfd < 0)
			error = errno;
	}
	/* Without a pidfd, as if there had been no child. */
	if (error)
		kill(pid, SIGKILL);
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
free_guard:
	free(guard);
	return -1;
}

/**
 * struct wait - what a cancelled wait has to give back
 * @guards: the list
 * @guard:  one of it, or NULL
 */
struct wait {
	struct guards *guards;
	struct guard *guard;
};

static void wait_cancelled(void *arg)
{
	const struct wait *wait = arg;

	if (wait->guard)
		list_put(wait->guards, wait->guard, false);
}

pid_t guard_waitpid(pid_t pid, int *status, int options)
{
	struct guards *guards = atomic_load(&the_guards);
	struct wait wait = { .guards = guards };
	int how = 0;
	pid_t found;

	/* A child's own children are none of these, nor is its life ours. */
	if (!guards || spawn_in_child())
		return waitpid(pid, status, options | __WALL);

	if (pid > 0)
		wait.guard = list_get(guards, pid, false);
	pthread_cleanup_push(wait_cancelled, &wait);
	found = waitpid(wait.guard ? wait.guard->guardian : pid, &how,
			options | __WALL);
	pthread_cleanup_pop(0);
	if (!wait.guard && found > 0)
		wait.guard = list_get(guards, found, true);
	if (wait.guard) {
		/* Or it has been stopped, or continued, as its child has. */
		bool dead = found > 0 && (WIFEXITED(how) || WIFSIGNALED(how));
		/* Another wait with __WALL has been faster. */
		bool gone = found < 0 && errno == ECHILD &&
			    !(options & __WNOTHREAD);

		if (found > 0)
			found = wait.guard->pid;
		if (dead)
			how = wait.guard->status;
		list_put(guards, wait.guard, dead || gone);
	}
	if (found > 0 && status)
		*status = how;
	return found;
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

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A keeper is a thread that makes one child and stays until that has died. It
 * gives what the kernel does not:
 *
 * AVFORK_AUTOREAP: the keeper waits for the child, which is hidden from the
 * program's own waits.
 *
 * AVFORK_AUTOKILL: the child asks for SIGKILL at its parent's death
 * (PR_SET_PDEATHSIG, in start.c), which the kernel takes to be the end of the
 * thread that made it. That of the keeper is the process's own: by exit, by a
 * signal or by an exec, which leaves no other thread.
 */
#include <errno.h>
#include <sys/prctl.h>

#include "futex.h"
#include "guard.h"
#include "keeper.h"
#include "thread.h"

#define STACK_SIZE (64 * 1024)

/**
 * struct keeper - a keeper and its job; on the stack of the caller that waits
 * @child: what to make
 * @spawn: by which function
 * @reaps: AVFORK_AUTOREAP
 * @pid:   the child's, or -1
 * @error: why there is none
 * @done:  set when @pid and @error are: from then on only the caller has this. A
 *         futex
 */
struct keeper {
	struct child *child;
	pid_t (*spawn)(struct child *child);
	bool reaps;
	pid_t pid;
	int error;
	_Atomic uint32_t done;
};

static void *keeper_thread(void *arg)
{
	struct keeper *keeper = arg;
	bool reaps = keeper->reaps;
	pid_t pid;

	prctl(PR_SET_NAME, "avfork-keeper");
	pid = keeper->spawn(keeper->child);
	keeper->pid = pid;
	keeper->error = errno;
	atomic_store(&keeper->done, 1);
	/* It may be gone already: a wake-up there is for nobody. */
	futex_wake(&keeper->done);

	if (pid >= 0 && reaps)
		guard_reap(pid);
	else if (pid >= 0)
		guard_watch(pid);
	return NULL;
}

pid_t keeper_spawn(struct child *child, pid_t (*spawn)(struct child *child))
{
	const struct avfork_opts *asked = child->opts;
	struct avfork_opts opts = *asked;
	struct keeper keeper = {
		.child = child,
		.spawn = spawn,
		.reaps = opts.flags & AVFORK_AUTOREAP,
	};
	int error;

	if (opts.flags & AVFORK_INHERIT_SIGNALS) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (keeper.reaps) {
		opts.flags &= ~AVFORK_AUTOREAP;
		opts.flags |= AVFORK_HIDDEN;
	}
	child->opts = &opts;
	error = thread_start(STACK_SIZE, keeper_thread, &keeper);
	if (!error) {
		futex_wait_while(&keeper.done, 0);
		if (keeper.pid < 0)
			error = keeper.error;
	}
	child->opts = asked;
	if (error) {
		errno = error;
		return -1;
	}
	return keeper.pid;
}

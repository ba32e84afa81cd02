// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The keeper has its caller's credentials, filters and namespaces, and so has the
 * child. A keeper gives what the kernel does not:
 *
 * AVFORK_AUTOREAP: the keeper waits for the child, which is hidden from the
 * program's own waits.
 *
 * AVFORK_AUTOKILL: the child asks for SIGKILL at its parent's death
 * (PR_SET_PDEATHSIG, in prelude.c), which the kernel takes to be the end of the
 * thread that made it. That of the keeper is the process's own: by exit, by a
 * signal or by an exec, which leaves no other thread. A guardian (guard.c) asks for
 * the same.
 */
#include <errno.h>
#include <sys/prctl.h>

#include "guard.h"
#include "keeper.h"
#include "pool.h"
#include "sanitizer.h"
#include "thread.h"

/**
 * struct keeper - a keeper's job, on the stack of the caller that waits
 * @child: what to make
 * @spawn: by which function
 * @reaps: AVFORK_AUTOREAP
 * @loan:  STARTING until @child's pid is known, or @error: from then on only the
 *         caller has this
 * @error: why there is no child
 * @tid:   the keeper's, if there is none
 */
struct keeper {
	struct child *child;
	pid_t (*spawn)(struct child *child);
	bool reaps;
	struct loan loan;
	int error;
	pid_t tid;
};

static void *keeper_thread(void *arg)
{
	struct keeper *keeper = arg;
	const struct loan loan = keeper->loan;
	const bool reaps = keeper->reaps;
	pid_t pid;

	prctl(PR_SET_NAME, "avfork-keeper");
	pid = keeper->spawn(keeper->child);
	if (loan_is(&loan, LOAN_STARTING)) {
		keeper->child->pid = pid;
		keeper->error = errno;
		keeper->tid = (pid_t)syscall(SYS_gettid);
	}
	tsan_before(loan.word);
	pool_put(&loan);
	if (pid >= 0 && reaps)
		guard_reap(pid);
	else if (pid >= 0)
		guard_watch(pid);
	return NULL;
}

pid_t keeper_spawn(struct child *child, pid_t (*spawn)(struct child *child),
		   size_t stack_size)
{
	const struct avfork_opts *asked = child->opts;
	struct avfork_opts opts = *asked;
	struct keeper keeper = {
		.child = child,
		.spawn = spawn,
		.reaps = opts.flags & AVFORK_AUTOREAP,
	};
	int error;

	if (pool_get_word(&keeper.loan))
		return -1;
	if (keeper.reaps) {
		opts.flags &= ~AVFORK_AUTOREAP;
		opts.flags |= AVFORK_HIDDEN;
	}
	child->opts = &opts;
	child->loan = keeper.loan;
	loan_set(&keeper.loan, LOAN_STARTING);
	error = thread_start(stack_size, keeper_thread, &keeper, NULL);
	if (error) {
		pool_put(&keeper.loan);
		child->pid = -1;
	} else {
		loan_wait_while(&keeper.loan, LOAN_STARTING);
		tsan_after(keeper.loan.word);
		error = keeper.error;
		if (child->pid < 0)
			thread_wait_gone(keeper.tid);
	}
	child->opts = asked;
	if (child->pid < 0)
		errno = error;
	return child->pid;
}

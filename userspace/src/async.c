// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Being told when a child has left our memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "memory.h"
#include "pool.h"
#include "spawn.h"
#include "thread.h"

/**
 * struct watch - what the thread that waits for one child has to know
 * @tid:   the thread's. A futex
 * @known: set when the rest is. A futex
 * @pid:   the child's, or -1 for none
 * @loan:  ends when the child has left
 * @done:  called then
 */
struct watch {
	_Atomic uint32_t tid;
	_Atomic uint32_t known;
	pid_t pid;
	struct loan loan;
	void (*done)(pid_t pid);
};

static void *watch_thread(void *arg)
{
	struct watch *watch = arg;

	prctl(PR_SET_NAME, "avfork-async");
	atomic_store(&watch->tid, (uint32_t)syscall(SYS_gettid));
	futex_wake(&watch->tid);
	futex_wait_while(&watch->known, 0);
	if (watch->pid >= 0) {
		loan_wait_end(&watch->loan);
		watch->done(watch->pid);
	}
	free(watch);
	return NULL;
}

int avfork_async(int (*start_routine)(void *), void *arg, void (*done)(pid_t))
{
	const struct avfork_opts opts = { 0 };
	struct child child = {
		.opts = &opts, .start_routine = start_routine, .arg = arg,
	};
	struct watch *watch;
	pid_t pid, tid = 0;
	int error;

	/* Before there is a thread, which a child must not make. */
	if (!done || !start_routine || is_child())
		return spawn(&child) < 0 ? -1 : 0;

	/* The thread comes first: a child could not be taken back. */
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -1;
	watch->done = done;
	error = thread_start(POOL_STACK_SIZE, watch_thread, watch, NULL);
	if (error) {
		free(watch);
		errno = error;
		return -1;
	}
	pid = spawn(&child);
	error = errno;
	if (pid < 0) {
		futex_wait_while(&watch->tid, 0);
		tid = (pid_t)watch->tid;
	}
	watch->pid = pid;
	watch->loan = child.loan;
	atomic_store(&watch->known, 1);
	/* It may be gone already: a wake-up there is for nobody. */
	futex_wake(&watch->known);
	/* What fails keeps nothing. */
	if (pid < 0)
		thread_wait_gone(tid);
	errno = error;
	return pid < 0 ? -1 : 0;
}

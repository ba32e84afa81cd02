// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The portable backend, for where a filter lets clone(2) make no child but vfork(2)
 * does: a keeper that calls vfork().
 *
 * A child of vfork() runs on the stack and the thread-local storage of the thread
 * that called it, which the kernel stops for so long. So with a thread that has
 * nothing else to do these are the child's own, and the caller of the library goes
 * on as soon as the child exists.
 *
 * The keeper stays until the child has died, since what a child asks for its
 * parent's death (PR_SET_PDEATHSIG) is about the thread that made it.
 *
 * What vfork() cannot do is left to the clone backend.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier.h"
#include "keeper.h"
#include "memory.h"
#include "sanitizer.h"
#include "thread.h"

#define STACK_SIZE	(POOL_STACK_SIZE + 64 * 1024)

/* The child's pid, or -1, when it has exec'd or died. @told: unless NULL, before. */
static pid_t vfork_run(struct prelude *prelude, pid_t *told)
{
	kernel_sigset saved;
	pid_t pid;

	/* None of our handlers is to run in the child. */
	signals_mask(&(const kernel_sigset){ ALL_SIGNALS }, &saved);
	pid = vfork();
	if (!pid) {
		if (told)
			*told = (pid_t)syscall(SYS_getpid);
		prelude_run(prelude);
	}
	signals_mask(&saved, NULL);
	return pid;
}

/* By a keeper, on whose stack the prelude is. */
static pid_t worker_spawn(struct child *child)
{
	char memory[prelude_size(child)] __attribute__((aligned(16)));
	struct carrier carrier = {
		.loan = child->loan,
		.stack = memory, .stack_size = sizeof(memory),
	};
	struct prelude *prelude;

	prctl(PR_SET_NAME, "avfork-worker");
	rseq_unregister();
	guest_lent = true;
	prelude = prelude_put_grants(&carrier, child);
	return prelude ? vfork_run(prelude, &child->pid) : -1;
}

static pid_t make_here(const struct child *child, struct carrier *carrier,
		       struct prelude *prelude)
{
	(void)child;
	(void)carrier;
	return vfork_run(prelude, NULL);
}

static bool can_vfork(const struct avfork_opts *opts)
{
	/* A child with AVFORK_SYNC runs on the caller's stack. */
	size_t stack_size = opts->flags & AVFORK_SYNC ? 0 : POOL_STACK_SIZE;

	/* ThreadSanitizer has a fork() for vfork(). */
	return !tsan_is_here() &&
	       !(opts->flags & (AVFORK_HIDDEN | AVFORK_INTO_CGROUP |
				AVFORK_AUTOKILL | AVFORK_AUTOREAP |
				AVFORK_SHARE_FDS | AVFORK_ISOLATE)) &&
	       !opts->namespaces && !opts->pidfd && !opts->stack &&
	       opts->stack_size <= stack_size;
}

static pid_t taskq_spawn(struct child *child)
{
	if (!can_vfork(child->opts))
		return backend_clone.spawn(child);
	if (child->opts->flags & AVFORK_SYNC)
		return carrier_spawn(child, prelude_put_grants, make_here);
	return keeper_spawn(child, worker_spawn, STACK_SIZE + prelude_size(child));
}

static bool taskq_available(void)
{
	return true;
}

const struct backend backend_taskq = {
	.name = "taskq",
	.available = taskq_available,
	.spawn = taskq_spawn,
};

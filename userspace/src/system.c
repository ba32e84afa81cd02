// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * system(3).
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "guard.h"
#include "interrupts.h"
#include "spawn.h"

/**
 * struct running - what a cancelled call has to undo
 * @pid:        the command
 * @interrupts: as interrupts_ignore() has returned it
 */
struct running {
	pid_t pid;
	struct interrupts *interrupts;
};

static void cancelled(void *arg)
{
	const struct running *running = arg;

	guard_kill(running->pid);
	guard_reap(running->pid);
	interrupts_restore(running->interrupts);
}

int avfork_system(const char *command)
{
	const struct avfork_opts opts = {
		.flags = AVFORK_STDIO | AVFORK_WAITPID | AVFORK_INHERIT_SIGNALS,
	};
	struct running running;
	int status = -1;

	if (!command)
		return !access(SHELL, X_OK);
	running.interrupts = interrupts_ignore();
	if (!running.interrupts)
		return -1;
	running.pid = exec_shell(&opts, command, running.interrupts->changed);
	if (running.pid >= 0) {
		pthread_cleanup_push(cancelled, &running);
		while (guard_waitpid(running.pid, &status, 0) < 0 &&
		       errno == EINTR)
			;
		pthread_cleanup_pop(0);
	}
	interrupts_restore(running.interrupts);
	return status;
}

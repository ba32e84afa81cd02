// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * system(3).
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "guard.h"
#include "interrupts.h"
#include "memory.h"
#include "spawn.h"

static const int signals[] = { SIGINT, SIGQUIT };

#define NR_SIGNALS (sizeof(signals) / sizeof(*signals))

/*
 * What is ignored already is left alone, and not ignored again at the end: it may
 * be a system() of libc's that ignores it, and restores it before us.
 */
struct interrupts *interrupts_ignore(void)
{
	const struct disposition ignore = { .handler = SIG_IGN };
	static void *_Atomic where;
	struct interrupts *interrupts = wiped_get(&where, sizeof(*interrupts));
	size_t i;

	if (!interrupts)
		return NULL;
	pthread_mutex_lock(&interrupts->lock);
	if (!interrupts->users++) {
		interrupts->changed = 0;
		for (i = 0; i < NR_SIGNALS; i++) {
			struct disposition *saved = &interrupts->saved[i];

			signals_action(signals[i], NULL, saved);
			if (saved->handler == SIG_IGN)
				continue;
			signals_action(signals[i], &ignore, NULL);
			interrupts->changed |= SIGNAL_BIT(signals[i]);
		}
	}
	pthread_mutex_unlock(&interrupts->lock);
	return interrupts;
}

void interrupts_restore(struct interrupts *interrupts)
{
	size_t i;

	pthread_mutex_lock(&interrupts->lock);
	if (!--interrupts->users) {
		for (i = 0; i < NR_SIGNALS; i++)
			if (interrupts->changed & SIGNAL_BIT(signals[i]))
				signals_action(signals[i],
						&interrupts->saved[i], NULL);
	}
	pthread_mutex_unlock(&interrupts->lock);
}

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
	/* A guest has dispositions of its own, and what is kept is its parent's. */
	if (is_guest()) {
		errno = EDEADLK;
		return -1;
	}
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

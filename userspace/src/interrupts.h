/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGINT and SIGQUIT, which are not the program's while it waits for a command
 * of system(3), but the command's.
 */
#ifndef INTERRUPTS_H
#define INTERRUPTS_H

#include <pthread.h>
#include <signal.h>

/**
 * struct interrupts - those of this process
 * @lock:  protects the rest
 * @users: calls under way; the first ignores, the last restores
 * @intr:  what the program has set
 * @quit:  what the program has set
 */
struct interrupts {
	pthread_mutex_t lock;
	unsigned int users;
	struct sigaction intr;
	struct sigaction quit;
};

/* Ignore both, until interrupts_restore(). NULL with errno ENOMEM. */
struct interrupts *interrupts_ignore(void);
void interrupts_restore(struct interrupts *interrupts);

#endif

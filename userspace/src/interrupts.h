/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGINT and SIGQUIT, which are not the program's while it waits for a command
 * of system(3), but the command's.
 */
#ifndef INTERRUPTS_H
#define INTERRUPTS_H

#include <pthread.h>
#include <stdint.h>

#include "signals.h"

/**
 * struct interrupts - those of this process
 * @lock:    protects the rest
 * @users:   calls under way; the first ignores, the last restores
 * @changed: those of the two that the program did not ignore itself. The command
 *           shall not either. It stays as it is while there are users
 * @saved:   what the program had set, valid for those
 */
struct interrupts {
	pthread_mutex_t lock;
	unsigned int users;
	uint64_t changed;
	struct disposition saved[2];
};

/* Ignore both, until interrupts_restore(). NULL with errno ENOMEM. */
struct interrupts *interrupts_ignore(void);
void interrupts_restore(struct interrupts *interrupts);

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
#include "interrupts.h"
#include "wiped.h"

struct interrupts *interrupts_ignore(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	static void *_Atomic where;
	struct interrupts *interrupts = wiped_get(&where, sizeof(*interrupts));

	if (!interrupts)
		return NULL;
	pthread_mutex_lock(&interrupts->lock);
	if (!interrupts->users++) {
		sigaction(SIGINT, &ignore, &interrupts->intr);
		sigaction(SIGQUIT, &ignore, &interrupts->quit);
	}
	pthread_mutex_unlock(&interrupts->lock);
	return interrupts;
}

void interrupts_restore(struct interrupts *interrupts)
{
	pthread_mutex_lock(&interrupts->lock);
	if (!--interrupts->users) {
		sigaction(SIGINT, &interrupts->intr, NULL);
		sigaction(SIGQUIT, &interrupts->quit, NULL);
	}
	pthread_mutex_unlock(&interrupts->lock);
}

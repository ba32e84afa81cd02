// SPDX-License-Identifier: LGPL-2.1-or-later
#include "interrupts.h"
#include "wiped.h"

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

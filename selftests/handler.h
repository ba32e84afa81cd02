/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A signal handler that knows which process it runs in, even where its memory
 * does not tell. Include it after the harness.
 */
#ifndef AVFORK_HANDLER_H
#define AVFORK_HANDLER_H

#include <signal.h>

static volatile sig_atomic_t handled_by_parent, handled_by_child;
static pid_t parent;

static inline void count_signal(int signal)
{
	if (getpid() == parent)
		handled_by_parent++;
	else
		handled_by_child++;
}

static inline void handle(struct __test_metadata *_metadata, int signal,
			  void (*handler)(int))
{
	const struct sigaction action = {
		.sa_handler = handler,
		.sa_flags = SA_RESTART,
	};

	parent = getpid();
	handled_by_parent = 0;
	handled_by_child = 0;
	ASSERT_EQ(0, sigaction(signal, &action, NULL));
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals as the kernel has them. libc's own functions leave out the signals that
 * libc keeps for itself, and libraries that stand in for sigaction() (a JVM's, a
 * sanitizer's) keep a record in memory: what a child changes for itself, or we for a
 * moment, is not to be in that.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef uint64_t kernel_sigset;

#define ALL_SIGNALS	(~(kernel_sigset)0)
#define SIGNAL_BIT(signal) ((kernel_sigset)1 << ((signal) - 1))

/* Either may be NULL. */
static inline void signals_mask(const kernel_sigset *mask, kernel_sigset *saved)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, saved, sizeof(*mask));
}

/**
 * struct disposition - the kernel's struct sigaction, or room for it
 * @handler: or SIG_DFL or SIG_IGN; first on x86-64 and arm64
 * @rest:    flags, restorer, mask
 */
struct disposition {
	void (*handler)(int signal);
	unsigned long rest[7];
};

/* sigaction(2) itself. */
static inline void signals_action(int signal, const struct disposition *new,
				  struct disposition *old)
{
	syscall(SYS_rt_sigaction, signal, new, old, sizeof(kernel_sigset));
}

/* Set @handler, SIG_DFL or SIG_IGN. Return: what it was. */
static inline void (*signals_set(int signal, void (*handler)(int)))(int)
{
	const struct disposition new = { .handler = handler };
	struct disposition old = { .handler = SIG_DFL };

	signals_action(signal, &new, &old);
	return old.handler;
}

/* Have all @signals handled by default; SIGKILL among them is no error. */
static inline void signals_reset(kernel_sigset signals)
{
	for (; signals; signals &= signals - 1)
		signals_set(__builtin_ctzll(signals) + 1, SIG_DFL);
}

#endif

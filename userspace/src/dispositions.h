/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done at a signal, as the kernel has it. Libraries that stand in for
 * sigaction() (a JVM's, a sanitizer's) keep a record in memory; what a child
 * changes for itself, or we for a moment, is not to be in that.
 */
#ifndef DISPOSITIONS_H
#define DISPOSITIONS_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A set of signals, the kernel's: libc's functions leave out libc's own two. */
#define SIGNAL_BIT(signal) ((uint64_t)1 << ((signal) - 1))

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
static inline void disposition_set(int signal, const struct disposition *new,
				   struct disposition *old)
{
	syscall(SYS_rt_sigaction, signal, new, old, sizeof(uint64_t));
}

/* Have all @signals handled by default; SIGKILL among them is no error. */
static inline void dispositions_reset(uint64_t signals)
{
	static const struct disposition by_default;

	for (; signals; signals &= signals - 1)
		disposition_set(__builtin_ctzll(signals) + 1, &by_default,
				NULL);
}

#endif

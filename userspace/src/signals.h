/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals as the kernel has them: libc's own functions leave out the signals that
 * libc keeps for itself, and may be another library's in a program.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef uint64_t kernel_sigset;

#define NR_SIGNALS	64
#define ALL_SIGNALS	(~(kernel_sigset)0)

/* The kernel's struct sigaction is at most this large; its handler comes first. */
union kernel_sigaction {
	void (*handler)(int sig);
	unsigned long words[8];
};

/* Either may be NULL. */
static inline void signals_mask(const kernel_sigset *mask, kernel_sigset *saved)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, saved, sizeof(*mask));
}

/* Set the disposition of @sig to @handler, SIG_DFL or SIG_IGN. What it was. */
static inline void (*signals_set(int sig, void (*handler)(int)))(int)
{
	const union kernel_sigaction set = { .words = { (unsigned long)handler } };
	union kernel_sigaction before = { .handler = SIG_DFL };

	syscall(SYS_rt_sigaction, sig, &set, &before, sizeof(kernel_sigset));
	return before.handler;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Seccomp filters that a test puts on itself, and with that on its children.
 */
#ifndef SECCOMP_H
#define SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* Begins each filter. */
#define LOAD_NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
			 offsetof(struct seccomp_data, nr))

/* What filters end with. */
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* 0, or -1 with errno. The instructions are an array. */
#define seccomp_filter(instructions) \
	seccomp_put(instructions, sizeof(instructions) / sizeof(*(instructions)))

static inline int seccomp_put(const struct sock_filter *instructions,
			      unsigned short nr)
{
	const struct sock_fprog filter = { nr, (void *)instructions };

	/* Who is not root needs it. */
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -1 :
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* Have the system call @nr fail with @error. */
static inline int seccomp_refuse(unsigned int nr, int error)
{
	const struct sock_filter filter[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		REFUSE(error),
		ALLOW,
	};

	return seccomp_filter(filter);
}

/* A filter that lets everything pass: that there is one is what matters. */
static inline int seccomp_allow(void)
{
	const struct sock_filter filter[] = { ALLOW };

	return seccomp_filter(filter);
}

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "thread.h"

int thread_start(size_t stack_size, void *(*run)(void *), void *arg)
{
	const size_t enough = 64 * stack_size;
	sigset_t all, saved;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	/* EINVAL: the thread-local storage does not fit. */
	do {
		pthread_attr_setstacksize(&attr, stack_size);
		error = pthread_create(&thread, &attr, run, arg);
		stack_size *= 2;
	} while (error == EINVAL && stack_size <= enough);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	/* It fits into no stack of a reasonable size. */
	return error == EINVAL ? EAGAIN : error;
}

/*
 * A child's restartable sequences would never be restarted, since the kernel
 * knows the area as the parked thread's. Unregistered, it says so itself
 * (cpu_id is negative), and code that relies on it takes another way. It was
 * glibc that registered it, with just these values, so this cannot fail. What is
 * in use of it may be less than the size that the kernel takes at least, which is
 * that of the first version.
 */
static void rseq_unregister(void)
{
#ifdef RSEQ_SIG
	const unsigned int least = 32;

	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() +
			__rseq_offset, __rseq_size > least ? __rseq_size : least,
			RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

void thread_lends(const char *name)
{
	prctl(PR_SET_NAME, name);
	rseq_unregister();
}

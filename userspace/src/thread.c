// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__GLIBC__) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "memory.h"
#include "thread.h"

/* A program with more thread-local storage than that has no threads either. */
#define STACK_AT_MOST	((size_t)1 << 28)

static char *lowest_byte(pthread_t thread)
{
	pthread_attr_t attr;
	void *stack = NULL;
	size_t size;

	if (!pthread_getattr_np(thread, &attr)) {
		pthread_attr_getstack(&attr, &stack, &size);
		pthread_attr_destroy(&attr);
	}
	/* Before glibc 2.27 the guard page was counted in. */
	return (char *)stack + sysconf(_SC_PAGESIZE);
}

static bool can_map(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	return map != MAP_FAILED && !munmap(map, size);
}

int thread_start(size_t stack_size, void *(*run)(void *), void *arg,
		 char **stack)
{
	sigset_t all, saved;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	/* The thread would end with this process, and the owner wait for it. */
	if (is_guest())
		return EDEADLK;
	error = pthread_attr_init(&attr);
	if (error)
		return error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	/* EINVAL: the thread-local storage does not fit. */
	for (;; stack_size *= 2) {
		pthread_attr_setstacksize(&attr, stack_size);
		error = pthread_create(&thread, &attr, run, arg);
		if (error != EINVAL || stack_size > STACK_AT_MOST / 2)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	if (!error && stack)
		*stack = lowest_byte(thread);
	/* It fits into no stack of a reasonable size. */
	if (error == EINVAL)
		return EAGAIN;
	/* Which is what it says for want of memory, too. */
	return error == EAGAIN && !can_map(stack_size) ? ENOMEM : error;
}

/* No event tells: what libc waits for (CLONE_CHILD_CLEARTID) comes before that. */
void thread_wait_gone(pid_t tid)
{
	while (!syscall(SYS_tgkill, getpid(), tid, 0))
		sched_yield();
}

#ifdef RSEQ_SIG

/* Since glibc 2.35; the library need not be used with the one it was built with. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

static struct rseq *rseq_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() +
			       __rseq_offset);
}

/* With what glibc has registered: at least as much as the first version had. */
static long rseq(int flags)
{
	const unsigned int least = 32;

	return syscall(SYS_rseq, rseq_area(),
		       __rseq_size > least ? __rseq_size : least, flags,
		       RSEQ_SIG);
}

int rseq_unregister(void)
{
	if (!&__rseq_size || !__rseq_size || (int)rseq_area()->cpu_id < 0)
		return 0;
	return rseq(RSEQ_FLAG_UNREGISTER) ? -1 : 1;
}

void rseq_register(void)
{
	rseq(0);
}

#else

int rseq_unregister(void)
{
	return 0;
}

void rseq_register(void)
{
}

#endif

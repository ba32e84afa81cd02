/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's own threads.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Start a detached thread that blocks every signal, so that none of the
 * process's is ever handled there. Its stack has @stack_size bytes, or as many
 * more as the thread-local storage needs that libc puts on it; unless @stack is
 * NULL its lowest usable byte is stored there, if the thread stays for so long. 0
 * or an errno: EAGAIN, ENOMEM, or EDEADLK in a guest.
 */
int thread_start(size_t stack_size, void *(*run)(void *), void *arg,
		 char **stack);

/* Wait until the kernel does not count @tid, a thread of ours that ends, any more. */
void thread_wait_gone(pid_t tid);

/*
 * Have the kernel forget the calling thread's area of restartable sequences, and
 * know it again. The child of a thread that lends its thread pointer is not
 * registered, so its sequences would never be restarted; without an area, cpu_id
 * there is negative and code that relies on it takes another way. 1: forgotten; 0:
 * there was none; -1: somebody else has registered one.
 */
int rseq_unregister(void);
void rseq_register(void);

#endif

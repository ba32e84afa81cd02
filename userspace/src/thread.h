/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's own threads.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stddef.h>

/*
 * Start a detached thread that blocks every signal, so that none of the
 * process's is ever handled there. Its stack has @stack_size bytes, or as many
 * more as the thread-local storage needs that glibc puts on it. 0 or an errno.
 */
int thread_start(size_t stack_size, void *(*run)(void *), void *arg);

/*
 * For a thread whose thread-local storage children are going to use. @name is
 * what /proc and debuggers show for it.
 */
void thread_lends(const char *name);

#endif

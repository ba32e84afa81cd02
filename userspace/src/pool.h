/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of carriers: threads that exist to lend their thread pointer, and
 * with it their thread-local storage, to a child that shares our memory.
 */
#ifndef POOL_H
#define POOL_H

#include "backend.h"

/**
 * struct carrier - what a child borrows
 * @thread_pointer: of a thread that is parked in the kernel for good
 * @lent:           @ticket while borrowed; the kernel zeroes it
 * @ticket:         a multiple of POOL_TICKET, and another for every borrower.
 *                  What lies between this and the next is the borrower's, too
 * @stack:          lowest byte of a stack with a guard page below it
 * @stack_size:     its bytes
 * @start_routine:  what the child runs, for the borrower to set
 * @arg:            passed to it
 * @owned:          memory of malloc() that the child uses, or NULL, ...
 * @start:          ... and a second: freed before the carrier is lent again
 */
struct carrier {
	uintptr_t thread_pointer;
	_Atomic uint32_t *lent;
	uint32_t ticket;
	void *stack;
	size_t stack_size;
	int (*start_routine)(void *arg);
	void *arg;
	void *owned;
	void *start;
};

#define POOL_TICKET 4
#define POOL_STACK_SIZE (256 * 1024)	/* what suits most children */

/*
 * Borrow a carrier for a child with @opts. It has a stack as large as they ask
 * for, or may have none where they bring one. It is given back by the kernel,
 * which zeroes the word @lent when the child that was started with it has left
 * our memory. NULL with errno EAGAIN or ENOMEM.
 */
struct carrier *pool_get(const struct avfork_opts *opts);

/* Give back a carrier with which no child was started. */
void pool_put(struct carrier *carrier);

/*
 * Borrow a carrier for @child and have @make start it: the child's pid, or -1
 * with errno. For backends' spawn().
 */
pid_t pool_spawn(struct child *child,
		 pid_t (*make)(const struct child *child,
			       struct carrier *carrier));

#endif

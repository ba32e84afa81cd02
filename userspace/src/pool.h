/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of carriers: threads that exist to lend their thread pointer, and
 * with it their thread-local storage, to a child that shares our memory.
 */
#ifndef POOL_H
#define POOL_H

#include <stddef.h>
#include <stdint.h>

#include "loan.h"

/**
 * struct carrier - what a child runs on
 * @thread_pointer: of a thread that does nothing while the loan lasts
 * @loan:           how far the child is
 * @stack:          lowest byte of a stack with a guard page below it
 * @stack_size:     its bytes. Memory that the child needs is taken from the top
 */
struct carrier {
	uintptr_t thread_pointer;
	struct loan loan;
	char *stack;
	size_t stack_size;
};

#define POOL_STACK_SIZE (256 * 1024)	/* what suits most children */

/*
 * Borrow a carrier with at least @stack_size bytes of stack. The kernel gives it
 * back when the child that was started with it has left our memory. 0, or -1 with
 * errno EAGAIN or ENOMEM.
 */
int pool_get(struct carrier *carrier, size_t stack_size);

/* Borrow a word alone, for a thread that makes a child itself. 0, or -1, EAGAIN. */
int pool_get_word(struct loan *loan);

/* End @loan, with which no child was started. */
void pool_put(const struct loan *loan);

/*
 * The same with a carrier, and errno, which is left alone. EAGAIN: for want of a
 * process. The carrier's thread counts as one, and is gone when this returns, so that
 * whoever fork()s instead may have it.
 */
void pool_put_failed(const struct loan *loan);

#endif

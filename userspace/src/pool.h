/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of carriers: threads that exist to lend their thread pointer, and
 * with it their thread-local storage, to a child that shares our memory.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct carrier - what a child borrows
 * @thread_pointer: of a thread that is parked in the kernel for good
 * @release:        non-zero while borrowed; the kernel zeroes it
 * @stack:          lowest byte of a stack with a guard page below it
 * @stack_size:     its bytes
 * @start_routine:  what the child runs, for the borrower to set
 * @arg:            passed to it
 */
struct carrier {
	uintptr_t thread_pointer;
	uint32_t *release;
	void *stack;
	size_t stack_size;
	int (*start_routine)(void *arg);
	void *arg;
};

#define POOL_STACK_SIZE (256 * 1024)	/* what suits most children */

/*
 * Borrow a carrier whose stack has at least @stack_size bytes; it may have none
 * where that is 0, for a child with a stack from elsewhere. It is given back
 * by the kernel, which zeroes its release word when the child that was started
 * with it has left our memory. NULL with errno EAGAIN or ENOMEM.
 */
struct carrier *pool_get(size_t stack_size);

/* Give back a carrier with which no child was started. */
void pool_put(struct carrier *carrier);

/* Whether the caller is itself a child on a borrowed carrier. */
bool pool_in_child(void);

#endif

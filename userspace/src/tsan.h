/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What ThreadSanitizer, where the program is built with it, cannot see: that a child
 * comes after what its maker did before, and a wait after what the child did. To it
 * a child is the carrier's thread.
 */
#ifndef TSAN_H
#define TSAN_H

#include <stdbool.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

/* A function that never returns stays on the carrier's stack of calls. */
#define TSAN_UNSEEN __attribute__((no_sanitize("thread")))

static inline bool tsan_is_here(void)
{
	return __tsan_release;
}

/* What comes next, here, comes after what another did before tsan_before(@address). */
static inline void tsan_after(void *address)
{
	if (__tsan_acquire)
		__tsan_acquire(address);
}

static inline void tsan_before(void *address)
{
	if (__tsan_release)
		__tsan_release(address);
}

/* The address that stands for the end of any child. */
extern char tsan_child_ends;

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What sanitizers, where the program is built with them, cannot see.
 *
 * To ThreadSanitizer a child is the carrier's thread; it is told that a child comes
 * after what its maker did before, and a wait after what the child did.
 * AddressSanitizer marks the frames of functions until they return, which those of a
 * child do not.
 */
#ifndef SANITIZER_H
#define SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

extern void __asan_unpoison_memory_region(const volatile void *start,
					  size_t size) __attribute__((weak));

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

/* A function that never returns stays on the carrier's stack of calls. */
#define TSAN_UNSEEN __attribute__((no_sanitize("thread")))

/* @stack is to be used by another child. */
static inline void asan_reuse(void *stack, size_t size)
{
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(stack, size);
}

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

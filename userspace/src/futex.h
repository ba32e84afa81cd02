/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words that are waited for. Shared futexes, although the words are not: the
 * kernel's own wake-up, when it clears the word of a child that has left, is
 * one for shared futexes.
 */
#ifndef FUTEX_H
#define FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Until woken while @word is @value, or @timeout. May return early, with -1. */
static inline long futex_wait_for(_Atomic uint32_t *word, uint32_t value,
				  const struct timespec *timeout)
{
	return syscall(SYS_futex, word, FUTEX_WAIT, value, timeout);
}

/* Until @word is something else than @value. */
static inline void futex_wait_while(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		futex_wait_for(word, value, NULL);
}

static inline void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX);
}

#endif

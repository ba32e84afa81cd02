/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loan: the word by which two sides that share memory, be they threads or
 * processes, know how far a child has come. It is the only such protocol of the
 * library.
 *
 * The word is a slot's of the pool, whose memory stays mapped. Its values:
 *
 *	ticket + LOAN_STARTING	the borrower cannot do without its maker yet
 *	ticket			the borrower has started
 *	ticket + LOAN_SEEN	the maker has seen that (guard.c)
 *	anything else		the loan has ended; the slot may be somebody else's
 *
 * A loan ends when the kernel stores 0 because the child has left our memory, by
 * exec or by death of any kind, or when its owner does so (pool_put()). The
 * ticket of each loan is another, so whoever waits for one that has ended does
 * not mistake the next for it.
 */
#ifndef LOAN_H
#define LOAN_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAN_TICKET	4	/* tickets are multiples of this */
#define LOAN_STARTING	1
#define LOAN_SEEN	2

/*
 * Until @word is something else than @value. Not FUTEX_PRIVATE_FLAG, although the
 * words are private: the kernel does without when it clears the word of a child.
 */
static inline void futex_wait_while(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL);
}

static inline void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX);
}

struct loan {
	_Atomic uint32_t *word;
	uint32_t ticket;
};

static inline void loan_set(const struct loan *loan, uint32_t state)
{
	atomic_store(loan->word, loan->ticket + state);
	futex_wake(loan->word);
}

static inline bool loan_is(const struct loan *loan, uint32_t state)
{
	return atomic_load(loan->word) == loan->ticket + state;
}

/* For who may come too late: nothing, unless @loan is in the state @from. */
static inline void loan_step(const struct loan *loan, uint32_t from, uint32_t to)
{
	uint32_t word = loan->ticket + from;

	if (atomic_compare_exchange_strong(loan->word, &word, loan->ticket + to))
		futex_wake(loan->word);
}

static inline void loan_wait_while(const struct loan *loan, uint32_t state)
{
	futex_wait_while(loan->word, loan->ticket + state);
}

static inline bool loan_has_ended(const struct loan *loan)
{
	return atomic_load(loan->word) - loan->ticket >= LOAN_TICKET;
}

static inline void loan_wait_end(const struct loan *loan)
{
	uint32_t word;

	while ((word = atomic_load(loan->word)) - loan->ticket < LOAN_TICKET)
		futex_wait_while(loan->word, word);
}

#endif

// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parent and child run at the same time in the same memory, so they must not
 * share what the C library keeps per thread: errno, malloc's cache, the owner
 * field of stdio's locks. A carrier is a thread whose thread pointer a child
 * borrows instead. The thread itself waits in the kernel meanwhile, at the top of
 * its stack; the child runs on the rest of that stack.
 *
 * The pool is an array of slots. Whoever exchanges the 0 in a free slot's word for
 * TAKEN owns the slot and its carrier, or makes one, and turns the word into that
 * of a loan. At the end of the loan the kernel stores the 0. So there is no lock,
 * no list, and nobody who must run for a carrier to come back. Slots are tried from
 * the first, so the carriers in use are the ones that were used last.
 *
 * The array lies in memory that fork() wipes: the copy has no carriers, and all
 * zero is an empty pool.
 *
 * A carrier that was idle for a while leaves, since a program whose main thread
 * ends with pthread_exit() would otherwise never end. Those of the first slots, the
 * reserve, stay for as long as the main thread lives.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <avfork.h>

#include "memory.h"
#include "pool.h"
#include "raw.h"
#include "sanitizer.h"
#include "thread.h"

#define POOL_SLOTS	16384		/* loans at a time; EAGAIN beyond */
#define RESERVE		1		/* unless avfork_reserve() says otherwise */
#define IDLE_SECONDS	1		/* a carrier idle for this long leaves */
/* Of a carrier's stack its own, which a signal handler of libc's (setxid) uses. */
#define PARKED_SIZE	(32 * 1024)
/* Beside the stack: what a child usually needs in memory, its arguments. */
#define PRELUDE_SIZE	(32 * 1024)

enum { FREE, TAKEN };			/* words; FREE is the kernel's 0 */

/**
 * struct slot - where one carrier goes
 * @word:           FREE, TAKEN, or a loan's. What CLONE_CHILD_CLEARTID points at
 * @ticket:         of the last loan
 * @nudge:          changed to have the carrier look whether it is to leave; a futex
 * @used:           lent since the carrier last looked
 * @thread_pointer: of the carrier, 0 while there is none. Read by others as a hint
 * @tid:            of the carrier, 0 if its thread pointer cannot be lent
 * @stack:          as struct carrier has it, and @stack_size, which others read as a
 *                  hint. While the thread starts: its frame
 *
 * All but @word and @nudge is written by the slot's owner alone. A slot fills a
 * cache line, so that children of several threads do not touch each other's.
 */
struct slot {
	_Alignas(64) _Atomic uint32_t word;
	uint32_t ticket;
	_Atomic uint32_t nudge;
	bool used;
	_Atomic uintptr_t thread_pointer;
	pid_t tid;
	char *stack;
	_Atomic size_t stack_size;
};

/**
 * struct pool - the array of @slots
 * @end:     no slot from here on ever had a carrier
 * @asked:   for how many the program has asked, plus 1; 0: not
 * @ended:   the main thread has
 */
struct pool {
	struct slot slots[POOL_SLOTS];
	atomic_uint end;
	atomic_uint asked;
	atomic_bool ended;
};

static void *_Atomic the_pool;

/* Whether the end of the main thread will be seen. */
static atomic_bool watched;

static struct pool *pool(void)
{
	return wiped_get(&the_pool, sizeof(struct pool));
}

static bool slot_take(struct slot *slot)
{
	uint32_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	return word == FREE &&
	       atomic_compare_exchange_strong(&slot->word, &word, TAKEN);
}

static void slot_release(struct slot *slot)
{
	atomic_store_explicit(&slot->word, FREE, memory_order_release);
}

/* For the slot's owner. */
static void slot_lend(struct slot *slot, struct loan *loan)
{
	slot->ticket += LOAN_TICKET;
	if (!slot->ticket)
		slot->ticket = LOAN_TICKET;
	loan->word = &slot->word;
	loan->ticket = slot->ticket;
	atomic_store_explicit(&slot->word, slot->ticket, memory_order_relaxed);
}

/* How many carriers stay. */
static unsigned int reserve(struct pool *pool)
{
	unsigned int asked = atomic_load(&pool->asked);

	if (atomic_load(&pool->ended))
		return 0;
	return asked ? asked - 1 : atomic_load(&watched) ? RESERVE : 0;
}

static void nudge(struct slot *slot)
{
	atomic_fetch_add(&slot->nudge, 1);
	futex_wake(&slot->nudge);
}

static void reserve_has_changed(struct pool *pool)
{
	unsigned int i;

	for (i = 0; i < atomic_load(&pool->end); i++)
		nudge(&pool->slots[i]);
}

/* The main thread's destructor for its thread-specific data. */
static void main_thread_ends(void *arg)
{
	struct pool *pool = arg;

	atomic_store(&pool->ended, true);
	reserve_has_changed(pool);
}

static pthread_key_t main_thread;
static pthread_once_t main_thread_once = PTHREAD_ONCE_INIT;
static bool main_thread_has_key;

static void main_thread_make_key(void)
{
	main_thread_has_key = !pthread_key_create(&main_thread,
						  main_thread_ends);
}

/* Have the end of the main thread seen, if the caller is that. */
static void main_thread_watch(void)
{
	struct pool *the = pool();

	if (!the || syscall(SYS_gettid) != getpid())
		return;
	pthread_once(&main_thread_once, main_thread_make_key);
	if (main_thread_has_key && !pthread_setspecific(main_thread, the))
		atomic_store(&watched, true);
}

/* Usually the main thread loads the library. Whichever makes a copy is main there. */
static void __attribute__((constructor)) main_thread_loads(void)
{
	main_thread_watch();
	pthread_atfork(NULL, NULL, main_thread_watch);
}

static bool main_thread_is_watched(void)
{
	if (!atomic_load(&watched))
		main_thread_watch();
	return atomic_load(&watched);
}

/* Whether the carrier of @slot, idle for a while, leaves: the slot has none then. */
static bool carrier_leaves(struct pool *pool, struct slot *slot)
{
	bool leaves;

	if (slot - pool->slots < reserve(pool) || !slot_take(slot))
		return false;
	leaves = !slot->used;
	slot->used = false;
	if (leaves)
		atomic_store(&slot->thread_pointer, 0);
	slot_release(slot);
	return leaves;
}

/* @arg: the slot, whose loan is STARTING: the owner waits for that to change. */
static void *carrier_thread(void *arg)
{
	const uintptr_t self = (uintptr_t)__builtin_thread_pointer();
	const struct timespec patience = { .tv_sec = IDLE_SECONDS };
	struct slot *slot = arg;
	struct pool *the = atomic_load(&the_pool);
	int *tid_address = NULL;
	uint32_t nudge;

	prctl(PR_SET_NAME, "avfork-carrier");
	guest_lent = true;
	/*
	 * If our process dies before a child that borrows us, the kernel would
	 * clear the thread's id in the storage that is lent. (It is told the
	 * address where it has CONFIG_CHECKPOINT_RESTORE.)
	 */
	if (!prctl(PR_GET_TID_ADDRESS, &tid_address))
		syscall(SYS_set_tid_address, NULL);
	slot->stack = __builtin_frame_address(0);
	/* A child would be taken for this thread by what is registered for it. */
	slot->tid = rseq_unregister() < 0 ? 0 : (pid_t)syscall(SYS_gettid);
	atomic_store(&slot->thread_pointer, self);
	/*
	 * From here on a child may run with our thread pointer, so nothing may be
	 * written to thread-local storage, not even errno.
	 */
	atomic_store(&slot->word, slot->ticket);
	raw_syscall4(SYS_futex, (long)&slot->word, FUTEX_WAKE, INT_MAX, 0);
	/* Another thread pointer: dismissed, and the slot has another carrier. */
	while (atomic_load(&slot->thread_pointer) == self) {
		nudge = atomic_load(&slot->nudge);
		if (carrier_leaves(the, slot))
			break;
		raw_syscall4(SYS_futex, (long)&slot->nudge, FUTEX_WAIT, nudge,
			     slot - the->slots < reserve(the) ?
			     0 : (long)&patience);
	}
	/* libc waits for it to be cleared before it uses our stack again. */
	if (tid_address)
		syscall(SYS_set_tid_address, tid_address);
	return NULL;
}

/* Have the carrier of @slot, which the caller owns, leave. */
static void carrier_dismiss(struct slot *slot)
{
	atomic_store(&slot->thread_pointer, 0);
	nudge(slot);
}

/*
 * Make a carrier for @slot, which the caller owns, with @size bytes of stack for
 * children. 0 or an errno.
 */
static int carrier_make(struct pool *pool, struct slot *slot, size_t size)
{
	unsigned int end = atomic_load(&pool->end);
	unsigned int index = slot - pool->slots;
	/* libc has its thread-local storage there, too, of whatever size. */
	size_t total = size + 2 * PARKED_SIZE;
	struct loan birth;
	char *low;
	int error;

	size = (size + 63) & ~(size_t)63;
	while (end <= index &&
	       !atomic_compare_exchange_weak(&pool->end, &end, index + 1))
		;
	for (;; total *= 2) {
		slot_lend(slot, &birth);
		loan_set(&birth, LOAN_STARTING);
		error = thread_start(total, carrier_thread, slot, &low);
		if (error)
			return error;
		loan_wait_while(&birth, LOAN_STARTING);
		/* The child's part ends below the frame of the parked thread. */
		if (slot->tid && slot->stack >= low + size + PARKED_SIZE) {
			slot->stack_size =
				(slot->stack - PARKED_SIZE - low) & ~63UL;
			slot->stack = low;
			return 0;
		}
		carrier_dismiss(slot);
		if (!slot->tid)
			return EAGAIN;
	}
}

/*
 * Make @slot, which the caller owns, a loan of a carrier. 0, or -1, the slot being
 * free then.
 */
static int slot_get(struct pool *pool, struct slot *slot, size_t size,
		    struct carrier *carrier)
{
	int error = 0;

	/* Its stack of calls grows by whatever a child that execs has called. */
	if (tsan_is_here() && slot->thread_pointer &&
	    slot->ticket % (1024 * LOAN_TICKET) == 0)
		carrier_dismiss(slot);
	if (!slot->thread_pointer)
		error = carrier_make(pool, slot, size);
	if (error) {
		slot_release(slot);
		errno = error;
		return -1;
	}
	tsan_after(&tsan_child_ends);
	slot->used = true;
	carrier->thread_pointer = slot->thread_pointer;
	carrier->stack = slot->stack;
	carrier->stack_size = slot->stack_size;
	asan_reuse(slot->stack, slot->stack_size);
	slot_lend(slot, &carrier->loan);
	return 0;
}

/* Whether @slot has a carrier with @size bytes of stack, or if that is 0 none. */
static bool slot_suits(const struct slot *slot, size_t size)
{
	return size ? slot->thread_pointer && slot->stack_size >= size :
		      !slot->thread_pointer;
}

/* Whether @slot was free and suits; it is the caller's then. */
static bool slot_take_if(struct slot *slot, size_t size)
{
	if (!slot_suits(slot, size) || !slot_take(slot))
		return false;
	/* The carrier may have left, or come, before the slot was ours. */
	if (slot_suits(slot, size))
		return true;
	slot_release(slot);
	return false;
}

int pool_get(struct carrier *carrier, size_t stack_size)
{
	struct pool *the = pool();
	struct slot *slot, *end;

	if (!the)
		return -1;
	if (stack_size > PTRDIFF_MAX / 4) {
		errno = ENOMEM;
		return -1;
	}
	if (stack_size < POOL_STACK_SIZE + PRELUDE_SIZE)
		stack_size = POOL_STACK_SIZE + PRELUDE_SIZE;
	end = the->slots + atomic_load_explicit(&the->end, memory_order_relaxed);
	for (slot = the->slots; slot < end; slot++)
		if (slot_take_if(slot, stack_size))
			return slot_get(the, slot, stack_size, carrier);
	main_thread_is_watched();
	for (slot = the->slots; slot < the->slots + POOL_SLOTS; slot++)
		if (slot_take_if(slot, 0))
			return slot_get(the, slot, stack_size, carrier);
	errno = EAGAIN;
	return -1;
}

/* From the last slot on: the first ones are for carriers. */
int pool_get_word(struct loan *loan)
{
	struct pool *the = pool();
	struct slot *slot;

	if (!the)
		return -1;
	for (slot = the->slots + POOL_SLOTS; slot-- > the->slots;) {
		if (slot_take_if(slot, 0)) {
			slot_lend(slot, loan);
			return 0;
		}
	}
	errno = EAGAIN;
	return -1;
}

void pool_put(const struct loan *loan)
{
	atomic_store(loan->word, FREE);
	futex_wake(loan->word);
}

void pool_put_failed(const struct loan *loan)
{
	/* A slot begins with its word. */
	struct slot *slot = (struct slot *)loan->word;
	int error = errno;

	if (error == EAGAIN) {
		carrier_dismiss(slot);
		thread_wait_gone(slot->tid);
	}
	pool_put(loan);
	errno = error;
}

int avfork_reserve(unsigned int children)
{
	struct pool *the = pool();
	struct carrier carrier;
	unsigned int i;

	if (!the)
		return -1;
	if (children > POOL_SLOTS) {
		errno = EINVAL;
		return -1;
	}
	if (is_guest()) {
		errno = EDEADLK;
		return -1;
	}
	/* What stays must leave when the main thread ends. */
	if (!main_thread_is_watched()) {
		errno = EAGAIN;
		return -1;
	}
	atomic_store(&the->asked, children + 1);
	reserve_has_changed(the);
	for (i = 0; i < children; i++) {
		struct slot *slot = &the->slots[i];

		/* One that is lent has a carrier. */
		if (slot->thread_pointer || !slot_take(slot))
			continue;
		if (slot_get(the, slot, POOL_STACK_SIZE + PRELUDE_SIZE,
			     &carrier))
			return -1;
		pool_put(&carrier.loan);
	}
	return 0;
}

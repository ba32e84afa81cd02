// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pool of carriers.
 *
 * Parent and child run at the same time in the same memory, so they must not
 * share what the C library keeps per thread: errno, malloc's cache, the owner
 * field of stdio's locks. A carrier is a thread whose thread pointer a child
 * borrows instead. The thread itself never runs while that lasts: it waits in
 * the kernel from before it is first lent until it is told to leave.
 *
 * The pool is an array of slots. A slot's word is 0 when it is free, and whoever
 * exchanges that for TAKEN owns the slot and its carrier, which it then marks
 * with a ticket that no other borrower has. When the borrowing child leaves our
 * memory, by exec or by death of any kind, the kernel stores the 0. That is the
 * whole protocol: no lock, no list, nobody who must run for a carrier to come
 * back, and no ABA, for a slot stays where it is. Slots are tried from the
 * first, so the carriers in use are the ones that were used last, and 8 slots
 * share a cache line. A slot without a carrier is free, too: its owner makes
 * one.
 *
 * The array lives in memory that fork() wipes. The carriers do not exist in the
 * copy, and all zero is an empty pool.
 *
 * A janitor thread lets carriers go that were idle for a while, and itself
 * after the last of them. Without that, a program whose main thread ends with
 * pthread_exit() would never end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "futex.h"
#include "pool.h"
#include "thread.h"
#include "wiped.h"

#define POOL_SLOTS		16384	/* children at a time; EAGAIN beyond */
#define THREAD_STACK_SIZE	(64 * 1024)	/* carriers' own */
#define IDLE_SECONDS		1	/* a carrier idle for this long leaves */

enum { FREE, TAKEN };			/* slot words; FREE is the kernel's 0 */
enum { STARTING, PARKED, LEAVING };	/* carriers' thread words */
enum { NONE, CREATED, RUNNING };	/* the janitor's */

/**
 * struct member - a carrier as the pool has it
 * @carrier:  what borrowers see
 * @thread:   the carrier thread's own word: it starts, parks on it, leaves
 * @used:     lent since the janitor last looked
 */
struct member {
	struct carrier carrier;
	_Atomic uint32_t thread;
	atomic_bool used;
};

/**
 * struct slot - where one carrier goes
 * @word:   FREE, TAKEN or the borrower's: the ticket, at first. What
 *          CLONE_CHILD_CLEARTID points at
 * @ticket: the last one; written by the slot's owner only
 */
struct slot {
	_Atomic uint32_t word;
	uint32_t ticket;
};

/**
 * struct pool - the array; all zero is an empty pool
 * @slots:   the slots
 * @members: their carriers; written by the slot's owner only
 * @end:     no slot from here on was ever taken
 * @janitor: NONE, or a thread that is being CREATED, or RUNNING
 */
struct pool {
	struct slot slots[POOL_SLOTS];
	struct member *_Atomic members[POOL_SLOTS];
	atomic_uint end;
	_Atomic uint32_t janitor;
};

static void *_Atomic the_pool;

/* AddressSanitizer's, where the program is built with it. */
extern void __asan_unpoison_memory_region(const volatile void *start,
					  size_t size) __attribute__((weak));

static void stack_unmap(struct carrier *carrier)
{
	size_t guard = sysconf(_SC_PAGESIZE);

	if (carrier->stack)
		munmap((char *)carrier->stack - guard,
		       guard + carrier->stack_size);
	carrier->stack = NULL;
	carrier->stack_size = 0;
}

/* Give @carrier a stack of at least @size bytes. 0, or -1 with ENOMEM. */
static int stack_map(struct carrier *carrier, size_t size)
{
	size_t guard;
	char *map;

	if (carrier->stack_size >= size)
		return 0;
	guard = sysconf(_SC_PAGESIZE);
	if (size > PTRDIFF_MAX - 2 * guard) {
		errno = ENOMEM;
		return -1;
	}
	size = (size + guard - 1) / guard * guard;

	map = mmap(NULL, guard + size, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return -1;
	if (mprotect(map + guard, size, PROT_READ | PROT_WRITE)) {
		munmap(map, guard + size);
		return -1;
	}
	stack_unmap(carrier);
	carrier->stack = map + guard;
	carrier->stack_size = size;
	return 0;
}

/* Free what its last borrower left behind. */
static void carrier_clean(struct carrier *carrier)
{
	/* It has not returned from its functions, whose frames are marked. */
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(carrier->stack,
					      carrier->stack_size);
	free(carrier->owned);
	free(carrier->start);
	carrier->owned = NULL;
	carrier->start = NULL;
}

static void member_free(struct member *member)
{
	carrier_clean(&member->carrier);
	stack_unmap(&member->carrier);
	free(member);
}

static void *carrier_thread(void *arg)
{
	struct member *member = arg;
	int *tid_address = NULL;

	member->carrier.thread_pointer = (uintptr_t)__builtin_thread_pointer();
	thread_lends("avfork-carrier");
	/*
	 * If our process dies before a child that borrows us, the kernel would
	 * clear the thread's id in the storage that is lent. (It is told the
	 * address where it has CONFIG_CHECKPOINT_RESTORE.)
	 */
	if (!prctl(PR_GET_TID_ADDRESS, &tid_address))
		syscall(SYS_set_tid_address, NULL);
	/*
	 * Wakes nobody, but has the dynamic linker bind syscall(): it keeps
	 * notes in the thread-local storage that is about to be lent.
	 */
	futex_wake(&member->thread);

	atomic_store(&member->thread, PARKED);
	futex_wake(&member->thread);
	/*
	 * From PARKED on a child may run with our thread pointer, so nothing
	 * may be written to thread-local storage here, not even errno. The wait
	 * does not fail: the word stays PARKED until we are told to leave, and
	 * a signal of glibc's own (setxid) has it restarted.
	 */
	futex_wait_while(&member->thread, PARKED);

	/* glibc waits for it to be cleared before it uses our stack again. */
	if (tid_address)
		syscall(SYS_set_tid_address, tid_address);
	member_free(member);
	return NULL;
}

/* For a slot's owner, who gives it back afterwards. */
static void member_retire(struct pool *pool, unsigned int slot)
{
	struct member *member = pool->members[slot];

	pool->members[slot] = NULL;
	atomic_store(&member->thread, LEAVING);
	futex_wake(&member->thread);
}

static void slot_release(struct slot *slot)
{
	atomic_store_explicit(&slot->word, FREE, memory_order_release);
}

static bool slot_take(struct slot *slot)
{
	uint32_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	return word == FREE &&
	       atomic_compare_exchange_strong(&slot->word, &word, TAKEN);
}

/* One round: retire who was not used since the last. Whether any are left. */
static bool retire_idle(struct pool *pool)
{
	bool any = false;
	unsigned int slot;

	for (slot = atomic_load(&pool->end); slot-- > 0;) {
		struct member *member;

		/* A taken slot's carrier is busy, or about to be made. */
		if (!slot_take(&pool->slots[slot])) {
			any = true;
			continue;
		}
		member = pool->members[slot];
		if (member && !atomic_exchange(&member->used, false))
			member_retire(pool, slot);
		else if (member)
			any = true;
		slot_release(&pool->slots[slot]);
	}
	return any;
}

static void *janitor_thread(void *arg)
{
	const struct timespec pause = { .tv_sec = IDLE_SECONDS };
	struct pool *pool = arg;
	uint32_t state;

	prctl(PR_SET_NAME, "avfork-janitor");
	atomic_store(&pool->janitor, RUNNING);
	futex_wake(&pool->janitor);
	do {
		do
			nanosleep(&pause, NULL);
		while (retire_idle(pool));
		/*
		 * Whoever made a carrier after we looked either saw no janitor
		 * and starts one, or took a slot that we see now. Its order is
		 * first the slot, then the janitor; ours the reverse.
		 */
		atomic_store(&pool->janitor, NONE);
		state = NONE;
	} while (retire_idle(pool) &&
		 atomic_compare_exchange_strong(&pool->janitor, &state,
						RUNNING));
	return NULL;
}

/* 0, with a janitor that will see the slot that the caller owns, or an errno. */
static int janitor_ensure(struct pool *pool)
{
	uint32_t state = NONE;
	int error;

	while (!atomic_compare_exchange_strong(&pool->janitor, &state,
					       CREATED)) {
		if (state == RUNNING)
			return 0;
		/* Another thread creates it, which may yet fail. */
		futex_wait_while(&pool->janitor, CREATED);
		state = NONE;
	}
	error = thread_start(THREAD_STACK_SIZE, janitor_thread, pool);
	if (error) {
		atomic_store(&pool->janitor, NONE);
		futex_wake(&pool->janitor);
	}
	return error;
}

/* Make a carrier for @slot, which the caller owns. NULL with errno. */
static struct member *member_new(struct pool *pool, unsigned int slot)
{
	struct member *member;
	unsigned int end;
	int error;

	member = calloc(1, sizeof(*member));
	if (!member)
		return NULL;
	member->carrier.lent = &pool->slots[slot].word;

	end = atomic_load(&pool->end);
	while (end <= slot &&
	       !atomic_compare_exchange_weak(&pool->end, &end, slot + 1))
		;
	error = janitor_ensure(pool);
	if (!error)
		error = thread_start(THREAD_STACK_SIZE, carrier_thread, member);
	if (error) {
		free(member);
		errno = error;
		return NULL;
	}
	futex_wait_while(&member->thread, STARTING);
	pool->members[slot] = member;
	return member;
}

struct carrier *pool_get(const struct avfork_opts *opts)
{
	struct pool *pool = wiped_get(&the_pool, sizeof(*pool));
	struct member *member;
	size_t stack_size = 0;
	unsigned int i;

	if (!opts->stack)
		stack_size = opts->stack_size > POOL_STACK_SIZE ?
			     opts->stack_size : POOL_STACK_SIZE;
	if (!pool)
		return NULL;
	for (i = 0; !slot_take(&pool->slots[i]);) {
		if (++i == POOL_SLOTS) {
			errno = EAGAIN;
			return NULL;
		}
	}

	member = pool->members[i];
	if (member)
		carrier_clean(&member->carrier);
	else
		member = member_new(pool, i);
	if (!member || stack_map(&member->carrier, stack_size)) {
		slot_release(&pool->slots[i]);
		return NULL;
	}
	atomic_store_explicit(&member->used, true, memory_order_relaxed);

	pool->slots[i].ticket += POOL_TICKET;
	if (pool->slots[i].ticket == FREE)
		pool->slots[i].ticket += POOL_TICKET;
	member->carrier.ticket = pool->slots[i].ticket;
	atomic_store_explicit(&pool->slots[i].word, member->carrier.ticket,
			      memory_order_relaxed);
	return &member->carrier;
}

void pool_put(struct carrier *carrier)
{
	carrier->owned = NULL;
	carrier->start = NULL;
	atomic_store_explicit(carrier->lent, FREE, memory_order_release);
}

pid_t pool_spawn(struct child *child,
		 pid_t (*make)(const struct child *child,
			       struct carrier *carrier))
{
	struct carrier *carrier = pool_get(child->opts);
	pid_t pid;

	if (!carrier)
		return -1;
	carrier->start_routine = child->start_routine;
	carrier->arg = child->arg;
	carrier->owned = child->owned;
	child->lent = carrier->lent;
	child->ticket = carrier->ticket;
	/* Afterwards the carrier may be somebody else's already. */
	pid = make(child, carrier);
	if (pid < 0)
		pool_put(carrier);
	return pid;
}

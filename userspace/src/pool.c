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
 * The pool is an array of slots. A slot's release word is 0 when it is free,
 * and whoever exchanges that for TAKEN owns the slot and its carrier. When the
 * borrowing child leaves our memory, by exec or by death of any kind, the
 * kernel stores the 0. That is the whole protocol: no lock, no list, nobody who
 * must run for a carrier to come back, and no ABA, for a slot stays where it
 * is. Slots are tried from the first, so the carriers in use are the ones that
 * were used last, and the words of 16 slots share a cache line. A slot without
 * a carrier is free, too: its owner makes one.
 *
 * The array lives in memory that fork() wipes (MADV_WIPEONFORK), however it is
 * called. The carriers do not exist in the copy, and all zero is an empty pool.
 *
 * A janitor thread lets carriers go that were idle for a while, and itself
 * after the last of them. Without that, a program whose main thread ends with
 * pthread_exit() would never end.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "pool.h"

#define POOL_SLOTS		16384	/* children at a time; EAGAIN beyond */
#define THREAD_STACK_SIZE	(64 * 1024)
#define IDLE_SECONDS		1	/* a carrier idle for this long leaves */

enum { FREE, TAKEN };			/* slot words; FREE is the kernel's 0 */
enum { STARTING, PARKED, LEAVING };	/* carriers' thread words */
enum { NONE, CREATED, RUNNING };	/* the janitor's */

/**
 * struct member - a carrier as the pool has it
 * @carrier:  what borrowers see
 * @thread:   the carrier thread's own word: it starts, parks on it, leaves
 * @slot:     where it is in the pool
 * @used:     lent since the janitor last looked
 */
struct member {
	struct carrier carrier;
	_Atomic uint32_t thread;
	unsigned int slot;
	atomic_bool used;
};

/**
 * struct pool - the array; all zero is an empty pool
 * @words:   FREE or TAKEN; what CLONE_CHILD_CLEARTID points at
 * @members: the carriers; written by the slot's owner only
 * @end:     no slot from here on was ever taken
 * @janitor: NONE, or a thread that is being CREATED, or RUNNING
 */
struct pool {
	_Atomic uint32_t words[POOL_SLOTS];
	struct member *_Atomic members[POOL_SLOTS];
	atomic_uint end;
	_Atomic uint32_t janitor;
};

/* Stays where it is for the life of the process and of all its copies. */
static struct pool *_Atomic the_pool;

/* Set once in every carrier thread: seen by the children that borrow it. */
static _Thread_local struct member *self;

static struct pool *pool_map(void)
{
	struct pool *pool, *other = NULL;

	pool = mmap(NULL, sizeof(*pool), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool == MAP_FAILED)
		return NULL;
	if (madvise(pool, sizeof(*pool), MADV_WIPEONFORK) ||
	    !atomic_compare_exchange_strong(&the_pool, &other, pool)) {
		munmap(pool, sizeof(*pool));
		pool = other;
	}
	return pool;
}

static struct pool *pool(void)
{
	struct pool *pool = atomic_load_explicit(&the_pool,
						 memory_order_acquire);

	return pool ? pool : pool_map();
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/*
 * A child's restartable sequences would never be restarted, since the kernel
 * knows the area as the parked thread's. Unregistered, it says so itself
 * (cpu_id is negative), and code that relies on it takes another way.
 */
static void rseq_unregister(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() +
			__rseq_offset, sizeof(struct rseq),
			RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

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
	size_t guard = sysconf(_SC_PAGESIZE);
	char *map;

	if (carrier->stack_size >= size)
		return 0;
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

/*
 * Start a thread that blocks every signal, so that none of the process's is
 * ever handled there. Its stack is small; where the thread-local storage that
 * glibc puts on it needs more, pthread_create() says EINVAL.
 */
static int start_thread(void *(*run)(void *), void *arg)
{
	size_t size = THREAD_STACK_SIZE;
	sigset_t all, saved;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	do {
		pthread_attr_setstacksize(&attr, size);
		error = pthread_create(&thread, &attr, run, arg);
		size *= 2;
	} while (error == EINVAL && size <= 64 * THREAD_STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

static void member_free(struct member *member)
{
	stack_unmap(&member->carrier);
	free(member);
}

static void *carrier_thread(void *arg)
{
	struct member *member = arg;

	self = member;
	member->carrier.thread_pointer = (uintptr_t)__builtin_thread_pointer();
	prctl(PR_SET_NAME, "avfork-carrier");
	rseq_unregister();
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
	while (atomic_load(&member->thread) == PARKED)
		futex_wait(&member->thread, PARKED);

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

static void slot_release(struct pool *pool, unsigned int slot)
{
	atomic_store_explicit(&pool->words[slot], FREE, memory_order_release);
}

static bool slot_take(struct pool *pool, unsigned int slot)
{
	uint32_t word = atomic_load_explicit(&pool->words[slot],
					     memory_order_relaxed);

	return word == FREE &&
	       atomic_compare_exchange_strong(&pool->words[slot], &word, TAKEN);
}

/* One round: retire who was not used since the last. Whether any are left. */
static bool retire_idle(struct pool *pool)
{
	bool any = false;
	unsigned int slot;

	for (slot = atomic_load(&pool->end); slot-- > 0;) {
		struct member *member;

		/* A taken slot's carrier is busy, or about to be made. */
		if (!slot_take(pool, slot)) {
			any = true;
			continue;
		}
		member = pool->members[slot];
		if (member && !atomic_exchange(&member->used, false))
			member_retire(pool, slot);
		else if (member)
			any = true;
		slot_release(pool, slot);
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
		futex_wait(&pool->janitor, CREATED);
		state = NONE;
	}
	error = start_thread(janitor_thread, pool);
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
	member->slot = slot;
	member->carrier.release = (uint32_t *)&pool->words[slot];

	end = atomic_load(&pool->end);
	while (end <= slot &&
	       !atomic_compare_exchange_weak(&pool->end, &end, slot + 1))
		;
	error = janitor_ensure(pool);
	if (!error)
		error = start_thread(carrier_thread, member);
	if (error) {
		free(member);
		errno = error;
		return NULL;
	}
	while (atomic_load(&member->thread) == STARTING)
		futex_wait(&member->thread, STARTING);
	pool->members[slot] = member;
	return member;
}

struct carrier *pool_get(size_t stack_size)
{
	struct pool *p = pool();
	struct member *member;
	unsigned int slot;

	if (!p)
		return NULL;
	for (slot = 0; !slot_take(p, slot);) {
		if (++slot == POOL_SLOTS) {
			errno = EAGAIN;
			return NULL;
		}
	}

	member = p->members[slot];
	if (!member)
		member = member_new(p, slot);
	if (!member || stack_map(&member->carrier, stack_size)) {
		slot_release(p, slot);
		return NULL;
	}
	atomic_store_explicit(&member->used, true, memory_order_relaxed);
	return &member->carrier;
}

void pool_put(struct carrier *carrier)
{
	atomic_store_explicit((_Atomic uint32_t *)carrier->release, FREE,
			      memory_order_release);
}

bool pool_in_child(void)
{
	/* In a fork()ed copy of a child the pool no longer has its carrier. */
	return self && pool() && pool()->members[self->slot] == self;
}

// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "carrier.h"
#include "clone.h"
#include "memory.h"
#include "sanitizer.h"
#include "thread.h"

/* What most calls need; one such mapping is kept, for the next of them. */
#define KEPT_SIZE (POOL_STACK_SIZE + 64 * 1024)

static char *_Atomic kept;

/* Memory with a guard page below: a stack without a thread. 0, or -1 with ENOMEM. */
static int carrier_map(struct carrier *carrier, size_t size)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	char *map = NULL;

	if (size > PTRDIFF_MAX / 4) {
		errno = ENOMEM;
		return -1;
	}
	if (size <= KEPT_SIZE) {
		size = KEPT_SIZE;
		map = atomic_exchange(&kept, NULL);
	}
	size = (size + page - 1) / page * page;
	carrier->thread_pointer = (uintptr_t)__builtin_thread_pointer();
	carrier->loan.word = NULL;
	carrier->stack_size = size;
	if (map) {
		carrier->stack = map;
		asan_reuse(map, size);
		return 0;
	}
	map = mmap(NULL, page + size, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return -1;
	if (mprotect(map + page, size, PROT_READ | PROT_WRITE)) {
		munmap(map, page + size);
		errno = ENOMEM;
		return -1;
	}
	carrier->stack = map + page;
	return 0;
}

static void carrier_unmap(const struct carrier *carrier)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	char *stack = carrier->stack;
	int saved = errno;

	if (carrier->stack_size == KEPT_SIZE)
		stack = atomic_exchange(&kept, stack);
	if (stack)
		munmap(stack - page, page + carrier->stack_size);
	errno = saved;
}

static pid_t spawn_sync(struct child *child, prelude_put_fn *put, maker_fn *make)
{
	struct carrier mapped, carrier;
	/* In a forked copy of a child, or a signal's handler, that may be so. */
	const bool was_lent = guest_lent;
	struct prelude *prelude;
	int sequences = 0;
	pid_t pid = -1;

	if (carrier_map(&mapped, prelude_stack_size(child)))
		return -1;
	/* Less what the prelude takes. */
	carrier = mapped;
	prelude = put(&carrier, child);
	/* Only the program's own functions know of these sequences. */
	if (prelude && !child->execs)
		sequences = rseq_unregister();
	if (prelude && sequences >= 0) {
		guest_lent = true;
		pid = make(child, &carrier, prelude);
		guest_lent = was_lent;
	} else if (prelude) {
		errno = EAGAIN;
	}
	if (sequences > 0)
		rseq_register();
	carrier_unmap(&mapped);
	return pid;
}

pid_t carrier_spawn(struct child *child, prelude_put_fn *put, maker_fn *make)
{
	struct carrier carrier;
	struct prelude *prelude;
	pid_t pid = -1;

	if (child->opts->flags & AVFORK_SYNC)
		return spawn_sync(child, put, make);
	if (pool_get(&carrier, prelude_stack_size(child)))
		return -1;
	child->loan = carrier.loan;
	prelude = put(&carrier, child);
	/* Afterwards the carrier may be somebody else's already. */
	if (prelude)
		pid = make(child, &carrier, prelude);
	if (pid < 0)
		pool_put_failed(&carrier.loan);
	return pid;
}

pid_t carrier_spawn_own(const struct child *child, struct loan *loan,
			_Atomic pid_t *pid)
{
	struct carrier carrier;
	struct prelude *prelude;
	pid_t made = -1;

	if (pool_get(&carrier, prelude_stack_size(child)))
		return -1;
	prelude = prelude_put_grants(&carrier, child);
	if (prelude) {
		/* Not the prelude tells that the child has started. */
		prelude->loan.word = NULL;
		*loan = carrier.loan;
		loan_set(loan, LOAN_STARTING);
		made = clone_start(child->opts, 0, &carrier, prelude, pid);
	}
	if (made < 0)
		pool_put_failed(&carrier.loan);
	return made;
}

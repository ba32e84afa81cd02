// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whose memory is this? A word that each fork() wipes holds the owner's pid. A
 * process that shares the memory finds another's pid there; a forked copy finds
 * 0, and so does a guest of that copy which asks before its owner has. The kernel
 * tells these two apart: the guest has the same memory as its parent.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"
#include "sanitizer.h"

void *wiped_get(void *_Atomic *where, size_t size)
{
	/* Stays where it is for the life of the process and of its copies. */
	void *memory = atomic_load_explicit(where, memory_order_acquire);
	void *other = NULL;

	if (memory) {
		tsan_after(where);
		return memory;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	tsan_before(where);
	if (madvise(memory, size, MADV_WIPEONFORK) ||
	    !atomic_compare_exchange_strong(where, &other, memory)) {
		munmap(memory, size);
		memory = other;
	}
	return memory;
}

_Thread_local bool guest_lent;

static _Atomic pid_t *owner_word(void)
{
	static void *_Atomic where;

	return wiped_get(&where, sizeof(pid_t));
}

/* Not where the kernel does not tell: it has no kcmp(2), or a filter refuses. */
static bool shares_with_parent(void)
{
	int saved = errno;
	bool same = !syscall(SYS_kcmp, getpid(), getppid(), KCMP_VM, 0, 0);

	errno = saved;
	return same;
}

bool is_guest(void)
{
	_Atomic pid_t *owner = owner_word();
	pid_t self = getpid(), found;

	if (!owner)
		return false;
	found = atomic_load(owner);
	if (!found) {
		if (shares_with_parent())
			return true;
		if (atomic_compare_exchange_strong(owner, &found, self)) {
			/* Of a copy, which nobody has lent anything. */
			guest_lent = false;
			return false;
		}
	}
	/*
	 * A child in a pid namespace of its own is 1 there, as the owner may be in
	 * its own. A handler in such an owner that makes a child with AVFORK_SYNC at
	 * this moment is taken for a guest as well.
	 */
	return found != self || (self == 1 && guest_lent);
}

/* As early as we can, when there is no guest yet: kcmp(2) may be refused. */
static void __attribute__((constructor)) claim(void)
{
	_Atomic pid_t *owner = owner_word();

	if (owner)
		atomic_compare_exchange_strong(owner, &(pid_t){ 0 }, getpid());
}
